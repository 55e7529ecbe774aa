# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The blueprint of a source VM that is not there yet, wherever it is to come from."""

from __future__ import annotations

from ..errors import BadInput
from ..hypervisor.connection import Host
from ..hypervisor.pools import image_pool_path
from . import source_vm_clone, source_vm_from_image, source_vm_import, source_vm_new
from .source_vm_creation import Blueprint
from .source_vm_options import Desired


def draw(host: Host, desired: Desired) -> Blueprint:
    """Return the blueprint. Raises an error when the VM cannot be made as it is wanted; nothing is written."""
    origin = desired.origin
    if origin.clone_of is not None:
        return source_vm_clone.draw(host, desired, origin.clone_of)
    if desired.pool is None:
        raise BadInput(f"pool: {desired.name} is a new source VM, and needs the image pool said that holds its disks")
    pool_path = image_pool_path(host, desired.pool)
    if origin.image is not None:
        return source_vm_from_image.draw(host, desired, pool_path, origin.image)
    if origin.source is not None:
        return source_vm_import.draw(host, desired, pool_path, origin.source)
    return source_vm_new.draw(host, desired, pool_path)

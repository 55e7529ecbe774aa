# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looking into source VMs: what source_vm_info returns, and the picture of a screen."""

from __future__ import annotations

import os
from typing import Any

from ..errors import BadInput, Conflict, NotFound, WrongState
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.screens import take_screenshot
from ..png import SIGNATURE
from .source_vm_state import SourceVmState, read_source_vm, source_vm_result

OPTIONS = {"name": {"type": "str"}, "screenshot": {"type": "path"}}
# A screen may show what not everybody on the host should read.
_MODE = 0o600


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the source VM of the name, or all of them.

    A picture of the screen is written where it is said; in check mode, only whether it can be taken is checked.
    """
    name, path = params["name"], params["screenshot"]
    found = [
        read_source_vm(host, domain)
        for domain in list_domains(host)
        if domain.mark and domain.mark.kind == "source_vm" and name in (None, domain.name)
    ]
    result = {"source_vms": [source_vm_result(vm) for vm in found]}
    if path is None:
        return result
    _require_screen(name, found)
    _require_writable(path)
    if not host.files.read_only:
        host.files.write(path, take_screenshot(host, name), _MODE)
    return {**result, "screenshot": path}


def _require_screen(name: str, found: list[SourceVmState]) -> None:
    if not found:
        raise NotFound(f"screenshot: there is no source VM {name} on this host")
    if not found[0].domain.running:
        raise WrongState(f"screenshot: source VM {name} is stopped and shows nothing; start it first")
    if found[0].hardware.video == "none":
        raise WrongState(f"screenshot: source VM {name} has no video card; say video: virtio to give it one")


def _require_writable(path: str) -> None:
    """What lies at the path already is replaced only when it is such a picture."""
    if not os.path.isabs(path):
        raise BadInput(f"screenshot: {path!r} is not an absolute path, as /tmp/office-src.png")
    if not os.path.isdir(os.path.dirname(path)):
        raise NotFound(f"screenshot: there is no directory {os.path.dirname(path)} on this host")
    if os.path.lexists(path):
        with open(path, "rb") as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                raise Conflict(f"screenshot: {path} is there already and is no PNG picture; say another path")

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of emulated TPMs: small files of swtpm(8), which libvirt keeps by the UUID of the domain.

They belong to the user that swtpm runs as (libvirt src/qemu/qemu_tpm.c). libvirt makes a new state when a domain
starts for which there is none, and has no call to copy one.
"""

from __future__ import annotations

import os
import stat

from ..disk.clones import copy_whole
from ..files import Files

DIRECTORY = "/var/lib/libvirt/swtpm"


def state_directory(uuid: str) -> str:
    """Return the directory of the domain's TPM state; it is not there before the domain was started first."""
    return os.path.join(DIRECTORY, uuid)


def staged_directory(name: str) -> str:
    """Return where the state for the new domain I(name) waits until that is defined."""
    return os.path.join(DIRECTORY, f".goldsmith-images.{name}")


def is_staged(name: str, uuid: str) -> bool:
    """Whether a copied state still waits for the domain, which has none of its own."""
    return os.path.isdir(staged_directory(name)) and not os.path.isdir(state_directory(uuid))


def stage_copy(files: Files, source_uuid: str, name: str) -> None:
    """Copy the state of the domain I(source_uuid), if it has one, for the new domain I(name). Owners and modes stay."""
    source, target = state_directory(source_uuid), staged_directory(name)
    if not os.path.isdir(source):
        return
    for directory, _below, names in os.walk(source):
        there = os.path.join(target, os.path.relpath(directory, source))
        files.make_directory(os.path.normpath(there))
        for file in names:
            # The lock is of the swtpm that runs; a socket or pipe is nothing to copy.
            if file != ".lock" and os.path.isfile(os.path.join(directory, file)):
                copy_whole(files, os.path.join(directory, file), os.path.join(there, file))
                _resemble(files, os.path.join(there, file), os.path.join(directory, file))
        _resemble(files, there, directory)


def _resemble(files: Files, path: str, other: str) -> None:
    files.set_owner_as(path, other)
    files.set_mode(path, stat.S_IMODE(os.stat(other).st_mode))


def place_copy(files: Files, name: str, uuid: str) -> None:
    """Give the staged state to the domain I(uuid), which is defined now; durably, and at once."""
    if os.path.isdir(staged_directory(name)):
        files.replace(staged_directory(name), state_directory(uuid))


def discard_copy(files: Files, name: str) -> None:
    """Remove the staged state, if there is one."""
    _remove(files, staged_directory(name))


def remove_tpm_state(files: Files, uuid: str) -> None:
    """Remove the state of the domain's TPM with its keys, if there is one; the domain is off.

    libvirt leaves it when a domain is defined anew without a TPM, and then also when the domain goes.
    """
    _remove(files, state_directory(uuid))


def _remove(files: Files, directory: str) -> None:
    for below, directories, names in os.walk(directory, topdown=False):
        for name in names:
            files.remove(os.path.join(below, name))
        for name in directories:
            files.remove_directory(os.path.join(below, name))
    files.remove_directory(directory)

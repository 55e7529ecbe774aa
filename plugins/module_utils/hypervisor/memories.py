# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a VM remembers besides its disks: the file of its UEFI variables, and the state of its emulated TPM."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import WrongState
from ..files import Files
from .domains import Domain
from .tpm_state import state_directory


@dataclass(frozen=True)
class Restoration:
    """Files that lie ready beside those that they replace, and files that go."""

    ready: tuple[tuple[str, str], ...]
    surplus: tuple[str, ...]


def read_nvram(domain: Domain) -> bytes | None:
    """Return the UEFI variables; None for a domain with BIOS, and before the first start."""
    if domain.nvram is None or not os.path.exists(domain.nvram):
        return None
    return _content(domain.nvram)


def read_tpm(domain: Domain) -> tuple[tuple[str, bytes], ...]:
    """Return the files of the TPM's state by their paths in its directory; none before the first start."""
    directory = state_directory(domain.uuid)
    found = []
    for below, _directories, names in os.walk(directory):
        for name in names:
            if not name.startswith("."):
                path = os.path.join(below, name)
                found.append((os.path.relpath(path, directory), _content(path)))
    return tuple(sorted(found))


def prepare(files: Files, domain: Domain, nvram: bytes | None, tpm: tuple[tuple[str, bytes], ...]) -> Restoration:
    """Write the files that L(restore) puts into place, so that only renaming is left to do.

    Raises WrongState when libvirt has not made the directory of the TPM's state yet.
    """
    _remove_staged(files, domain)
    ready, surplus = [], []
    if domain.nvram is not None and nvram is None:
        surplus.append(domain.nvram)
    elif domain.nvram is not None and nvram != read_nvram(domain):
        staged = _staged(domain, domain.nvram)
        files.write(staged, nvram, 0o600)
        ready.append((staged, domain.nvram))
    directory, there = state_directory(domain.uuid), read_tpm(domain)
    for name, content in tpm:
        if (name, content) not in there:
            path = os.path.join(directory, name)
            if not os.path.isdir(os.path.dirname(path)):
                raise WrongState(
                    f"{os.path.dirname(path)} does not exist, where libvirt keeps the TPM of {domain.name}; start the "
                    "VM once and shut it down, then run again"
                )
            staged = _staged(domain, path)
            files.write(staged, content, 0o600)
            files.set_owner_as(staged, os.path.dirname(path))
            ready.append((staged, path))
    kept = {name for name, _content in tpm}
    surplus += [os.path.join(directory, name) for name, _content in there if name not in kept]
    return Restoration(tuple(ready), tuple(surplus))


def restore(files: Files, restoration: Restoration) -> None:
    """Put the prepared files into place."""
    for staged, path in restoration.ready:
        files.replace(staged, path)
    for path in restoration.surplus:
        files.remove(path)


def discard(files: Files, restoration: Restoration) -> None:
    """Remove the prepared files; what is in place stays."""
    for staged, _path in restoration.ready:
        files.remove(staged)


def _staged(domain: Domain, path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{domain.name}@restored.{os.path.basename(path)}")


def _remove_staged(files: Files, domain: Domain) -> None:
    """Remove what a killed run prepared in the directory of the TPM's state."""
    for below, _directories, names in os.walk(state_directory(domain.uuid)):
        for name in names:
            if name.startswith(".") and name.lstrip(".").startswith(f"{domain.name}@restored."):
                files.remove(os.path.join(below, name))


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()

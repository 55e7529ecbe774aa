# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of an emulated TPM: where libvirt keeps it (src/qemu/qemu_tpm.c), which has no call to remove it."""

from __future__ import annotations

import os

from ..files import Files

TPM_STATES = "/var/lib/libvirt/swtpm"


def remove_tpm_state(files: Files, uuid: str) -> None:
    """Remove the state of the domain's TPM with its keys; the domain is off, and has no TPM any more."""
    directory = os.path.join(TPM_STATES, uuid)
    for below, directories, names in os.walk(directory, topdown=False):
        for name in names:
            files.remove(os.path.join(below, name))
        for name in directories:
            files.remove_directory(os.path.join(below, name))
    files.remove_directory(directory)

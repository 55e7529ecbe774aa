# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB on the disk of an endpoint, for BIOS and UEFI: made by grub-mkimage and put in place. The one door to it.

What is in place can be compared with what would be, byte by byte: nothing asks the firmware, and nothing depends on
how the kernel names devices. For BIOS the boot sector names the sectors of the core image in the BIOS boot partition
(GRUB's manual, "BIOS installation"; the offsets are those of grub/i386/pc/boot.h). For UEFI the loader has the
removable path.
"""

from __future__ import annotations

import os
import struct
import tempfile
from dataclasses import dataclass

from ..commands import run_command
from ..disk.sparse import write_all
from ..errors import NoSpace, NotFound
from ..files import Files
from .block_device import SECTOR
from .partition_table import Partition

ESP_LABEL = "GOLDSMITH"
UEFI_LOADER = "EFI/BOOT/BOOTX64.EFI"
_LIBRARY = "/usr/lib/grub"
_BIOS, _UEFI = "i386-pc", "x86_64-efi"
_BOOT_CODE = 440  # bytes of the first sector; the rest is the partition table
_KERNEL_SECTOR, _DRIVE_CHECK = 0x5C, 0x66
_BLOCK_LIST = SECTOR - 12  # in the first sector of the core image: where the rest of it is, and how long
_NO_CHECK = b"\x90\x90"  # two nops: some BIOSes do not say what drive they boot

_COMMON = [
    "part_gpt",
    "part_msdos",
    "fat",
    "ext2",
    "xfs",
    "btrfs",
    "ntfs",
    "normal",
    "configfile",
    "linux",
    "chain",
    "search",
    "search_fs_uuid",
    "search_fs_file",
    "search_label",
    "loadenv",
    "test",
    "regexp",
    "echo",
    "sleep",
    "reboot",
    "halt",
    "ls",
    "cat",
    "gzio",
    "xzio",
    "boot",
    "minicmd",
    "all_video",
    "gfxterm",
    "font",
    "terminal",
    "serial",
]
_MODULES = {_BIOS: [*_COMMON, "biosdisk"], _UEFI: [*_COMMON, "efi_gop", "efifwsetup"]}
# What the core image does first: GRUB may see several disks, and this is how it knows its own.
_FIRST = f"search.fs_label {ESP_LABEL} root\nset prefix=($root)/grub\n"


@dataclass(frozen=True)
class BootLoader:
    """What has to be there: I(boot_code) in the first sector, I(core) in the BIOS boot partition, I(uefi) as a file."""

    boot_code: bytes
    core: bytes
    uefi: bytes

    def is_in_place(self, device: str, boot: Partition) -> bool:
        """Whether the disk boots by BIOS into this one."""
        with open(device, "rb") as disk:
            code = os.pread(disk.fileno(), len(self.boot_code), 0)
            core = os.pread(disk.fileno(), len(self.core), boot.start_byte)
        return (code, core) == (self.boot_code, self.core)

    def install(self, files: Files, device: str, boot: Partition) -> None:
        """Put the parts for BIOS on the disk, the core image first: the boot sector must not name what is not there."""
        descriptor = os.open(files.permit(device), os.O_WRONLY | os.O_CLOEXEC)
        try:
            write_all(descriptor, self.core, boot.start_byte)
            os.fsync(descriptor)
            write_all(descriptor, self.boot_code, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_boot_loader(boot: Partition) -> BootLoader:
    """Return the boot loader for a disk with this BIOS boot partition. Raises NotFound when GRUB is not installed."""
    core = bios_core(_image(_BIOS), boot.start)
    if len(core) > boot.size:
        raise NoSpace(f"GRUB's core image has {len(core)} bytes, the BIOS boot partition {boot.size}")
    with open(_part_of_grub(_BIOS, "boot.img"), "rb") as stream:
        code = boot_code(stream.read(), boot.start)
    return BootLoader(code, core, _image(_UEFI))


def boot_code(boot_image: bytes, first: int) -> bytes:
    """Return the code of the boot sector that loads the core image from the sector I(first)."""
    code = bytearray(boot_image[:_BOOT_CODE])
    struct.pack_into("<Q", code, _KERNEL_SECTOR, first)
    code[_DRIVE_CHECK : _DRIVE_CHECK + len(_NO_CHECK)] = _NO_CHECK
    return bytes(code)


def bios_core(core: bytes, first: int) -> bytes:
    """Return the core image, in whole sectors, as it loads the rest of itself when it lies at the sector I(first)."""
    whole = bytearray(core + bytes(-len(core) % SECTOR))
    _start, _count, segment = struct.unpack_from("<QHH", whole, _BLOCK_LIST)
    struct.pack_into("<QHH", whole, _BLOCK_LIST, first + 1, len(whole) // SECTOR - 1, segment)
    return bytes(whole)


def _image(platform: str) -> bytes:
    _part_of_grub(platform, "moddep.lst")
    with tempfile.TemporaryDirectory(prefix="goldsmith-") as directory:
        first, image = os.path.join(directory, "first.cfg"), os.path.join(directory, "image")
        with open(first, "w", encoding="ascii") as stream:
            stream.write(_FIRST)
        options = ["--format", platform, "--prefix", "/grub", "--config", first, "--output", image]
        run_command(["grub-mkimage", *options, *_MODULES[platform]])
        with open(image, "rb") as stream:
            return stream.read()


def _part_of_grub(platform: str, name: str) -> str:
    path = os.path.join(_LIBRARY, platform, name)
    if not os.path.exists(path):
        raise NotFound(f"{path} is missing on this machine; install grub-pc-bin and grub-efi-amd64-bin")
    return path

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a disk boots by, as far as its partition table tells (UEFI specification, chapter 5: GUID partition table)."""

from __future__ import annotations

import struct

START = 64 * 1024  # bytes of a disk that hold the tables, with 128 entries as all tools write them
_SECTOR = 512
_SIGNATURE = b"EFI PART"
_TABLE = struct.Struct("<QII")  # first sector, number of entries, bytes of an entry
_TABLE_AT = _SECTOR + 72
_ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")  # C12A7328-F81F-11D2-BA4B-00A0C93EC93B
_BIOS_BOOT = b"Hah!IdontNeedEFI"  # 21686148-6449-6E6F-744E-656564454649
_ATTRIBUTES_AT = 48
_LEGACY_BOOTABLE = 1 << 2


def boots_by_uefi_only(start: bytes) -> bool:
    """Whether the disk that begins so has an EFI system partition, and none in its table that BIOS could boot from."""
    if start[_SECTOR : _SECTOR + len(_SIGNATURE)] != _SIGNATURE or len(start) < _TABLE_AT + _TABLE.size:
        return False
    first, count, size = _TABLE.unpack_from(start, _TABLE_AT)
    if not 128 <= size <= 4096:
        return False
    has_system_partition = False
    for number in range(min(count, START // size)):
        entry = start[first * _SECTOR + number * size :][:size]
        if len(entry) < size:
            break
        (attributes,) = struct.unpack_from("<Q", entry, _ATTRIBUTES_AT)
        if entry.startswith(_BIOS_BOOT) or attributes & _LEGACY_BOOTABLE:
            return False
        has_system_partition = has_system_partition or entry.startswith(_ESP)
    return has_system_partition

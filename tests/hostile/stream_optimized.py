# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A streamOptimized VMDK as VMware's own tools write it: tables behind their grains, the directory known at the end.

After VMware, "Virtual Disk Format 5.0". qemu-img writes the tables first, so it cannot make one.
"""

from __future__ import annotations

import struct
import zlib

SECTOR, GRAIN, ENTRIES = 512, 65536, 512
AT_END = 0xFFFFFFFFFFFFFFFF
OVERHEAD = 128
DESCRIPTOR = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="streamOptimized"

RDONLY %d SPARSE "office-disk1.vmdk"

ddb.adapterType = "lsilogic"
"""


def stream_optimized(disk: bytes) -> bytes:
    """Return the VMDK of a raw disk of whole sectors."""
    written = bytearray(_header(len(disk), AT_END))
    written += (DESCRIPTOR % (len(disk) // SECTOR)).ljust(20 * SECTOR, b"\0")
    written += bytes(OVERHEAD * SECTOR - len(written))
    directory = []
    for start in range(0, len(disk), GRAIN * ENTRIES):
        table = [_grain(written, disk, at) for at in range(start, start + GRAIN * ENTRIES, GRAIN)]
        if any(table):
            written += _marker(ENTRIES * 4 // SECTOR, 1)
            directory.append(len(written) // SECTOR)
            written += struct.pack(f"<{ENTRIES}I", *table)
        else:
            directory.append(0)
    entries = struct.pack(f"<{len(directory)}I", *directory)
    written += _marker(-(-len(entries) // SECTOR), 2)
    directory_at = len(written) // SECTOR
    written += entries.ljust(-(-len(entries) // SECTOR) * SECTOR, b"\0")
    return bytes(written + _marker(1, 3) + _header(len(disk), directory_at) + bytes(SECTOR))


def _grain(written: bytearray, disk: bytes, at: int) -> int:
    """Append the grain, packed; return its sector, 0 when it is all zero."""
    data = disk[at : at + GRAIN]
    if not any(data):
        return 0
    place, packed = len(written) // SECTOR, zlib.compress(data.ljust(GRAIN, b"\0"), 1)
    written += struct.pack("<QI", at // SECTOR, len(packed)) + packed
    written += bytes(-len(written) % SECTOR)
    return place


def _header(size: int, directory: int) -> bytes:
    fields = (b"KDMV", 3, 0x30001, size // SECTOR, GRAIN // SECTOR, 1, 20, ENTRIES, 0, directory, OVERHEAD, 0)
    return struct.pack("<4sIIQQQQIQQQB4sH", *fields, b"\n \r\n", 1).ljust(SECTOR, b"\0")


def _marker(sectors: int, kind: int) -> bytes:
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")

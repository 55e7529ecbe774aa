# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hostile disk files: sound ones by qemu-img in which something is wrong, or leads to where nothing may be read."""

from __future__ import annotations

import gzip
import os
import struct

from hostile import Hostile
from patching import MIB, SIZE, changed, cut, make_fifo, put, replace, sound, vhd_checksums, vhdx_checksums
from stream_optimized import stream_optimized

OUTSIDE = "/etc/shadow"

QCOW2 = sound("qcow2")
L1, L2 = (struct.unpack_from(">Q", QCOW2, at)[0] for at in (40, struct.unpack_from(">Q", QCOW2, 40)[0]))
L2 &= 0x00FFFFFFFFFFFE00


def backed(name: str):
    """A qcow2 that stands on the named file."""
    at = 8192
    return changed(QCOW2, put(8, ">QI", at, len(name.encode())), put(at, f"{len(name.encode())}s", name.encode()))


QCOW2_DISKS = (
    Hostile("qcow2-backing-file", backed(OUTSIDE), rf"has a backing file \({OUTSIDE}\)"),
    Hostile("qcow2-backing-relative", backed("../../etc/shadow"), r"has a backing file \(\.\./"),
    Hostile("qcow2-backing-json", backed('json:{"driver":"file","filename":"/etc/shadow"}'), "has a backing file"),
    Hostile("qcow2-backing-nbd", backed("nbd://192.0.2.1/x"), "has a backing file"),
    Hostile("qcow2-backing-http", backed("http://192.0.2.1/x"), "has a backing file"),
    Hostile("qcow2-backing-itself", backed("qcow2-backing-itself"), "has a backing file"),
    Hostile("qcow2-backing-name-nowhere", changed(QCOW2, put(8, ">QI", 1 << 63, 9)), "has a backing file"),
    Hostile("qcow2-backing-name-endless", changed(QCOW2, put(8, ">QI", 512, 1 << 31)), "cannot be read"),
    Hostile("qcow2-data-file", changed(QCOW2, put(72, ">Q", 4)), "external data file"),
    Hostile("qcow2-encrypted", changed(QCOW2, put(32, ">I", 2)), "encrypted"),
    Hostile("qcow2-marked-corrupt", changed(QCOW2, put(72, ">Q", 2)), "marked as corrupt"),
    Hostile("qcow2-unknown-feature", changed(QCOW2, put(72, ">Q", 1 << 40)), "features that are not known"),
    Hostile("qcow2-version-9", changed(QCOW2, put(4, ">I", 9)), "version 9"),
    Hostile("qcow2-clusters-of-2^60", changed(QCOW2, put(20, ">I", 60)), r"clusters of 2\^60"),
    Hostile("qcow2-of-8-EiB", changed(QCOW2, put(24, ">Q", 1 << 63)), "says that its disk has 9223372036854775808"),
    Hostile("qcow2-of-nothing", changed(QCOW2, put(24, ">Q", 0)), "says that its disk has 0 bytes"),
    Hostile("qcow2-L1-too-short", changed(QCOW2, put(24, ">Q", 1 << 40)), "L1 table of 1 entries"),
    Hostile("qcow2-L1-endless", changed(QCOW2, put(36, ">I", 0xFFFFFFFF)), "L1 table of 4294967295"),
    Hostile("qcow2-L1-nowhere", changed(QCOW2, put(40, ">Q", 1 << 62)), "the L1 table of the qcow2 should lie"),
    Hostile("qcow2-L2-nowhere", changed(QCOW2, put(L1, ">Q", 1 << 50)), "an L2 table of the qcow2 should lie"),
    Hostile("qcow2-cluster-nowhere", changed(QCOW2, put(L2, ">Q", 1 << 50)), "a cluster of the qcow2 should lie"),
    Hostile("qcow2-packed-nowhere", changed(QCOW2, put(L2, ">Q", 1 << 62 | 1 << 52)), "a packed cluster"),
    Hostile("qcow2-packed-rubbish", changed(QCOW2, put(L2, ">Q", 1 << 62 | 512)), "packed data"),
    Hostile(
        "qcow2-one-L2-for-all",
        changed(QCOW2, put(24, ">Q", 8 << 40), put(36, ">I", 1 << 14), put(L1, f">{1 << 13}Q", *[L2] * (1 << 13))),
        "L2 tables of the qcow2 lie on each other",
    ),
    Hostile(
        "qcow2-one-cluster-for-all",
        changed(QCOW2, put(24, ">Q", 512 * MIB), put(L2, f">{1 << 13}Q", *[L2] * (1 << 13))),
        "clusters of the qcow2 lie on each other",
    ),
    Hostile("qcow2-cluster-twice", changed(QCOW2, put(L2, ">Q", struct.unpack_from(">Q", QCOW2, L2 + 32 * 8)[0])),
            "clusters of the qcow2 lie on each other"),
    Hostile("qcow2-cut-in-header", changed(QCOW2, cut(100)), "cut off"),
    Hostile("qcow2-cut-in-tables", changed(QCOW2, cut(L1 + 4)), "the L1 table"),
    Hostile("qcow2-cut-in-data", changed(QCOW2, cut(-2 * 65536)), "a cluster of the qcow2"),
    Hostile("qcow2-zstd-rubbish", changed(QCOW2, put(72, ">Q", 8), put(104, ">B", 1), put(L2, ">Q", 1 << 62 | 512)),
            "failed|damaged"),
)  # fmt: skip

SPARSE = sound("vmdk", "subformat=monolithicSparse")
STREAM = sound("vmdk", "subformat=streamOptimized")
VMWARE = stream_optimized(sound("raw"))
GD = struct.unpack_from("<Q", SPARSE, 56)[0] * 512
GT = struct.unpack_from("<I", SPARSE, GD)[0] * 512
EXTENT = b'RW 8192 SPARSE "disk"'


def descriptor(*lines: str):
    """A descriptor of its own."""
    text = "\n".join(["# Disk DescriptorFile", "version=1", "CID=12345678", *lines, ""])
    return lambda path: path.write_text(text, encoding="utf-8")


VMDKS = (
    Hostile("vmdk-parent", changed(SPARSE, replace(b"parentCID=ffffffff", b"parentCID=deadbeef")), "VMDK delta"),
    Hostile(
        "vmdk-parent-named",
        changed(SPARSE, replace(b'ddb.virtualHWVersion = "4"', b'parentFileNameHint="/x/y"')),
        r"VMDK delta: .*\(/x/y\)",
    ),
    Hostile(
        "vmdk-flat-elsewhere",
        descriptor("parentCID=ffffffff", 'createType="monolithicFlat"', f'RW 8192 FLAT "{OUTSIDE}" 0'),
        f"only the descriptor of a VMDK .*{OUTSIDE}.*never opened",
    ),
    Hostile(
        "vmdk-vmfs",
        descriptor("parentCID=ffffffff", 'createType="vmfs"', 'RW 8192 VMFS "office-flat.vmdk"'),
        "only the descriptor of a VMDK .*office-flat.vmdk",
    ),
    Hostile(
        "vmdk-two-gb",
        descriptor('createType="twoGbMaxExtentSparse"', *[f'RW 8192 SPARSE "x-s{i:03}.vmdk"' for i in range(40)]),
        r"x-s000.vmdk, x-s001.vmdk, x-s002.vmdk, \.\.\.",
    ),
    Hostile("vmdk-network", descriptor('createType="custom"', 'RW 8192 FLAT "nbd://192.0.2.1/x" 0'), "nbd://"),
    Hostile("vmdk-delta-descriptor", descriptor("parentCID=0badcafe", 'createType="vmfsSparse"'), "VMDK delta"),
    Hostile("vmdk-one-of-many", changed(SPARSE, put(28, "<QQ", 0, 0)), "one extent of a VMDK in several files"),
    Hostile(
        "vmdk-flat-inside",
        changed(SPARSE, replace(EXTENT, b'RW 1 FLAT "../x" 0')), "extents of type FLAT",
    ),
    Hostile(
        "vmdk-type-flat",
        changed(SPARSE, replace(b'"monolithicSparse"', b'"monolithicFlat"')), "type monolithicFlat",
    ),
    Hostile("vmdk-no-extent", changed(SPARSE, replace(EXTENT, b"")), "extents of type none"),
    Hostile("vmdk-cowd", changed(SPARSE, put(0, "4s", b"COWD")), "vmfsSparse"),
    Hostile("vmdk-sesparse", changed(SPARSE, put(0, "<Q", 0xCAFEBABE)), "seSparse"),
    Hostile("vmdk-version-7", changed(SPARSE, put(4, "<I", 7)), "version 7"),
    Hostile("vmdk-packing-9", changed(STREAM, put(77, "<H", 9)), "compression 9"),
    Hostile("vmdk-of-8-ZiB", changed(SPARSE, put(12, "<Q", (1 << 64) - 1)), "says that its disk has"),
    Hostile("vmdk-grain-of-3-sectors", changed(SPARSE, put(20, "<Q", 3)), "grains of 1536 bytes"),
    Hostile("vmdk-grain-of-nothing", changed(SPARSE, put(20, "<Q", 0)), "grains of 0 bytes"),
    Hostile("vmdk-tables-of-nothing", changed(SPARSE, put(44, "<I", 0)), "grain tables of 0 entries"),
    Hostile("vmdk-tables-endless", changed(SPARSE, put(44, "<I", 0xFFFFFFFF)), "grain tables of 4294967295"),
    Hostile("vmdk-descriptor-endless", changed(SPARSE, put(36, "<Q", 1 << 50)), "descriptor has"),
    Hostile("vmdk-descriptor-nowhere", changed(SPARSE, put(28, "<Q", 1 << 50)), "the descriptor of the VMDK"),
    Hostile("vmdk-directory-nowhere", changed(SPARSE, put(56, "<Q", 1 << 50)), "the grain directory"),
    Hostile("vmdk-directory-endless", changed(SPARSE, put(12, "<Q", 1 << 37)), "the grain directory"),
    Hostile("vmdk-table-nowhere", changed(SPARSE, put(GD, "<I", 0xFFFFFFFF)), "a table of the VMDK"),
    Hostile("vmdk-grain-nowhere", changed(SPARSE, put(GT, "<I", 0xFFFFFFFF)), "a grain of the VMDK"),
    Hostile(
        "vmdk-one-table-for-all",
        changed(SPARSE, put(12, "<Q", 65536 * 1024), put(56, "<Q", 26), put(26 * 512, "<1024I", *[27] * 1024)),
        "grain tables of the VMDK lie on each other",
    ),
    Hostile(
        "vmdk-one-grain-for-all",
        changed(SPARSE, put(12, "<Q", 65536), put(GT, "<512I", *[128] * 512)),
        "grains of the VMDK lie on each other",
    ),
    Hostile("vmdk-cut-in-data", changed(SPARSE, cut(-65536)), "a grain of the VMDK"),
    Hostile("vmdk-cut-in-tables", changed(SPARSE, cut(GT + 100)), "a table of the VMDK"),
    Hostile("vmdk-cut-in-header", changed(SPARSE, cut(300)), "no VMDK header"),
    Hostile("vmdk-stream-cut", changed(STREAM, cut(66560 + 100)), "cut off or damaged"),
    Hostile("vmdk-stream-cut-in-middle", changed(STREAM, cut(len(STREAM) // 2)), "cut off or damaged"),
    Hostile("vmdk-stream-grain-elsewhere", changed(STREAM, put(65536, "<Q", 128)), "is marked as that for byte 65536"),
    Hostile("vmdk-stream-grain-endless", changed(STREAM, put(65536 + 8, "<I", 1 << 31)), "of 2147483648 bytes"),
    Hostile("vmdk-stream-rubbish", changed(STREAM, put(65536 + 12, "40s", bytes(40))), "cannot be unpacked"),
    Hostile("vmdk-stream-checksum", changed(STREAM, put(65536 + 12 + 192, "4s", b"0000")), "incorrect data check"),
    Hostile("vmdk-footer-cut", changed(VMWARE, cut(-512)), "it has no footer|ends with a footer"),
    Hostile("vmdk-footer-of-another", changed(VMWARE, put(-1024 + 12, "<Q", 16384)), "contradict each other"),
    Hostile("vmdk-footer-without-directory", changed(VMWARE, put(-1024 + 56, "<Q", (1 << 64) - 1)), "contradict"),
    Hostile("vmdk-end-of-stream-missing", changed(VMWARE, put(-512, "<Q", 7)), "no end-of-stream marker"),
)  # fmt: skip

FIXED = sound("vpc", "subformat=fixed", "force_size=on")
DYNAMIC = sound("vpc", "subformat=dynamic", "force_size=on")
BAT = 1536


def vhd(content: bytes, *changes):
    return changed(content, *changes, vhd_checksums)


VHDS = (
    Hostile("vhd-differencing", vhd(DYNAMIC, put(-512 + 60, ">I", 4)), "differencing VHD"),
    Hostile("vhd-type-9", vhd(DYNAMIC, put(-512 + 60, ">I", 9)), "type 9"),
    Hostile("vhd-footer-checksum", changed(FIXED, put(-512 + 48, ">Q", 512)), "checksum of its VHD footer"),
    Hostile("vhd-header-checksum", changed(DYNAMIC, put(512 + 32, ">I", 512)), "checksum of its VHD header"),
    Hostile("vhd-cut", changed(DYNAMIC, cut(-512)), "without the footer"),
    Hostile("vhd-cut-in-middle", changed(DYNAMIC, cut(MIB)), "without the footer"),
    Hostile("vhd-cut-to-cookie", changed(DYNAMIC, cut(100)), "too short for a VHD"),
    Hostile("vhd-fixed-cut-but-footer", vhd(FIXED[:MIB] + FIXED[-512:]), "has only 1048576"),
    Hostile("vhd-of-8-EiB", vhd(FIXED, put(-512 + 48, ">Q", 1 << 63)), "says that its disk has"),
    Hostile("vhd-of-half-a-sector", vhd(FIXED, put(-512 + 48, ">Q", 4097)), "says that its disk has 4097"),
    Hostile("vhd-header-nowhere", vhd(DYNAMIC, put(-512 + 16, ">Q", 1 << 63)), "without its header"),
    Hostile("vhd-blocks-of-nothing", vhd(DYNAMIC, put(512 + 32, ">I", 0)), "blocks of 0 bytes"),
    Hostile("vhd-blocks-of-1000", vhd(DYNAMIC, put(512 + 32, ">I", 1000)), "blocks of 1000 bytes"),
    Hostile("vhd-table-too-short", vhd(DYNAMIC, put(512 + 28, ">I", 1)), "too few for a disk"),
    Hostile("vhd-table-nowhere", vhd(DYNAMIC, put(512 + 16, ">Q", 1 << 62)), "the table of its VHD"),
    Hostile("vhd-table-endless", vhd(DYNAMIC, put(-512 + 48, ">Q", 1 << 45), put(512 + 28, ">I", 1 << 31)),
            "the table of its VHD"),
    Hostile("vhd-block-nowhere", vhd(DYNAMIC, put(BAT, ">I", 0xFFFFFF00)), "a block of its VHD"),
    Hostile(
        "vhd-one-block-for-all",
        vhd(DYNAMIC, put(-512 + 48, ">Q", 256 * MIB), put(512 + 28, ">I", 128), put(BAT, ">128I", *[4] * 128)),
        "blocks of its VHD lie on each other",
    ),
    Hostile("vhd-and-qcow2", vhd(FIXED, put(0, "512s", QCOW2[:512])), "is vhd and qcow2 at the same time"),
)  # fmt: skip

VHDX = sound("vhdx", "block_size=1M")
REGIONS, METADATA, VHDX_BAT = 196608 + 16, 3 * MIB, 2 * MIB
BOTH_REGIONS = (REGIONS, REGIONS + 65536)


def vhdx(*changes):
    return changed(VHDX, *changes, vhdx_checksums)


def both(offset: int, packing: str, *values):
    """The same change in both region tables."""
    return lambda data: [put(start + offset, packing, *values)(data) for start in BOTH_REGIONS]


VHDXS = (
    Hostile("vhdx-dirty-log", vhdx(put(65536 + 48, "16s", b"a log that is on"), put(131072 + 48, "16s", b"log")),
            "was not closed properly"),
    Hostile("vhdx-differencing", vhdx(put(METADATA + 65536 + 4, "<I", 2)), "differencing VHDX"),
    Hostile("vhdx-version-2", vhdx(put(65536 + 66, "<H", 2), put(131072 + 66, "<H", 2)), "VHDX of version 2"),
    Hostile("vhdx-headers-checksum", changed(VHDX, put(65536 + 8, "<Q", 1), put(131072 + 8, "<Q", 1)),
            "neither header"),
    Hostile("vhdx-regions-checksum", changed(VHDX, both(24, "<I", 77)), "neither region table"),
    Hostile("vhdx-regions-endless", vhdx(both(-8, "<I", 1 << 31)), "region table of the VHDX has 2147483648"),
    Hostile("vhdx-region-unknown", vhdx(both(0, "16sQII", b"q" * 16, MIB, MIB, 1)), "that is not known"),
    Hostile("vhdx-region-nowhere", vhdx(both(16, "<Q", 1 << 60)), "the region"),
    Hostile("vhdx-without-table", vhdx(both(-8, "<I", 0)), "without block allocation table"),
    Hostile("vhdx-metadata-wiped", vhdx(put(METADATA, "8s", b"")), "no metadata table"),
    Hostile("vhdx-metadata-endless", vhdx(put(METADATA + 10, "<H", 65535)), "metadata table of the VHDX has 65535"),
    Hostile("vhdx-metadata-missing", vhdx(put(METADATA + 32, "16s", b"")), "lacks the metadata"),
    Hostile("vhdx-metadata-nowhere", vhdx(put(METADATA + 48, "<I", 0xFFFFFF00)), "what is read should lie"),
    Hostile("vhdx-blocks-of-3", vhdx(put(METADATA + 65536, "<I", 3)), "blocks of 3 bytes"),
    Hostile("vhdx-sectors-of-4096", vhdx(put(METADATA + 65568, "<I", 4096)), "sectors of 4096 bytes"),
    Hostile("vhdx-of-8-EiB", vhdx(put(METADATA + 65544, "<Q", 1 << 63)), "says that its disk has"),
    Hostile("vhdx-table-too-short", vhdx(put(METADATA + 65544, "<Q", 1 << 40)), "too few for a disk"),
    Hostile("vhdx-block-nowhere", vhdx(put(VHDX_BAT, "<Q", 1 << 60 | 6)), "a block of the VHDX should lie"),
    Hostile("vhdx-block-in-header", vhdx(put(VHDX_BAT, "<Q", 6)), "lies in the header"),
    Hostile("vhdx-block-of-parent", vhdx(put(VHDX_BAT, "<Q", 4 << 20 | 7)), "has the state 7"),
    Hostile(
        "vhdx-one-block-for-all",
        vhdx(put(METADATA + 65544, "<Q", 256 * MIB), put(VHDX_BAT, "<256Q", *[4 << 20 | 6] * 256)),
        "blocks of its VHDX lie on each other",
    ),
    Hostile("vhdx-cut", changed(VHDX, cut(-MIB)), "cut off"),
    Hostile("vhdx-cut-in-header", changed(VHDX, cut(100_000)), "the region|neither"),
    Hostile("vhdx-cut-to-signature", changed(VHDX, cut(8)), "neither header"),
)  # fmt: skip


def zipped(content: bytes, zeros: int = 0):
    """The content and MiBs of zeros behind it, packed."""

    def make(path):
        with gzip.open(path, "wb", 1) as stream:
            stream.write(content)
            for _piece in range(zeros):
                stream.write(bytes(MIB))

    return make


PACKED = (
    Hostile("gzip-bomb", zipped(b"", 64), "unpacks to more than", "raw", "gzip", MIB),
    Hostile("gzip-bomb-vmdk", zipped(VMWARE[:-512] + struct.pack("<QII", 1 << 30, 0, 1).ljust(512), 200),
            "unpacks to more than", None, "gzip", SIZE),
    Hostile("gzip-bomb-qcow2", zipped(QCOW2, 200), "unpacks to more than", None, "gzip", SIZE),
    Hostile("gzip-cut", changed(gzip.compress(sound("raw")), cut(-100)), "cut off", None, "gzip", SIZE),
    Hostile("gzip-that-is-none", changed(sound("raw")), "gzip says", None, "gzip", SIZE),
    Hostile("gzip-of-backed-qcow2", lambda path: (backed(OUTSIDE)(path), zipped(path.read_bytes())(path)),
            "has a backing file", None, "gzip", SIZE),
    Hostile("gzip-of-delta", zipped(VMWARE.replace(b"parentCID=ffffffff", b"parentCID=deadbeef")), "VMDK delta",
            None, "gzip", SIZE),
    Hostile("gzip-grain-elsewhere", zipped(VMWARE[:65536] + struct.pack("<Q", 1 << 40) + VMWARE[65544:]),
            "out of place", None, "gzip", SIZE),
    Hostile("gzip-of-unknown-size", zipped(bytes(MIB)), "nothing says how large", None, "gzip"),
    Hostile("packed-with-xz", changed(sound("raw")), "only gzip can be unpacked", None, "xz", SIZE),
)  # fmt: skip

OTHERS = (
    Hostile("empty", changed(b""), "is empty"),
    Hostile("pipe", make_fifo, "not a regular file"),
    Hostile("directory", lambda path: path.mkdir(), "not a regular file"),
    Hostile("link-in-archive", lambda path: os.symlink(OUTSIDE, path), "symbolic link"),
    Hostile("device", lambda path: os.symlink("/dev/zero", path), "symbolic link|not a regular file"),
    Hostile("raw-larger-than-stated", changed(bytes(32 * MIB)), "the descriptor says 4194304", "raw", None, SIZE),
    Hostile("raw-shorter-than-stated", changed(bytes(MIB)), "cut off", "raw", None, 32 * MIB),
    Hostile("stated-absurd", changed(bytes(MIB)), "more than the 64 TiB", "raw", None, 1 << 62),
    Hostile("vmdk-that-is-qcow2", changed(QCOW2), "said to be vmdk .* content is qcow2",
            "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"),
    Hostile("vmdk-that-is-nothing", changed(bytes(MIB)), "of no known format", "vmdk"),
    Hostile("qcow2-that-is-vhdx", changed(VHDX), "said to be qcow2 .* content is vhdx", "qcow2"),
    Hostile("format-unknown", changed(bytes(MIB)), "there is no disk format", "parallels"),
)  # fmt: skip

DISKS = (*QCOW2_DISKS, *VMDKS, *VHDS, *VHDXS, *PACKED, *OTHERS)

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a disk boots by: partition tables as the tools of distributions write them."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
from ansible_collections.goldsmith.images.plugins.module_utils.disk.boot_style import START, boots_by_uefi_only

ESP, BIOS_BOOT, LINUX = "U", "21686148-6449-6E6F-744E-656564454649", "L"
MIB = 1024**2


def partitioned(path, *lines: str) -> str:
    with open(path, "wb") as stream:
        stream.truncate(64 * MIB)
    subprocess.run(["/usr/sbin/sfdisk", "--quiet", path], input="\n".join(lines), text=True, check=True)
    return str(path)


TABLES = [
    (("label: gpt", f"size=8M, type={ESP}", f"type={LINUX}"), True),
    (("label: gpt", f"size=8M, type={LINUX}", f"type={ESP}"), True),
    (("label: gpt", f"size=1M, type={BIOS_BOOT}", f"size=8M, type={ESP}", f"type={LINUX}"), False),
    (("label: gpt", f"size=8M, type={ESP}", f"type={LINUX}, attrs=LegacyBIOSBootable"), False),
    (("label: gpt", f"type={LINUX}"), False),
    (("label: dos", "type=83, bootable"), False),
]


@pytest.mark.parametrize(("lines", "uefi_only"), TABLES)
def test_partition_table_tells(tmp_path, lines, uefi_only):
    path = partitioned(tmp_path / "disk", *lines)
    with open(path, "rb") as stream:
        assert boots_by_uefi_only(stream.read(START)) == uefi_only


@pytest.mark.parametrize("disk_format", ["raw", "qcow2", "vmdk", "vhdx", "vpc"])
def test_foreign_disk_of_any_format_tells(tmp_path, disk_format):
    path = partitioned(tmp_path / "disk", *TABLES[0][0])
    options = ["-o", "subformat=streamOptimized"] if disk_format == "vmdk" else []
    packed = str(tmp_path / "packed")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", disk_format, *options, path, packed], check=True)

    assert foreign.inspect(foreign.content_of_file(packed), None).needs_uefi


@pytest.mark.parametrize(
    "start", [b"", b"EFI PART", bytes(START), bytes(512) + b"EFI PART" + b"\xff" * 2000, b"\xff" * START]
)
def test_rubbish_tells_nothing(start):
    assert not boots_by_uefi_only(start)

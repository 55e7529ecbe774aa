# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What boots the disk of an endpoint: GRUB's configuration, its environment block, and its parts for BIOS."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal import boot_loader, boot_menu
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.esp import SystemPartition
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.partition_table import (
    BIOS_BOOT,
    EFI_SYSTEM,
    LINUX,
    Partition,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

CACHE = Partition(3, 2048, 2048, LINUX)
SYSTEM = [Partition(5, 8192, 2048, EFI_SYSTEM), Partition(6, 16384, 2048, LINUX)]


def test_configuration_looks_for_the_image_on_its_partitions_and_for_the_endpoint_os_in_the_cache():
    text = boot_menu.configuration(CACHE, SYSTEM, "console=ttyS0 goldsmith.mac=a").decode()

    assert text.count("for part in 5 6; do") == 2
    assert 'set root="$disk,gpt3"' in text
    assert "linux /endpoint-os/vmlinuz 'console=ttyS0' 'goldsmith.mac=a' $task" in text
    assert text.index("EFI/BOOT/BOOTX64.EFI") < text.index("bootmgfw.efi") < text.index("boot/grub/grub.cfg")
    assert "{" + "system" + "}" not in text


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="needs grub-script-check")
@pytest.mark.parametrize("system", [SYSTEM, []])
def test_grub_understands_the_configuration(tmp_path, system):
    path = tmp_path / "grub.cfg"
    path.write_bytes(boot_menu.configuration(CACHE, system, "quiet"))

    subprocess.run(["grub-script-check", str(path)], check=True)


@pytest.mark.parametrize("arguments", ["a\nboot", "it's", "a\rb"])
def test_arguments_cannot_end_the_line(arguments):
    with pytest.raises(BadInput, match="endpoint_os_arguments"):
        boot_menu.configuration(CACHE, SYSTEM, arguments)


def test_environment_block_has_a_kibibyte_and_is_read_again():
    block = boot_menu.environment({"system_ready": "yes", "restore": "on_boot", "next_boot": ""})

    assert len(block) == 1024
    assert block.startswith(b"# GRUB Environment Block\nrestore=on_boot\nsystem_ready=yes\n###")
    assert boot_menu.read_environment(block) == {"system_ready": "yes", "restore": "on_boot"}


@pytest.mark.parametrize("block", [None, b"", b"x" * 1024, b"# GRUB Environment Block\nsystem_ready=yes\n"])
def test_what_is_no_whole_environment_block_says_nothing(block):
    assert boot_menu.read_environment(block) == {}


def test_boot_sector_names_the_core_image_and_leaves_the_partition_table_alone():
    code = boot_loader.boot_code(bytes(512), 2048)

    assert len(code) == 440
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert code[0x66:0x68] == b"\x90\x90"


def test_core_image_knows_where_the_rest_of_it_lies():
    core = bytearray(1300)
    struct.pack_into("<QHH", core, 500, 2, 2, 0x820)

    placed = boot_loader.bios_core(bytes(core), 2048)

    assert len(placed) == 1536
    assert struct.unpack_from("<QHH", placed, 500) == (2049, 2, 0x820)


def test_boot_loader_is_in_place_once_it_is_installed(tmp_path):
    disk, boot = tmp_path / "disk", Partition(1, 2048, 2048, BIOS_BOOT)
    disk.write_bytes(b"\xee" * 2048 * 1024)
    loader = boot_loader.BootLoader(b"C" * 440, b"K" * 1024, b"")

    assert not loader.is_in_place(str(disk), boot)
    loader.install(Files(), str(disk), boot)

    content = disk.read_bytes()
    assert loader.is_in_place(str(disk), boot)
    assert content[440:512] == b"\xee" * 72
    assert content[2048 * 512 :].startswith(b"K" * 1024 + b"\xee")


@pytest.mark.skipif(shutil.which("mcopy") is None, reason="needs mtools")
def test_files_of_the_efi_system_partition_are_written_and_read_without_a_mount(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(66 * 1024**2)
    subprocess.run(["mkfs.fat", "-F", "32", "--offset=2048", str(disk), "66560"], check=True, capture_output=True)
    esp = SystemPartition(Files(), str(disk), Partition(2, 2048, 133120, EFI_SYSTEM))
    wanted = {"EFI/BOOT/BOOTX64.EFI": bytes(range(256)) * 999, "grub/grub.cfg": b"boot\n"}

    assert esp.read("grub/grub.cfg") is None
    assert esp.differing(wanted) == list(wanted)
    esp.write(wanted)
    assert esp.differing(wanted) == []
    esp.write({"grub/grub.cfg": b"exit\n"})
    assert esp.differing(wanted) == ["grub/grub.cfg"]
    assert esp.read("EFI/BOOT/BOOTX64.EFI") == wanted["EFI/BOOT/BOOTX64.EFI"]

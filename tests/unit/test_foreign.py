# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Foreign disks as the real qemu-img makes them: what they are taken for, and their copies, byte by byte."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from stream_optimized import stream_optimized

from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign, merkle
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content, Span
from ansible_collections.goldsmith.images.plugins.module_utils.disk.reading import ContentReader
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    CheckModeWrite,
    Damaged,
    InUse,
    NotFound,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles

MIB = 1024**2
SIZE = 9 * MIB + 3584
QEMU_NAMES = {"vhd": "vpc"}

# our name of the format, options for qemu-img
VARIANTS = [
    ("raw", "preallocation=off"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicSparse,zeroed_grain=on"),
    ("vmdk", "subformat=streamOptimized"),
    ("vmdk", "as VMware writes it"),
    ("vhd", "subformat=dynamic,force_size=on"),
    ("vhd", "subformat=fixed,force_size=on"),
    ("vhdx", "subformat=dynamic"),
    ("vhdx", "subformat=dynamic,block_size=1M"),
    ("vhdx", "subformat=fixed"),
    ("qcow2", "compat=0.10"),
    ("qcow2", "cluster_size=512"),
    ("qcow2", "cluster_size=2M"),
    ("qcow2", "preallocation=metadata"),
    ("qcow2", "packed"),
    ("qcow2", "packed,compression_type=zstd"),
    ("qcow2", "extended_l2=on"),
]
# One of each way of lying in the file: plain, packed, in blocks, what qemu-img must read.
SOME = [VARIANTS[0], VARIANTS[3], VARIANTS[5], VARIANTS[15]]
IDS = [f"{name}-{options}" for name, options in VARIANTS]


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A raw disk with data that packs well and badly, at places that are no multiples of anything, and holes."""
    path = tmp_path_factory.mktemp("original") / "disk.raw"
    chance = random.Random(20)  # noqa: S311
    with path.open("wb") as stream:
        for _piece in range(20):
            stream.seek(chance.randrange(SIZE // 512 - 600) * 512)
            stream.write(chance.choice([chance.randbytes, lambda length: b"office " * (length // 7)])(150_000))
        stream.seek(SIZE - 512)
        stream.write(b"the end".ljust(512, b"."))
    return path


def make(original: Path, path: Path, disk_format: str, options: str) -> str:
    """Make a disk file of the format out of the original."""
    if options == "as VMware writes it":
        path.write_bytes(stream_optimized(original.read_bytes()))
        return str(path)
    words = [word for word in options.split(",") if word != "packed"]
    command = ["qemu-img", "convert", "-f", "raw", "-O", QEMU_NAMES.get(disk_format, disk_format)]
    command += ["-c"] if "packed" in options else []
    command += ["-o", ",".join(words)] if words else []
    subprocess.run([*command, str(original), str(path)], check=True)
    return str(path)


def converted(content: Content, target: Path, stated: str | None = None) -> foreign.ForeignDisk:
    disk = foreign.inspect(content, stated)
    foreign.convert(Files(), disk, str(target))
    return disk


@pytest.mark.parametrize(("disk_format", "options"), VARIANTS, ids=IDS)
def test_copy_is_what_the_guest_saw(original, tmp_path, disk_format, options):
    path = make(original, tmp_path / "disk", disk_format, options)
    target = tmp_path / "copy"

    disk = converted(foreign.content_of_file(path), target)

    assert (disk.format, disk.virtual_size) == (disk_format, SIZE)
    assert target.read_bytes() == original.read_bytes()
    assert target.stat().st_blocks * 512 <= disk.space + 64 * 1024


@pytest.mark.parametrize(("disk_format", "options"), VARIANTS, ids=IDS)
def test_digest_comes_from_the_same_reading(original, tmp_path, monkeypatch, disk_format, options):
    path = make(original, tmp_path / "disk", disk_format, options)
    expected = merkle.tree_of_file(str(original))
    by_qemu = options in ("packed,compression_type=zstd", "extended_l2=on")
    if not by_qemu:
        monkeypatch.setattr(foreign, "tree_of_file", None)

    disk = foreign.inspect(foreign.content_of_file(path), None)

    assert foreign.convert_and_hash(Files(), disk, str(tmp_path / "copy")) == expected
    assert foreign.digest_of(disk) == (None if by_qemu else expected.digest)


def test_digest_of_a_packed_disk(original, tmp_path):
    vmdk = Path(make(original, tmp_path / "disk.vmdk", "vmdk", "as VMware writes it"))
    packed = tmp_path / "disk.vmdk.gz"
    packed.write_bytes(gzip.compress(vmdk.read_bytes()))

    disk = foreign.inspect(foreign.content_of_file(str(packed)), None)

    expected = merkle.tree_of_file(str(original))
    assert foreign.convert_and_hash(Files(), disk, str(tmp_path / "copy")) == expected
    assert foreign.digest_of(disk) == expected.digest


@pytest.mark.parametrize(("size", "capacity"), [(9 * MIB + 512, 10 * MIB), (4 * MIB, 4 * MIB + 512), (512, 512)])
def test_digest_of_a_copy_that_is_filled_up(tmp_path, size, capacity):
    path = tmp_path / "disk.vhd"
    (tmp_path / "disk.raw").write_bytes(random.Random(3).randbytes(size))  # noqa: S311
    words = ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", str(tmp_path / "disk.raw")]
    subprocess.run([*words, str(path)], check=True)
    content = Content("disk", (Span(str(path), 0, path.stat().st_size),), capacity=capacity)

    disk = foreign.inspect(content, None)

    copy = str(tmp_path / "copy")
    assert foreign.convert_and_hash(Files(), disk, copy) == merkle.tree_of_file(copy)
    assert foreign.digest_of(disk) == merkle.digest_file(copy)
    assert os.path.getsize(copy) == capacity


def test_qemu_reads_the_same_of_what_vmware_writes(original, tmp_path):
    path = make(original, tmp_path / "disk", "vmdk", "as VMware writes it")

    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, str(tmp_path / "qemu")], check=True)

    assert (tmp_path / "qemu").read_bytes() == original.read_bytes()


@pytest.mark.parametrize(("disk_format", "options"), SOME)
def test_disk_in_the_middle_of_an_archive_is_copied_from_there(original, tmp_path, disk_format, options):
    path = Path(make(original, tmp_path / "disk", disk_format, options))
    archive = tmp_path / "office.ova"
    archive.write_bytes(b"h" * 1536 + path.read_bytes() + b"t" * 9000)
    length = path.stat().st_size
    path.unlink()

    converted(Content("disk in office.ova", (Span(str(archive), 1536, length),)), tmp_path / "copy", disk_format)

    assert (tmp_path / "copy").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("chunk", [1_000_001, 4 * MIB])
@pytest.mark.parametrize(("disk_format", "options"), SOME[:3])
def test_disk_in_chunks_is_one_disk(original, tmp_path, disk_format, options, chunk):
    data = Path(make(original, tmp_path / "disk", disk_format, options)).read_bytes()
    spans = []
    for number, start in enumerate(range(0, len(data), chunk)):
        piece = tmp_path / f"disk.{number:09}"
        piece.write_bytes(data[start : start + chunk])
        spans.append(Span(str(piece), 0, piece.stat().st_size))

    converted(Content("disk in chunks", tuple(spans)), tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == original.read_bytes()


def packed(path: str, capacity: int | None = SIZE, change=lambda data: data) -> Content:
    """Pack the file, and take it away so that nothing but the packed one can have been read."""
    with open(path, "rb") as stream:
        data = change(gzip.compress(stream.read(), 1))
    os.unlink(path)
    Path(f"{path}.gz").write_bytes(data)
    half = len(data) // 2
    return Content(
        "disk.gz", (Span(f"{path}.gz", 0, half), Span(f"{path}.gz", half, len(data) - half)), "gzip", capacity
    )


@pytest.mark.parametrize(("disk_format", "options"), [*VARIANTS[:9], VARIANTS[14]], ids=[*IDS[:9], IDS[14]])
def test_packed_disk_is_unpacked_on_the_way(original, tmp_path, disk_format, options):
    content = packed(make(original, tmp_path / "disk", disk_format, options))

    disk = converted(content, tmp_path / "copy", disk_format)

    assert (disk.format, disk.virtual_size) == (disk_format, SIZE)
    assert (tmp_path / "copy").read_bytes() == original.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["copy", "disk.gz"]


def test_packed_disk_may_be_of_several_members_with_padding_behind(original, tmp_path):
    data = original.read_bytes()
    members = gzip.compress(data[:MIB], 1) + gzip.compress(data[MIB:], 1) + bytes(9000)
    (tmp_path / "disk.gz").write_bytes(members)

    converted(Content("disk", (Span(str(tmp_path / "disk.gz"), 0, len(members)),), "gzip", SIZE), tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == data


def test_packed_stream_optimized_vmdk_says_itself_how_large_it_is(original, tmp_path):
    content = packed(make(original, tmp_path / "disk", "vmdk", "subformat=streamOptimized"), None)

    assert converted(content, tmp_path / "copy").virtual_size == SIZE


def test_packed_raw_disk_whose_size_nobody_says_is_refused(original, tmp_path):
    shutil.copy(original, tmp_path / "disk")

    with pytest.raises(BadInput, match="nothing says how large"):
        foreign.inspect(packed(str(tmp_path / "disk"), None), None)


@pytest.mark.parametrize(("disk_format", "options"), [VARIANTS[0], VARIANTS[3], VARIANTS[10]])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: data[:-8] + bytes(4) + data[-4:], "gzip says .*incorrect data check"),
        (lambda data: data[:5000] + bytes(64) + data[5064:], "damaged"),
    ],
)
def test_damage_of_packed_disk_leaves_nothing(original, tmp_path, disk_format, options, change, message):
    content = packed(make(original, tmp_path / "disk", disk_format, options), SIZE, change)
    disk = foreign.inspect(content, disk_format)

    with pytest.raises(Damaged, match=message):
        foreign.convert(Files(), disk, str(tmp_path / "copy"))

    assert os.listdir(tmp_path) == ["disk.gz"]


@pytest.mark.parametrize(("disk_format", "options"), [VARIANTS[0], VARIANTS[10]])
def test_packed_bomb_stops_at_the_stated_size(tmp_path, disk_format, options):
    start = b"QFI\xfb" + bytes(65536) if disk_format == "qcow2" else b"x"
    data = gzip.compress(start + bytes(100 * MIB))
    (tmp_path / "bomb.gz").write_bytes(data)
    content = Content("bomb", (Span(str(tmp_path / "bomb.gz"), 0, len(data)),), "gzip", 8 * MIB)

    with pytest.raises(Damaged, match="bomb unpacks to more than"):
        foreign.convert(Files(), foreign.inspect(content, None), str(tmp_path / "copy"))

    assert os.listdir(tmp_path) == ["bomb.gz"]


def test_other_packing_is_refused(original):
    content = Content("disk", foreign.content_of_file(str(original)).spans, "bzip2", SIZE)

    with pytest.raises(BadInput, match="only gzip"):
        foreign.inspect(content, None)


def test_packed_file_with_another_name_is_not_taken_for_raw(original, tmp_path):
    (tmp_path / "disk.img").write_bytes(gzip.compress(original.read_bytes(), 1))

    with pytest.raises(Damaged, match="packed with gzip, which its name does not say"):
        foreign.inspect(foreign.content_of_file(str(tmp_path / "disk.img")), None)


@pytest.mark.parametrize(("disk_format", "options"), VARIANTS[1:], ids=IDS[1:])
def test_disk_that_is_cut_off_is_refused_or_nothing_of_it_is_lost(original, tmp_path, disk_format, options):
    path = Path(make(original, tmp_path / "disk", disk_format, options))
    whole, target = path.read_bytes(), tmp_path / "copy"
    chance = random.Random(len(whole))  # noqa: S311
    refused = 0
    for length in [*range(0, len(whole), len(whole) // 6), len(whole) - 512, chance.randrange(len(whole))]:
        path.write_bytes(whole[:length])
        try:
            converted(foreign.content_of_file(str(path)), target, disk_format)
        except Damaged:
            refused += 1
            assert not target.exists()
        else:
            assert target.read_bytes() == original.read_bytes(), f"cut to {length} of {len(whole)}"
            target.unlink()
    assert refused > 3


def test_copy_grows_to_what_the_descriptor_says(original, tmp_path):
    path = make(original, tmp_path / "disk", "vmdk", "subformat=streamOptimized")
    content = Content("disk", foreign.content_of_file(path).spans, capacity=64 * MIB)

    assert converted(content, tmp_path / "copy").virtual_size == 64 * MIB
    assert (tmp_path / "copy").read_bytes() == original.read_bytes() + bytes(64 * MIB - SIZE)


def test_disk_larger_than_the_descriptor_says_is_refused(original, tmp_path):
    content = Content("disk", foreign.content_of_file(str(original)).spans, capacity=MIB)

    with pytest.raises(Damaged, match=f"{SIZE} bytes .* the descriptor says {MIB}"):
        foreign.inspect(content, None)


def test_disk_rounded_up_by_its_producer_is_taken_as_it_is(original):
    content = Content("disk", foreign.content_of_file(str(original)).spans, capacity=9 * MIB)

    assert foreign.inspect(content, None).virtual_size == SIZE


def test_raw_disk_shorter_than_the_descriptor_says_is_cut_off(original):
    content = Content("disk", foreign.content_of_file(str(original)).spans, capacity=64 * MIB)

    with pytest.raises(Damaged, match="cut off"):
        foreign.inspect(content, "raw")


@pytest.mark.parametrize(
    "stated",
    ["vhd", "http://go.microsoft.com/fwlink/?LinkId=137171", "http://www.gnome.org/~markmc/qcow-image-format.html"],
)
def test_content_that_contradicts_what_is_said_is_refused(original, tmp_path, stated):
    path = make(original, tmp_path / "disk", "vmdk", "subformat=streamOptimized")

    with pytest.raises(Damaged, match=r"is said to be (vhd|qcow2) .* but its content is vmdk"):
        foreign.inspect(foreign.content_of_file(path), stated)


@pytest.mark.parametrize("variant", ["streamOptimized", "sparse", "compressed"])
def test_variant_in_the_descriptor_may_be_wrong(original, tmp_path, variant):
    path = make(original, tmp_path / "disk", "vmdk", "subformat=monolithicSparse")
    uri = f"http://www.vmware.com/interfaces/specifications/vmdk.html#{variant}"

    assert foreign.inspect(foreign.content_of_file(path), uri).format == "vmdk"


def test_raw_that_begins_as_qcow2_stays_raw_when_it_is_said_to_be(original, tmp_path):
    path = Path(make(original, tmp_path / "disk", "qcow2", "compat=1.1"))

    disk = converted(foreign.content_of_file(str(path)), tmp_path / "copy", "raw")

    assert disk.format == "raw"
    assert (tmp_path / "copy").read_bytes()[: path.stat().st_size] == path.read_bytes()


def test_unknown_name_of_a_format_is_refused(original):
    with pytest.raises(BadInput, match="known are raw, vmdk, vhd, vhdx, qcow2"):
        foreign.inspect(foreign.content_of_file(str(original)), "vdi")


def test_uri_of_nobody_knows_what_says_nothing(original):
    assert foreign.inspect(foreign.content_of_file(str(original)), "http://example.com/disk").format == "raw"


def test_link_of_the_user_is_followed(original, tmp_path):
    (tmp_path / "link").symlink_to(original)

    assert foreign.content_of_file(str(tmp_path / "link")).spans == (Span(os.path.realpath(original), 0, SIZE),)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (str(tmp_path / "pipe"), str(tmp_path), "/dev/null"):
        with pytest.raises(BadInput, match="not a regular file"):
            foreign.content_of_file(path)
    with pytest.raises(NotFound):
        foreign.content_of_file(str(tmp_path / "gone"))


def test_link_in_a_content_is_not_followed(original, tmp_path):
    (tmp_path / "link").symlink_to(original)

    with pytest.raises(BadInput, match="symbolic link"):
        foreign.inspect(Content("disk", (Span(str(tmp_path / "link"), 0, SIZE),)), None)


def test_disk_that_a_vm_writes_to_is_in_use(original, tmp_path):
    path = shutil.copy(original, tmp_path / "disk")
    vm = subprocess.Popen(["qemu-io", "-f", "raw", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert vm.stdout.read(7) == b"qemu-io"  # its prompt: the file is open now
        with pytest.raises(InUse, match="a running VM may write to it"):
            foreign.inspect(foreign.content_of_file(str(path)), None)
    finally:
        vm.communicate(b"quit\n")

    assert foreign.inspect(foreign.content_of_file(str(path)), None).format == "raw"


def test_no_vm_can_write_to_a_disk_while_it_is_read(original, tmp_path):
    path = str(shutil.copy(original, tmp_path / "disk"))

    with ContentReader(foreign.content_of_file(path)):
        refused = subprocess.run(["qemu-io", "-f", "raw", path], input=b"", capture_output=True, check=False)
        shared = subprocess.run(["qemu-img", "check", "-f", "qcow2", path], capture_output=True, check=False)

    assert b'Failed to get "write" lock' in refused.stderr
    assert b"lock" not in shared.stderr


@pytest.mark.parametrize("options", ["compat=1.1", "packed,compression_type=zstd"])
def test_copy_never_overwrites(original, tmp_path, options):
    disk = foreign.inspect(foreign.content_of_file(make(original, tmp_path / "disk", "qcow2", options)), None)
    (tmp_path / "copy").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        foreign.convert(Files(), disk, str(tmp_path / "copy"))

    assert (tmp_path / "copy").read_bytes() == b"precious"


def test_check_mode_copies_nothing(original, tmp_path):
    disk = foreign.inspect(foreign.content_of_file(str(original)), None)

    with pytest.raises(CheckModeWrite):
        foreign.convert(ReadOnlyFiles(), disk, str(tmp_path / "copy"))

    assert os.listdir(tmp_path) == []

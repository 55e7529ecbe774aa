# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hostile appliances: descriptors and archives that reach out, lie about what they hold, or are endless."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from hostile import Hostile

OUTSIDE = "/etc/shadow"
DISK = bytes(4096)
_HEAD = '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">'

Make = Callable[[Path], object]
Member = tuple[str, bytes] | tarfile.TarInfo


def envelope(body: str) -> bytes:
    return f"{_HEAD}{body}</Envelope>".encode()


def descriptor(href: str = "disk.raw", more: str = "") -> bytes:
    """A sound descriptor of one system with one disk."""
    return envelope(
        f'<References><File ovf:id="f" ovf:href="{href}" {more}/></References>'
        '<DiskSection><Disk ovf:diskId="d" ovf:capacity="4096" ovf:fileRef="f"/></DiskSection>'
        '<VirtualSystem ovf:id="vm"><VirtualHardwareSection><Item><ResourceType>17</ResourceType>'
        "<HostResource>ovf:/disk/d</HostResource></Item></VirtualHardwareSection></VirtualSystem>"
    )


def text(document: bytes) -> Make:
    return lambda path: path.write_bytes(document)


def referring(href: str) -> Make:
    return text(descriptor(href))


def archive(*members: Member) -> Make:
    """A tar archive of the members, which are files or, by their headers alone, anything else."""

    def make(path: Path) -> None:
        with tarfile.open(path, "w") as made:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    made.addfile(member)
                else:
                    header = tarfile.TarInfo(member[0])
                    header.size = len(member[1])
                    made.addfile(header, io.BytesIO(member[1]))

    return make


def sound_but(*members: Member) -> Make:
    """An archive with a sound descriptor, its disk, and these members."""
    return archive(("office.ovf", descriptor()), ("disk.raw", DISK), *members)


def special(kind: bytes, name: str = "other") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, OUTSIDE
    return header


def long_name(size: int) -> Make:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, size
    return lambda path: path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def cut(make: Make, length: int) -> Make:
    def made(path: Path) -> None:
        make(path)
        os.truncate(path, length)

    return made


def linked(path: Path) -> None:
    """A descriptor beside which a link lies that leads out."""
    path.mkdir()
    (path / "office.ovf").write_bytes(descriptor("sub/shadow"))
    (path / "sub").symlink_to("/etc")


def with_manifest(line: str) -> Make:
    return archive(("office.ovf", descriptor()), ("office.mf", line.encode()), ("disk.raw", DISK))


REFERENCES = (
    Hostile("absolute.ovf", referring(OUTSIDE), "which is an absolute path"),
    Hostile("parent.ovf", referring("../disk.raw"), "leads out of the package"),
    Hostile("parent-inside.ovf", referring("a/../../disk.raw"), "leads out of the package"),
    Hostile("parent-escaped.ovf", referring("%2e%2e/disk.raw"), "leads out of the package"),
    Hostile("parent-backslash.ovf", referring("..\\disk.raw"), "leads out of the package"),
    Hostile("absolute-escaped.ovf", referring("%2Fetc%2Fshadow"), "is an absolute path"),
    Hostile("drive.ovf", referring("C:\\disk.raw"), "is a URL or names a drive"),
    Hostile("url-file.ovf", referring("file:///etc/shadow"), "is a URL or names a drive"),
    Hostile("url-http.ovf", referring("http://192.0.2.1/disk.raw"), "is a URL or names a drive"),
    Hostile("url-nbd.ovf", referring("nbd:192.0.2.1:10809"), "is a URL or names a drive"),
    Hostile("json.ovf", referring("json:{&quot;driver&quot;:&quot;nbd&quot;}"), "is a URL or names a drive"),
    Hostile("endless-name.ovf", referring("x" * 2000), "is no file name"),
    Hostile("no-name.ovf", referring(""), "does not say in which file"),
    Hostile("not-there.ovf", referring("disk.raw"), "put the file beside the descriptor"),
    Hostile("link-in-folder", linked, "/sub is a symbolic link"),
)
DESCRIPTORS = (
    Hostile("entity.ovf", text(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "document type declaration"),
    Hostile(
        "entity-file.ovf", text(b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/shadow">]><a>&b;</a>'), "declaration"
    ),
    Hostile(
        "entity-laughs.ovf", text(b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;">]><a>&c;</a>'), "declaration"
    ),
    Hostile("dtd-elsewhere.ovf", text(b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>'), "declaration"),
    Hostile("million-items.ovf", text(envelope("<Item/>" * 1_000_000)), "more than 50000 elements"),
    Hostile("nested.ovf", text(envelope("<a>" * 50_000)), "more than 64 levels"),
    Hostile("one-endless-tag.ovf", text(envelope(f"<a b='{'x' * 300_000}'/>")), "a tag of more than"),
    Hostile(
        "attributes.ovf",
        text(envelope("<a " + " ".join(f'a{number}=">"' for number in range(600_000)) + "/>")),
        "more than 100000 attributes",
    ),
    Hostile("files.ovf", text(envelope(f"<References>{'<File/>' * 3000}</References>")), "refers to 3000 files"),
    Hostile("endless.ovf", text(b"<Envelope>" + b" " * 9_000_000), "at most 8388608"),
    Hostile("rubbish.ovf", text(b"\x7fELF" + bytes(range(256)) * 100), "not well-formed"),
    Hostile("cut-off.ovf", text(descriptor()[:-200]), "not well-formed"),
    Hostile("a-domain.ovf", text(b"<domain type='kvm'/>"), "its root element is domain"),
    Hostile("nothing.ovf", text(b""), "not well-formed"),
)
ARCHIVES = (
    Hostile("symlink.ova", sound_but(special(tarfile.SYMTYPE)), f"a symbolic link to '{OUTSIDE}'"),
    Hostile("hardlink.ova", sound_but(special(tarfile.LNKTYPE)), f"a hard link to '{OUTSIDE}'"),
    Hostile("device.ova", sound_but(special(tarfile.BLKTYPE)), "a device"),
    Hostile("terminal.ova", sound_but(special(tarfile.CHRTYPE)), "a device"),
    Hostile("pipe.ova", sound_but(special(tarfile.FIFOTYPE)), "a pipe"),
    Hostile("parent.ova", sound_but(("../other", b"")), "leads out of the package"),
    Hostile("absolute.ova", sound_but(("/etc/other", b"")), "is an absolute path"),
    Hostile("one-name-twice.ova", sound_but(("disk.raw", b"another")), "two members of the name 'disk.raw'"),
    Hostile("two-descriptors.ova", sound_but(("other.ovf", b"")), "those in it: office.ovf, other.ovf"),
    Hostile("no-descriptor.ova", archive(("disk.raw", DISK)), "those in it: none"),
    Hostile("members.ova", archive(*((f"m{number}", b"") for number in range(5000))), "more than 2000 members"),
    Hostile("endless-header.ova", long_name(2**33), r"tar header of \d+ bytes"),
    Hostile("cut-off.ova", cut(sound_but(("other", DISK)), 6000), "cut off|not a whole tar archive"),
    Hostile("not-an-archive.ova", text(b"MZ" + bytes(5000)), "not a whole tar archive"),
    Hostile("wrong-digest.ova", with_manifest(f"SHA256(disk.raw)= {hashlib.sha256(b'').hexdigest()}\n"),
            "its manifest says"),
    Hostile("wrong-digest-of-descriptor.ova", with_manifest(f"SHA1(office.ovf)= {'0' * 40}\n"), "its manifest says"),
    Hostile("manifest-elsewhere.ova", with_manifest(f"SHA1(../../etc/shadow)= {'0' * 40}\n"), "leads out"),
    Hostile("manifest-of-rubbish.ova", with_manifest("SHA3(disk.raw)= 00\n"), "line 1: .* is no digest"),
    Hostile("chunk-lost.ova", archive(("office.ovf", descriptor(more='ovf:chunkSize="2048" ovf:size="4096"')),
                                      ("disk.raw.000000000", DISK[:2048])), "one is missing or cut off"),
)  # fmt: skip

APPLIANCES = (*REFERENCES, *DESCRIPTORS, *ARCHIVES)

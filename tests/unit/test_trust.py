# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signed images, with real keys and the real ssh-keygen: who is trusted, and what each refusal says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import ssh_keygen
from ansible_collections.goldsmith.images.plugins.module_utils.catalog import trust
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.signing import (
    NAMESPACE,
    require_key,
    sign_manifest,
    sign_version,
    signature_result,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.trust import (
    TrustedSigners,
    require_trusted,
    require_trusted_copy,
)
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE, digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.disk.pieces import write_layer
from ansible_collections.goldsmith.images.plugins.module_utils.disk.verified import VerifiedFiles
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    NotFound,
    Untrusted,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.ssh_signature import read_signature

V10 = Version(1, 0)
DISK, PIECES, NVRAM = "office@1.0.disk0.raw", "office@1.0.disk0.pieces", "office@1.0.nvram"
MANIFEST = b'{"any": "bytes \xc3\xa4 \xff"}\n'


def make_key(directory: Path, name: str, passphrase: str = "", kind: str = "ed25519") -> str:
    path = directory / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", path], check=True)
    return str(path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    make_key(directory, "it")
    make_key(directory, "other", kind="ecdsa")
    make_key(directory, "locked", passphrase="secret")  # noqa: S106
    return directory


@pytest.fixture(autouse=True)
def no_agent(monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def line(keys: Path, name: str = "it", options: str = "") -> str:
    return f"{name}@example.com {options} {(keys / f'{name}.pub').read_text().strip()}"


def trusting(*entries: str) -> TrustedSigners:
    return TrustedSigners.from_option(list(entries))


def refusal(signature: bytes | None, *entries: str, manifest: bytes = MANIFEST) -> str:
    with pytest.raises(Untrusted) as caught:
        require_trusted("image office 1.0", manifest, signature, trusting(*entries))
    assert caught.value.error_code == "untrusted"
    assert str(caught.value).startswith("image office 1.0 is not trusted: ")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_signed_manifest_of_a_trusted_signer_passes(tmp_path, kind):
    key = make_key(tmp_path, "it", kind=kind)

    signer = require_trusted("it", MANIFEST, sign_manifest(MANIFEST, key), trusting(line(tmp_path)))

    assert (signer.principal, signer.fingerprint) == ("it@example.com", ssh_keygen.fingerprint(key))


def test_signers_are_given_as_lines_and_as_files(keys, tmp_path):
    signature = sign_manifest(MANIFEST, str(keys / "it"))
    (tmp_path / "signers").write_text(f"# who may\n\n{line(keys)}\n")

    for entries in (
        [str(tmp_path / "signers")],
        [line(keys, "other"), line(keys)],
        [line(keys, "other"), f"{tmp_path}/signers"],
    ):
        assert require_trusted("it", MANIFEST, signature, trusting(*entries)).principal == "it@example.com"
    with pytest.raises(NotFound, match=r"trusted_signers: there is no file /nowhere on this host"):
        require_trusted("it", MANIFEST, signature, trusting("/nowhere"))


@pytest.mark.parametrize("entries", [[], [""], [" ", "\n"]])
def test_trusting_nobody_is_a_mistake(entries):
    with pytest.raises(BadInput, match=r"^trusted_signers: it names nobody"):
        trusting(*entries)


def test_not_saying_whom_to_trust_is_none():
    assert TrustedSigners.from_option(None) is None


def test_unsigned_manifest_is_refused(keys):
    assert "it is not signed; sign it where it was published (desktop_image with signing_key)" in refusal(
        None, line(keys)
    )


def test_changed_manifest_is_refused(keys):
    signature = sign_manifest(MANIFEST, str(keys / "it"))

    for changed in (MANIFEST + b" ", b"", MANIFEST.replace(b"any", b"all")):
        told = refusal(signature, line(keys), manifest=changed)
        fingerprint = ssh_keygen.fingerprint(str(keys / "it"))
        assert f"its manifest is not what the key {fingerprint} signed: one of the two was changed or" in told


def test_unknown_signer_is_refused_and_named_by_the_key(keys):
    signature = sign_manifest(MANIFEST, str(keys / "other"))

    told = refusal(signature, line(keys))

    assert f"by the key {ssh_keygen.fingerprint(str(keys / 'other'))}, which trusted_signers does not name" in told


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('valid-before="20200101"', "line 1: key has expired"),
        ('valid-after="29990101"', "line 1: key is not yet valid"),
        ('namespaces="git,file"', "line 1: key is not permitted for use in signature namespace"),
    ],
)
def test_signer_must_be_allowed_now_and_for_images(keys, options, reason):
    told = refusal(sign_manifest(MANIFEST, str(keys / "it")), line(keys, options=options))

    assert f"which trusted_signers does not allow now: {reason}" in told


def test_signer_may_be_allowed_for_images_alone(keys):
    allowed = trusting(line(keys, options=f'namespaces="{NAMESPACE}",valid-before="29990101"'))

    assert require_trusted("it", MANIFEST, sign_manifest(MANIFEST, str(keys / "it")), allowed).principal


def test_signature_of_something_else_is_refused(keys):
    told = refusal(ssh_keygen.sign(MANIFEST, str(keys / "it"), "git"), line(keys))

    assert "its signature was made for 'git', not for 'manifest@goldsmith.images'" in told


def test_line_that_cannot_be_read_does_not_hide_those_that_can(keys):
    signature = sign_manifest(MANIFEST, str(keys / "it"))

    assert require_trusted("it", MANIFEST, signature, trusting("garbage", line(keys))).principal == "it@example.com"
    assert "line 1: missing key" in refusal(signature, "garbage")


def test_every_cut_and_every_flipped_bit_of_a_signature_is_refused(keys):
    signature = sign_manifest(MANIFEST, str(keys / "it"))

    lines = signature.splitlines(keepends=True)
    for hostile in (
        b"",
        b"\xff",
        signature[:80],
        b"".join(lines[:-2] + lines[-1:]),
        signature + b"x" * 70000,
        b"".join(lines[1:]),
    ):
        assert "is not an SSH signature" in refusal(hostile, line(keys))
    at = signature.index(b"\n", 60) - 4  # within the public key
    flipped = signature[:at] + (b"A" if signature[at : at + 1] != b"A" else b"B") + signature[at + 1 :]
    assert refusal(flipped, line(keys))


def test_signature_says_which_key_made_it(keys):
    facts = read_signature(sign_manifest(MANIFEST, str(keys / "other")), "x")

    assert facts.key_type == "ecdsa-sha2-nistp256"
    assert (
        facts.fingerprint == ssh_keygen.fingerprint(str(keys / "other")) == ssh_keygen.fingerprint(f"{keys}/other.pub")
    )
    assert facts.namespace == NAMESPACE


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\xff\xfe", b"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----"]
)
def test_what_is_no_signature_is_told_with_its_name(content):
    with pytest.raises(Damaged, match=r"^/pool/x is not an SSH signature \(.*\); restore it from another copy"):
        read_signature(content, "/pool/x")


def test_key_with_a_passphrase_is_refused_and_nobody_is_asked(keys, monkeypatch, tmp_path):
    asked = tmp_path / "asked"
    (tmp_path / "ask").write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    (tmp_path / "ask").chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "ask"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setenv("DISPLAY", ":0")

    with pytest.raises(
        BadInput, match=r"locked is protected by a passphrase, which nobody is asked for here, and there is"
    ):
        require_key(str(keys / "locked"))

    assert not asked.exists()


def test_key_in_an_agent_signs_by_its_public_key(keys, monkeypatch, tmp_path):
    public = tmp_path / "agent.pub"
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.PIPE) as agent:
        try:
            agent.stdout.readline()
            monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
            public.write_text((keys / "it.pub").read_text())
            with pytest.raises(BadInput, match=r"does not lie beside it, and the ssh-agent at .*/agent does not hold"):
                require_key(str(public))
            subprocess.run(["ssh-add", "-q", keys / "it"], check=True)
            signature = sign_manifest(MANIFEST, str(public))
        finally:
            agent.terminate()

    assert require_trusted("it", MANIFEST, signature, trusting(line(keys))).principal == "it@example.com"


def test_keys_that_cannot_be_used_are_told(keys, tmp_path):
    (tmp_path / "text").write_text("no key")
    make_key(tmp_path, "open")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "alone.pub").write_text((keys / "it.pub").read_text())

    with pytest.raises(NotFound, match=r"^signing_key: there is no file .*/gone on this host; give the path"):
        ssh_keygen.fingerprint(str(tmp_path / "gone"))
    with pytest.raises(BadInput, match=r"^signing_key: .*/text is not an OpenSSH key that can be read"):
        ssh_keygen.fingerprint(str(tmp_path / "text"))
    with pytest.raises(BadInput, match=r"open can be read by others than its owner, .* set its mode to 0600"):
        require_key(str(tmp_path / "open"))
    with pytest.raises(
        BadInput, match=r"alone.pub does not lie beside it, and there is no ssh-agent \(SSH_AUTH_SOCK is not"
    ):
        require_key(str(tmp_path / "alone.pub"))


@pytest.fixture
def store(tmp_path) -> Store:
    (tmp_path / "pool").mkdir()
    return Store(str(tmp_path / "pool"), Files())


@pytest.fixture
def verified(tmp_path) -> VerifiedFiles:
    return VerifiedFiles(Files(), str(tmp_path / "verified"))


@pytest.fixture
def manifest(store, keys) -> Manifest:
    """A signed version with a disk and UEFI variables."""
    written = {name: store.partial_path(name) for name in (DISK, PIECES, NVRAM)}
    for name, size in ((DISK, 20 * PIECE), (NVRAM, 4096)):
        with open(written[name], "wb") as stream:
            stream.write(os.urandom(size))
    tree = tree_of_file(written[DISK])
    write_layer(store.files, written[PIECES], tree)
    manifest = Manifest(
        "office", V10, "vdi", "x86_64", "debian12", Firmware("uefi"),
        (ManifestDisk(DISK, "vda", "virtio", 20 * PIECE, 20 * PIECE, tree.digest, PIECES),),
        ManifestNvram(NVRAM, 4096, digest_file(written[NVRAM])), "<domain/>",
        Provenance("clone", "src", "uuid", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
    )  # fmt: skip
    store.commit(manifest, written)
    sign_version(store, "office", V10, str(keys / "it"))
    return manifest


def flip(store: Store, name: str, offset: int) -> None:
    """Change a byte, and set the modification time back."""
    path = store.full_path(name)
    status = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_version_is_signed_once_and_read_only(store, manifest, keys):
    path = store.full_path("office@1.0.manifest.json.sig")

    assert os.stat(path).st_mode & 0o777 == 0o444
    assert signature_result(store, manifest)["fingerprint"] == ssh_keygen.fingerprint(str(keys / "it"))
    assert store.leftovers("office", V10) == []
    with pytest.raises(Conflict, match=r"image office 1.0 was signed by another run meanwhile; run again to see it"):
        sign_version(store, "office", V10, str(keys / "other"))
    with pytest.raises(NotFound, match=r"image office 1.1 was removed by another run; it was not signed"):
        sign_version(store, "office", Version(1, 1), str(keys / "it"))


def test_unsigned_version_and_what_is_no_signature_are_told(store, manifest):
    os.chmod(store.full_path("office@1.0.manifest.json.sig"), 0o644)
    with open(store.full_path("office@1.0.manifest.json.sig"), "wb") as stream:
        stream.write(b"nonsense")
    assert signature_result(store, manifest) == {"key_type": None, "fingerprint": None, "namespace": None}

    os.unlink(store.full_path("office@1.0.manifest.json.sig"))
    assert signature_result(store, manifest) is None


def test_copy_as_it_was_signed_is_trusted_and_read_once(store, manifest, keys, verified, monkeypatch):
    reads, real = [], trust.find_damage
    monkeypatch.setattr(trust, "find_damage", lambda path, *rest: reads.append(path) or real(path, *rest))

    for _run in range(3):
        signer = require_trusted_copy(store, manifest, trusting(line(keys)), verified)

    assert signer.principal == "it@example.com"
    assert reads == [store.full_path(DISK), store.full_path(NVRAM)]


def test_who_does_not_ask_does_not_read(store, manifest, verified, monkeypatch):
    monkeypatch.setattr(trust, "find_damage", lambda *_arguments: pytest.fail("it was read"))

    assert require_trusted_copy(store, manifest, None, verified) is None


def test_changed_byte_is_refused_though_its_file_was_right_before_and_has_its_old_time(store, manifest, keys, verified):
    require_trusted_copy(store, manifest, trusting(line(keys)), verified)
    flip(store, DISK, 7 * PIECE + 5)

    with pytest.raises(
        Untrusted, match=r"office@1.0.disk0.raw differs from what was signed in piece 7 \(1 MiB\); restore"
    ):
        require_trusted_copy(store, manifest, trusting(line(keys)), verified)


def test_changed_variables_of_the_firmware_are_refused(store, manifest, keys, verified):
    flip(store, NVRAM, 9)

    with pytest.raises(Untrusted, match=r"office@1.0.nvram differs from what was signed; restore it from another copy"):
        require_trusted_copy(store, manifest, trusting(line(keys)), verified)


def test_changed_layer_does_not_speak_for_a_changed_disk(store, manifest, keys, verified):
    flip(store, DISK, 5 * PIECE)
    tree = tree_of_file(store.full_path(DISK))
    os.unlink(store.full_path(PIECES))
    write_layer(Files(), store.full_path(PIECES), tree)

    with pytest.raises(Untrusted, match=r"office@1.0.disk0.raw differs from what was signed; restore"):
        require_trusted_copy(store, manifest, trusting(line(keys)), verified)


def test_replaced_file_and_other_digest_are_read_again(tmp_path, verified):
    path = str(tmp_path / "file")
    Path(path).write_bytes(b"content")
    verified.remember(path, os.stat(path), "digest")
    assert verified.knows(path, "digest")
    assert not verified.knows(path, "other digest")

    status = os.stat(path)
    Path(f"{path}2").write_bytes(b"CONTENT")
    os.utime(f"{path}2", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(f"{path}2", path)

    assert not verified.knows(path, "digest")


def test_check_mode_notes_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    verified = VerifiedFiles(ReadOnlyFiles(), str(tmp_path / "verified"))

    verified.remember(str(tmp_path / "file"), os.stat(tmp_path / "file"), "digest")

    assert not verified.knows(str(tmp_path / "file"), "digest")
    assert os.listdir(tmp_path) == ["file"]

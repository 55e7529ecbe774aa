# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate authority on the controller, and what a host's own openssl says of its certificates."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import openssl
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    NotFound,
    ToolFailed,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.plugin_utils.authority import (
    Authority,
    make_authority,
    read_authority,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)


class HostKey:
    """A key on a host, with the request for its certificate."""

    def __init__(self, directory) -> None:
        self.path = str(directory / "host.key")
        openssl.make_key(Files(), self.path)
        self.request = openssl.certificate_request(self.path, "hv1")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return HostKey(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def authority():
    return Authority.new(NOW)


def written(path, text: str) -> str:
    path.write_text(text)
    return str(path)


def openssl_said(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


def test_key_is_an_elliptic_one_that_only_its_owner_reads(key):
    assert stat.S_IMODE(os.stat(key.path).st_mode) == 0o600
    assert "NIST CURVE: P-256" in openssl_said("pkey", "-in", key.path, "-noout", "-text")


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::12"])
def test_certificate_says_what_the_inventory_says_of_the_host(tmp_path, authority, key, address):
    path = written(tmp_path / "host.pem", authority.sign(key.request, "office-1", address, 30, NOW))

    read = openssl.read_certificate(path)
    assert read.names == {"*", "office-1"}
    assert read.addresses == {address}
    assert (read.starts, read.ends) == (NOW - timedelta(hours=1), NOW + timedelta(days=30))
    assert read.public_key == openssl.public_key(key.path)

    told = openssl_said("x509", "-in", path, "-noout", "-subject", "-issuer", "-ext", "extendedKeyUsage,keyUsage")
    assert "subject=CN = office-1" in told or "subject=CN=office-1" in told
    assert "goldsmith.images" in told
    assert "TLS Web Client Authentication, TLS Web Server Authentication" in told
    assert "Digital Signature\n" in told


def test_only_the_authority_that_signed_counts(tmp_path, authority, key):
    host = written(tmp_path / "host.pem", authority.sign(key.request, "hv1", "10.0.0.1", 30, NOW))
    ours = written(tmp_path / "ours.pem", authority.pem)
    others = written(tmp_path / "others.pem", Authority.new(NOW).pem)

    assert openssl.is_issued_by(host, ours)
    assert not openssl.is_issued_by(host, others)
    assert not openssl.is_issued_by(host, host)


def test_ended_certificate_still_tells_who_issued_it(tmp_path, key):
    long_ago = NOW - timedelta(days=3000)
    authority = Authority.new(long_ago)
    host = written(tmp_path / "host.pem", authority.sign(key.request, "hv1", "10.0.0.1", 1, long_ago))

    assert openssl.is_issued_by(host, written(tmp_path / "ca.pem", authority.pem))


def test_tls_accepts_the_certificate_for_the_address_and_no_other(tmp_path, key):
    now = datetime.now(timezone.utc)
    authority = Authority.new(now)
    host = written(tmp_path / "host.pem", authority.sign(key.request, "hv1", "10.0.0.1", 30, now))
    ca = written(tmp_path / "ca.pem", authority.pem)
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", ca, "-purpose"]

    for purpose in ("sslserver", "sslclient"):
        assert subprocess.run([*verify, purpose, "-verify_ip", "10.0.0.1", host], check=False).returncode == 0
    assert subprocess.run([*verify, "sslserver", "-verify_ip", "10.0.0.2", host], check=False).returncode != 0


def test_certificate_does_not_outlive_its_authority(tmp_path, authority, key):
    late = NOW + timedelta(days=3645)
    path = written(tmp_path / "host.pem", authority.sign(key.request, "hv1", "10.0.0.1", 30, late))

    assert openssl.read_certificate(path).ends == NOW + timedelta(days=3650)


def test_authority_that_ended_signs_nothing(authority, key):
    with pytest.raises(Conflict, match=r"^the certificate authority ended on 2036-11-18; put a new one in its place"):
        authority.sign(key.request, "hv1", "10.0.0.1", 30, NOW + timedelta(days=3650))


def test_request_that_was_changed_on_its_way_is_refused(authority, key, tmp_path):
    der = tmp_path / "request.der"
    openssl_said("req", "-in", written(tmp_path / "request.pem", key.request), "-outform", "DER", "-out", str(der))
    content = bytearray(der.read_bytes())
    content[content.index(b"hv1")] ^= 1
    der.write_bytes(content)
    changed = openssl_said("req", "-inform", "DER", "-in", str(der), "-outform", "PEM")

    for request in (changed, "no request"):
        with pytest.raises(BadInput, match="request for a certificate is none, or was not made with its key"):
            authority.sign(request, "hv1", "10.0.0.1", 30, NOW)


def test_name_that_no_certificate_can_hold_is_refused(authority, key):
    for name in ("a" * 65, "büro"):
        with pytest.raises(BadInput, match=f"^{name} at 10.0.0.1 cannot stand in a certificate"):
            authority.sign(key.request, name, "10.0.0.1", 30, NOW)


def test_authority_is_made_once_and_only_its_owner_reads_the_key(tmp_path):
    directory = str(tmp_path / "config" / "ca")
    made, is_new = make_authority(directory, NOW)
    again, is_new_again = make_authority(directory, NOW)

    assert (is_new, is_new_again) == (True, False)
    assert again.pem == made.pem
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "config" / "ca").iterdir()} == {
        "ca.pem": 0o644,
        "ca.key": 0o600,
    }
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert os.listdir(tmp_path / "config") == ["ca"]


def test_many_plays_at_once_make_one_authority(tmp_path):
    directory = str(tmp_path / "ca")
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _number: make_authority(directory, NOW), range(16)))

    assert len({authority.pem for authority, _made in results}) == 1
    assert sum(made for _authority, made in results) == 1
    assert os.listdir(tmp_path) == ["ca"]


def test_empty_directory_of_the_user_gets_the_authority(tmp_path):
    directory = tmp_path / "ca"
    directory.mkdir()

    assert read_authority(str(directory)) is None
    assert make_authority(str(directory), NOW)[1]


def test_authority_of_the_user_is_taken_and_half_of_one_is_refused(tmp_path):
    openssl_said("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Example Ltd", "-days", "9999",
                 "-keyout", str(tmp_path / "ca.key"), "-out", str(tmp_path / "ca.pem"))  # fmt: skip
    taken, made = make_authority(str(tmp_path), NOW)

    assert not made
    assert taken.pem == (tmp_path / "ca.pem").read_text()
    (tmp_path / "ca.key").unlink()
    with pytest.raises(NotFound, match=r"there is no .*/ca\.key on the controller; put it there"):
        make_authority(str(tmp_path), NOW)


def test_what_is_no_authority_is_refused_with_the_reason(authority, key):
    other = Authority.new(NOW)
    host = authority.sign(key.request, "hv1", "10.0.0.1", 30, NOW)
    with open(key.path, encoding="ascii") as stream:
        host_key = stream.read()
    refused = {
        "vault: the certificate of the authority is not one in PEM": ("no PEM", other.key_pem.decode()),
        "vault: the key of the authority is not one in PEM without a password": (other.pem, "no PEM"),
        "vault: the certificate and the key of the authority do not belong together": (other.pem, host_key),
        "vault: the certificate may not sign others": (host, host_key),
    }
    for message, (certificate, private) in refused.items():
        with pytest.raises(BadInput, match=f"^{message}"):
            Authority.from_pem(certificate, private, "vault")


def test_files_that_are_none_are_told_by_openssl(tmp_path):
    path = written(tmp_path / "host.pem", "no certificate")
    for read in (openssl.read_certificate, openssl.public_key):
        with pytest.raises(ToolFailed, match="openssl failed with status 1"):
            read(path)


def test_missing_openssl_is_told_with_the_role_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolFailed, match=r"^the program openssl is not installed .*role goldsmith.images.seed"):
        openssl.read_certificate("/host.pem")


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("notBefore=Jan  1 00:00:00 2026 GMT\n", "printed no public key"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\nnotBefore=gestern\n", "printed no notBefore"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\nnotBefore=Jan 31 08:00:00 2026 GMT\n", "no notAfter"),
    ],
)
def test_what_openssl_does_not_print_is_damaged(printed, message):
    with pytest.raises(Damaged, match=message):
        openssl.parse_certificate(printed)

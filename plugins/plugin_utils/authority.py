# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate authority of a deployment, on the controller: hosts get their certificates from it.

Its key stays here, theirs stay there. A certificate says what the inventory says of a host, and nothing that the host
asked for (RFC 5280; the names and key usages that TLS peers check are in RFC 9525 and RFC 5280, 4.2.1.12).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from ..module_utils.errors import BadInput, Conflict, NotFound, Unreachable
from ..module_utils.files import Files

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    CRYPTOGRAPHY_MISSING = None
except ImportError as error:
    CRYPTOGRAPHY_MISSING = str(error)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

DEFAULT_DIRECTORY = "~/.config/goldsmith-images/ca"
CERTIFICATE_FILE, KEY_FILE = "ca.pem", "ca.key"
_SUBJECT = "goldsmith.images"
_LIFETIME = timedelta(days=3650)
_CLOCKS_DIFFER = timedelta(hours=1)  # so much earlier certificates begin: the host's clock may be behind


def require_cryptography() -> None:
    """Raise Unreachable where the library is missing on the controller, which ansible-core itself needs."""
    if CRYPTOGRAPHY_MISSING is not None:
        raise Unreachable(
            f"the Python package cryptography is missing on the controller ({CRYPTOGRAPHY_MISSING}); install it"
        )


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKeyTypes

    @classmethod
    def new(cls, now: datetime) -> Authority:
        """Return a new one (EC P-256) that signs hosts' certificates only, valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _SUBJECT)])
        builder = _builder(subject, subject, key.public_key(), now, now + _LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return cls(builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256()), key)

    @classmethod
    def from_pem(cls, certificate: str, key: str, origin: str) -> Authority:
        """Read both. Raises BadInput, naming I(origin), when they are not an authority's or not of one another."""
        try:
            read = x509.load_pem_x509_certificate(certificate.encode())
        except ValueError as error:
            raise BadInput(f"{origin}: the certificate of the authority is not one in PEM ({error})") from None
        try:
            private = serialization.load_pem_private_key(key.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"{origin}: the key of the authority is not one in PEM without a password ({error})"
            ) from None
        if _public_pem(read.public_key()) != _public_pem(private.public_key()):
            raise BadInput(f"{origin}: the certificate and the key of the authority do not belong together")
        if not _is_authority(read):
            raise BadInput(f"{origin}: the certificate may not sign others (basicConstraints: CA); use an authority's")
        return cls(read, private)

    @property
    def pem(self) -> str:
        """The certificate, for those who are to trust it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, request: str, name: str, address: str, days: int, now: datetime) -> str:
        """Return a certificate (PEM) for the key of the I(request) (PKCS #10, PEM): as client and server, for I(days).

        libtorrent looks for the name of a torrent in it, so it is for every DNS name besides the host's own; whom one
        speaks with is told by the address. Raises BadInput for a request that was not made with its key, and for a
        name that no certificate can hold, and Conflict when the authority itself is not valid any more.
        """
        if now >= _ends(self.certificate):
            raise Conflict(
                f"the certificate authority ended on {_ends(self.certificate):%Y-%m-%d}; put a new one in its place "
                "(docs/seed.md), hosts get new certificates from it then"
            )
        asked = _read_request(request)
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            names = [x509.DNSName("*"), x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
        except ValueError as error:
            raise BadInput(
                f"{name} at {address} cannot stand in a certificate ({error}); give it another name"
            ) from None
        ends = min(now + timedelta(days=days), _ends(self.certificate))
        builder = _builder(subject, self.certificate.subject, asked.public_key(), now, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(purposes, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def read_authority(directory: str) -> Authority | None:
    """Return the authority in the directory, or None when that is empty or not there.

    Raises NotFound when one of its two files is missing, and BadInput when they cannot be used.
    """
    with contextlib.suppress(FileNotFoundError):
        if not os.listdir(directory):
            return None
        texts = []
        for name in (CERTIFICATE_FILE, KEY_FILE):
            path = os.path.join(directory, name)
            if not os.path.isfile(path):
                raise NotFound(f"ca_directory: there is no {path} on the controller; put it there, or name a directory "
                               "that is empty or not there yet for a new authority")  # fmt: skip
            with open(path, encoding="ascii") as stream:
                texts.append(stream.read())
        return Authority.from_pem(texts[0], texts[1], directory)
    return None


def make_authority(directory: str, now: datetime) -> tuple[Authority, bool]:
    """Return the authority in the directory, and whether it was made just now.

    The directory gets its name with both files in it, so that of two plays at once one makes it, and the other finds
    it (rename(2): a directory that is not empty is not replaced).
    """
    there = read_authority(directory)
    if there is not None:
        return there, False
    parent, name = os.path.split(os.path.abspath(directory))
    os.makedirs(parent, mode=0o700, exist_ok=True)
    new, unfinished = Authority.new(now), tempfile.mkdtemp(prefix=f".{name}.new-", dir=parent)
    try:
        Files().write(os.path.join(unfinished, KEY_FILE), new.key_pem, 0o600)
        Files().write(os.path.join(unfinished, CERTIFICATE_FILE), new.pem.encode(), 0o644)
        os.rename(unfinished, directory)
    except OSError:
        shutil.rmtree(unfinished)
        there = read_authority(directory)
        if there is None:
            raise
        return there, False
    return new, True


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: object, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(ends)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read_request(request: str) -> x509.CertificateSigningRequest:
    try:
        asked = x509.load_pem_x509_csr(request.encode())
        if asked.is_signature_valid:
            return asked
    except (ValueError, InvalidSignature):
        pass
    raise BadInput("the host's request for a certificate is none, or was not made with its key; run again")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _public_pem(key: object) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _ends(certificate: x509.Certificate) -> datetime:
    """Return when it ends. Debian 12's cryptography (38) has only the form without a zone, newer ones deprecate it."""
    with contextlib.suppress(AttributeError):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=timezone.utc)

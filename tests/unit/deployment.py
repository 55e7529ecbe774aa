# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A deployment of hosts on addresses of the loopback: its authority, certificates as hosts have them, and others."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class HostFiles:
    """Paths of PEM files, as a host has them."""

    certificate: str
    key: str
    authority: str


class Authority:
    """A certificate authority that keeps its files in a directory."""

    def __init__(self, directory: Path, name: str = "deployment") -> None:
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (
            _builder(self._subject, self._subject, self._key.public_key(), now - _DAY, now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = self._write(f"{name}.pem", _pem(self.certificate))

    def host(self, name: str, address: str, days: int = 1) -> HostFiles:
        """Return the files of a host with a certificate that ends in I(days), of the past where that is negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = _leaf(self._subject, key.public_key(), name, address, now + days * _DAY).sign(
            self._key, hashes.SHA256()
        )
        return self._files(name, certificate, key)

    def stranger(self, name: str, address: str) -> HostFiles:
        """Return the files of a host that signed its certificate itself, and trusts this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _leaf(subject, key.public_key(), name, address, now + _DAY).sign(key, hashes.SHA256())
        return self._files(name, certificate, key)

    def _files(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> HostFiles:
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        stem = f"{self._name}-{name}"
        return HostFiles(self._write(f"{stem}.pem", _pem(certificate)), self._write(f"{stem}.key", secret), self.path)

    def _write(self, name: str, data: bytes) -> str:
        path = self._directory / name
        path.write_bytes(data)
        os.chmod(path, 0o600)
        return str(path)


def free_port(address: str) -> int:
    """Return a port of the address at which nobody answers."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def _leaf(
    issuer: x509.Name, key: ec.EllipticCurvePublicKey, name: str, address: str, end: datetime.datetime
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("*"), x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return (
        _builder(subject, issuer, key, end - 30 * _DAY, end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificates on a host, by the program openssl: the key is made there and never leaves it.

What openssl prints of a certificate is in openssl-x509(1) and openssl-x509v3_config(5).
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .commands import run_command
from .errors import Damaged, ToolFailed
from .files import Files

_CURVE = "ec_paramgen_curve:P-256"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d+) (?P<clock>\d\d:\d\d:\d\d) (?P<year>\d{4}) GMT")
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """Whom a certificate is for (DNS names, IP addresses), when it is valid, and the key it certifies (PEM)."""

    names: frozenset[str]
    addresses: frozenset[str]
    starts: datetime
    ends: datetime
    public_key: str

    @property
    def lifetime(self) -> timedelta:
        return self.ends - self.starts


def make_key(files: Files, path: str) -> None:
    """Write a new private key (EC P-256, PEM) that only the owner may read."""
    files.write(path, _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", _CURVE).encode(), 0o600)


def public_key(key: str) -> str:
    """Return the public key (PEM) of the private one at the path I(key). Raises ToolFailed when it is none."""
    return _openssl("pkey", "-in", key, "-pubout").strip()


def certificate_request(key: str, name: str) -> str:
    """Return the request (PKCS #10, PEM) for a certificate of the private key at the path I(key)."""
    return _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}")


def read_certificate(path: str) -> Certificate:
    """Return what the certificate at the path says. Raises ToolFailed when it is none."""
    return parse_certificate(
        _openssl("x509", "-in", path, "-noout", "-pubkey", "-startdate", "-enddate", "-ext", "subjectAltName")
    )


def is_issued_by(certificate: str, authority: str) -> bool:
    """Whether the certificate at the path was signed by the authority at the other, whatever the time is."""
    try:
        _openssl("verify", "-no_check_time", "-no-CApath", "-CAfile", authority, certificate)
    except ToolFailed as error:
        if not error.said:
            raise
        return False
    return True


def parse_certificate(printed: str) -> Certificate:
    """Return what openssl printed of a certificate. Raises Damaged where something is missing."""
    key = _PUBLIC_KEY.search(printed)
    if key is None:
        raise Damaged("openssl printed no public key of the certificate")
    entries = [entry.strip().partition(":") for line in printed.splitlines() for entry in line.split(", ")]
    return Certificate(
        names=frozenset(value for kind, _colon, value in entries if kind == "DNS"),
        addresses=frozenset(
            str(ipaddress.ip_address(value)) for kind, _colon, value in entries if kind == "IP Address"
        ),
        starts=_time(printed, "notBefore"),
        ends=_time(printed, "notAfter"),
        public_key=key[0],
    )


def _time(printed: str, what: str) -> datetime:
    """Return the time as openssl prints it (ASN1_TIME_print(3)), in English whatever the locale is."""
    found = re.search(rf"^{what}=(.*)$", printed, re.MULTILINE)
    parts = _TIME.fullmatch(found[1]) if found else None
    if parts is None or parts["month"] not in _MONTHS:
        raise Damaged(f"openssl printed no {what} of the certificate: {printed[:200]!r}")
    day = f"{parts['year']}-{_MONTHS.index(parts['month']) + 1:02}-{int(parts['day']):02}T{parts['clock']}"
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc)


def _openssl(*arguments: str) -> str:
    try:
        return run_command(["openssl", *arguments], timeout=60)
    except ToolFailed as error:
        if error.said or _is_installed():
            raise
        raise ToolFailed(
            "the program openssl is not installed on this host; role goldsmith.images.seed installs it"
        ) from None


def _is_installed() -> bool:
    return any(os.access(os.path.join(place, "openssl"), os.X_OK) for place in os.get_exec_path())

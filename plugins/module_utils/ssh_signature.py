# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SSH signatures, read: which key made one, and for which namespace. Whether it is right, only ssh_keygen.py tells.

Format: PROTOCOL.sshsig of OpenSSH; strings as in RFC 4251, section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from .errors import Damaged

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_VERSION = 1
MAX_SIZE = 64 * 1024  # a signature by RSA of 16384 bits has 6 KiB


@dataclass(frozen=True)
class SignatureFacts:
    """The key of a signature, by type (C(ssh-ed25519)) and I(fingerprint) (C(SHA256:...)), and the I(namespace)."""

    key_type: str
    fingerprint: str
    namespace: str


def read_signature(content: bytes, origin: str) -> SignatureFacts:
    """Return what a signature says of itself. Raises Damaged, naming I(origin), when it is none."""
    try:
        blob = _without_armor(content)
        if blob[: len(_MAGIC)] != _MAGIC or int.from_bytes(blob[6:10], "big") != _VERSION:
            raise ValueError("it has another beginning")
        public_key, position = _string(blob, 10)
        namespace, _position = _string(blob, position)
        key_type, _position = _string(public_key, 0)
        digest = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
        return SignatureFacts(key_type.decode("ascii"), f"SHA256:{digest}", namespace.decode("utf-8"))
    except (ValueError, binascii.Error) as error:
        raise Damaged(
            f"{origin} is not an SSH signature ({error}); restore it from another copy of the version"
        ) from None


def _without_armor(content: bytes) -> bytes:
    if len(content) > MAX_SIZE:
        raise ValueError(f"it has {len(content)} bytes")
    text = content.decode("ascii").strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise ValueError("it has no armor")
    return base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)


def _string(blob: bytes, position: int) -> tuple[bytes, int]:
    end = position + 4 + int.from_bytes(blob[position : position + 4], "big")
    if end > len(blob) or position + 4 > len(blob):
        raise ValueError("it is cut off")
    return blob[position + 4 : end], end

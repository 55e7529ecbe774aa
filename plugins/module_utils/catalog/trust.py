# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trust in signed images: who may have signed a manifest, and whether the disks are those that it names."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..disk.pieces import sound_layer
from ..disk.scrubbing import describe_pieces, find_damage
from ..disk.verified import VerifiedFiles
from ..errors import BadInput, Damaged, NotFound, Untrusted
from ..rate_limit import RateLimit
from ..ssh_keygen import Signature
from ..ssh_signature import read_signature
from .manifest import Manifest, ManifestDisk, ManifestNvram
from .naming import manifest_file
from .signing import NAMESPACE, read_signature_file
from .store import Store

OPTIONS = {"trusted_signers": {"type": "list", "elements": "str"}}


@dataclass(frozen=True)
class TrustedSigners:
    """Whose signatures pass: I(entries) are lines of an allowed_signers file (ssh-keygen(1)), or paths of such."""

    entries: tuple[str, ...]

    @classmethod
    def from_option(cls, entries: list[str] | None) -> TrustedSigners | None:
        """Return what the option C(trusted_signers) says, None when it is left out. Raises BadInput for nobody."""
        if entries is None:
            return None
        if not any(entry.strip() for entry in entries):
            raise BadInput(
                "trusted_signers: it names nobody; give lines as 'it@example.com ssh-ed25519 AAAA...', or the path of "
                "an allowed_signers file on this host, or leave it out to use images whether they are signed or not"
            )
        return cls(tuple(entries))

    def to_bytes(self) -> bytes:
        """Return all lines. Raises NotFound when there is no file at a path."""
        return b"".join(_lines(entry) + b"\n" for entry in self.entries)


@dataclass(frozen=True)
class Signer:
    """Who signed: the I(principal) by which trusted_signers knows them, and the I(fingerprint) of the key."""

    principal: str
    fingerprint: str


def require_trusted(subject: str, manifest: bytes, signature: bytes | None, trusted: TrustedSigners) -> Signer:
    """Return who signed the manifest of I(subject) (C(image office 1.0)).

    Raises Untrusted when it is unsigned, is not what was signed, or was signed by nobody who is trusted. The disks are
    not looked at: see L(require_trusted_copy).
    """
    refused = f"{subject} is not trusted:"
    if signature is None:
        raise Untrusted(
            f"{refused} it is not signed; sign it where it was published (desktop_image with signing_key), or leave "
            "trusted_signers out to use it unsigned"
        )
    try:
        facts = read_signature(signature, "its signature")
    except Damaged as error:
        raise Untrusted(f"{refused} {error}") from None
    if facts.namespace != NAMESPACE:
        raise Untrusted(
            f"{refused} its signature was made for {facts.namespace!r}, not for {NAMESPACE!r}: it is one of something "
            "else; sign the version where it was published (desktop_image with signing_key)"
        )
    with Signature(signature, NAMESPACE, trusted.to_bytes()) as checked:
        if not checked.fits(manifest):
            raise Untrusted(
                f"{refused} its manifest is not what the key {facts.fingerprint} signed: one of the two was changed or "
                "is of another version; restore both from where the version was published"
            )
        principals, reason = checked.principals()
        if not principals and not reason:
            raise Untrusted(
                f"{refused} it was signed by the key {facts.fingerprint}, which trusted_signers does not name; add the "
                "key there if you trust who holds it"
            )
        for principal in principals:
            reason = checked.refusal(manifest, principal) or ""
            if not reason:
                return Signer(principal, facts.fingerprint)
    raise Untrusted(
        f"{refused} it was signed by the key {facts.fingerprint}, which trusted_signers does not allow now: {reason}"
    )


def require_trusted_copy(
    store: Store, manifest: Manifest, trusted: TrustedSigners | None, verified: VerifiedFiles
) -> Signer | None:
    """Return who signed the published version, None when I(trusted) does not ask.

    Raises Untrusted as L(require_trusted) does, and when a file of the version is not the one that was signed. A file
    that was read before, and not touched since, is not read again.
    """
    if trusted is None:
        return None
    subject = f"image {manifest.image} {manifest.version}"
    path = store.full_path(manifest_file(manifest.image, manifest.version))
    with open(path, "rb") as stream:
        content = stream.read()
    signer = require_trusted(subject, content, read_signature_file(store, manifest), trusted)
    if Manifest.from_json(content, path) != manifest:
        raise Untrusted(f"{subject} is not trusted: {path} was replaced while it was read; run again")
    for disk in manifest.disks:
        _require_as_signed(store, disk, subject, verified)
    if manifest.nvram is not None:
        _require_as_signed(store, manifest.nvram, subject, verified)
    return signer


def _require_as_signed(store: Store, part: ManifestDisk | ManifestNvram, subject: str, verified: VerifiedFiles) -> None:
    path = store.full_path(part.file)
    if verified.knows(path, part.digest):
        return
    status, layer = os.stat(path), None
    if isinstance(part, ManifestDisk) and part.pieces:
        layer = sound_layer(store.full_path(part.pieces), part.virtual_size, part.digest)
    damage = find_damage(path, part.digest, layer, RateLimit(None))
    if damage is None:
        verified.remember(path, status, part.digest)
        return
    where = f" in {describe_pieces(damage.pieces)}" if damage.pieces else ""
    raise Untrusted(
        f"{subject} is not trusted: {path} differs from what was signed{where}; restore it from another copy of the "
        "version"
    )


def _lines(entry: str) -> bytes:
    if not entry.startswith("/"):
        return entry.encode()
    try:
        with open(entry, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise NotFound(
            f"trusted_signers: there is no file {entry} on this host; put an allowed_signers file there, or give its "
            "lines in the option"
        ) from None

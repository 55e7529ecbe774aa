# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signing images: the signature of the bytes of a manifest, C(office@1.0.manifest.json.sig) beside it.

It is OpenSSH's, in a namespace of its own: no signature that a key made for anything else passes (PROTOCOL.sshsig). It
never changes, as the manifest does not.
"""

from __future__ import annotations

from typing import Any

from .. import ssh_keygen
from ..errors import Conflict, Damaged, NotFound
from ..ssh_signature import read_signature
from .manifest import Manifest
from .naming import Version, manifest_file, signature_file
from .store import Store

NAMESPACE = "manifest@goldsmith.images"
_TRIAL = "trial@goldsmith.images"  # what is signed in it passes for nothing


def require_key(key: str) -> None:
    """Raise an error when the key cannot sign now, which is to be known before disks are copied."""
    ssh_keygen.sign(b"trial", key, _TRIAL)


def sign_manifest(manifest: bytes, key: str) -> bytes:
    """Return the signature of a manifest by the key file I(key) of this host."""
    return ssh_keygen.sign(manifest, key, NAMESPACE)


def sign_version(store: Store, image: str, version: Version, key: str) -> None:
    """Put a signature beside a published version that has none. Raises NotFound and Conflict when that changed."""
    with store.version_lock(image, version):
        try:
            with open(store.full_path(manifest_file(image, version)), "rb") as stream:
                content = stream.read()
        except FileNotFoundError:
            raise NotFound(f"image {image} {version} was removed by another run; it was not signed") from None
        try:
            store.files.create(store.full_path(signature_file(image, version)), sign_manifest(content, key), 0o444)
        except FileExistsError:
            raise Conflict(
                f"image {image} {version} was signed by another run meanwhile; run again to see it"
            ) from None


def read_signature_file(store: Store, manifest: Manifest) -> bytes | None:
    """Return the signature that lies beside the manifest of a published version, None when there is none."""
    try:
        with open(store.full_path(signature_file(manifest.image, manifest.version)), "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def signature_result(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    """Return what desktop_image reports of the signature, None for an unsigned version. It is not checked here.

    Of what is no signature, all values are None.
    """
    content = read_signature_file(store, manifest)
    if content is None:
        return None
    try:
        return dict(vars(read_signature(content, "it")))
    except Damaged:
        return {"key_type": None, "fingerprint": None, "namespace": None}

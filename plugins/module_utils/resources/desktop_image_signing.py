# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The signature of a version: made when it is published, or put beside it later."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .. import ssh_keygen
from ..catalog.naming import signature_file
from ..catalog.signing import require_key
from ..changes import Change
from ..errors import Damaged
from .desktop_image_options import Desired
from .desktop_image_version import PublishedVersion


def observe_key(desired: Desired, published: PublishedVersion | None) -> str | None:
    """Return the fingerprint of the signing key, None when there is nothing to sign.

    Raises an error when there is, and the key cannot be used: nobody is asked for a passphrase.
    """
    if desired.signing_key is None or (published and published.signed is not None):
        return None
    found = ssh_keygen.fingerprint(desired.signing_key)
    require_key(desired.signing_key)
    return found


def plan_signature(
    desired: Desired, published: PublishedVersion, key: str | None, sign: Callable[[], object]
) -> Iterator[Change]:
    """Sign a published version that is not signed. One that is signed, by whatever key, stays as it is."""
    if desired.signing_key is None:
        return
    if published.signed is None:
        yield Change("sign", desired.subject, sign, {"signed": None}, {"signed": key}, f"with the key {key}")
    elif published.signed["fingerprint"] is None:
        name = signature_file(published.manifest.image, published.manifest.version)
        raise Damaged(
            f"{name} in {published.pool_path} is not an SSH signature; restore it from another copy of the version, or "
            "remove it and run again to sign anew"
        )

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS between the hosts: both sides show a certificate of the deployment's own authority, and trust no other.

A client also looks whether the certificate is for the address that it called (RFC 9110, section 4.3.4). No session is
resumed: each connection is checked against the dates of the certificates anew.
"""

from __future__ import annotations

import ssl

from ..errors import Damaged

Context = ssl.SSLContext


def server_context(certificate: str, key: str, authority: str) -> Context:
    """Return what a server needs; the arguments are paths of PEM files. Raises Damaged when one cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return _with_files(context, certificate, key, authority)


def client_context(certificate: str, key: str, authority: str) -> Context:
    """Return what a client needs; the arguments are paths of PEM files. Raises Damaged when one cannot be used."""
    return _with_files(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key, authority)


def renew(context: Context, certificate: str, key: str) -> None:
    """Let the context show another certificate of the same authority, to whom it meets from now on."""
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise _unusable(error, certificate, key) from None


def _with_files(context: Context, certificate: str, key: str, authority: str) -> Context:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    renew(context, certificate, key)
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise _unusable(error, authority) from None
    return context


def _unusable(error: OSError, *paths: str) -> Damaged:
    return Damaged(f"{' and '.join(paths)} cannot be used for TLS ({error}); run the role goldsmith.images.seed anew")

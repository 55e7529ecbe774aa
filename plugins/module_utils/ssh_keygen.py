# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenSSH's ssh-keygen: signs, and checks signatures (ssh-keygen(1), options -Y). The one place that runs it.

It never asks for a passphrase: it has no terminal, and no program that would ask for one.
"""

from __future__ import annotations

import os
import re
import tempfile

from .commands import run_command
from .errors import BadInput, NotFound, ToolFailed

_PROGRAM = "ssh-keygen"
_NEVER_ASK = {"SSH_ASKPASS_REQUIRE": "never", "SSH_ASKPASS": "", "DISPLAY": ""}
_FINGERPRINT = re.compile(r"^\d+ (SHA256:\S+) ")
# What says of a signature only that it does not pass, not why.
_NO_REASON = ("No principal matched.", "Could not verify signature.")


def fingerprint(key: str) -> str:
    """Return the fingerprint (C(SHA256:...)) of a key file, private or public. Raises NotFound and BadInput."""
    if not os.path.exists(key):
        raise NotFound(f"signing_key: there is no file {key} on this host; give the path of an OpenSSH key there")
    try:
        found = _FINGERPRINT.match(
            run_command([_PROGRAM, "-l", "-E", "sha256", "-f", key], _NEVER_ASK, own_session=True)
        )
    except ToolFailed as error:
        if not error.said:
            raise
        found = None
    if found is None:
        raise BadInput(
            f"signing_key: {key} is not an OpenSSH key that can be read; give a key as ssh-keygen makes it, with its "
            "public key (.pub) beside it when it is in PEM format"
        )
    return found[1]


def sign(data: bytes, key: str, namespace: str) -> bytes:
    """Return the signature (PROTOCOL.sshsig, with armor) of the data by a key file.

    A public key means the private key beside it, or one that an ssh-agent holds (SSH_AUTH_SOCK). Raises BadInput when
    no private key can be used without asking for a passphrase.
    """
    try:
        return run_command(
            [_PROGRAM, "-Y", "sign", "-q", "-f", key, "-n", namespace], _NEVER_ASK, stdin=data, own_session=True
        ).encode("ascii")
    except ToolFailed as error:
        reason = _why_not_signed(key, error.said)
        if reason is None:
            raise
        raise BadInput(f"signing_key: {reason}") from None


def _why_not_signed(key: str, said: str) -> str | None:
    agent = "there is no ssh-agent (SSH_AUTH_SOCK is not set for this task)"
    if os.environ.get("SSH_AUTH_SOCK"):
        agent = f"the ssh-agent at {os.environ['SSH_AUTH_SOCK']} does not hold it"
    if "passphrase" in said:
        return (
            f"{key} is protected by a passphrase, which nobody is asked for here, and {agent}; load the key into an "
            "ssh-agent and let this task reach it (docs/signed-images.md), or use a key without a passphrase"
        )
    if "UNPROTECTED PRIVATE KEY" in said:
        return f"{key} can be read by others than its owner, and ssh-keygen refuses such a key; set its mode to 0600"
    if "No private key found" in said:
        return (
            f"the private key of {key} does not lie beside it, and {agent}; load the key into an ssh-agent and let "
            "this task reach it (docs/signed-images.md), or give the path of the private key"
        )
    return None


class Signature:
    """A signature to be checked, with the allowed signers (ssh-keygen(1), ALLOWED SIGNERS), in files for the block."""

    def __init__(self, signature: bytes, namespace: str, allowed_signers: bytes) -> None:
        self._content = {"signature": signature, "allowed_signers": allowed_signers}
        self._namespace = namespace

    def __enter__(self) -> Signature:
        self._directory = tempfile.TemporaryDirectory(prefix="goldsmith-signature-")
        for name, content in self._content.items():
            with open(self._path(name), "wb") as stream:
                stream.write(content)
        return self

    def __exit__(self, *_error: object) -> None:
        self._directory.cleanup()

    def fits(self, data: bytes) -> bool:
        """Whether it is a signature of the data, by whichever key."""
        arguments = ["-Y", "check-novalidate", "-n", self._namespace, "-s", self._path("signature")]
        return self._refusal(arguments, data) is None

    def principals(self) -> tuple[list[str], str]:
        """Return whom of the allowed signers the key belongs to; and when it is nobody, why, as far as that is said."""
        files = ["-s", self._path("signature"), "-f", self._path("allowed_signers")]
        try:
            return self._run(["-Y", "find-principals", *files]).split(), ""
        except ToolFailed as error:
            if not error.said:
                raise
            return [], self._reason(error.said)

    def refusal(self, data: bytes, principal: str) -> str | None:
        """Return why it does not pass as a signature of the data by the allowed signer; None when it does."""
        files = ["-s", self._path("signature"), "-f", self._path("allowed_signers")]
        return self._refusal(["-Y", "verify", "-n", self._namespace, "-I", principal, *files], data)

    def _refusal(self, arguments: list[str], data: bytes) -> str | None:
        try:
            self._run(arguments, data)
        except ToolFailed as error:
            if not error.said:
                raise
            return self._reason(error.said)
        return None

    def _run(self, arguments: list[str], data: bytes = b"") -> str:
        return run_command([_PROGRAM, *arguments], _NEVER_ASK, stdin=data, own_session=True)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory.name, name)

    def _reason(self, said: str) -> str:
        lines = [line for line in said.splitlines() if line not in _NO_REASON]
        return "; ".join(lines).replace(self._path("allowed_signers") + ":", "line ")

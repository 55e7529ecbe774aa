# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong, as exceptions.

Every error names the thing, what was found, what was expected and what to do next. Its C(error_code) is
stable: playbooks may test for it. Only reconcile.py turns an error into C(fail_json).
"""

from __future__ import annotations

import errno
from typing import Any


class ImagesError(Exception):
    """Base of all errors that a user can cause or meet."""

    error_code = "error"

    def __init__(self, message: str, users: list[str] | None = None, facts: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.users = users or []
        self.facts = facts or {}


class BadInput(ImagesError):
    """An option's value cannot be used, whatever the host looks like."""

    error_code = "bad_input"


class Refused(ImagesError):
    """A rule of the desktop types forbids it (desktop_types.py)."""

    error_code = "refused_by_rule"


class Conflict(ImagesError):
    """What exists contradicts what is wanted, and cannot be changed into it."""

    error_code = "conflict"


class InUse(ImagesError):
    """Something else uses the thing; C(users) names each user."""

    error_code = "in_use"


class NotFound(ImagesError):
    """A thing that the request needs does not exist."""

    error_code = "not_found"


class WrongState(ImagesError):
    """The thing exists, but must be in another state first (a running VM, an inactive pool)."""

    error_code = "wrong_state"


class NoSpace(ImagesError):
    """Not enough free space; the message gives needed and free bytes."""

    error_code = "no_space"


class Damaged(ImagesError):
    """Content does not have the size, checksum or format that it should have."""

    error_code = "damaged"


class Untrusted(ImagesError):
    """An image is not signed by a trusted signer, or is not what was signed."""

    error_code = "untrusted"


class Busy(ImagesError):
    """Another run holds the lock of the same thing."""

    error_code = "busy"


class TimedOut(ImagesError):
    """Waited for something that did not come; the message says for what and what was last seen."""

    error_code = "timed_out"


class ToolFailed(ImagesError):
    """An outside program ended with an error; I(said) is what it said, empty when it did not even start."""

    error_code = "tool_failed"

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class GuestFailed(ImagesError):
    """A command in a guest ended with an error."""

    error_code = "guest_failed"


class PushFailed(ImagesError):
    """A version did not prove itself on a desktop; C(facts) say what each desktop of the pool runs."""

    error_code = "push_failed"


class Unreachable(ImagesError):
    """libvirt or a guest agent cannot be reached."""

    error_code = "unreachable"


class PermissionDenied(ImagesError):
    """The user of the connection may not do this."""

    error_code = "permission_denied"


class LibvirtFailed(ImagesError):
    """libvirt refused or failed a call for a reason of its own."""

    error_code = "libvirt_failed"


class FileFailed(ImagesError):
    """The operating system refused or failed to read or write a file."""

    error_code = "file_failed"


class CheckModeWrite(AssertionError):
    """A write was attempted in check mode: always a bug of this collection, never the user's."""


def from_os_error(error: OSError) -> ImagesError:
    """Return what the operating system's error means to a user."""
    message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(f"no permission on this host: {message}; run the task with become: true")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"the file system is full: {message}; make room and run again")
    return FileFailed(message)

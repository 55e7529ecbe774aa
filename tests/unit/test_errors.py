# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors have stable codes, each its own."""

from __future__ import annotations

import errno
import inspect

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import errors

KINDS = [
    kind
    for _name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.ImagesError) and kind is not errors.ImagesError
]


def test_error_codes_are_stable():
    assert sorted(kind.error_code for kind in KINDS) == [
        "bad_input",
        "busy",
        "conflict",
        "damaged",
        "file_failed",
        "guest_failed",
        "in_use",
        "libvirt_failed",
        "no_space",
        "not_found",
        "permission_denied",
        "push_failed",
        "refused_by_rule",
        "timed_out",
        "tool_failed",
        "unreachable",
        "untrusted",
        "wrong_state",
    ]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/golden"),
            "permission_denied",
            "no permission on this host: /srv/golden: Permission denied; run the task with become: true",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/srv/golden/x"),
            "no_space",
            "the file system is full: /srv/golden/x: No space left on device; make room and run again",
        ),
        (OSError(errno.EIO, "Input/output error", "/srv/x"), "file_failed", "/srv/x: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "file_failed", "[Errno 5] Input/output error"),
    ],
)
def test_operating_system_errors_are_told_in_our_words(error, code, message):
    told = errors.from_os_error(error)

    assert (told.error_code, str(told)) == (code, message)


def test_check_mode_write_is_no_error_of_the_user():
    assert not issubclass(errors.CheckModeWrite, errors.ImagesError)

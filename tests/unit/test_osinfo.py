# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which known OS stands in for an unknown one; the releases are some of Debian 12's osinfo-db."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.osinfo import Release, profile_of

KNOWN = [
    Release(short_id, released)
    for short_id, released in (
        ("debian9", "2017-06-17"),
        ("debian10", "2019-07-06"),
        ("debian11", "2021-08-14"),
        ("debian1.1", "1996-06-17"),
        ("debiantesting", ""),
        ("ubuntu22.04", "2022-04-21"),
        ("ubuntu21.10", "2021-10-14"),
        ("fedora4", "2005-06-13"),
        ("fedora37", "2022-11-15"),
        ("rhel8.7", "2022-11-09"),
        ("rhel9.0", "2022-05-17"),
        ("rhel9-unknown", ""),
        ("sle15sp3", "2021-06-21"),
        ("win10", "2018-11-13"),
        ("win11", "2021-10-05"),
        ("win2k22", "2021-08-18"),
        ("win2k19", "2018-11-13"),
        ("generic", ""),
    )
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("debian10", "debian10"),
        ("debiantesting", "debiantesting"),
        ("debian12", "debian11"),
        ("ubuntu24.04", "ubuntu22.04"),
        ("fedora41", "fedora37"),
        ("rhel9.7", "rhel9.0"),
        ("rhel10.0", "rhel8.7"),
        ("sle15sp6", "sle15sp3"),
        ("win12", "win11"),
        ("win2k25", "win2k22"),
        ("plan9", "generic"),
        ("windows", "generic"),
        ("12", "generic"),
        ("generic", "generic"),
    ],
)
def test_newest_relative_stands_in(asked, expected):
    assert profile_of(asked, KNOWN) == expected


def test_empty_database_fails_nobody():
    assert profile_of("debian12", []) == "generic"

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about an image pool: tables, without libvirt."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Conflict, InUse
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.pools import StoragePool
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool import (
    OPTIONS,
    Current,
    Desired,
    ImagePool,
)


def options(**given):
    return {name: spec.get("default") for name, spec in OPTIONS.items()} | given


def desired(**given) -> Desired:
    return Desired.from_params(options(**{"name": "golden", "path": "/srv/golden", **given}))


def pool(**given) -> StoragePool:
    there = {"name": "golden", "type": "dir", "path": "/srv/golden", "active": True, "autostart": True}
    return StoragePool(**(there | given))


def sentences(wanted: Desired, current: Current) -> list[str]:
    return [change.sentence for change in ImagePool(None).plan(wanted, current)]


@pytest.mark.parametrize(
    ("given", "current", "expected"),
    [
        (
            {},
            Current(None, None),
            [
                "define image pool golden (at /srv/golden)",
                "build image pool golden",
                "start image pool golden",
                "autostart image pool golden",
            ],
        ),
        ({"autostart": False}, Current(None, None), ["define", "build", "start"]),
        ({}, Current(pool(), None), []),
        ({"path": "/srv/golden/"}, Current(pool(), None), []),
        ({}, Current(pool(active=False), None), ["start image pool golden"]),
        ({}, Current(pool(autostart=False), None), ["autostart image pool golden"]),
        ({"autostart": False}, Current(pool(), None), ["stop autostarting image pool golden"]),
        ({}, Current(pool(active=False, autostart=False), None), ["start", "autostart"]),
        ({}, Current(pool(), "other"), []),
        ({"state": "absent"}, Current(None, None), []),
        (
            {"state": "absent", "path": None},
            Current(pool(), None),
            ["stop image pool golden", "undefine image pool golden"],
        ),
        ({"state": "absent"}, Current(pool(active=False), None), ["undefine image pool golden"]),
        (
            {"state": "absent", "remove_images": True},
            Current(pool(), None, ("desktop image office 1.0",)),
            ["remove contents of image pool golden", "stop image pool golden", "undefine image pool golden"],
        ),
    ],
)
def test_plan(given, current, expected):
    found = sentences(desired(**given), current)

    assert len(found) == len(expected)
    assert all(sentence.startswith(beginning) for sentence, beginning in zip(found, expected)), found


@pytest.mark.parametrize(
    ("given", "current", "message"),
    [
        (
            {},
            Current(None, "backup"),
            "/srv/golden belongs to storage pool backup already; use that pool, or give image pool golden another path",
        ),
        (
            {},
            Current(pool(path="/srv/old"), None),
            "image pool golden lies at /srv/old, not /srv/golden; a pool is not moved: give it another name, "
            "or move it by hand",
        ),
        (
            {"type": "fs", "source_path": "/dev/vdb"},
            Current(pool(), None),
            "storage pool golden is of type dir, not fs; say type: dir, or give the image pool another name",
        ),
        (
            {"type": "netfs", "source_host": "nas", "source_path": "/export"},
            Current(pool(type="netfs", source_host="old", source_path="/export"), None),
            "image pool golden has source_host old, not nas; a pool keeps its source: give the new one another name",
        ),
    ],
)
def test_what_exists_otherwise_is_a_conflict(given, current, message):
    with pytest.raises(Conflict) as caught:
        sentences(desired(**given), current)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "current", "message", "users"),
    [
        (
            {},
            Current(pool(), None, ("desktop image office 1.0", "tool image virtio")),
            "image pool golden is not removed: it holds desktop image office 1.0, tool image virtio; "
            "remove them first, or say remove_images: true to remove them with the pool",
            ["desktop image office 1.0", "tool image virtio"],
        ),
        (
            {"remove_images": True},
            Current(pool(), None, ("desktop image office 1.0",), ("desktop acct-001",)),
            "image pool golden is not removed: desktop acct-001 use files in /srv/golden; remove them first",
            ["desktop acct-001"],
        ),
    ],
)
def test_pool_that_is_needed_is_not_removed(given, current, message, users):
    with pytest.raises(InUse) as caught:
        sentences(desired(state="absent", **given), current)

    assert str(caught.value) == message
    assert caught.value.users == users


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "golden"}, "path: 'golden' is not an absolute path, as /srv/golden"),
        ({"name": "a/b"}, "name: 'a/b' cannot be used as a name"),
        ({"name": ""}, "name: '' cannot be used as a name"),
    ],
)
def test_bad_option_is_named(given, message):
    with pytest.raises(BadInput) as caught:
        desired(**given)

    assert message in str(caught.value)


def test_diff_of_an_existing_pool_shows_only_what_changes():
    changes = list(ImagePool(None).plan(desired(), Current(pool(active=False, autostart=False), None)))

    assert [(change.before, change.after) for change in changes] == [
        ({"active": False}, {"active": True}),
        ({"autostart": False}, {"autostart": True}),
    ]

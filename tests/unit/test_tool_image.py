# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about a tool image: tables, without libvirt."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.tool_images import (
    Description,
    Origin,
    ToolImage,
    ToolRecord,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.tool_sources import HostSource, Offer, WebSource
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, InUse
from ansible_collections.goldsmith.images.plugins.module_utils.resources.tool_image import (
    OPTIONS,
    ContentNeeded,
    Current,
    Desired,
    ToolImageInPool,
)

OLD, NEW = "aa" * 32, "bb" * 32
URL = "https://example.com/virtio.iso"
RECORD = ToolRecord(
    "virtio",
    OLD,
    4096,
    1,
    Description("drivers", "1.0", "for Windows"),
    Origin(URL, etag='"1"'),
    "2026-01-31T08:00:00Z",
)


def options(**given):
    return {name: spec.get("default") for name, spec in OPTIONS.items()} | given


def desired(**given) -> Desired:
    return Desired.from_params(options(**{"name": "virtio", "pool": "golden", "url": URL, **given}))


def image(sha256=OLD, record=RECORD) -> ToolImage:
    return ToolImage("virtio", "/srv/golden/tool-virtio.iso", 4096, sha256, record)


def plan(wanted: Desired, current: Current):
    return list(ToolImageInPool(None).plan(wanted, current))


ABSENT = {"state": "absent", "url": None}
THERE = {"sha256": OLD, "kind": "drivers", "version": "1.0", "description": "for Windows", "source": URL}


@pytest.mark.parametrize(
    ("given", "current", "sentence", "before", "after"),
    [
        (
            {},
            Current(),
            f"add tool image virtio (from {URL})",
            None,
            {"kind": "software", "version": "", "description": "", "source": URL},
        ),
        (
            {"checksum": f"sha256:{NEW}", "kind": "os", "source": "the vendor"},
            Current(),
            "add tool image virtio (from the vendor)",
            None,
            {"kind": "os", "version": "", "description": "", "source": "the vendor", "sha256": NEW},
        ),
        (
            {"checksum": f"sha256:{NEW}", "version": "2.0"},
            Current(image()),
            f"replace tool image virtio (from {URL})",
            THERE,
            {"sha256": NEW, "kind": "drivers", "version": "2.0", "description": "for Windows", "source": URL},
        ),
        (
            {},
            Current(image(record=None)),
            f"replace tool image virtio (from {URL})",
            {"sha256": OLD},
            {"kind": "software", "version": "", "description": "", "source": URL},
        ),
        (
            {"version": "2.0", "kind": "drivers", "description": ""},
            Current(image(), is_wanted=True),
            "describe tool image virtio",
            {"version": "1.0", "description": "for Windows"},
            {"version": "2.0", "description": ""},
        ),
        (
            {"kind": "os"},
            Current(image(record=None), is_wanted=True, users=("domain a",)),
            "record tool image virtio",
            {"recorded": False},
            {"kind": "os", "version": "", "description": ""},
        ),
        (
            {},
            Current(image(sha256=NEW), is_wanted=True),
            "record tool image virtio",
            {"recorded": False},
            {"kind": "drivers", "version": "1.0", "description": "for Windows"},
        ),
        (ABSENT, Current(image()), "remove tool image virtio", THERE, None),
        (
            ABSENT,
            Current(leftovers=("/srv/golden/tool-virtio.json",)),
            "remove tool image virtio",
            {"leftovers": ["/srv/golden/tool-virtio.json"]},
            None,
        ),
    ],
)
def test_one_change(given, current, sentence, before, after):
    (change,) = plan(desired(**given), current)

    assert (change.sentence, change.before, change.after) == (sentence, before, after)


@pytest.mark.parametrize(
    ("given", "current"),
    [
        ({}, Current(image(), is_wanted=True)),
        ({"kind": "drivers", "version": "1.0"}, Current(image(), is_wanted=True, users=("domain a",))),
        (ABSENT, Current()),
    ],
)
def test_no_change(given, current):
    assert plan(desired(**given), current) == []


@pytest.mark.parametrize(("given", "verb"), [({}, "replaced"), (ABSENT, "removed")])
def test_mounted_tool_image_stays_and_its_users_are_named(given, verb):
    users = ("source VM office-src", "domain web1")
    with pytest.raises(InUse) as caught:
        plan(desired(**given), Current(image(), users=users))

    assert str(caught.value) == (
        f"tool image virtio is not {verb}: it is used by source VM office-src, domain web1; unmount it there, or let "
        "that end, first"
    )
    assert caught.value.users == list(users)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "../x"}, "name: '../x' cannot be used as a name"),
        (
            {"url": "ftp://example.com/x"},
            "url: 'ftp://example.com/x' is not an address of a web server; it begins with",
        ),
        ({"url": "/srv/x.iso"}, "url: '/srv/x.iso' is not an address of a web server"),
        ({"url": None, "src": "x.iso", "remote_src": True}, "src: 'x.iso' is not an absolute path; with remote_src"),
        ({"checksum": "md5:0"}, "checksum: 'md5:0' is not a checksum"),
        ({"size": 0}, "size: 0 is not a number of bytes; it is at least 1"),
        ({"timeout": 0}, "timeout: 0 is not a number of seconds; it is at least 1"),
    ],
)
def test_bad_option_is_named(given, message):
    with pytest.raises(BadInput) as caught:
        desired(**given)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({}, WebSource(URL, URL, 30)),
        (
            {"url": "https://me:secret@example.com/x", "timeout": 5},
            WebSource("https://me:secret@example.com/x", "https://example.com/x", 5),
        ),
        ({"url": None, "src": "/srv/x.iso", "remote_src": True}, HostSource("/srv/x.iso", "/srv/x.iso")),
        (
            {"url": None, "src": "/root/up", "remote_src": True, "source": "files/x.iso"},
            HostSource("/root/up", "files/x.iso"),
        ),
        ({"url": None, "src": "files/x.iso"}, None),
    ],
)
def test_content_comes_from_where_the_options_say(given, content):
    assert desired(**given).content == content


def test_content_on_the_controller_is_asked_for_before_anything_is_written():
    (change,) = plan(desired(url=None, src="files/x.iso"), Current())
    with pytest.raises(ContentNeeded):
        change.apply()


class Asked(WebSource):
    """A source that answers what it is given, and counts."""

    answer = Offer(Origin(URL, etag='"1"'), None, 4096)
    times = 0

    def offer(self, record):
        Asked.times += 1
        return self.answer


@pytest.mark.parametrize(
    ("checksum", "there", "answer", "is_wanted", "times"),
    [
        (None, None, None, False, 0),
        (OLD, image(), None, True, 0),
        (NEW, image(), None, False, 0),
        (None, image(), Offer(Origin(URL, etag='"1"'), None, 4096), True, 1),
        (None, image(), Offer(Origin(URL, etag='"1"'), None, None), True, 1),
        (None, image(), Offer(Origin(URL, etag='"1"'), None, 4097), False, 1),
        (None, image(), Offer(Origin(URL, etag='"2"'), None, 4096), False, 1),
        (None, image(), Offer(Origin("https://other", etag='"1"'), None, 4096), False, 1),
        (None, image(record=None), Offer(Origin(URL, etag='"1"'), None, 4096), False, 1),
        (None, image(sha256=NEW), Offer(Origin(URL, etag='"1"'), None, 4096), False, 1),
        (None, image(), Offer(Origin("/srv/x.iso", modified=2), OLD, 4096), True, 1),
        (None, image(), Offer(Origin("/srv/x.iso", modified=2), NEW, 4096), False, 1),
    ],
)
def test_content_is_compared_by_the_cheapest_sure_means(monkeypatch, checksum, there, answer, is_wanted, times):
    monkeypatch.setattr(Asked, "answer", answer)
    monkeypatch.setattr(Asked, "times", 0)
    wanted = Desired("virtio", "golden", content=Asked(URL, URL, 30), source=URL, checksum=checksum)
    resource = ToolImageInPool(None)

    assert resource._is_wanted(wanted, there) is is_wanted
    assert resource._is_wanted(wanted, there) is is_wanted
    assert Asked.times == times

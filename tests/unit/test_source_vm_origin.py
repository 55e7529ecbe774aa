# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a source VM comes from: options in tables."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_origin import (
    OPTIONS,
    ForeignSource,
    ImageReference,
    Origin,
    rule_of,
)

NOTHING = {name: spec.get("default") for name, spec in OPTIONS.items()} | {"name": "src", "disks": None}
BLANK = {name: spec.get("default") for name, spec in OPTIONS["source"]["options"].items()}
OVA = {"ova": "/srv/office.ova"}
DISK = {"disk": "/srv/office.vhd"}


def origin(source=None, **given) -> Origin:
    return Origin.from_params(NOTHING | {"source": source and BLANK | source} | given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Origin()),
        ({"source": OVA}, Origin(source=ForeignSource("ova", "/srv/office.ova"))),
        (
            {"source": DISK | {"format": "vhd", "bus": "sata"}, "guest_conversion": "virt_v2v"},
            Origin(source=ForeignSource("disk", "/srv/office.vhd", "vhd", bus="sata"), guest_conversion=True),
        ),
        (
            {"source": OVA | {"configuration": "small", "system": "a", "networks": {"LAN": "default"}}},
            Origin(source=ForeignSource("ova", "/srv/office.ova", None, "small", "a", (("LAN", "default"),))),
        ),
        ({"clone_of": "office-src"}, Origin(clone_of="office-src")),
        ({"from_image": "office@1.10"}, Origin(image=ImageReference("office", Version(1, 10), None))),
        ({"from_image": "office@stable"}, Origin(image=ImageReference("office", None, "stable"))),
        ({"adopt": True, "disks": [{}]}, Origin(adopt=True)),
    ],
)
def test_origin(given, expected):
    assert origin(**given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": OVA, "clone_of": "x"}, "source and clone_of exclude each other"),
        ({"from_image": "a@1.0", "adopt": True}, "from_image and adopt exclude each other"),
        ({"source": OVA, "disks": []}, "disks and source exclude each other"),
        ({"clone_of": "x", "disks": []}, "disks and clone_of exclude each other"),
        ({"clone_of": "src"}, "src cannot be a clone of itself"),
        ({"clone_of": "a/b"}, "clone_of: 'a/b' cannot be used as a name"),
        ({"guest_conversion": "virt_v2v"}, "virt_v2v converts the guest of a source; say source"),
        ({"source": {"ova": "office.ova"}}, "source.ova: 'office.ova' is not an absolute path, as /srv/office.ova"),
        ({"source": OVA | {"format": "vmdk"}}, "source.format: the descriptor of the ova says it"),
        ({"source": DISK | {"system": "a"}}, "source.system: a single disk has none"),
        ({"source": DISK | {"keep_macs": True}}, "source.keep_macs: a single disk has none"),
        ({"from_image": "office"}, "'office' names no version; say IMAGE@VERSION or IMAGE@MARKER"),
        ({"from_image": "office@"}, "from_image: '' cannot be used as a name"),
        ({"from_image": "tool-x@1.0"}, "'tool-x' cannot name a desktop image"),
        ({"from_image": "../x@1.0"}, "from_image: '../x' cannot be used as a name"),
    ],
)
def test_what_does_not_go_together(given, message):
    with pytest.raises(BadInput, match=message):
        origin(**given)


@pytest.mark.parametrize(
    ("recorded", "operation"),
    [
        ("ova /srv/disk new.ova", "create a source VM from an appliance"),
        ("ovf /srv/x.ovf", "create a source VM from an appliance"),
        ("disk /srv/x.vhd", "create a source VM from a disk"),
        ("new", "create a source VM"),
        ("clone of ova", "create a source VM"),
        ("", "create a source VM"),
    ],
)
def test_rule_follows_the_vm(recorded, operation):
    """A VM from an appliance does not become an IDV one by a later edit of its type."""
    assert rule_of(recorded) == operation

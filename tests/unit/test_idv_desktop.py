# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change for an endpoint to keep its desktop: tables, without an endpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest
from desktop_pools import desktop, manifest

from ansible_collections.goldsmith.images.plugins.module_utils.collection import VERSION
from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.updates import ImageVersion, Record, Update
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Conflict, Refused
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources.host_program import digest_of
from ansible_collections.goldsmith.images.plugins.module_utils.resources.idv_desktop import OPTIONS, IdvDesktop
from ansible_collections.goldsmith.images.plugins.module_utils.resources.idv_desktop_host import Current, told
from ansible_collections.goldsmith.images.plugins.module_utils.resources.idv_desktop_options import Desired
from ansible_collections.goldsmith.images.plugins.module_utils.resources.idv_desktop_unit import UNIT_TEXT
from ansible_collections.goldsmith.images.plugins.module_utils.systemd import UnitState

PROGRAM = b"the program"
NEW = ImageVersion("office", "1.1")
SINCE = "2026-01-31T08:00:00Z"
RUNS = UnitState("active", "running", enabled=True)


def desired(**given) -> Desired:
    options = {name: spec.get("default") for name, spec in OPTIONS.items()}
    first = {
        "name": "desk", "image_pool": "golden", "image": "office", "version": "1.1",
        "program_checksum": digest_of(PROGRAM),
    }  # fmt: skip
    return Desired.from_params({**options, **first, **given})


def endpoint(wanted: Desired | None = None, state: str = "active", **differing) -> Current:
    """Return an endpoint that is as wanted, but for what differs."""
    config = (wanted or desired()).config
    parts = {"program": PROGRAM, "unit": UNIT_TEXT.encode(), "configuration": config.to_json()}
    applied = {part: digest_of(parts[part]) for part in ("program", "unit")}
    record = Record((Update(NEW, state, SINCE),))
    return replace(Current("x86_64", parts, applied, RUNS, record, wanted=NEW), **differing)


def sentences(wanted: Desired, current: Current) -> list[str]:
    return [change.sentence for change in IdvDesktop(None).plan(wanted, current)]


def without(current: Current, part: str) -> Current:
    return replace(current, parts={name: data for name, data in current.parts.items() if name != part})


def failed_desktop(version: str):
    one = desktop()
    facts = {**one.facts, "failed": f"golden/office@{version}"}
    return replace(one, domain=replace(one.domain, mark=Mark("desktop", facts)))


INSTALL = f"install program goldsmith-endpoint ({VERSION})"
WRITE_UNIT = "write unit goldsmith-endpoint.service"
CONFIGURE = "write configuration of goldsmith-endpoint"
RETRY = "retry office 1.1 on desktop acct-001"
WAIT = "wait for office 1.1 on desktop desk"


@pytest.mark.parametrize(
    ("options", "current", "expected"),
    [
        ({}, endpoint(), []),
        (
            {},
            Current("x86_64"),
            [INSTALL, WRITE_UNIT, CONFIGURE, "enable unit goldsmith-endpoint.service", "start goldsmith-endpoint"],
        ),
        (
            {},
            without(endpoint(), "unit"),
            [WRITE_UNIT, "restart goldsmith-endpoint (changed: unit)"],
        ),
        # What it is told, the program reads by itself.
        ({"restore": "on_restart"}, endpoint(), [CONFIGURE]),
        # A run that broke off before it told systemd is not forgotten.
        ({}, endpoint(applied={}), ["restart goldsmith-endpoint (changed: program, unit)"]),
        ({}, endpoint(unit=UnitState("failed", "failed", enabled=True)), ["start goldsmith-endpoint"]),
        ({"wait": True}, endpoint(), []),
        ({"wait": True}, endpoint(state="waiting_for_restart"), [WAIT]),
        ({"wait": True}, endpoint(record=Record()), [WAIT]),
        ({"retry": True}, endpoint(state="failed", desktop=failed_desktop("1.1")), [RETRY]),
        ({"retry": True}, endpoint(state="failed", desktop=failed_desktop("1.2")), []),
        ({}, endpoint(state="failed", desktop=failed_desktop("1.1")), []),
        ({}, endpoint(manifest=manifest("1.1", desktop_type="idv")), []),
    ],
)  # fmt: skip
def test_what_has_to_change(options, current, expected):
    assert sentences(desired(**options), current) == expected


def test_diff_tells_of_the_configuration_by_its_keys():
    [change] = IdvDesktop(None).plan(desired(apply="now"), endpoint())

    assert (change.before["apply"], change.after["apply"]) == ("on_restart", "now")


@pytest.mark.parametrize(
    ("current", "error", "said"),
    [
        (endpoint(desired(name="other")), Conflict, "this endpoint has the desktop other, not desk"),
        (endpoint(foreign="desk"), Conflict, "desk already exists on this host and is no desktop of an endpoint"),
        (
            endpoint(manifest=manifest("1.1")),
            Refused,
            "only IDV desktop images run in a VM on endpoints; 'office' is of",
        ),
        (
            endpoint(architecture="aarch64", manifest=manifest("1.1", desktop_type="idv")),
            Refused,
            "ARM hosts support VDI desktop images only; 'office' is of type idv",
        ),
        (
            endpoint(architecture="ppc64le", manifest=manifest("1.1", desktop_type="idv")),
            Refused,
            "image office 1.1 is made for x86_64, and this endpoint is ppc64le",
        ),
    ],
)
def test_what_cannot_be_is_refused(current, error, said):
    with pytest.raises(error, match=said):
        sentences(desired(), current)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "Desk 1"}, "name: 'Desk 1' is not a host name"),
        ({"name": "desk-"}, "name: 'desk-' is not a host name"),
        ({"version": "1"}, "version: '1' is not a version"),
        ({"vcpus": 0}, "vcpus: 0 is not a number of processors"),
        ({"memory": "2 blue"}, "memory: '2 blue' is not a size"),
        ({"data_disk": {"size": "5"}}, "data_disk.size: '5' is 5 bytes, too little"),
        ({"agent_deadline": -1}, "agent_deadline: -1 is not a number of seconds"),
        ({"image": "../x"}, "image"),
    ],
)
def test_what_cannot_be_used_is_told(options, said):
    with pytest.raises(BadInput, match=said):
        desired(**options)


def test_removal_of_what_is_not_there_is_no_change():
    assert sentences(Desired(present=False), Current("x86_64")) == []


def test_both_twins_tell_the_update_and_what_lies_here():
    result = told(endpoint(versions=("1.0", "1.1")))

    assert (result["name"], result["version"], result["versions"]) == ("desk", "1.1", ["1.0", "1.1"])
    assert (result["update"]["state"], result["update"]["to"]) == ("active", {"image": "office", "version": "1.1"})
    assert result["history"] == [result["update"]]
    assert told(Current("x86_64")) is None

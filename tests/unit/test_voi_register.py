# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The register of a boot server: what its web server noted, whatever machines say of themselves."""

from __future__ import annotations

import json

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import NotFound
from ansible_collections.goldsmith.images.plugins.module_utils.resources.voi_register import collect, machines


def line(time: str, path: str = "/register", address: str = "10.7.0.23", **told: str) -> str:
    noted = {"time": time, "address": address, "path": path}
    return json.dumps(noted | dict.fromkeys(("mac", "uuid", "vendor", "product", "serial"), "") | told)


STRANGER = {"mac": "52-54-00-00-00-99", "vendor": "Dell%20Inc.", "product": "OptiPlex%207010", "serial": "CQ0WM32"}


def test_stranger_tells_its_make_and_is_counted():
    lines = [
        line("2026-01-31T09:00:00+01:00", uuid="4c4c4544-0051", **STRANGER),
        line("2026-01-31T08:05:00+00:00", address="10.7.0.24", **STRANGER),
    ]

    assert machines(lines, set()) == [
        {
            "mac": "52:54:00:00:00:99",
            "known": False,
            "address": "10.7.0.24",
            "uuid": "4c4c4544-0051",
            "vendor": "Dell Inc.",
            "product": "OptiPlex 7010",
            "serial": "CQ0WM32",
            "first_seen": "2026-01-31T08:00:00Z",
            "last_seen": "2026-01-31T08:05:00Z",
            "count": 2,
        }
    ]


def test_endpoint_is_known_by_its_script_and_keeps_what_it_told_before():
    lines = [
        line("2026-01-31T08:00:00+00:00", **STRANGER),
        line("2026-01-31T08:10:00+00:00", path="/mac/52-54-00-00-00-99.ipxe"),
    ]

    (machine,) = machines(lines, {"52-54-00-00-00-99"})

    assert (machine["known"], machine["serial"], machine["count"]) == (True, "CQ0WM32", 2)


def test_endpoint_whose_script_is_gone_is_not_known():
    (machine,) = machines([line("2026-01-31T08:10:00+00:00", path="/mac/52-54-00-00-00-99.ipxe")], set())

    assert not machine["known"]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        '{"time": "2026-01-',
        "[]",
        "null",
        '{"time": "2026-01-31T08:00:00+00:00"}',
        line("yesterday", **STRANGER),
        line("2026-01-31T08:00:00+00:00", mac="../../etc/passwd"),
        line("2026-01-31T08:00:00+00:00", path="/mac/../../../etc.ipxe"),
        line("2026-01-31T08:00:00+00:00").replace('"mac": ""', '"mac": 7'),
    ],
)
def test_line_that_is_none_is_passed_over(damaged):
    lines = [damaged, line("2026-01-31T08:00:00+00:00", **STRANGER)]

    assert [machine["mac"] for machine in machines(lines, set())] == ["52:54:00:00:00:99"]


def test_rotated_register_is_read_first(tmp_path):
    (tmp_path / "www" / "mac").mkdir(parents=True)
    (tmp_path / "register.jsonl.1").write_text(line("2026-01-30T08:00:00+00:00", **STRANGER) + "\n")
    (tmp_path / "register.jsonl").write_text(line("2026-01-31T08:00:00+00:00", **STRANGER) + "\n")

    (machine,) = collect({"directory": str(tmp_path)})["machines"]

    assert (machine["first_seen"], machine["last_seen"]) == ("2026-01-30T08:00:00Z", "2026-01-31T08:00:00Z")


def test_host_without_a_boot_server_is_told_so(tmp_path):
    with pytest.raises(NotFound, match="run role voi_boot on this host"):
        collect({"directory": str(tmp_path)})

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes the page of role report from given data, by the role's own tasks, and reads it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import example_fleet

from ansible_collections.goldsmith.images.plugins.plugin_utils.image_report import build_report

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Write one of the reports
      ansible.builtin.include_role:
        name: goldsmith.images.report
        tasks_from: write
      vars:
        report_name: "{{ item.name }}"
        report_title: "{{ item.title }}"
        _report_data: "{{ item.data }}"
      loop: "{{ reports }}"
      loop_control:
        label: "{{ item.name }}"
"""
# Closes what it may stand in, and tells when it was taken for anything but text.
INJECTION = "\"'></td></title></style><script>pwn()</script><img src=x onerror=pwn()><b onclick=pwn()>&lt;"
_KEYS_ARE_NAMES = ("copies", "labels", "desktops_by_host", "versions")
_NO_TEXT = ("state", "level")


def example_reports() -> list[dict[str, Any]]:
    """Return what three pages show: the example, the same with injections everywhere, and nothing at all."""
    data = build_report(example_fleet.fleet(), [*example_fleet.HOSTS, *example_fleet.ENDPOINTS])
    return [
        {"name": "example", "title": "Desktop images of Example Ltd", "data": data},
        {"name": "hostile", "title": INJECTION, "data": with_injections(data)},
        {"name": "empty", "title": "Desktop images", "data": build_report([], [])},
    ]


def write_reports(directory: Path, reports: list[dict[str, Any]], *arguments: str) -> str:
    """Write C(NAME.html) and C(NAME.json) of each report (name, title, data), and return what Ansible printed."""
    (directory / "playbook.yml").write_text(PLAYBOOK, encoding="utf-8")
    variables = {"reports": reports, "report_dest": str(directory / "out")}
    (directory / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory=localhost,"]
    command += [f"--extra-vars=@{directory / 'variables.json'}", *arguments, str(directory / "playbook.yml")]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "tests" / "integration" / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "dev"),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_injections(thing: Any, key: str = "") -> Any:
    """Return the report with an injection behind every text in it, names of hosts, images and pools included."""
    if isinstance(thing, str):
        return thing if key in _NO_TEXT else thing + INJECTION
    if isinstance(thing, list):
        return [with_injections(one) for one in thing]
    if isinstance(thing, dict):
        names = key in _KEYS_ARE_NAMES
        return {name + INJECTION * names: with_injections(value, name) for name, value in thing.items()}
    return thing


class Elements(HTMLParser):
    """The elements of a page: names with attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def foreign_elements(page: str) -> list[str]:
    """Return what is in the page that the template does not put there."""
    found = Elements(page).found
    strange = [tag for tag, _attributes in found if tag in ("img", "b", "iframe", "object", "embed", "form", "base")]
    strange += [f"{tag} {name}" for tag, attributes in found for name in attributes if name.startswith("on")]
    strange += ["script"] * (len([tag for tag, _attributes in found if tag == "script"]) - 1)
    for tag, attributes in found:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            if not (attributes.get(name) or "#").startswith("#"):
                strange.append(f"{tag} {name}={attributes[name]}")
    return strange

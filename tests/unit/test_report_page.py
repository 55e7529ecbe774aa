# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of role report, written by the role's own tasks. tests/integration/test_report.py looks at it in a
browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import page
import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.report_page import short_size


@pytest.fixture(scope="module")
def reports():
    """What the pages show: the example, the same with injections everywhere, and nothing at all."""
    return page.example_reports()


@pytest.fixture(scope="module")
def directory(reports, tmp_path_factory):
    made = tmp_path_factory.mktemp("report")
    page.write_reports(made, reports)
    return made


@pytest.fixture(scope="module")
def example(directory):
    return (directory / "out" / "example.html").read_text(encoding="utf-8")


def test_second_run_writes_nothing(directory, reports):
    assert re.search(r"localhost +: ok=\d+ +changed=0 ", page.write_reports(directory, reports))


def test_check_mode_tells_what_would_be_written(directory, reports):
    changed = [reports[2] | {"title": "Another title"}]
    told = page.write_reports(directory, changed, "--check", "--diff")

    assert re.search(r"localhost +: ok=\d+ +changed=1 ", told)
    assert "+<h1>Another title</h1>" in told
    assert "<h1>Desktop images</h1>" in (directory / "out" / "empty.html").read_text()


def test_check_mode_makes_no_directory(directory, reports):
    elsewhere = directory / "elsewhere"
    told = page.write_reports(directory, reports[2:], "--check", "--diff", f"--extra-vars=report_dest={elsewhere}")

    assert re.search(r"localhost +: ok=\d+ +changed=3 ", told)
    assert not elsewhere.exists()


def test_data_lies_beside_the_page(directory, reports):
    assert json.loads((directory / "out" / "example.json").read_text(encoding="utf-8")) == reports[0]["data"]


def test_page_needs_nothing_but_itself(example):
    assert page.foreign_elements(example) == []
    assert re.findall(r"url\(|@import|https?:", example) == []


def test_page_allows_its_own_script_and_no_other(example):
    (script,) = re.findall(r"<script>(.*?)</script>", example, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';" in example


def test_copy_on_its_way_tells_how_far_it_is_and_why_it_failed(example):
    assert 'title="hv-berlin-2: replicating, with 42 % here"' in example
    assert 'title="hv-lyon-1: retry pending, after 2 attempts with 42 % here: no space on /srv/golden"' in example


def test_every_host_is_named_and_every_finding_told(example, reports):
    for host in reports[0]["data"]["hosts"]:
        assert f'<th role="rowheader" scope="row" class="system">{host["name"]}' in example
    for image in reports[0]["data"]["images"]:
        assert f">{image['name']}</h3>" in example
    assert example.count("<li><svg") == len(reports[0]["data"]["attention"])
    assert "None" not in re.sub(r"<(style|script)>.*?</\1>", "", example, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (512, "512 bytes"), (1536, "1.5 KiB"), (1023 * 1024**2, "1023 MiB"), (2**40, "1 TiB")],
)
def test_sizes_are_short(size, text):
    assert short_size(size) == text


def test_empty_report_says_so(directory):
    text = (directory / "out" / "empty.html").read_text(encoding="utf-8")

    assert "No image pool that could be read holds a desktop image." in text
    assert "Nothing: every host was read" in text


def test_tables_have_headers_and_pictures_have_names(example):
    elements = page.Elements(example)

    assert all(cell.get("scope") in ("col", "row") for cell in elements.named("th"))
    assert len(elements.named("caption")) == len(elements.named("table"))
    assert all(one.get("aria-hidden") == "true" or one.get("aria-label") for one in elements.named("svg"))


def test_injections_are_text(directory):
    text = (directory / "out" / "hostile.html").read_text(encoding="utf-8")

    assert page.foreign_elements(text) == []
    assert "&lt;script&gt;pwn()&lt;/script&gt;" in text


def test_this_test_would_see_an_injection(example):
    assert page.foreign_elements(example.replace("<main>", f"<main>{page.INJECTION}")) == [
        "img", "b", "img onerror", "b onclick", "script", "img src=x"
    ]  # fmt: skip

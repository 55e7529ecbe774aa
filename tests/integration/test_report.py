# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report: read from real hosts, of which some are not there, and its page in Chromium.

The pictures are left in build/report, for people.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import browser
import example_fleet
import page
import pytest

POOL, PATH, VM = "reporttest", "/srv/reporttest", "reporttest-src"
# Written as {{ }} in a description, it must come out as it went in; so must markup.
DESCRIPTION = "<script>alert(1)</script> {{ 7 * 7 }}"
PICTURES = page.ROOT / "build" / "report"
PWN = "function pwn() { document.documentElement.setAttribute('data-pwned', 'yes'); }"

# Tells what is wider than the window, and text that is hard to read for its colour (WCAG 2.2, 1.4.3).
PROBE = """
addEventListener("load", function () {
  function numbers(color) { return color.match(/[0-9.]+/g).map(Number); }
  function light(color) {
    var parts = numbers(color).slice(0, 3).map(function (part) {
      part /= 255; return part <= .04045 ? part / 12.92 : Math.pow((part + .055) / 1.055, 2.4); });
    return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
  }
  function behind(element) {
    for (; element; element = element.parentElement) {
      var color = getComputedStyle(element).backgroundColor;
      if (numbers(color)[3] !== 0) { return color; }
    }
    return "rgb(255, 255, 255)";
  }
  var wide = [], faint = [], texts = 0;
  document.querySelectorAll("body *").forEach(function (element) {
    var box = element.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1) { wide.push(element.tagName + "." + element.className); }
    var own = [].some.call(element.childNodes, function (node) { return node.nodeType === 3 && node.data.trim(); });
    if (own && box.width > 1 && !/SCRIPT|STYLE/.test(element.tagName)) {
      texts += 1;
      var one = light(getComputedStyle(element).color), other = light(behind(element));
      var contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
      if (contrast < 4.5) { faint.push(element.tagName + "." + element.className + " " + contrast.toFixed(2)); }
    }
  });
  parent.postMessage({ width: innerWidth, scroll: document.documentElement.scrollWidth, texts: texts, wide: wide,
    faint: faint, page: getComputedStyle(document.body).backgroundColor }, "*");
});
"""
# A window of Chromium is never narrower than 500 pixels, a frame is.
FRAMES = """<!DOCTYPE html><html><body><script>
var found = {};
addEventListener("message", function (event) {
  found[event.data.width] = event.data;
  document.documentElement.setAttribute("data-probe", JSON.stringify(found));
});
</script>
<iframe width="390" height="800" style="border: 0" src="probe.html"></iframe>
<iframe width="1280" height="800" style="border: 0" src="probe.html"></iframe>
</body></html>
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The directory of the example's page, of the same with injections everywhere, and of an empty one."""
    made = tmp_path_factory.mktemp("report")
    page.write_reports(made, page.example_reports())
    return made / "out"


def root(shown: str) -> dict[str, str | None]:
    return page.Elements(shown).named("html")[0]


def test_injections_do_nothing_in_a_browser(pages):
    """Not even in a copy without the policy that holds scripts off."""
    hostile = pages / "hostile.html"
    for written in (hostile, browser.with_script(hostile, PWN, "unprotected.html")):
        shown = browser.dom(written)
        found = page.Elements(shown).found

        assert "data-pwned" not in root(shown)
        assert [tag for tag, _attributes in found if tag in ("img", "b", "iframe")] == []
        assert not [name for _tag, attributes in found for name in attributes if name.startswith("on")]
        assert "&lt;script&gt;pwn()&lt;/script&gt;" in shown
        assert "Last change of what is shown: " in shown, "the page's own script did not run"


def test_that_test_would_see_an_injection(pages):
    copy = browser.with_script(pages / "empty.html", PWN, "injected.html")
    copy.write_text(copy.read_text().replace("<main>", f"<main>{page.INJECTION}"))

    assert root(browser.dom(copy))["data-pwned"] == "yes"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_fits_phone_and_desk_and_can_be_read(pages, dark):
    browser.with_script(pages / "example.html", PROBE, "probe.html")
    (pages / "frames.html").write_text(FRAMES, encoding="utf-8")
    found = json.loads(root(browser.dom(pages / "frames.html", dark=dark))["data-probe"])

    for width in (390, 1280):
        told = found[str(width)]
        assert told["texts"] > 500
        assert told["page"] == ("rgb(17, 21, 27)" if dark else "rgb(244, 245, 247)")
        assert (told["scroll"], told["wide"], told["faint"]) == (width, [], [])


def test_page_prints_on_a4(pages):
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser.pdf(pages / "example.html", PICTURES / "print.pdf")
    told = subprocess.run(["pdfinfo", PICTURES / "print.pdf"], capture_output=True, text=True, check=True).stdout
    text = subprocess.run(["pdftotext", PICTURES / "print.pdf", "-"], capture_output=True, text=True, check=True).stdout
    subprocess.run(["pdftoppm", "-r", "80", "-png", PICTURES / "print.pdf", PICTURES / "print"], check=True)

    assert re.search(r"Page size: .*\(A4\)", told)
    assert [image for image in example_fleet.IMAGES if image not in text] == []
    assert re.search(r"\d+ weeks ago", text), "the page's own script did not tell ages"


@pytest.mark.parametrize(("name", "size"), [("phone", (390, 5000)), ("desktop", (1280, 3000))])
def test_page_has_its_picture_taken(pages, name, size):
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser.picture(pages / "example.html", PICTURES / f"{name}.png", size)

    assert (PICTURES / f"{name}.png").stat().st_size > 100_000


def sweep(host):
    domains = [name for name in host.run("virsh list --all --name").split() if name.startswith("reporttest")]
    host.run("; ".join(["true", *(f"virsh undefine {name} --nvram" for name in domains)]), check=False)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; umount {PATH}; rmdir {PATH}", check=False)


@pytest.fixture
def host(hv1):
    """A host with an image pool on a file system of its own, so that nobody else fills it meanwhile."""
    sweep(hv1)
    hv1.run(f"mkdir -p {PATH} && mount -t tmpfs -o size=256M none {PATH}")
    hv1.module("image_pool", name=POOL, path=PATH)
    hardware = {"os": "debian12", "memory": "64MiB", "virt_type": "qemu", "disks": [{"size": "16MiB"}]}
    hv1.module("source_vm", name=VM, pool=POOL, **hardware)
    yield hv1
    sweep(hv1)


def write_report(host, directory: Path, *arguments: str) -> str:
    """Run the playbook for the host and for two more that do not answer: nobody listens, and no Python."""
    away = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    broken = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/no-python",
        "ansible_become": False,
    }
    hosts = {"reporttest-away": away, "reporttest-broken": broken}
    (directory / "more.json").write_text(json.dumps({"all": {"children": {"image_hosts": {"hosts": hosts}}}}))
    command = ["ansible-playbook", "-i", host.inventory, "-i", str(directory / "more.json")]
    command += ["--limit", ",".join([host.name, *hosts]), "goldsmith.images.report"]
    variables = {"report_dest": str(directory / "out"), "report_pools": [POOL], "report_name": "all"}
    environment = host.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
    command += ["--extra-vars", json.dumps(variables), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DEPRECATION" not in done.stderr, done.stderr
    return done.stdout


def changes(host, told: str) -> int:
    return int(re.search(rf"^{host.name} +: ok=\d+ +changed=(\d+) ", told, re.MULTILINE)[1])


def publish(host, directory: Path, version: str) -> None:
    """Publish as a user does whose description Ansible must not read: C(!unsafe)."""
    play = f"""
- hosts: {host.name}
  gather_facts: false
  become: true
  tasks:
    - goldsmith.images.desktop_image:
        pool: {POOL}
        name: office
        version: "{version}"
        source_vm: {VM}
        generalize: false
        markers: [stable]
        description: !unsafe {json.dumps(DESCRIPTION)}
"""
    (directory / "publish.yml").write_text(play)
    command = ["ansible-playbook", "-i", host.inventory, str(directory / "publish.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=host.environment())
    assert done.returncode == 0, done.stdout + done.stderr


def test_report_of_hosts_of_which_some_do_not_answer(host, tmp_path):
    publish(host, tmp_path, "1.0")
    host.module(
        "desktop_pool", name="reporttest", image_pool=POOL, image="office", marker="stable", count=2, virt_type="qemu"
    )
    out = tmp_path / "out"

    assert changes(host, write_report(host, tmp_path)) > 0
    data = json.loads((out / "all.json").read_text())
    (image,) = data["images"]
    (version,) = image["versions"]
    assert (image["name"], version["version"], version["state"]) == ("office", "1.0", "available")
    assert (version["description"], version["desktops"]) == (DESCRIPTION, 2)
    assert [marker["name"] for marker in version["markers"]] == ["stable"]
    states = {one["name"]: one["state"] for one in data["hosts"]}
    assert states == {host.name: "read", "reporttest-away": "unreachable", "reporttest-broken": "failed"}
    assert [(pool["host"], pool["capacity"]) for pool in data["pools"]] == [(host.name, 256 * 1024**2)]
    assert "no-python" in " ".join(one["text"] for one in data["attention"])
    text = (out / "all.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in text
    assert page.foreign_elements(text) == []

    assert changes(host, write_report(host, tmp_path)) == 0

    publish(host, tmp_path, "1.1")
    told = write_report(host, tmp_path, "--check", "--diff")
    assert changes(host, told) == 2
    assert re.search(r'^\+ +"version": "1\.1",', told, re.MULTILINE)
    assert re.search(r'^\+ +"waiting": 2,', told, re.MULTILINE)
    assert '"version": "1.1"' not in (out / "all.json").read_text()

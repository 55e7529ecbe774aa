# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tool images on a real libvirt: from the controller, from the host, from a web server."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import struct
import threading
import time

import pytest

POOL, PATH, VM = "tooltest", "/srv/tooltest", "tooltest-vm"
CONTENT = f"ls -I 'catalog.log*' {PATH}"  # the log also tells of what failed
ISO_SIZE = 2 * 1024 * 1024
HUGE = "/srv/tooltest-huge.iso"


def make_iso(seed: int, size: int = ISO_SIZE) -> bytes:
    """Return an ISO 9660 image with the descriptors of one (ECMA-119, 8) and random content."""
    primary = b"\x01CD001\x01".ljust(80, b"\0") + struct.pack("<I", size // 2048)
    primary = (primary.ljust(128, b"\0") + struct.pack("<H", 2048)).ljust(2048, b"\0")
    head = b"\0" * 16 * 2048 + primary + b"\xffCD001\x01".ljust(2048, b"\0")
    return head + random.Random(seed).randbytes(size - len(head))  # noqa: S311


def checksum(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


ONE, TWO = make_iso(1), make_iso(2)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what the test put into the server's C(content); C(faults) breaks off, stalls or hides."""

    def do_GET(self):
        content, server = self.server.content, self.server
        server.requests += 1
        if server.fault == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if server.fault != "silent":
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = content[: len(content) // 2] if server.fault in ("truncated", "stalled") else content
        try:
            self.wfile.write(sent)
            self.wfile.flush()
        except OSError:
            return
        if server.fault == "stalled":
            server.done.wait(60)

    def log_message(self, *_arguments):
        """A test's output is its own."""


@pytest.fixture(scope="module")
def pool(hv1):
    """The image pool of these tests on hv1."""
    hv1.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)
    hv1.module("image_pool", name=POOL, path=PATH)
    yield hv1
    hv1.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)


@pytest.fixture
def host(pool):
    """hv1 with the empty image pool; afterwards nothing may lie in .partial, whatever happened."""
    forget = f"virsh destroy {VM}; virsh undefine {VM}; rm -rf {PATH}/* {PATH}/.partial; virsh pool-refresh {POOL}"
    pool.run(forget, check=False)
    yield pool
    left = pool.run(f"ls -A {PATH}/.partial 2>/dev/null || true").split()
    pool.run(forget, check=False)
    assert left == []
    assert pool.run("ls -A /root/.ansible/tmp 2>/dev/null || true").split() == []


@pytest.fixture
def web(hv1):
    """A web server of this machine that hv1 reaches; it serves ONE."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:  # noqa: S104 - hosts of the lab come in
        server.content, server.fault, server.requests, server.done = ONE, "", 0, threading.Event()
        gateway = json.loads(hv1.run("ip -json route show default"))[0]["gateway"]
        server.url = f"http://{gateway}:{server.server_port}/tool.iso"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.done.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def iso(tmp_path):
    """An ISO on the controller."""
    path = tmp_path / "virtio.iso"
    path.write_bytes(ONE)
    return path


def tool(host, **options):
    return host.module("tool_image", pool=POOL, name="virtio", **options)


def refused(host, **options):
    return host.failure("tool_image", pool=POOL, name="virtio", **options)


def sha256_there(host) -> str:
    return "sha256:" + host.run(f"sha256sum {PATH}/tool-virtio.iso").split()[0]


def state(host) -> str:
    """What lies in the pool; its log, which tells of failures too, apart."""
    look = "-mindepth 1 ! -name 'catalog.log*' ! -name .partial -printf '%p %s %m %T@\\n'"
    return host.run(f"find {PATH} {look} | sort")


def test_from_the_controller_from_nothing_to_nothing(host, iso):
    options = {"src": str(iso), "kind": "drivers", "version": "0.1", "description": "for Windows"}
    before = state(host)
    told = tool(host, check=True, diff=True, **options)
    assert state(host) == before
    assert (told["changed"], told["tool_image"]) == (True, None)

    made = tool(host, diff=True, **options)
    assert made["actions"] == told["actions"] == [f"add tool image virtio (from {iso})"]
    assert made["diff_text"] == told["diff_text"]
    assert checksum(ONE)[7:] in made["diff_text"]
    assert sha256_there(host) == checksum(ONE)
    (line,) = host.module("desktop_image_info", pool=POOL, log=True)["log"]
    assert (line["action"], line["subject"], line["outcome"]) == ("add", "tool image virtio", "done")
    image = made["tool_image"]
    assert image["time"].startswith("20")
    assert {**image, "time": ""} == {
        "name": "virtio",
        "path": f"{PATH}/tool-virtio.iso",
        "size": ISO_SIZE,
        "sha256": checksum(ONE)[7:],
        "kind": "drivers",
        "version": "0.1",
        "description": "for Windows",
        "source": str(iso),
        "time": "",
        "users": [],
    }
    assert host.run(f"stat -c %a {PATH}/tool-virtio.iso").strip() == "444"
    assert "tool-virtio.iso" in host.run(f"virsh vol-list {POOL}")
    assert host.module("tool_image_info", pool=POOL)["tool_images"] == [image]
    assert host.module("tool_image_info", pool=POOL, name="other")["tool_images"] == []

    before = state(host)
    for check in (False, True):
        again = tool(host, check=check, diff=True, **options)
        assert (again["changed"], again["actions"], again["tool_image"]) == (False, [], image)
    told = tool(host, check=True, diff=True, state="absent")
    assert state(host) == before
    gone = tool(host, diff=True, state="absent")
    assert gone["actions"] == told["actions"] == ["remove tool image virtio"]
    assert gone["diff_text"] == told["diff_text"]
    assert gone["tool_image"] is None
    assert host.run(CONTENT) == ""
    assert "tool-virtio" not in host.run(f"virsh vol-list {POOL}")
    assert tool(host, state="absent")["changed"] is False


def test_same_content_is_not_uploaded_again(host, iso):
    tool(host, src=str(iso))
    before = state(host)
    iso.touch()
    other = iso.with_name("copy.iso")
    other.write_bytes(ONE)

    assert tool(host, src=str(iso))["changed"] is False
    assert tool(host, src=str(other))["changed"] is False
    assert state(host) == before


def test_other_content_replaces_it_and_what_is_not_said_stays(host, iso):
    tool(host, src=str(iso), kind="drivers", version="1")
    iso.write_bytes(TWO)
    told = tool(host, check=True, diff=True, src=str(iso), version="2")
    assert sha256_there(host) == checksum(ONE)
    replaced = tool(host, diff=True, src=str(iso), version="2")

    assert replaced["actions"] == told["actions"] == [f"replace tool image virtio (from {iso})"]
    assert replaced["diff_text"] == told["diff_text"]
    assert sha256_there(host) == checksum(TWO)
    assert (replaced["tool_image"]["kind"], replaced["tool_image"]["version"]) == ("drivers", "2")


def test_description_changes_without_the_content(host, iso):
    tool(host, src=str(iso))
    inode = host.run(f"stat -c %i {PATH}/tool-virtio.iso")
    described = tool(host, diff=True, src=str(iso), kind="agent", version="7")

    assert described["actions"] == ["describe tool image virtio"]
    assert '"kind": "agent"' in described["diff_text"]
    assert "description" not in described["diff_text"]
    assert host.run(f"stat -c %i {PATH}/tool-virtio.iso") == inode
    assert tool(host, src=str(iso))["changed"] is False


def test_from_a_path_on_the_host(host):
    host.run(
        "mkdir -p /root/tools && date > /root/tools/x && "
        "xorriso -as mkisofs -quiet -V TOOLS -o /srv/tooltest-source.iso /root/tools 2>&1; rm -r /root/tools"
    )
    try:
        made = tool(host, src="/srv/tooltest-source.iso", remote_src=True)
        assert made["tool_image"]["source"] == "/srv/tooltest-source.iso"
        assert tool(host, src="/srv/tooltest-source.iso", remote_src=True)["changed"] is False
        host.run("touch /srv/tooltest-source.iso")
        assert tool(host, src="/srv/tooltest-source.iso", remote_src=True)["changed"] is False
        host.run("echo trailing >> /srv/tooltest-source.iso")
        assert tool(host, src="/srv/tooltest-source.iso", remote_src=True, check=True)["changed"] is True
        assert tool(host, src="/srv/tooltest-source.iso", remote_src=True)["changed"] is True
    finally:
        host.run("rm -f /srv/tooltest-source.iso")
    sha256 = sha256_there(host)
    assert tool(host, src="/srv/tooltest-source.iso", remote_src=True, checksum=sha256)["changed"] is False


def test_from_a_web_server(host, web):
    told = tool(host, check=True, url=web.url)
    made = tool(host, url=web.url.replace("http://", "http://user:secret@"))
    assert made["changed"] is told["changed"] is True
    assert made["tool_image"]["source"] == web.url
    assert "secret" not in host.run(f"cat {PATH}/tool-virtio.json")
    assert sha256_there(host) == checksum(ONE)

    assert tool(host, url=web.url)["changed"] is False
    web.content = TWO
    assert tool(host, check=True, url=web.url)["changed"] is True
    assert tool(host, url=web.url)["changed"] is True
    assert sha256_there(host) == checksum(TWO)


def test_checksum_makes_the_server_needless(host, web):
    tool(host, url=web.url, checksum=checksum(ONE))
    web.requests, web.content = 0, TWO

    assert tool(host, url=web.url, checksum=checksum(ONE))["changed"] is False
    assert web.requests == 0
    assert tool(host, url=web.url, checksum=checksum(TWO))["changed"] is True


def test_server_that_tells_nothing_is_trusted_once(host, web):
    web.fault = "silent"
    assert tool(host, url=web.url)["changed"] is True
    assert tool(host, url=web.url)["changed"] is False


@pytest.mark.parametrize(
    ("there", "fault", "options", "code", "message"),
    [
        (False, "truncated", {}, "damaged", f"broke off after {ISO_SIZE // 2} of {ISO_SIZE} bytes; run again"),
        (True, "truncated", {}, "damaged", f"broke off after {ISO_SIZE // 2} of {ISO_SIZE} bytes; run again"),
        (False, "stalled", {"timeout": 1}, "unreachable", "or give the server a longer timeout"),
        (False, "missing", {}, "not_found", "answers 404 Not Found; correct the address"),
        (
            True,
            "wrong",
            {"checksum": checksum(TWO)},
            "damaged",
            f"has the checksum {checksum(ONE)}, not {checksum(TWO)}",
        ),
        (False, "larger", {"size": 100}, "damaged", f"has {ISO_SIZE} bytes, not 100"),
    ],
)
def test_bad_download_leaves_what_was_there(host, web, there, fault, options, code, message):
    if there:
        web.content = TWO[:-1] + b"!"
        tool(host, url=web.url)
        web.content = ONE
    web.fault = fault
    before = host.run(f"{CONTENT}; cat {PATH}/tool-virtio.* 2>/dev/null | sha256sum")

    failure = refused(host, url=web.url, **options)
    assert failure["error_code"] == code
    assert message in failure["msg"]
    assert failure["changed"] is False
    assert host.run(f"{CONTENT}; cat {PATH}/tool-virtio.* 2>/dev/null | sha256sum") == before
    web.fault = ""
    assert tool(host, url=web.url)["changed"] is True


def test_page_in_the_place_of_an_iso_is_refused(host, web):
    web.content = b"<html>Please log in</html>"
    failure = refused(host, url=web.url)

    assert failure["error_code"] == "damaged"
    assert failure["msg"] == f"{web.url} is not an ISO image: it holds neither an ISO 9660 nor a UDF file system"
    assert host.run(CONTENT) == ""


@pytest.mark.parametrize(
    ("check", "content", "options", "code", "message"),
    [
        (False, b"no iso", {}, "damaged", "is not an ISO image"),
        (
            True,
            ONE[: ISO_SIZE // 2],
            {},
            "damaged",
            f"is cut off: it has {ISO_SIZE // 2} bytes, but its file system has",
        ),
        (False, ONE, {"checksum": checksum(TWO)}, "damaged", f"has the checksum {checksum(ONE)}, not {checksum(TWO)}"),
        (True, ONE, {"checksum": checksum(TWO)}, "damaged", f"has the checksum {checksum(ONE)}, not {checksum(TWO)}"),
        (False, None, {}, "not_found", "on the controller; say remote_src: true for one on the host"),
        (True, ONE, {"checksum": "sha1:0"}, "bad_input", "is not a checksum; it is sha256: and 64 hexadecimal digits"),
        (False, ONE, {"timeout": 0}, "bad_input", "timeout: 0 is not a number of seconds"),
    ],
)
def test_bad_file_on_the_controller_is_not_uploaded(host, iso, check, content, options, code, message):
    if content is None:
        iso.unlink()
    else:
        iso.write_bytes(content)
    failure = refused(host, check=check, src=str(iso), **options)

    assert failure["error_code"] == code
    assert message in failure["msg"]
    assert host.run(CONTENT) == ""


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            {"src": "/nowhere/x.iso", "remote_src": True},
            "not_found",
            "src: there is no file /nowhere/x.iso on the host",
        ),
        ({"src": "x.iso", "remote_src": True}, "bad_input", "src: 'x.iso' is not an absolute path"),
        ({"src": "/etc/passwd", "remote_src": True}, "damaged", "/etc/passwd is not an ISO image"),
        ({"url": "ftp://example.com/x"}, "bad_input", "url: 'ftp://example.com/x' is not an address of a web server"),
        ({"url": "http://127.0.0.1:1/x"}, "unreachable", "url: http://127.0.0.1:1/x cannot be read from this host"),
        ({"src": "/etc/passwd", "remote_src": True, "size": -1}, "bad_input", "size: -1 is not a number of bytes"),
    ],
)
def test_bad_source_is_told_in_check_mode_already(host, options, code, message):
    failure = refused(host, check=True, **options)

    assert failure["error_code"] == code
    assert failure["msg"].startswith(message)


def test_name_and_pool_are_checked(host, iso):
    bad_name = host.failure("tool_image", pool=POOL, name="../x", src=str(iso))
    assert (bad_name["error_code"], bad_name["msg"][:33]) == ("bad_input", "name: '../x' cannot be used as a ")
    no_pool = host.failure("tool_image", pool="nothing", name="x", src=str(iso))
    assert no_pool["error_code"] == "not_found"
    assert no_pool["msg"].startswith("there is no image pool nothing on this host; make it with")
    assert host.module("tool_image", pool="nothing", name="x", state="absent")["changed"] is False
    host.run(f"virsh pool-destroy {POOL}")
    try:
        stopped = refused(host, src=str(iso))
        assert stopped["error_code"] == "wrong_state"
        assert stopped["msg"].startswith(f"image pool {POOL} is not running; start it with")
    finally:
        host.run(f"virsh pool-start {POOL}")


@pytest.mark.parametrize("check", [True, False])
def test_space_is_checked_before_anything_is_written(host, check):
    write = "xorriso -as mkisofs -quiet -o /root/t.iso /etc/apt 2>&1; dd if=/root/t.iso of={0} conv=notrunc 2>&1"
    host.run(f"truncate -s 15T {HUGE}; {write.format(HUGE)}")
    try:
        failure = refused(host, check=check, src=HUGE, remote_src=True, checksum=checksum(ONE))
    finally:
        host.run(f"rm -f {HUGE} /root/t.iso")
    assert failure["error_code"] == "no_space"
    assert failure["msg"].startswith("tool image virtio needs ")
    assert f" in {PATH}, but only " in failure["msg"]
    assert host.run(CONTENT) == ""


DOMAIN = f"""<domain type='qemu'><name>{VM}</name><memory unit='MiB'>64</memory><os><type machine='q35'>hvm</type></os>
<devices><disk type='file' device='cdrom'>%s<target dev='sda' bus='sata'/><readonly/></disk></devices></domain>"""
SOURCE = f"<source file='{PATH}/tool-virtio.iso'/>"


def define(host, source: str) -> None:
    host.run(f"cat > /root/{VM}.xml <<'END'\n{DOMAIN % source}\nEND\nvirsh define /root/{VM}.xml; rm /root/{VM}.xml")


@pytest.mark.parametrize("mounted", ["in the definition", "live alone", "in the definition, ejected live"])
def test_mounted_tool_image_is_neither_replaced_nor_removed(host, iso, mounted):
    tool(host, src=str(iso))
    define(host, "" if mounted == "live alone" else SOURCE)
    if mounted != "in the definition":
        host.run(f"virsh start {VM}")
    if mounted == "live alone":
        host.run(f"virsh change-media {VM} sda {PATH}/tool-virtio.iso --insert --live")
    if mounted == "in the definition, ejected live":
        host.run(f"virsh change-media {VM} sda --eject --live --force")
    assert tool(host, src=str(iso))["tool_image"]["users"] == [f"domain {VM}"]

    iso.write_bytes(TWO)
    for check in (True, False):
        replaced = refused(host, check=check, src=str(iso))
        removed = refused(host, check=check, state="absent")
        assert (replaced["error_code"], removed["error_code"]) == ("in_use", "in_use")
        assert replaced["users"] == removed["users"] == [f"domain {VM}"]
        assert replaced["msg"] == (
            f"tool image virtio is not replaced: it is used by domain {VM}; unmount it there, or let that end, first"
        )
    assert sha256_there(host) == checksum(ONE)
    assert tool(host, src=str(iso), checksum=checksum(ONE), version="3")["actions"] == ["describe tool image virtio"]

    host.run(f"virsh destroy {VM}; virsh undefine {VM}", check=False)
    assert tool(host, src=str(iso))["changed"] is True
    assert sha256_there(host) == checksum(TWO)


def test_second_run_at_the_same_time_is_told_to_wait(host, web):
    host.run(f"mkdir -p {PATH}/.partial; nohup flock {PATH}/.partial/tool-virtio.lock sleep 30 >/dev/null 2>&1 &")
    time.sleep(0.5)
    try:
        failure = refused(host, url=web.url)
    finally:
        host.run(f"fuser -k {PATH}/.partial/tool-virtio.lock; rm {PATH}/.partial/tool-virtio.lock", check=False)
    assert failure["error_code"] == "busy"
    assert failure["msg"] == "another run is working on tool image virtio; wait for it to end and run again"
    assert host.run(CONTENT) == ""


def test_killed_download_leaves_no_tool_image_and_the_next_run_makes_it(host, web):
    web.fault = "stalled"
    lost = []
    run = threading.Thread(
        target=lambda: lost.append(
            host._ansible("tool_image", False, False, {"pool": POOL, "name": "virtio", "url": web.url})
        )
    )
    run.start()
    host.run(f"for i in $(seq 100); do test -s {PATH}/.partial/tool-virtio.iso && break; sleep 0.1; done")
    host.run(f"kill -9 $(fuser {PATH}/.partial/tool-virtio.lock 2>/dev/null)")
    run.join()

    assert lost[0]["failed"]
    assert host.run(CONTENT) == ""
    assert host.module("tool_image_info", pool=POOL)["tool_images"] == []
    assert "tool-virtio.iso" in host.run(f"ls {PATH}/.partial")
    web.fault = ""
    assert tool(host, url=web.url)["changed"] is True
    assert sha256_there(host) == checksum(ONE)
    assert host.run(f"ls -A {PATH}/.partial") == ""


def test_leftovers_of_a_killed_run_are_removed_with_the_tool_image(host):
    host.run(f"mkdir -p {PATH}/.partial; touch {PATH}/.partial/tool-virtio.iso {PATH}/tool-virtio.json")

    assert tool(host, state="absent")["actions"] == ["remove tool image virtio"]
    assert host.run(CONTENT) == ""
    assert tool(host, state="absent")["changed"] is False


def test_iso_that_was_put_there_by_hand_is_recorded(host, iso, web):
    tool(host, url=web.url)
    host.run(f"rm {PATH}/tool-virtio.json")
    (found,) = host.module("tool_image_info", pool=POOL)["tool_images"]
    assert (found["name"], found["source"], found["time"]) == ("virtio", None, None)
    assert found["sha256"] == checksum(ONE)[7:]

    assert tool(host, src=str(iso), kind="os", check=True)["actions"] == ["record tool image virtio"]
    recorded = tool(host, src=str(iso), kind="os")
    assert recorded["actions"] == ["record tool image virtio"]
    assert (recorded["tool_image"]["kind"], recorded["tool_image"]["source"]) == ("os", str(iso))
    assert tool(host, src=str(iso))["changed"] is False


def test_user_without_permission_is_told_what_to_do(host, iso):
    for options in ({"src": str(iso)}, {"state": "absent"}):
        failure = refused(host, user="nobody", **options)
        assert failure["error_code"] == "permission_denied"
        assert failure["msg"].startswith("no permission to use libvirt at qemu:///system: ")


def test_upload_by_a_login_user_with_become(host, iso):
    """The file comes up as the user who logs in; the module that takes it over is root."""
    host.run(
        "id images >/dev/null 2>&1 || useradd --create-home --shell /bin/bash images; install -d -o images -m 700 "
        "/home/images/.ssh; install -o images -m 600 /root/.ssh/authorized_keys /home/images/.ssh/; "
        "echo 'images ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/images"
    )
    try:
        made = host._ansible(
            "tool_image", False, False, {"pool": POOL, "name": "virtio", "src": str(iso)}, user="root", login="images"
        )
        assert made.get("changed") is True, made
        assert sha256_there(host) == checksum(ONE)
        assert host.run("find /home/images /root /tmp /var/tmp -name 'ansible-tmp-*' -not -empty").split() == []
    finally:
        host.run("rm -f /etc/sudoers.d/images; userdel --remove --force images 2>&1", check=False)

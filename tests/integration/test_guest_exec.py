# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands in a real Debian guest, through its real agent. The last test takes the agent's commands away from it."""

from __future__ import annotations

import base64

import pytest

POOL, PATH = "exectest", "/srv/exectest"
NAME = "exectest-guest"
BOOT_TIMEOUT = 900


def remove(hv1):
    hv1.run(
        f"for vm in {NAME} exectest-mute; do virsh destroy $vm; virsh undefine $vm; done; "
        f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} /srv/exectest*",
        check=False,
    )


@pytest.fixture(scope="module")
def guest(hv1, guest_disk):
    """A host on which the guest runs and its agent answers."""
    remove(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    hv1.module(
        "source_vm", name=NAME, pool=POOL, os="debian12", memory="512MiB", virt_type="qemu", networks=[],
        disks=[{"copy_from": guest_disk, "format": "raw"}], state="running", wait_for_agent=True, timeout=BOOT_TIMEOUT,
    )  # fmt: skip
    yield hv1
    remove(hv1)


def test_command_of_the_shell(guest):
    done = guest.module("guest_exec", name=NAME, cmd="id -un; uname -s; echo oh >&2")
    assert (done["changed"], done["rc"], done["guest_os"]) == (True, 0, "debian")
    assert (done["stdout_lines"], done["stderr"]) == (["root", "Linux"], "oh")
    assert done["cmd"] == ["/bin/sh", "-c", "id -un; uname -s; echo oh >&2"]


def test_program_with_surroundings(guest):
    done = guest.module(
        "guest_exec",
        name=NAME,
        argv=["/bin/bash", "-c", 'pwd; echo "$GREETING"; cat'],
        chdir="/usr/share",
        environment={"GREETING": "it's $5"},
        stdin="from stdin",
    )
    assert done["stdout_lines"] == ["/usr/share", "it's $5", "from stdin"]


def test_script_with_its_interpreter(guest):
    script = "#!/bin/bash\nset -o pipefail\nfalse | true || echo ${BASH_VERSINFO[0]} $0\n"
    done = guest.module("guest_exec", name=NAME, script=script)
    version, path = done["stdout"].split()
    assert (version, done["cmd"]) == ("5", ["/bin/bash", path])
    directory = path.rpartition("/")[0]
    given = guest.module("guest_exec", name=NAME, script=f"test ! -e {directory}", interpreter=["/bin/sh", "-u"])
    assert given["cmd"][:2] == ["/bin/sh", "-u"]


def test_failing_command(guest):
    failed = guest.failure("guest_exec", name=NAME, cmd="echo out; echo why >&2; exit 3")
    assert (failed["error_code"], failed["rc"], failed["changed"]) == ("guest_failed", 3, True)
    assert (failed["stdout"], failed["stderr"]) == ("out", "why")
    assert failed["msg"] == f"the command in {NAME} ended with status 3: why"
    missing = guest.failure("guest_exec", name=NAME, argv=["/no/such/program"])
    assert (missing["rc"], "/no/such/program: not found" in missing["msg"]) == (127, True)


def test_command_that_takes_too_long(guest):
    failed = guest.failure("guest_exec", name=NAME, cmd="echo begun; sleep 4711 & sleep 4712", timeout=3)
    assert (failed["error_code"], failed["stdout"], failed["changed"]) == ("timed_out", "begun", True)
    assert failed["msg"] == (
        f"the command in {NAME} did not end within 3 s and was killed; raise timeout if it needs longer"
    )
    left = guest.module("guest_exec", name=NAME, cmd="pgrep -f 'sleep 471[12]' || echo none")
    assert left["stdout"] == "none"


def test_large_output_does_not_cost_the_agent(guest):
    """libvirt gives up an agent that answers with more than 10 MiB."""
    done = guest.module("guest_exec", name=NAME, cmd="yes 123456789 | head -c 20000000")
    assert (len(done["stdout"]), done["stdout_truncated"]) == (4 * 1024**2, True)
    assert done["stdout"].startswith("123456789\n123456789\n")
    assert guest.module("guest_exec", name=NAME, cmd="echo there")["stdout"] == "there"


def test_what_is_done_already_is_not_done_again(guest):
    once = {"name": NAME, "cmd": "date >>/root/once", "creates": "/root/onc?"}
    assert guest.module("guest_exec", **once)["changed"] is True
    again = guest.module("guest_exec", **once)
    assert (again["changed"], again["rc"], again["msg"]) == (False, 0, "did not run, since /root/onc? exists")
    gone = {"name": NAME, "cmd": "rm /root/once", "removes": "/root/once"}
    assert guest.module("guest_exec", **gone)["changed"] is True
    assert guest.module("guest_exec", **gone)["msg"] == "did not run, since /root/once does not exist"


def test_files_in_and_out(guest):
    guest.run("head -c 3000000 /dev/urandom >/srv/exectest.bin")
    files = [
        {"dest": "/etc/motd", "content": "grüß dich\n", "mode": "0640"},
        {"dest": "/root/large", "src": "/srv/exectest.bin"},
    ]
    wanted = {"name": NAME, "copy_in": files, "fetch": ["/etc/motd", "/root/large"]}
    done = guest.module("guest_exec", **wanted)
    assert (done["changed"], done["copied"]) == (True, ["/etc/motd", "/root/large"])
    motd, large = (base64.b64decode(file["content"]) for file in done["fetched"])
    assert motd.decode() == "grüß dich\n"
    assert (len(large), done["fetched"][1]["size"]) == (3000000, 3000000)
    sums = guest.run("sha256sum /srv/exectest.bin").split()[0]
    assert guest.module("guest_exec", name=NAME, cmd="sha256sum /root/large")["stdout"].split()[0] == sums
    assert guest.module("guest_exec", name=NAME, cmd="stat -c %a /etc/motd")["stdout"] == "640"

    again = guest.module("guest_exec", **wanted)
    assert (again["changed"], again["copied"]) == (False, [])


def test_check_mode_does_nothing_and_says_what_it_cannot_know(guest):
    told = guest.module("guest_exec", check=True, name=NAME, cmd="touch /root/checked", creates="/etc/passwd")
    assert told["changed"] is True
    assert "libvirt gives no read-only access to a guest agent" in told["msg"]
    assert guest.module("guest_exec", check=True, name=NAME, fetch=["/etc/motd"])["changed"] is False
    absent = guest.module("guest_exec", check=True, name="exectest-to-come", cmd="true")
    assert "exectest-to-come is not running now" in absent["msg"]
    assert guest.module("guest_exec", name=NAME, cmd="ls /root")["stdout"].count("checked") == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"name": "exectest-none", "cmd": "true"}, "not_found", "there is no domain exectest-none on this host"),
        ({"cmd": "true", "timeout": -1}, "bad_input", "timeout: -1 is not a number of seconds"),
        ({"argv": []}, "bad_input", "argv: there is no program in it"),
        ({"copy_in": [{"src": "/srv/none", "dest": "/x"}]}, "not_found", "there is no file /srv/none on this host"),
        (
            {"copy_in": [{"content": "x", "dest": "/none/x"}]},
            "guest_failed",
            f"the guest agent in {NAME} refused guest-file-open: failed to open file '/none/x'",
        ),
        ({"fetch": ["/none"]}, "guest_failed", "refused guest-file-open: failed to open file '/none'"),
        ({"cmd": "pwd", "chdir": "/none"}, "guest_failed", "ended with status 2: sh: 1: cd: can't cd to /none"),
    ],
)
def test_bad_input(guest, options, code, message):
    failed = guest.failure("guest_exec", **({"name": NAME} | options))
    assert failed["error_code"] == code
    assert message in failed["msg"]


def test_guest_without_an_agent(guest):
    """A VM that is off, that has no agent, and that has no channel for one."""
    mute = {"name": "exectest-mute", "pool": POOL, "virt_type": "qemu", "memory": "64MiB", "networks": []}
    guest.module("source_vm", **mute, disks=[{"size": "64MiB"}])
    off = guest.failure("guest_exec", name="exectest-mute", cmd="true")
    assert off["msg"] == "exectest-mute is not running, so its guest agent cannot be reached; start it first"

    guest.module("source_vm", name="exectest-mute", state="running")
    waited = guest.failure("guest_exec", name="exectest-mute", cmd="true", agent_timeout=1)
    assert waited["msg"] == "waited 1 s for the guest agent in exectest-mute; last seen: no answer"
    at_once = guest.failure("guest_exec", name="exectest-mute", cmd="true", agent_timeout=0)
    assert at_once["error_code"] == "unreachable"
    assert "is qemu-guest-agent installed and running in the guest?" in at_once["msg"]

    guest.run(
        "virsh destroy exectest-mute; virsh dumpxml exectest-mute | sed '/<channel/,/<.channel>/d' >/srv/exectest.xml; "
        "virsh define /srv/exectest.xml; virsh start exectest-mute"
    )
    none = guest.failure("guest_exec", name="exectest-mute", cmd="true")
    assert none["msg"].startswith("exectest-mute has no guest agent channel")


def test_agent_that_does_not_allow_it(guest):
    """As RHEL has it by default. Nothing can be run in the guest after this."""
    guest.module(
        "guest_exec",
        name=NAME,
        cmd="mkdir -p /etc/qemu && printf '[general]\\nblacklist=guest-exec\\nblock-rpcs=guest-exec\\n' "
        ">/etc/qemu/qemu-ga.conf && (sleep 1; systemctl restart qemu-guest-agent) &",
    )
    guest.run("sleep 5")
    failed = guest.failure("guest_exec", name=NAME, cmd="true")
    assert failed["error_code"] == "permission_denied"
    assert failed["msg"].startswith(f"the guest agent in {NAME} does not allow guest-exec: ")
    assert "allow it in the guest" in failed["msg"]

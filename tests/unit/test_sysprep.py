# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The identity service that generalised images carry. That it works in a guest is tested on the test hosts."""

from __future__ import annotations

import configparser
import re
import subprocess

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import first_boot, sysprep


def written() -> dict[str, str]:
    """The files that are put into a guest, by their paths."""
    arguments = first_boot.virt_customize_arguments()
    values = [value for option, value in zip(arguments[::2], arguments[1::2]) if option == "--write"]
    return dict(value.split(":", 1) for value in values)


def run_identity(tmp_path, dmi: bytes, hostname: str, hosts: str) -> tuple[str, str, str]:
    """Run the script on files in place of the guest's; return host name file, hosts file and the kernel's name."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (tmp_path / "dmi").write_bytes(dmi)
    (etc / "hostname").write_text(hostname)
    (etc / "hosts").write_text(hosts)
    script = next(text for path, text in written().items() if path.endswith("/identity"))
    for path, stand_in in (
        ("/sys/firmware/dmi/tables/DMI", tmp_path / "dmi"),
        ("/proc/sys/kernel/hostname", tmp_path / "kernel"),
        ("/etc/ssh", tmp_path / "no-ssh"),
        ("/etc/", f"{etc}/"),
    ):
        script = script.replace(path, str(stand_in))
    subprocess.run(["sh", "-c", script], check=True, timeout=20)
    kernel = tmp_path / "kernel"
    return (etc / "hostname").read_text(), (etc / "hosts").read_text(), kernel.read_text() if kernel.exists() else ""


OEM = b"\x0b\x05\x01\x02\x00site=north\0goldsmith.images.hostname=acct-001\0\0rest"
HOSTS = "127.0.0.1\tlocalhost\n127.0.1.1\toffice-src.example.com office-src\n10.0.0.1 office-src2 my-office-src\n"


def test_host_name_comes_from_the_oem_string(tmp_path):
    hostname, hosts, kernel = run_identity(tmp_path, OEM, "office-src\n", HOSTS)

    assert hostname == "acct-001\n"
    assert kernel == "acct-001"
    assert hosts.splitlines() == [
        "127.0.0.1\tlocalhost",
        "127.0.1.1\tacct-001.example.com acct-001",
        "10.0.0.1 office-src2 my-office-src",
    ]


def test_machine_without_the_string_is_left_alone(tmp_path):
    assert run_identity(tmp_path, b"\x0b\x05site=north\0\0", "office-src\n", HOSTS) == ("office-src\n", HOSTS, "")


def test_second_boot_changes_nothing(tmp_path):
    hosts = HOSTS.replace("office-src.", "acct-001.").replace(" office-src\n", " acct-001\n")

    assert run_identity(tmp_path, OEM, "acct-001\n", hosts)[:2] == ("acct-001\n", hosts)


@pytest.mark.parametrize("string", [b"a;reboot", b"a b", b"$(reboot)", b"`x`"])
def test_what_is_no_host_name_is_cut_off_and_never_run(tmp_path, string):
    hostname, _hosts, _kernel = run_identity(tmp_path, b"goldsmith.images.hostname=" + string + b"\0", "old\n", HOSTS)

    assert re.fullmatch(r"(a|old)\n", hostname)


def test_unit_runs_before_network_and_sshd_and_is_wanted():
    unit = next(text for path, text in written().items() if path.endswith(".service"))
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(unit)

    assert {"network-pre.target", "ssh.service", "sshd.service"} <= set(parser["Unit"]["Before"].split())
    assert parser["Service"]["ExecStart"] in written()
    links = [
        value
        for option, value in zip(
            first_boot.virt_customize_arguments()[::2], first_boot.virt_customize_arguments()[1::2]
        )
        if option == "--link"
    ]
    assert links == [
        "/etc/systemd/system/goldsmith-images-identity.service:"
        f"/etc/systemd/system/{parser['Install']['WantedBy']}.wants/goldsmith-images-identity.service"
    ]


def test_operations_leave_what_an_administrator_put_in_on_purpose():
    assert {"machine-id", "ssh-hostkeys", "logfiles", "dhcp-client-state", "customize"} <= set(sysprep.OPERATIONS)
    assert not {"ssh-userdir", "user-account", "cron-spool", "firewall-rules", "net-nmconn"} & set(sysprep.OPERATIONS)

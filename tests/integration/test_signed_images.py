# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signed images on a real host: signed by real keys, and refused when anything is not as it was signed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

POOL, PATH = "signtest", "/srv/signtest"
VM = "signtest-src"
KEYS = "/srv/signtest-keys"
IMAGE = {"pool": POOL, "name": "office"}
PUBLISH = IMAGE | {"source_vm": VM, "generalize": False}
APPLY = {"name": "sgdesk", "image_pool": POOL, "image": "office", "version": "1.0", "virt_type": "qemu"}
SIGNATURE, MANIFEST, DISK = (f"{PATH}/office@1.0.{end}" for end in ("manifest.json.sig", "manifest.json", "disk0.raw"))
KEPT = "/srv/signtest-kept"


@pytest.fixture(scope="module")
def signed(hv1):
    """A host with keys, office 1.0 and 1.1, both signed by the key C(it), and 1.2, which is not signed."""
    remove_all(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    hardware = {"pool": POOL, "os": "debian12", "memory": "64MiB", "virt_type": "qemu", "disks": [{"size": "16MiB"}]}
    hv1.module("source_vm", name=VM, **hardware)
    hv1.run(
        f"mkdir -m 700 {KEYS} && cd {KEYS} && ssh-keygen -q -t ed25519 -N '' -f it && ssh-keygen -q -t ecdsa -N '' -f "
        f"other && ssh-keygen -q -t ed25519 -N secret -f locked; qemu-io -f qcow2 -c 'write -q -P 7 1M 3M' "
        f"{PATH}/source-vms/{VM}.disk0.qcow2"
    )
    for version, key in (("1.0", f"{KEYS}/it"), ("1.1", f"{KEYS}/it"), ("1.2", None)):
        hv1.module("desktop_image", version=version, signing_key=key, **PUBLISH)
    hv1.run(f"cp -a --sparse=always {PATH} {KEPT}; rm -rf {KEPT}/.partial {KEPT}/source-vms")
    yield hv1
    remove_all(hv1)


@pytest.fixture
def host(signed):
    """The host, with all files of the images as they were published; cp gives the disk another change time."""
    yield signed
    remove_desktops(signed)
    signed.run(f"rm -f {PATH}/office*; cp -a --sparse=always {KEPT}/office* {PATH}/")


def remove_desktops(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("sgdesk") or name == "signtest-new":
            host.run(f"virsh destroy {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"rm -rf {PATH}/desktops {PATH}/source-vms/signtest-new*", check=False)


def remove_all(host: Any) -> None:
    remove_desktops(host)
    host.run(f"virsh undefine {VM}; virsh pool-destroy {POOL}; virsh pool-undefine {POOL}", check=False)
    host.run(f"rm -rf {PATH} {KEYS} {KEPT}", check=False)


def trusted(host: Any, key: str = "it", options: str = "") -> list[str]:
    return [" ".join(f"it@example.com {options} {host.run(f'cat {KEYS}/{key}.pub')}".split())]


def fingerprint(host: Any, key: str) -> str:
    return host.run(f"ssh-keygen -lf {KEYS}/{key}").split()[1]


def files(host: Any) -> str:
    return host.run(f"cd {PATH}; find . -not -name '*.lock' -not -name .partial -printf '%p %s %m\\n' | sort")


def test_signed_version_serves_desktops(host):
    image = host.module("desktop_image_info", pool=POOL, name="office", version="1.0")["desktop_images"][0]
    assert image["signed"] == {
        "key_type": "ssh-ed25519",
        "fingerprint": fingerprint(host, "it"),
        "namespace": "manifest@goldsmith.images",
    }
    host.run(
        f"(printf 'me '; cat {KEYS}/it.pub) > {KEYS}/signers; ssh-keygen -Y verify -f {KEYS}/signers -I me "
        f"-n manifest@goldsmith.images -s {SIGNATURE} < {MANIFEST}"
    )
    assert host.run(f"stat -c %a {SIGNATURE}").split() == ["444"]

    wanted = APPLY | {"count": 2, "trusted_signers": trusted(host)}
    told = host.module("desktop_pool", check=True, **wanted)
    made = host.module("desktop_pool", **wanted)
    assert made["actions"] == told["actions"]
    assert len(made["desktop_pool"]["desktops"]) == 2
    read = host.run(f"stat -c %X {DISK}; ls -l --time-style=full-iso /run/goldsmith-images/verified")
    assert host.module("desktop_pool", **wanted | {"trusted_signers": [f"{KEYS}/signers"]})["changed"] is False
    assert host.run(f"stat -c %X {DISK}; ls -l --time-style=full-iso /run/goldsmith-images/verified") == read
    vm = {"name": "signtest-new", "pool": POOL, "from_image": "office@1.0", "virt_type": "qemu"}
    assert host.module("source_vm", trusted_signers=trusted(host), **vm)["changed"]


def test_signing_again_changes_nothing_whichever_the_key(host):
    before = files(host)

    for key in ("it", "other"):
        assert host.module("desktop_image", version="1.0", signing_key=f"{KEYS}/{key}", **IMAGE)["changed"] is False

    assert files(host) == before


def test_unsigned_version_is_refused_until_it_is_signed(host):
    wanted = APPLY | {"version": "1.2", "count": 0, "trusted_signers": trusted(host)}
    refused = host.failure("desktop_pool", **wanted)
    assert refused["error_code"] == "untrusted"
    assert "image office 1.2 is not trusted: it is not signed; sign it where it was published" in refused["msg"]
    before = files(host)

    told = host.module("desktop_image", check=True, version="1.2", signing_key=f"{KEYS}/it.pub", **IMAGE)
    assert files(host) == before
    made = host.module("desktop_image", version="1.2", signing_key=f"{KEYS}/it.pub", **IMAGE)

    assert made["actions"] == told["actions"]
    assert made["actions"] == [f"sign image office 1.2 (with the key {fingerprint(host, 'it')})"]
    assert made["desktop_image"]["signed"]["fingerprint"] == fingerprint(host, "it")
    assert host.module("desktop_image", version="1.2", signing_key=f"{KEYS}/it.pub", **IMAGE)["changed"] is False
    host.module("desktop_pool", **wanted)


# What somebody does on the host, and what is said of it then.
TAMPERING = {
    "a byte of the manifest": (f"sed -i 's/debian12/debian13/' {MANIFEST}", "its manifest is not what the key SHA256:"),
    "a byte of the disk": (
        f"touch -r {DISK} {KEYS}/t; printf x | dd of={DISK} bs=1 seek=3000000 conv=notrunc status=none; "
        f"touch -r {KEYS}/t {DISK}",
        f"{DISK} differs from what was signed in piece 2 (1 MiB)",
    ),
    "a byte of the disk, and its hashes": (
        f"printf x | tee >(dd of={DISK} bs=1 seek=3000000 conv=notrunc status=none) | "
        f"dd of={PATH}/office@1.0.disk0.pieces bs=1 seek=70 conv=notrunc status=none; sync",
        f"{DISK} differs from what was signed; restore it",
    ),
    "the signature of another version": (
        f"cp {PATH}/office@1.1.manifest.json.sig {SIGNATURE}",
        "its manifest is not what the key SHA256:",
    ),
    "the manifest of another version": (
        f"cp {PATH}/office@1.1.manifest.json {MANIFEST}; cp {PATH}/office@1.1.manifest.json.sig {SIGNATURE}",
        "",
    ),
    "the signature of something else": (
        f"cd {KEYS}; ssh-keygen -q -Y sign -f it -n git < {MANIFEST} > {SIGNATURE}",
        "its signature was made for 'git', not for 'manifest@goldsmith.images'",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_what_is_not_as_it_was_signed_is_refused(host, what):
    command, said = TAMPERING[what]
    wanted = APPLY | {"count": 1, "trusted_signers": trusted(host)}
    if what == "a byte of the disk":
        host.module("desktop_pool", **wanted | {"count": 0})  # from now on it is known to be right
    host.run(f"bash -c '{command}'" if "'" not in command else command)
    before = files(host)

    refused = host.failure("desktop_pool", **wanted)

    expected = "untrusted" if said else "not_found"  # a manifest says itself which version it is of
    assert (refused["error_code"], said in refused["msg"]) == (expected, True), refused["msg"]
    assert files(host) == before
    if what == "a byte of the disk":
        vm = {"name": "signtest-new", "pool": POOL, "from_image": "office@1.0", "virt_type": "qemu"}
        refused = host.failure("source_vm", trusted_signers=trusted(host), **vm)
        assert (refused["error_code"], said in refused["msg"]) == ("untrusted", True)
        assert "signtest-new" not in host.run("virsh list --all --name")
        assert files(host) == before


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        ("other", "", "which trusted_signers does not name; add the key there"),
        ("it", 'valid-before="20200101"', "which trusted_signers does not allow now: line 1: key has expired"),
        ("it", 'namespaces="git"', "line 1: key is not permitted for use in signature namespace"),
    ],
)
def test_signer_must_be_allowed_now_and_for_this(host, key, options, said):
    refused = host.failure("desktop_pool", **APPLY, count=1, trusted_signers=trusted(host, key, options))

    assert (refused["error_code"], said in refused["msg"]) == ("untrusted", True), refused["msg"]


def test_key_that_cannot_be_used_is_told_before_anything_is_copied(host):
    before = files(host)

    for check, key, code, said in (
        (True, "locked", "bad_input", "locked is protected by a passphrase, which nobody is asked for here"),
        (False, "locked", "bad_input", "locked is protected by a passphrase, which nobody is asked for here"),
        (False, "gone", "not_found", f"signing_key: there is no file {KEYS}/gone on this host"),
    ):
        refused = host.failure("desktop_image", check=check, version="2.0", signing_key=f"{KEYS}/{key}", **PUBLISH)
        assert (refused["error_code"], said in refused["msg"]) == (code, True), refused["msg"]

    assert files(host) == before


def test_key_in_an_agent_of_the_controller_signs_and_never_lies_on_the_host(host, tmp_path):
    """As docs/signed-images.md shows it: the agent is forwarded, and the task with become is told of it."""
    key = tmp_path / "signing"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", key], check=True)
    (tmp_path / "answer").write_text("#!/bin/sh\necho secret\n")
    (tmp_path / "answer").chmod(0o700)
    host.run(f"echo '{(tmp_path / 'signing.pub').read_text()}' > {KEYS}/signing.pub")
    options = PUBLISH | {"version": "3.0", "signing_key": f"{KEYS}/signing.pub"}
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.PIPE) as agent:
        try:
            agent.stdout.readline()
            environment = os.environ | {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
            asking = {"SSH_ASKPASS": str(tmp_path / "answer"), "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(["ssh-add", "-q", key], env=environment | asking, check=True)
            play(host, tmp_path, environment, options)
        finally:
            agent.terminate()

    signer = [f"it@example.com {(tmp_path / 'signing.pub').read_text().strip()}"]
    host.module("desktop_pool", **APPLY | {"version": "3.0", "count": 0, "trusted_signers": signer})
    refused = host.failure("desktop_image", **options | {"version": "3.1"})
    assert (
        "the private key of /srv/signtest-keys/signing.pub does not lie beside it, and there is no ssh-agent"
        in (refused["msg"])
    )


def play(host: Any, directory: Path, environment: dict[str, str], options: dict[str, Any]) -> None:
    """Run desktop_image in a playbook over a connection that forwards the agent."""
    tasks = [
        {"ansible.builtin.setup": {"gather_subset": ["!all", "!min", "env"]}, "become": False},
        {
            "goldsmith.images.desktop_image": options,
            "become": True,
            "environment": {"SSH_AUTH_SOCK": "{{ ansible_facts.env.SSH_AUTH_SOCK }}"},
        },
    ]
    (directory / "play.json").write_text(json.dumps([{"hosts": host.name, "gather_facts": False, "tasks": tasks}]))
    command = ["ansible-playbook", "-i", host.inventory, directory / "play.json"]
    command += ["--ssh-extra-args", f"-o ForwardAgent=yes -o ControlPath={directory}/cp"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=host.environment() | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

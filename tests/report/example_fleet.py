# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A made-up fleet for the report: what the info modules would return on each of its hosts, by the keys of their RETURN.

20 images with several versions on 6 hosts, with what goes wrong in real life: a host that is down, one whose libvirt
does not answer, a damaged copy, a push on its way, a pool that is full, hosts that disagree on a marker.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

GIB = 1024**3
POOL = "golden"
DOWN, BROKEN = "hv-lyon-2", "hv-oslo-1"
ENDPOINTS = [*(f"desk-{number}" for number in range(101, 107)), "bench-201"]
HOSTS = {
    "hv-berlin-1": "berlin",
    "hv-berlin-2": "berlin",
    "hv-lyon-1": "lyon",
    DOWN: "lyon",
    "hv-oslo-1": "oslo",
    "arm-oslo-2": "oslo",
}
ARM_HOST = "arm-oslo-2"

# name: operating system, type, architecture, description, GiB, (version, parent) from old to new
IMAGES: dict[str, tuple[str, str, str, str, int, tuple[tuple[str, str | None], ...]]] = {
    "office": ("win11", "vdi", "x86_64", "Office applications for all departments", 64,
               (("1.0", None), ("1.1", "1.0"), ("1.2", "1.1"), ("2.0", "1.1"), ("2.1", "2.0"), ("1.3", "1.2"))),
    "accounting": ("win11", "vdi", "x86_64", "Office, and the ledger", 64, (("1.0", None), ("1.1", "1.0"))),
    "cad": ("win11", "vdi", "x86_64", "Drawing offices", 160, (("3.4", None), ("3.5", "3.4"), ("4.0", "3.5"))),
    "call-centre": ("debian12", "vdi", "x86_64", "Softphones", 20, (("1.0", None), ("1.1", "1.0"), ("1.2", "1.1"))),
    "classroom": ("ubuntu24.04", "vdi", "x86_64", "Course rooms", 32, (("2026.1", None), ("2026.2", "2026.1"))),
    "data-science": ("ubuntu24.04", "vdi", "x86_64", "Python, R and notebooks", 80, (("1.0", None), ("1.1", "1.0"))),
    "developer": ("debian12", "vdi", "x86_64", "", 48, (("5.0", None), ("5.1", "5.0"), ("6.0", "5.1"), ("6.1", "6.0"))),
    "developer-arm": ("debian12", "vdi", "aarch64", "The same for ARM hosts", 48, (("6.0", None), ("6.1", "6.0"))),
    "exam": ("debian12", "vdi", "x86_64", "Locked down for examinations", 16, (("1.0", None),)),
    "front-desk": ("win10", "vdi", "x86_64", "Reception, both buildings", 40, (("1.7", None), ("1.8", "1.7"))),
    "hr": ("win11", "vdi", "x86_64", "", 64, (("1.0", None), ("1.1", "1.0"))),
    "kiosk": ("debian12", "idv", "x86_64", "Information terminals in the lobby", 12, (("1.0", None), ("1.1", "1.0"))),
    "lab-bench": ("win10", "voi", "x86_64", "PCs at the measuring benches", 60, (("2.0", None), ("2.1", "2.0"))),
    "legal": ("win11", "vdi", "x86_64", "", 64, (("1.0", None),)),
    "library": ("debian12", "idv", "x86_64", "Catalogue terminals", 12, (("1.0", "kiosk@1.0"),)),
    "marketing": ("win11", "vdi", "x86_64", "Design and video", 120, (("1.0", None), ("1.1", "1.0"))),
    "monitoring": ("debian12", "vdi", "x86_64", "Wall displays", 16, (("1.0", None), ("1.1", "1.0"))),
    "sales": ("win11", "vdi", "x86_64", "", 64, (("2.3", None), ("2.4", "2.3"))),
    "support": ("win11", "vdi", "x86_64", "Second level support", 64, (("1.0", None), ("1.1", "1.0"))),
    "training": ("win10", "vdi", "x86_64", "Withdrawn: Windows 10", 40, (("1.0", None), ("1.1", "1.0"))),
}  # fmt: skip
MARKERS = {
    "office": {"stable": "1.2", "canary": "2.1"},
    "cad": {"stable": "3.5", "canary": "4.0"},
    "developer": {"stable": "6.1", "lts": "5.1"},
    "developer-arm": {"stable": "6.1"},
    "classroom": {"stable": "2026.2"},
    "training": {},
    "data-science": {},
}
SIGNED = {
    "fingerprint": "SHA256:0sVpQyMOQvKpu0Yt3rR6cNf",
    "key_type": "ssh-ed25519",
    "namespace": "manifest@goldsmith.images",
}
ROLLOUT = {
    "rollout": {"state": "pending", "image": "call-centre", "version": "1.3", "canaries": ["call-0", "call-1"]},
    "start_at": None,
}
LABELS = {"office": {"owner": "it-desktop", "licence": "volume"}, "cad": {"gpu": "required"}}


def version(image: str, number: str, parent: str | None, age: int, host: str, **changes: Any) -> dict[str, Any]:
    """Return what desktop_image_info returns of a version."""
    system, kind, architecture, _text, gib, _versions = IMAGES.get(image) or ("debian12", "vdi", "x86_64", "", 20, ())
    digest = "sha256-merkle-16k:" + hashlib.sha256(f"{image}@{number}".encode()).hexdigest()
    allocated = int(gib * GIB * (0.25 + int(digest[-3:], 16) / 12000))
    path = f"/srv/golden/{image}@{number}.disk0.raw"
    disk = {"path": path, "target": "vda", "bus": "virtio", "virtual_size": gib * GIB, "allocated": allocated}
    created = f"{date(2026, 11, 20) - timedelta(days=age)}T09:12:44Z"
    return {
        "name": image, "version": number, "state": "available", "damage": [], "desktop_type": kind,
        "architecture": architecture, "os": system,
        "firmware": {"type": "uefi", "secure_boot": False, "tpm": False},
        "disks": [disk | {"digest": digest}], "nvram": None,
        "markers": sorted(name for name, at in markers_of(image).items() if at == number),
        "parent": parent, "description": "", "labels": {}, "signed": SIGNED if image in ("office", "cad") else None,
        "provenance": {"method": "clone", "source_vm": f"{image}-src", "host": host, "created": created},
        "virtual_size": gib * GIB, "allocated": allocated, "users": [],
    } | changes  # fmt: skip


def markers_of(image: str) -> dict[str, str]:
    """Return the markers of an image; by default, stable is on the newest version."""
    versions = IMAGES[image][-1] if image in IMAGES else ()
    return MARKERS.get(image, {"stable": versions[-1][0]} if versions else {})


def desktop(name: str, image: str, number: str, wanted: str, marker: str = "stable", **changes: Any) -> dict[str, Any]:
    """Return what desktop_pool_info returns of a desktop, as far as the report reads it."""
    return {
        "name": name, "state": "running", "image_pool": POOL, "image": image, "version": number, "marker": marker,
        "wanted_image": image, "wanted_version": wanted, "up_to_date": number == wanted,
        "restart_pending": number != wanted, "held": None,
    } | changes  # fmt: skip


def desktop_pool(name: str, desktops: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "count": len(desktops),
        "running": sum(one["state"] == "running" for one in desktops),
        "outdated": sum(not one["up_to_date"] for one in desktops),
        "desktops": desktops,
    }


def image_pool(name: str, used: float, capacity: int = 2048 * GIB, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "type": "dir", "path": f"/srv/{name}", "source_host": None, "source_path": None, "active": True,
        "autostart": True, "capacity": capacity, "available": int(capacity * (1 - used)), "holdings": [],
    } | changes  # fmt: skip


def results(host: str, pools: list[dict[str, Any]], images: dict[str, Any], desktops: list[Any]) -> dict[str, Any]:
    """Return an element of the filter's input, of a host where everything was read."""
    facts = {
        "architecture": "aarch64" if host == ARM_HOST else "x86_64",
        "desktop_types": ["vdi"] if host == ARM_HOST else ["vdi", "idv", "voi"],
        "libvirt_version": "9.0.0",
        "virt_types": ["kvm", "qemu"],
    }
    return {
        "host": host,
        "pod": HOSTS.get(host, ""),
        "image_pools": {"image_pools": pools},
        "facts": {"ansible_facts": {"image_host": facts}},
        "desktop_pools": {"desktop_pools": desktops},
        "desktop_images": [{"item": pool, **answer} for pool, answer in images.items()],
        "problem": "",
    }


def _catalogue(host: str) -> dict[str, Any]:
    """Return what desktop_image_info returns of the pool on the host."""
    here, images = [], []
    for name, (_os, kind, architecture, text, _gib, versions) in IMAGES.items():
        if (architecture == "aarch64") != (host == ARM_HOST) or (kind != "vdi" and host != "hv-berlin-1"):
            continue
        for place, (number, parent) in enumerate(versions):
            made = version(name, number, parent, 12 + 23 * (len(versions) - place), "hv-berlin-1")
            made |= _troubles(host, name, number)
            if made["state"] is not None:
                here.append(made)
        markers = {marker: _move(at) for marker, at in markers_of(name).items()}
        if name == "sales" and host == "hv-lyon-1":
            markers = {"stable": _move("2.3")}
        whole = {"name": name, "description": text, "labels": LABELS.get(name, {}), "disabled": name == "training"}
        images.append(whole | {"markers": markers})
    return {"desktop_images": here, "images": images, "in_progress": _in_progress(host)}


def _in_progress(host: str) -> list[dict[str, Any]]:
    """Return the versions that are being made on the host, and those on their way to it."""
    if host == "hv-berlin-1":
        return [{"name": "hr", "version": "1.2", "state": "deploying", "working": True, "written": 8 * GIB}]
    if host == "hv-berlin-2":
        return [_coming("cad", "4.0", "replicating")]
    if host == "hv-lyon-1":
        return [_coming("marketing", "1.1", "retry_pending", attempts=2, last_error=f"no space on /srv/{POOL}")]
    return []


def _coming(image: str, number: str, state: str, attempts: int = 0, last_error: str | None = None) -> dict[str, Any]:
    return {
        "name": image, "version": number, "state": state, "working": state == "replicating", "attempts": attempts,
        "last_error": last_error, "done": 17 * GIB, "total": 40 * GIB, "method": "swarm", "source": "hv-berlin-1",
    }  # fmt: skip


def _move(number: str) -> dict[str, Any]:
    return {"version": number, "moved": "2026-10-30T07:00:00Z", "moved_by": "alice@controller", "from": None}


def _troubles(host: str, image: str, number: str) -> dict[str, Any]:
    """Return what is not as it should be with the copy; a state of None is a copy that is not there."""
    if image == "training":
        return {"state": "disabled"}
    if (host, image, number) == ("hv-lyon-1", "cad", "3.5"):
        return {"state": "failed", "damage": ["cad@3.5.disk0.raw has 171798691328 bytes, and should have 171798691840"]}
    if (image, number) == ("cad", "4.0"):
        return {"state": "available" if host == "hv-berlin-1" else None}
    if (image, number) == ("marketing", "1.1"):
        return {"state": None if host == "hv-lyon-1" else "available"}
    if (image, number) == ("data-science", "1.1"):
        return {"state": "deployment_done" if host == "hv-berlin-1" else None}
    if (image, number) == ("legal", "1.0"):
        return {"state": "available" if host != "hv-berlin-2" else None}
    return {}


def _desktop_pools(host: str) -> list[dict[str, Any]]:
    if host == "hv-berlin-1":
        push = [desktop(f"acct-{n:03d}", "office", "1.2" if n < 15 else "1.1", "1.2") for n in range(20)]
        push[17]["held"] = "has snapshots"
        return [
            desktop_pool("accounting", push),
            desktop_pool("canaries", [desktop(f"can-{n}", "office", "2.1", "2.1", "canary") for n in range(2)]),
            desktop_pool("call-a", [desktop(f"call-{n}", "call-centre", "1.2", "1.2") for n in range(10)]) | ROLLOUT,
            desktop_pool("cad-a", [desktop(f"cad-{n}", "cad", "3.5", "3.5") for n in range(12)]),
        ]
    if host == "hv-berlin-2":
        off = [desktop(f"room-{n}", "classroom", "2026.2", "2026.2", state="stopped") for n in range(30)]
        return [desktop_pool("classrooms", off)]
    if host == "hv-lyon-1":
        return [desktop_pool("sales-lyon", [desktop(f"sl-{n}", "sales", "2.3", "2.3") for n in range(24)])]
    if host == ARM_HOST:
        return [desktop_pool("dev-arm", [desktop(f"arm-{n}", "developer-arm", "6.1", "6.1") for n in range(8)])]
    return []


def _update(
    state: str, origin: str | None, to: str, previous: str | None, image: str = "kiosk", **changes: Any
) -> dict[str, Any]:
    """Return an update as an endpoint tells of it."""
    versions = {"from": origin, "to": to, "previous": previous}
    told = {key: number and {"image": image, "version": number} for key, number in versions.items()}
    return told | {"state": state, "since": "2026-11-20T06:31:00Z", "error": None, "error_code": None} | changes


def _endpoints() -> list[dict[str, Any]]:
    """Return the elements of endpoints, one in each state."""
    silent = "its guest agent did not answer within 300 s"
    desktops = {
        "desk-101": _update("active", "1.0", "1.1", "1.0"),
        "desk-102": _update("waiting_for_restart", "1.0", "1.1", None),
        "desk-103": _update("fetching", "1.0", "1.1", None),
        "desk-104": _update("failed", "1.1", "1.2", "1.0", error=silent, error_code="push_failed"),
        "desk-105": None,
    }
    found = []
    for host, update in desktops.items():
        desktop = {"name": "kiosk", "marker": "stable", "restore": "on_restart", "update": update}
        found.append(results(host, [], {}, []) | {"kind": "endpoint", "idv_desktop": {"idv_desktop": desktop}})
    disk = {"image": "lab-bench", "version": "2.1", "restore": "on_boot"}
    disk["update"] = _update("active", "2.0", "2.1", "2.0", image="lab-bench")
    found.append(
        {"host": "bench-201", "kind": "endpoint", "image_pools": {"skipped": True}, "voi_disk": {"voi_disk": disk}}
    )
    down = "Failed to connect to the host via ssh: Connection timed out"
    return [*found, {"host": "desk-106", "kind": "endpoint", "image_pools": {"unreachable": True, "msg": down}}]


def fleet() -> list[dict[str, Any]]:
    """Return the input of the filter image_report for the example, one element a host."""
    used = {"hv-berlin-1": 0.62, "hv-berlin-2": 0.48, "hv-lyon-1": 0.93, ARM_HOST: 0.21}
    found = []
    for host in HOSTS:
        if host in used:
            pools = [image_pool(POOL, used[host]), image_pool("default", 0.3, path="/var/lib/libvirt/images")]
            images = {POOL: _catalogue(host), "default": {"desktop_images": [], "images": []}}
            found.append(results(host, pools, images, _desktop_pools(host)))
    down = "Failed to connect to the host via ssh: ssh: connect to host 192.0.2.22 port 22: No route to host"
    nothing = {"desktop_pools": {}, "desktop_images": [], "facts": {}, "problem": ""}
    found.append({"host": DOWN, "pod": "lyon", "image_pools": {"unreachable": True, "msg": down}, **nothing})
    libvirt = "cannot connect to libvirt at qemu:///system: Failed to connect socket to '/var/run/libvirt/libvirt-sock'"
    found.append({"host": BROKEN, "pod": "oslo", "image_pools": {"msg": libvirt}, **nothing})
    return [*found, *_endpoints()]

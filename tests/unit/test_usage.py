# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses a file."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.usage import users_of


def disk(path, disk_format="raw", device="disk") -> DomainDisk:
    return DomainDisk("vda", device, path, disk_format, "virtio")


def domain(name, disks=(), live_disks=(), mark=None, nvram=None) -> Domain:
    return Domain(name, "uuid", bool(live_disks), False, False, True, "", tuple(disks), nvram, mark, tuple(live_disks))


CDROM = disk("/pool/tool-x.iso", device="cdrom")


@pytest.mark.parametrize(
    ("one", "users"),
    [
        (domain("web1"), []),
        (domain("web1", [disk(None)]), []),
        (domain("web1", [disk("/pool/other.iso")]), []),
        (domain("web1", [CDROM]), ["domain web1"]),
        (domain("web1", [], [CDROM]), ["domain web1"]),
        (domain("web1", [CDROM], [disk(None)]), ["domain web1"]),
        (domain("web1", nvram="/pool/tool-x.iso"), ["domain web1"]),
        (domain("src", [CDROM], mark=Mark("source_vm")), ["source VM src"]),
        (domain("acct-001", [CDROM], mark=Mark("desktop")), ["desktop acct-001"]),
    ],
)
def test_user_is_named_by_what_it_is_to_us(one, users):
    assert users_of(["/pool/tool-x.iso"], [one]) == users


def test_symbolic_links_hide_no_user(tmp_path):
    (tmp_path / "tool.iso").touch()
    (tmp_path / "link.iso").symlink_to(tmp_path / "tool.iso")

    assert users_of([str(tmp_path / "tool.iso")], [domain("a", [disk(str(tmp_path / "link.iso"))])]) == ["domain a"]
    assert users_of([str(tmp_path / "link.iso")], [domain("a", [disk(str(tmp_path / "tool.iso"))])]) == ["domain a"]

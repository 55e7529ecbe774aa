# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tools of libguestfs (virt-sysprep, virt-v2v) are told of this host."""

from __future__ import annotations


def environment(kvm: bool) -> dict[str, str]:
    """Return the environment for a tool; its appliance runs under KVM when I(kvm) says that it works here.

    libguestfs is told all: by default it would ask libvirt for a domain, and KVM because /dev/kvm opens.
    """
    return {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "" if kvm else "force_tcg"}

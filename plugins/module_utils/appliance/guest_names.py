# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names that a descriptor gives to a guest operating system, from the short id of libosinfo.

The other way round: guest_os.py. CIM's numbers are those of CIM_OperatingSystem.OsType, VMware's names those of the
vSphere API (VirtualMachineGuestOsIdentifier).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OTHER, _OTHER_LINUX = 1, 101


@dataclass(frozen=True)
class GuestName:
    """CIM's number, VMware's name, and words for a reader."""

    cim: int
    vmware: str
    words: str


# libosinfo's short id: CIM's number, VMware's name (of a guest of 64 bits), words
_NAMES = (
    (r"win11", 1, "windows11_64Guest", "Microsoft Windows 11 (64-bit)"),
    (r"win10", 1, "windows9_64Guest", "Microsoft Windows 10 (64-bit)"),
    (r"win8(\.1)?", 1, "windows8_64Guest", "Microsoft Windows 8 (64-bit)"),
    (r"win7", 105, "windows7_64Guest", "Microsoft Windows 7 (64-bit)"),
    (r"win2k25", 1, "windows2022srvNext_64Guest", "Microsoft Windows Server 2025 (64-bit)"),
    (r"win2k22", 1, "windows2019srvNext_64Guest", "Microsoft Windows Server 2022 (64-bit)"),
    (r"win2k19", 1, "windows2019srv_64Guest", "Microsoft Windows Server 2019 (64-bit)"),
    (r"win2k16", 1, "windows9Server64Guest", "Microsoft Windows Server 2016 (64-bit)"),
    (r"win2k12(r2)?", 1, "windows8Server64Guest", "Microsoft Windows Server 2012 (64-bit)"),
    (r"win2k8r2", 103, "windows7Server64Guest", "Microsoft Windows Server 2008 R2 (64-bit)"),
    (r"debian(\d+)", 96, r"debian\1_64Guest", r"Debian GNU/Linux \1 (64-bit)"),
    (r"ubuntu(\d\d\.\d\d)", 94, "ubuntu64Guest", r"Ubuntu \1 (64-bit)"),
    (r"rhel(\d+)(?:\.\d+)?", 80, r"rhel\1_64Guest", r"Red Hat Enterprise Linux \1 (64-bit)"),
    (r"centos(?:-stream)?(\d+)(?:\.\d+)?", 107, r"centos\1_64Guest", r"CentOS \1 (64-bit)"),
    (r"rocky(\d+)(?:\.\d+)?", 101, "rockylinux_64Guest", r"Rocky Linux \1 (64-bit)"),
    (r"alma(?:linux)?(\d+)(?:\.\d+)?", 101, "almalinux_64Guest", r"AlmaLinux \1 (64-bit)"),
    (r"ol(\d+)(?:\.\d+)?", 109, r"oracleLinux\1_64Guest", r"Oracle Linux \1 (64-bit)"),
    (r"sles?(\d+)(?:sp\d+)?", 85, r"sles\1_64Guest", r"SUSE Linux Enterprise \1 (64-bit)"),
    (r"fedora(\d+)", 101, "fedora64Guest", r"Fedora \1 (64-bit)"),
    (r"freebsd(\d+)(?:\.\d+)?", 78, r"freebsd\1_64Guest", r"FreeBSD \1 (64-bit)"),
)
_LINUX = re.compile(r"linux|ubuntu|debian|centos|rhel|fedora|suse|sles|alpine|arch|gentoo|mageia|kylin|uos|openeuler")


def guest_name(osinfo: str) -> GuestName:
    """Return the names of the guest operating system; one that is not known is some Linux, or some other."""
    for pattern, cim, vmware, words in _NAMES:
        match = re.fullmatch(pattern, osinfo)
        if match:
            return GuestName(cim, match.expand(vmware), match.expand(words))
    if _LINUX.search(osinfo):
        return GuestName(_OTHER_LINUX, "otherLinux64Guest", f"Linux, {osinfo} (64-bit)")
    return GuestName(_OTHER, "otherGuest64", osinfo or "Other")

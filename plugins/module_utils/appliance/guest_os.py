# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guest operating system of a virtual system, and the short id of libosinfo that it stands for.

Producers name the system three times: by CIM's number (CIM_OperatingSystem.OsType), by a name of their own, and in
words. Their own name says most; the words name releases that have no number; the number comes last.
"""

from __future__ import annotations

import re

from .descriptor_xml import Node
from .model import GuestOs

# VMware's guest ids (vSphere API, VirtualMachineGuestOsIdentifier) and VirtualBox's (VBoxManage list ostypes), without
# what only tells the width of a word. A release that libosinfo does not know yet is matched to its family later.
_PRODUCER_NAMES: tuple[tuple[str, str], ...] = (
    (r"windows12server|windows2025|windows2022srvnext", "win2k25"),
    (r"windows2022|windows2019srvnext", "win2k22"),
    (r"windows2019", "win2k19"),
    (r"windows9server|windows2016", "win2k16"),
    (r"windows8server|windows2012", "win2k12"),
    (r"windows7server|windows2008", "win2k8r2"),
    (r"winlonghorn", "win2k8"),
    (r"winnet|windows2003", "win2k3"),
    (r"windows12|windows11", "win11"),
    (r"windows9|windows10", "win10"),
    (r"windows81", "win8.1"),
    (r"windows8", "win8"),
    (r"windows7", "win7"),
    (r"winvista|windowsvista", "winvista"),
    (r"winxp|windowsxp", "winxp"),
    (r"win2000|windows2000", "win2k"),
    (r"debian(\d+)", r"debian\1"),
    (r"rhel(\d+)|redhat(\d+)", r"rhel\1"),
    (r"centos(\d+)", r"centos\1"),
    (r"oraclelinux(\d+)|oracle(\d+)", r"ol\1"),
    (r"rockylinux", "rocky9"),
    (r"almalinux", "almalinux9"),
    (r"sles(\d+)", r"sles\1"),
    (r"ubuntu(\d\d)(\d\d)?", r"ubuntu\1.04"),
    (r"freebsd(\d+)", r"freebsd\1.0"),
    (r"other(?:6x|5x)linux", "linux2022"),
    (r"other4xlinux", "linux2020"),
    (r"other3xlinux|other2[46]xlinux|otherlinux|linux2[246]|linux$", "linux2016"),
)
# What the products' user interfaces call them.
_WORDS: tuple[tuple[str, str], ...] = (
    (r"windows server\D*(20\d\d) ?r2", r"win2k\1r2"),
    (r"windows server\D*(20\d\d)", r"win2k\1"),
    (r"windows ?(2003|2008)", r"win2k\1"),
    (r"windows ?(11|10|8\.1|8|7)\b", r"win\1"),
    (r"windows ?xp", "winxp"),
    (r"windows ?vista", "winvista"),
    (r"debian\D*(\d+)", r"debian\1"),
    (r"ubuntu\D*(\d\d\.\d\d)", r"ubuntu\1"),
    (r"(?:red ?hat enterprise linux|rhel)\D*(\d+(?:\.\d+)?)", r"rhel\1"),
    (r"centos\D*(\d+(?:\.\d+)?)(?!\S*/)", r"centos\1"),
    (r"rocky\D*(\d+)", r"rocky\1"),
    (r"almalinux\D*(\d+)", r"almalinux\1"),
    (r"oracle linux\D*(\d+)", r"ol\1"),
    (r"fedora\D*(\d+)", r"fedora\1"),
    (r"suse linux enterprise\D*(\d+)", r"sles\1"),
    (r"freebsd\D*(\d+(?:\.\d+)?)", r"freebsd\1"),
    (r"photon", "linux2020"),
)
# A Linux whose release nothing tells gets what suits any that is in use.
_ANY_LINUX = "linux2016"
_LINUX = re.compile(r"linux|ubuntu|debian|centos|rhel|red ?hat|fedora|suse|sles|photon")
# CIM_OperatingSystem.OsType, where it names a release, and the numbers that are some Linux.
_CIM = {
    "67": "winxp", "69": "win2k3", "70": "win2k3", "71": "winxp", "72": "winxp", "73": "winvista", "74": "winvista",
    "76": "win2k8", "77": "win2k8", "103": "win2k8r2", "105": "win7", "113": "win2k12", "114": "win8", "115": "win8",
    "116": "win2k12r2", "117": "win2k16", "118": "win8.1", "119": "win8.1", "120": "win10", "121": "win10",
}  # fmt: skip
_CIM_LINUX = frozenset({"36", *map(str, range(79, 102)), "106", "107", "108", "109"}) - {"81"}
# What the tables call win2k2019 is win2k19.
_LONGEST = 200  # characters of a name that are looked at
_SERVER_YEAR = re.compile(r"win2k20(0)?(\d+)(r2)?")


def guest_os(system: Node) -> GuestOs:
    """Return the operating system that the C(VirtualSystem) element names."""
    section = system.first("OperatingSystemSection")
    if section is None:
        return GuestOs(None, None, None)
    virtualbox = section.value("OSType")
    producer = section.attributes.get("osType") or virtualbox
    words = (section.value("Description") or "")[:_LONGEST]
    number = section.attributes.get("id")
    return GuestOs(number, producer, osinfo_id((producer or "")[:_LONGEST], words, number or ""))


def osinfo_id(producer: str, words: str, number: str) -> str | None:
    """Return the short id of libosinfo for the producer's name, the description and CIM's number of a system."""
    plain = re.sub(r"[^a-z0-9]|guest$", "", producer.lower())
    plain = re.sub(r"64$|32$", "", plain.replace("_64", ""))
    one_word = re.sub(r"[^a-z0-9]", "", words.lower()) if " " not in words.strip() else ""
    found = _match(_PRODUCER_NAMES, plain) or _match(_WORDS, words.lower()) or _match(_PRODUCER_NAMES, one_word)
    if found:
        return _SERVER_YEAR.sub(r"win2k\2\3", found)
    if _LINUX.search(plain) or _LINUX.search(words.lower()):
        return _ANY_LINUX
    return _CIM.get(number) or (_ANY_LINUX if number in _CIM_LINUX else None)


def _match(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    for pattern, name in table:
        match = re.search(pattern, text)
        if match:
            groups = [group for group in match.groups() if group]
            return name.replace(r"\1", groups[0]) if groups else name
    return None

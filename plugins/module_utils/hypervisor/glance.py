# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All domains at a glance: their names and the files of their disks, in one round trip however many there are."""

from __future__ import annotations

from dataclasses import dataclass

from .connection import Host, libvirt


@dataclass(frozen=True)
class GlancedDomain:
    """I(paths) are the files in its disks and CD-ROM drives: those that it has open when it runs."""

    name: str
    paths: tuple[str, ...]


def glance(host: Host) -> list[GlancedDomain]:
    """Return every domain, running or not, in the order of their names.

    A disk that is named as a volume of a storage pool has no path here while its domain is off.
    """
    found = host.connection.getAllDomainStats(
        libvirt.VIR_DOMAIN_STATS_BLOCK, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    )
    domains = (GlancedDomain(handle.name(), tuple(_paths(statistics))) for handle, statistics in found)
    return sorted(domains, key=lambda domain: domain.name)


def _paths(statistics: dict[str, object]) -> list[str]:
    numbers = range(int(str(statistics.get("block.count", 0))))
    paths = (statistics.get(f"block.{number}.path") for number in numbers)
    return [str(path) for path in paths if path]

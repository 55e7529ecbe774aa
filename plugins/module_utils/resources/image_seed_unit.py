# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The unit of systemd that runs goldsmith-seed (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Iterable

from .image_seed_host import PROGRAM

# It runs as root, for it writes image pools wherever they lie and asks libvirt to look at them; so what root alone may
# do is taken from it. Reading who has a file open needs CAP_SYS_PTRACE, taking over owners the CAP_CHOWN family.
_UNIT = """\
[Unit]
Description=Distribution of desktop images (goldsmith.images)
Wants=network-online.target
After=network-online.target remote-fs.target libvirtd.service virtqemud.service virtstoraged.service

[Service]
Type=exec
ExecStart=/usr/bin/python3 {program}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
RuntimeDirectory=goldsmith-images
RuntimeDirectoryPreserve=yes
StateDirectory=goldsmith-images/seed
StateDirectoryMode=0700
LimitNOFILE=65536
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_SYS_PTRACE
NoNewPrivileges=yes
ProtectSystem=full
{writable}ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""
_PROTECTED = ("/usr/", "/boot/", "/efi/", "/etc/")  # by ProtectSystem=full


def unit_text(pools: Iterable[str]) -> str:
    """Return the unit's file for image pools in these directories; those in system directories stay writable."""
    inside = sorted(path for path in pools if path.startswith(_PROTECTED))
    writable = "".join(f'ReadWritePaths="-{_quoted(path)}"\n' for path in inside)
    return _UNIT.format(program=PROGRAM, writable=writable)


def _quoted(path: str) -> str:
    """Return the path as it stands between quotes (systemd.syntax(7); % begins a specifier, systemd.unit(5))."""
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")

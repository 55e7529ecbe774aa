# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The unit of systemd that runs goldsmith-endpoint (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

from .host_program import DIRECTORY

PROGRAM = f"{DIRECTORY}/goldsmith-endpoint.pyz"

# It begins after libvirt-guests, so that it ends before that: desktops that go down with the machine are not started
# again. What it tries is in the marks of the desktop, so it may be ended at any moment.
UNIT_TEXT = f"""\
[Unit]
Description=Desktop of this endpoint (goldsmith.images)
After=libvirtd.service virtqemud.service virtstoraged.service virtnetworkd.service
After=libvirt-guests.service remote-fs.target
Wants=libvirtd.service

[Service]
Type=exec
ExecStart=/usr/bin/python3 {PROGRAM}
Restart=always
RestartSec=5
RuntimeDirectory=goldsmith-images
RuntimeDirectoryPreserve=yes
StateDirectory=goldsmith-images/endpoint
StateDirectoryMode=0700
PrivateTmp=yes
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictRealtime=yes

[Install]
WantedBy=multi-user.target
"""

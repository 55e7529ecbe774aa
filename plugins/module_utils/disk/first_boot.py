# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The identity service: a small systemd unit in every generalised image that makes each desktop one of its own.

At every boot, before the network and sshd, it takes the host name from an SMBIOS OEM string (DSP0134, type 11) of
the desktop's virtual hardware, C(goldsmith.images.hostname=NAME), and makes SSH host keys where they are missing.
It does nothing where name and keys are right already, and nothing to a machine without such a string.
"""

from __future__ import annotations

HOSTNAME_KEY = "goldsmith.images.hostname"

_DIRECTORY = "/usr/lib/goldsmith-images"
_SCRIPT_PATH = f"{_DIRECTORY}/identity"
_UNIT_NAME = "goldsmith-images-identity.service"
_UNIT_PATH = f"/etc/systemd/system/{_UNIT_NAME}"
_WANTS = "/etc/systemd/system/sysinit.target.wants"

_SCRIPT = rf"""#!/bin/sh
# Gives this machine its own host name and SSH host keys. Installed by goldsmith.images when the image was published.
set -u

name=$(grep -a -o '{HOSTNAME_KEY}=[A-Za-z0-9.-]*' /sys/firmware/dmi/tables/DMI 2>/dev/null | head -n 1 | cut -d = -f 2)
old=$(cat /etc/hostname 2>/dev/null)
if [ -n "$name" ] && [ "$name" != "$old" ]; then
    printf '%s\n' "$name" > /etc/hostname
    if [ -n "$old" ] && [ -f /etc/hosts ]; then
        pattern=$(printf '%s' "$old" | sed 's/\./\\./g')
        sed -i -E "s/([[:space:]])$pattern([[:space:].]|\$)/\1$name\2/g" /etc/hosts
    fi
fi
if [ -n "$name" ]; then
    printf '%s' "$name" > /proc/sys/kernel/hostname
fi

if command -v ssh-keygen >/dev/null && [ -d /etc/ssh ]; then
    ssh-keygen -A
fi
"""

_UNIT = f"""[Unit]
Description=Own host name and SSH host keys of this desktop
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target systemd-tmpfiles-setup.service
Before=sysinit.target network-pre.target ssh.service sshd.service ssh.socket sshd.socket shutdown.target
Wants=network-pre.target
RequiresMountsFor=/etc {_DIRECTORY}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_SCRIPT_PATH}
StandardOutput=journal

[Install]
WantedBy=sysinit.target
"""


def virt_customize_arguments() -> list[str]:
    """Return the arguments by which virt-sysprep or virt-customize puts the service into a guest."""
    return [
        *("--mkdir", _DIRECTORY),
        *("--write", f"{_SCRIPT_PATH}:{_SCRIPT}"),
        *("--chmod", f"0755:{_SCRIPT_PATH}"),
        *("--mkdir", _WANTS),
        *("--write", f"{_UNIT_PATH}:{_UNIT}"),
        *("--link", f"{_UNIT_PATH}:{_WANTS}/{_UNIT_NAME}"),
    ]

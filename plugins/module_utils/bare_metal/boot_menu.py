# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What our GRUB does: its configuration, and the environment block by which it is told. Texts only.

The environment block has C(system_ready) (C(yes) once the system area is whole), C(restore), C(next_boot) (C(system) or
C(endpoint_os)), which counts once, and what C(image) is on the disk (C(office@1.0)). GRUB itself notes there which one
it C(booted) last. Format: GRUB's manual, "The GRUB environment block".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import BadInput
from .partition_table import Partition

CONFIGURATION, ENVIRONMENT = "grub/grub.cfg", "grub/grubenv"
KERNEL, INITRD = "endpoint-os/vmlinuz", "endpoint-os/initrd.img"
RESTORING = "goldsmith.restore"  # among the kernel's arguments: the endpoint OS was booted to restore the system
SYSTEM, ENDPOINT_OS = "system", "endpoint_os"

_SIGNATURE = "# GRUB Environment Block\n"
_SIZE = 1024
_LOADERS = (
    "EFI/BOOT/BOOTX64.EFI",
    "EFI/Microsoft/Boot/bootmgfw.efi",
    "EFI/debian/grubx64.efi",
    "EFI/ubuntu/grubx64.efi",
)
_CONFIGURATIONS = ("boot/grub/grub.cfg", "grub/grub.cfg", "boot/grub2/grub.cfg", "grub2/grub.cfg")
_FORBIDDEN = frozenset("\n\r'")

_TEMPLATE = """\
# Written by goldsmith.images, which replaces it; what it is told stands in the environment block beside it.
set timeout=0
set pager=0
regexp --set=1:disk '^\\(?(hd[0-9]+),' "$root"
load_env --file $prefix/grubenv system_ready restore next_boot image
set target=system
if [ "$restore" = on_boot ]; then
    set target=endpoint_os
    set task={restoring}
fi
if [ "$system_ready" != yes ]; then
    set target=endpoint_os
    set task=
fi
if [ -n "$next_boot" ]; then
    set target="$next_boot"
    set task=
    set next_boot=
    save_env --file $prefix/grubenv next_boot
fi

function boot_endpoint_os {{
    set root="$disk,gpt{cache}"
    if [ -s /{kernel} ]; then
        linux /{kernel} {arguments} $task
        initrd /{initrd}
        boot
    fi
}}

function boot_system {{
    set booted="$image"
    save_env --file $prefix/grubenv booted
    if [ "$grub_platform" = efi ]; then
        for part in {system}; do
            for loader in {loaders}; do
                if [ -s "($disk,gpt$part)/$loader" ]; then
                    set root="$disk,gpt$part"
                    chainloader "/$loader"
                    boot
                fi
            done
        done
    fi
    for part in {system}; do
        for configuration in {configurations}; do
            if [ -s "($disk,gpt$part)/$configuration" ]; then
                set root="$disk,gpt$part"
                configfile "/$configuration"
            fi
        done
    done
}}

if [ "$target" = system ]; then boot_system; fi
boot_endpoint_os
echo "goldsmith.images: neither the desktop image nor the endpoint OS on this disk can be booted."
sleep 5
exit
"""


def configuration(cache: Partition, system: Iterable[Partition], arguments: str) -> bytes:
    """Return grub.cfg for a disk with these partitions; I(arguments) are the kernel's of the endpoint OS."""
    if _FORBIDDEN & set(arguments):
        raise BadInput(f"endpoint_os_arguments: {arguments!r} has a line break or a quote; kernel arguments have none")
    words = " ".join(f"'{word}'" for word in arguments.split())
    return _TEMPLATE.format(
        cache=cache.number,
        system=" ".join(str(partition.number) for partition in system) or "none",
        kernel=KERNEL,
        initrd=INITRD,
        arguments=words,
        restoring=RESTORING,
        loaders=" ".join(_LOADERS),
        configurations=" ".join(_CONFIGURATIONS),
    ).encode()


def environment(variables: Mapping[str, str]) -> bytes:
    """Return an environment block with the variables; one without a value is left out."""
    lines = "".join(f"{name}={value}\n" for name, value in sorted(variables.items()) if value)
    return (_SIGNATURE + lines).ljust(_SIZE, "#").encode()


def read_environment(block: bytes | None) -> dict[str, str]:
    """Return the variables of an environment block; none of one that is missing, or that a crash cut off."""
    text = (block or b"").decode(errors="replace")
    if not text.startswith(_SIGNATURE) or len(text) != _SIZE:
        return {}
    lines = text[len(_SIGNATURE) :].rstrip("#").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)

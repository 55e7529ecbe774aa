# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""virt-sysprep: takes out of the copies of a Linux guest's disks what makes it one guest. The one place that runs it.

What is taken out, every desktop makes anew: systemd the machine id, the identity service (first_boot.py), which
is put in here, the SSH host keys and the host name.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..commands import run_command
from ..errors import BadInput, Conflict, ToolFailed
from ..files import Files
from . import first_boot, libguestfs

# Of virt-sysprep's operations those that take out identity and traces of the build. Left alone is what an
# administrator may have put into the image on purpose: authorized keys (ssh-userdir), scheduled jobs (cron-spool),
# network profiles (net-nmconn), certificates, user accounts, volume groups (lvm-uuids).
OPERATIONS = (
    "bash-history",
    "blkid-tab",
    "crash-data",
    "customize",
    "dhcp-client-state",
    "kerberos-hostkeytab",
    "logfiles",
    "machine-id",
    "mail-spool",
    "net-hostname",
    "net-hwaddr",
    "package-manager-cache",
    "pacct-log",
    "passwd-backups",
    "rh-subscription-manager",
    "rhn-systemid",
    "samba-db-log",
    "ssh-hostkeys",
    "sssd-db-log",
    "tmp-files",
    "udev-persistent-net",
    "utmp",
    "yum-uuid",
)

_MACHINE_ID = "machine-id"
_CUSTOMIZE = "customize"  # puts in the identity service and a new random seed, so it is always done


def checked_operations(wanted: Iterable[str] | None) -> tuple[str, ...]:
    """Return the operations to do: the ones that are wanted, or L(OPERATIONS). Raises BadInput for an unknown one."""
    if wanted is None:
        return OPERATIONS
    known = {line.split()[0] for line in run_command(["virt-sysprep", "--list-operations"]).splitlines() if line}
    operations = tuple(sorted({*wanted, _CUSTOMIZE}))
    for operation in operations:
        if operation not in known:
            raise BadInput(
                f"generalize_operations: virt-sysprep on this host has no operation {operation!r}; it has "
                f"{', '.join(sorted(known))}"
            )
    return operations


def generalize(files: Files, disks: list[str], operations: tuple[str, ...], kvm: bool) -> None:
    """Generalise the guest on the raw disks, all of them of one machine, in place.

    The appliance runs under KVM when I(kvm) says that it works here. Raises Conflict when there is no guest that
    virt-sysprep knows on the disks, and ToolFailed.
    """
    arguments = ["virt-sysprep", "--quiet", "--no-network", "--operations", ",".join(operations)]
    for disk in disks:
        arguments += ["--format", "raw", "--add", files.permit(disk)]
    if _MACHINE_ID in operations:
        # customize fills an empty machine id with a random one, which all desktops would share
        arguments += ["--write", "/etc/machine-id:"]
    try:
        run_command(arguments + first_boot.virt_customize_arguments(), libguestfs.environment(kvm))
    except ToolFailed as error:
        if "no operating systems were found" in str(error):
            raise Conflict(
                "there is no operating system on the disks that virt-sysprep can generalise; "
                "say generalize: false to publish them as they are"
            ) from None
        raise

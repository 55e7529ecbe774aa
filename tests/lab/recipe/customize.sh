#!/bin/sh
# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# What a test host's root file system has beyond its packages. mmdebstrap runs it with the root directory as $1
# and Debian's name of the architecture as $2.
set -eu
root=$1
architecture=$2

# Every host gets a key of its own when it is made.
rm -f "$root"/etc/ssh/ssh_host_*

# What prepare.sh put there.
rm "$root"/usr/local/sbin/*

# How this machine reaches archives is no part of the root file system: a host is told when it is made.
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap

# A privileged container shares the machine's kernel. These units would write to it: flush its binfmt registrations
# (and with them the ARM emulation), set its sysctls, replay its device events, take its volume groups and arrays
# apart at shutdown.
for unit in systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
            systemd-sysctl.service procps.service systemd-modules-load.service systemd-udev-trigger.service \
            lvm2-monitor.service lvm2-lvmpolld.socket blk-availability.service dm-event.socket \
            mdadm-shutdown.service mdmonitor.service fstrim.timer e2scrub_all.timer e2scrub_reap.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# These take the package lock at a time of their own and would fail a test that installs something.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# OpenSSL looks here for all authorities in one file. A host is given the machine's bundle when it is made.
ln -sf /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"

# Hosts on one machine share its SMBIOS UUID. libvirt must tell them apart as it does real ones.
echo 'host_uuid_source = "machine-id"' >> "$root/etc/libvirt/libvirtd.conf"

mkdir -p "$root/etc/libvirt/qemu/networks/autostart"
ln -sf ../default.xml "$root/etc/libvirt/qemu/networks/autostart/default.xml"
mkdir -p "$root/srv/shared"

if [ "$architecture" = arm64 ]; then
    # User-mode QEMU 7.2 has neither the mount calls of systemd's credentials nor netfilter's netlink. Nobody passes
    # these units credentials, and an open network is one whose firewall libvirt leaves alone.
    for unit in systemd-sysusers systemd-tmpfiles-clean systemd-tmpfiles-setup systemd-tmpfiles-setup-dev; do
        mkdir -p "$root/etc/systemd/system/$unit.service.d"
        printf '[Service]\nLoadCredential=\nSetCredential=\n' \
            > "$root/etc/systemd/system/$unit.service.d/no-credentials.conf"
    done
    sed -i 's|<forward/>|<forward mode="open"/>|' "$root/etc/libvirt/qemu/networks/default.xml"
    grep -q 'mode="open"' "$root/etc/libvirt/qemu/networks/default.xml" || {
        echo "the network 'default' of this libvirt is not written as it was: look at $0" >&2
        exit 1
    }
fi

#!/bin/sh
# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Makes a bootable Debian 12 disk (raw, sparse, BIOS, one ext4 partition) without mounting anything:
# mmdebstrap fills a directory, mke2fs copies it into a file, GRUB goes into the gap before the partition.
#
# usage: guest_disk.sh DISK SIZE HOSTNAME [MIRROR]
#   DISK      the file to make; it appears complete or not at all
#   SIZE      its virtual size as truncate(1) reads it, for example 4GiB
#   MIRROR    a Debian mirror; left out or empty: the Debian repositories that this machine's apt uses
#
# shellcheck disable=SC2016  # dollar signs in single quotes are for apt-get and for mmdebstrap's hooks
set -eu
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH="$PATH:/usr/sbin:/sbin"

disk=$1
size=$2
hostname=$3
mirror=${4:-}

partial=$disk.partial
root=$partial/root
image=$partial/disk
partition_start=1048576
grub_modules="biosdisk part_msdos ext2 normal linux"
needed_bytes=1073741824

fail() {
    echo "$*" >&2
    exit 1
}

discard_partial() {
    rm -rf --one-file-system "$partial"
}

require_tools() {
    [ "$(id -u)" = 0 ] || fail "The guest disk can only be made by root: set become to true."
    [ "$(dpkg --print-architecture)" = amd64 ] ||
        fail "The demonstration's guest is an x86-64 Debian; this host is $(dpkg --print-architecture). Run it on an amd64 host."
    for tool in mmdebstrap sfdisk mke2fs grub-mkimage; do
        command -v "$tool" >/dev/null || fail "$tool is missing: install the packages of demo_packages."
    done
    [ -e /usr/lib/grub/i386-pc/boot.img ] || fail "GRUB's BIOS files are missing: install the package grub-pc-bin."
    available=$(df --output=avail -B1 "$(dirname "$disk")" | tail -n 1)
    [ "$available" -ge "$needed_bytes" ] ||
        fail "Making the guest disk needs $needed_bytes bytes free in $(dirname "$disk"), found $available:" \
            "free some space or set demo_directory."
}

# One line "deb ..." per Debian bookworm repository that apt knows here; nothing where apt has no lists.
apt_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Architecture: amd64' |
        awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $1, $2, $3 }' | sort -u
}

# The keyrings named by Signed-By of those repositories' source files. mmdebstrap trusts none of them by itself.
apt_keyrings() {
    apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' 'Origin: Debian' |
        sed 's/:[0-9]*$//' | sort -u |
        while read -r sources; do
            sed -n 's/.*[Ss]igned-[Bb]y[:=] *\(\/[^] ,]*\).*/\1/p' "$sources"
        done | sort -u
}

# Packages are configured without an initramfs (INITRD=No); write_guest_configuration makes it once, with its own modules.
install_packages() {
    # With neither a mirror nor sources mmdebstrap takes its own default.
    sources=$mirror
    if [ -z "$mirror" ]; then
        apt_sources >"$partial/sources.list"
        [ ! -s "$partial/sources.list" ] || sources=$partial/sources.list
    fi
    set --
    for keyring in /etc/apt/trusted.gpg /etc/apt/trusted.gpg.d /usr/share/keyrings/debian-archive-keyring.gpg $(apt_keyrings); do
        [ ! -e "$keyring" ] || set -- "--keyring=$keyring" "$@"
    done
    # Documentation is left out by a hook and not by --dpkgopt, with which mmdebstrap filters each archive, three times slower.
    # Pinning usrmerge makes apt take usr-is-merged, for the file system is merged from the start; that saves all of perl.
    # In namespaces of its own: if this script is killed, all that mmdebstrap started ends with it and none of its mounts stays.
    INITRD=No setpriv --pdeathsig KILL unshare --mount --pid --mount-proc --fork --kill-child \
        mmdebstrap --mode=root --format=directory --variant=minbase \
        --include=systemd,systemd-sysv,udev,dbus,libnss-myhostname,iproute2 \
        --include=linux-image-cloud-amd64,initramfs-tools,qemu-guest-agent,openssh-server \
        --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
        --setup-hook='printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/usrmerge"' \
        --essential-hook='for part in doc man locale; do
            echo "path-exclude=/usr/share/$part/*" >>"$1/etc/dpkg/dpkg.cfg.d/exclude-documentation"; done' \
        --customize-hook='rm -rf "$1/usr/share/doc/"* "$1/usr/share/man/"* "$1/usr/share/locale/"*' \
        --customize-hook='rm "$1/etc/apt/preferences.d/usrmerge"' \
        "$@" bookworm "$root" ${sources:+"$sources"} >"$partial/mmdebstrap.log" 2>&1 && return
    reason=$(grep -E '^(E|Err):' "$partial/mmdebstrap.log" || tail -n 5 "$partial/mmdebstrap.log")
    if [ -n "$mirror" ]; then
        fail "mmdebstrap could not install Debian 12 from $mirror:" \
            "check that the mirror is reachable and serves bookworm, or set demo_mirror to another one. It said: $reason"
    fi
    fail "mmdebstrap could not install Debian 12: check that 'apt-get update' works on this host," \
        "or set demo_mirror to the address of a Debian mirror. It said: $reason"
}

write_guest_configuration() {
    echo "$hostname" >"$root/etc/hostname"
    printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
    # Empty, not missing: a missing machine-id makes systemd apply its presets and switch services on again.
    : >"$root/etc/machine-id"
    echo "UUID=$uuid / ext4 defaults,errors=remount-ro 0 0" >"$root/etc/fstab"
    printf '[Match]\nName=en*\n\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/80-dhcp.network"
    chroot "$root" systemctl --quiet enable systemd-networkd.service
    chroot "$root" systemctl --quiet disable systemd-networkd-wait-online.service

    # The CPU model may show a guest that it could run guests of its own; loading KVM for that costs a second of each boot.
    printf 'blacklist kvm_amd\nblacklist kvm_intel\n' >"$root/etc/modprobe.d/no-nested-guests.conf"
    # The drivers of a virtual machine's disk and nothing else, loaded by udev where the hardware is there.
    printf 'MODULES=list\nBUSYBOX=n\nCOMPRESS=gzip\n' >"$root/etc/initramfs-tools/conf.d/virtual-machine"
    cat >"$root/etc/initramfs-tools/hooks/virtual-machine" <<'HOOK'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk virtio_scsi ahci sd_mod ext4
HOOK
    chmod 0755 "$root/etc/initramfs-tools/hooks/virtual-machine"
    chroot "$root" update-initramfs -c -k all >"$partial/initramfs.log" 2>&1 ||
        fail "The guest's initramfs could not be made: look for free space and memory on this host." \
            "update-initramfs said: $(tail -n 5 "$partial/initramfs.log")"
    # The kernel package makes this link, beside /vmlinuz, only where it also made the initramfs.
    kernel=$(readlink "$root/vmlinuz")
    ln -s "boot/initrd.img-${kernel#boot/vmlinuz-}" "$root/initrd.img"

    # An emulated timer that comes late on a busy host is no broken one (no_timer_check); a panic of another cause ends in
    # a restart instead of a guest that never answers.
    mkdir -p "$root/boot/grub"
    cat >"$root/boot/grub/grub.cfg" <<CONFIGURATION
set timeout=0
menuentry 'Debian' {
    linux /vmlinuz root=UUID=$uuid ro quiet no_timer_check panic=10 console=tty0 console=ttyS0,115200
    initrd /initrd.img
}
CONFIGURATION
}

# The file system lies behind a gap of 1 MiB, which holds GRUB's core image (MBR layout, see GRUB's manual, "BIOS installation").
write_image() {
    truncate -s "$size" "$image" || fail "'$size' is no disk size: give demo_disk_size as a number with MiB or GiB, for example 4GiB."
    echo 'start=2048, type=83, bootable' | sfdisk --quiet --no-reread --no-tell-kernel "$image"
    blocks=$((($(stat -c %s "$image") - partition_start) / 4096))
    mke2fs -q -t ext4 -b 4096 -L root -U "$uuid" -d "$root" \
        -E "offset=$partition_start,assume_storage_prezeroed=1" "$image" "$blocks" >"$partial/mke2fs.log" 2>&1 ||
        fail "mke2fs could not fill the guest disk of $size: if that is too small, set demo_disk_size to 1GiB or more." \
            "It said: $(tail -n 5 "$partial/mke2fs.log")"
    # shellcheck disable=SC2086
    grub-mkimage -O i386-pc -p '(,msdos1)/boot/grub' -o "$partial/core.img" $grub_modules
    [ "$(stat -c %s "$partial/core.img")" -le $((partition_start - 512)) ] || fail "GRUB's core image does not fit before the partition."
    # 440 bytes of boot code: the rest of that sector is the partition table. boot.img looks for the core image in sector 1.
    dd if=/usr/lib/grub/i386-pc/boot.img of="$image" bs=440 count=1 conv=notrunc status=none
    dd if="$partial/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none
}

make_disk() {
    [ -d "$(dirname "$disk")" ] || fail "There is no directory $(dirname "$disk") for the guest disk: make it, or set demo_disk_path."
    exec 9<"$(dirname "$disk")"
    flock -w 60 9 || fail "Another run is making a guest disk in $(dirname "$disk"): wait until it has ended."
    trap discard_partial EXIT
    trap 'exit 1' HUP INT TERM
    discard_partial
    require_tools
    mkdir "$partial"
    uuid=$(cat /proc/sys/kernel/random/uuid)
    install_packages
    write_guest_configuration
    write_image
    sync "$image"
    mv -T "$image" "$disk"
}

# The script may itself come from standard input: nothing that it runs may read on there.
make_disk </dev/null

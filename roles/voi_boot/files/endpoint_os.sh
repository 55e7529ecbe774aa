#!/bin/sh
# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Makes the endpoint OS: a small Debian 12 that runs in memory and is delivered as a kernel and an initial RAM disk alone.
# The RAM disk is two cpio archives, one after the other, as the kernel reads them (Documentation/driver-api/early-userspace,
# "initramfs buffer format"): BusyBox with the modules that mount the second one's squashfs below an overlay in memory. Neither
# is compressed, for a squashfs is read by the block and only where it is used.
#
# usage: endpoint_os.sh DIRECTORY KERNEL PACKAGES KEYS [MIRROR]
#   DIRECTORY  the build appears complete or not at all as DIRECTORY/DIGEST, with vmlinuz, initrd.img and packages.txt
#   KERNEL     the package of the kernel, for example linux-image-amd64
#   PACKAGES   more packages, separated by commas; may be empty
#   KEYS       SSH keys that may log in as root, as lines of authorized_keys(5)
#   MIRROR     a Debian mirror; left out or empty: the Debian repositories that this machine's apt uses
# Prints DIGEST, which is of the kernel and the RAM disk.
#
# shellcheck disable=SC2016  # dollar signs in single quotes are for apt-get and for mmdebstrap's hooks
set -eu
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH="$PATH:/usr/sbin:/sbin"

directory=$1
kernel_package=$2
more_packages=$3
keys=$4
mirror=${5:-}

partial=$directory/.partial
root=$partial/root
needed_bytes=2147483648

fail() {
    echo "$*" >&2
    exit 1
}

discard_partial() {
    rm -rf --one-file-system "$partial"
}

require_tools() {
    [ "$(id -u)" = 0 ] || fail "The endpoint OS can only be made by root: set become to true."
    [ "$(dpkg --print-architecture)" = amd64 ] ||
        fail "The endpoint OS is an x86-64 Debian; this host is $(dpkg --print-architecture). Let an amd64 host be the boot server."
    for tool in mmdebstrap mksquashfs cpio; do
        command -v "$tool" >/dev/null || fail "$tool is missing: let role voi_boot install its packages."
    done
    available=$(df --output=avail -B1 "$directory" | tail -n 1)
    [ "$available" -ge "$needed_bytes" ] ||
        fail "Making the endpoint OS needs $needed_bytes bytes free in $directory, found $available:" \
            "free some space or set voi_boot_directory."
}

# One line "deb ..." per Debian bookworm repository that apt knows here; nothing where apt has no lists.
apt_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Architecture: amd64' |
        awk '$2 ~ /^bookworm(-updates|-security)?$/ && ($3 == "main" || $3 == "non-free-firmware") { print "deb", $1, $2, $3 }' |
        sort -u
}

# The keyrings named by Signed-By of those repositories' source files. mmdebstrap trusts none of them by itself.
apt_keyrings() {
    apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' 'Origin: Debian' |
        sed 's/:[0-9]*$//' | sort -u |
        while read -r sources; do
            sed -n 's/.*[Ss]igned-[Bb]y[:=] *\(\/[^] ,]*\).*/\1/p' "$sources"
        done | sort -u
}

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
    [ -z "$more_packages" ] || set -- "--include=$more_packages" "$@"
    # Pinning usrmerge makes apt take usr-is-merged, for the file system is merged from the start.
    # In namespaces of its own: if this script is killed, all that mmdebstrap started ends with it and none of its mounts stays.
    setpriv --pdeathsig KILL unshare --mount --pid --mount-proc --fork --kill-child \
        mmdebstrap --mode=root --format=directory --variant=minbase \
        --include=systemd,systemd-sysv,udev,kmod,libnss-myhostname,iproute2,procps,openssh-server,ca-certificates \
        --include=python3,python3-libtorrent,openssl \
        --include=fdisk,e2fsprogs,dosfstools,mtools,ntfs-3g,grub2-common,grub-pc-bin,grub-efi-amd64-bin,libhivex-bin,libwin-hivex-perl \
        --include="busybox-static,$kernel_package" \
        --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
        --setup-hook='printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/usrmerge"' \
        --customize-hook='rm "$1/etc/apt/preferences.d/usrmerge"' \
        "$@" bookworm "$root" ${sources:+"$sources"} >"$partial/mmdebstrap.log" 2>&1 && return
    reason=$(grep -E '^(E|Err):' "$partial/mmdebstrap.log" || tail -n 5 "$partial/mmdebstrap.log")
    if [ -n "$mirror" ]; then
        fail "mmdebstrap could not install Debian 12 from $mirror: check that the mirror is reachable and serves bookworm with" \
            "the packages of voi_boot_packages, or set voi_boot_mirror to another one. It said: $reason"
    fi
    fail "mmdebstrap could not install Debian 12: check that 'apt-get update' works on this host and that the packages of" \
        "voi_boot_packages are known there, or set voi_boot_mirror to the address of a Debian mirror. It said: $reason"
}

# What a machine without a user, a screen and sound never needs.
strip_root() {
    rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/* \
        "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/initrd.img* "$root"/boot/initrd.img* \
        "$root"/etc/ssh/ssh_host_*
    for part in sound drivers/media drivers/gpu drivers/iio drivers/isdn drivers/infiniband drivers/staging drivers/video; do
        rm -rf "$root/lib/modules/$kernel/kernel/$part"
    done
    depmod -b "$root" "$kernel"
}

# Nobody sits at the machine, no time of the day is its own, and what the package manager would do is done by a new build.
mask_units() {
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        systemd-tmpfiles-clean.timer systemd-pstore.service systemd-logind.service systemd-user-sessions.service \
        getty.target getty@.service serial-getty@.service autovt@.service systemd-networkd-wait-online.service \
        systemd-journal-flush.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
        systemd-random-seed.service systemd-firstboot.service systemd-machine-id-commit.service systemd-binfmt.service \
        systemd-remount-fs.service grub-common.service modprobe@drm.service ssh.socket \
        systemd-ask-password-console.path systemd-ask-password-wall.path dev-hugepages.mount dev-mqueue.mount \
        sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount systemd-modules-load.service \
        modprobe@configfs.service modprobe@dm_mod.service modprobe@fuse.service modprobe@loop.service systemd-sysctl.service \
        systemd-network-generator.service systemd-initctl.socket systemd-journald-audit.socket; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # The disk's partitions are mounted by whoever works on them, never by their type.
    mkdir -p "$root/etc/systemd/system-generators"
    for generator in cryptsetup debug fstab getty gpt-auto hibernate-resume integritysetup rc-local run system-update veritysetup; do
        ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
    done
    # Looking at processors loads modules for each of their features (KVM, ciphers, clock rates); none is needed here.
    mkdir -p "$root/etc/systemd/system/systemd-udev-trigger.service.d"
    cat >"$root/etc/systemd/system/systemd-udev-trigger.service.d/endpoint.conf" <<'TRIGGER'
[Service]
ExecStart=
ExecStart=udevadm trigger --type=subsystems --action=add
ExecStart=udevadm trigger --type=devices --action=add --prioritized-subsystem=block,net \
    --subsystem-nomatch=cpu --subsystem-nomatch=memory --subsystem-nomatch=tty --subsystem-nomatch=vc
TRIGGER
}

write_configuration() {
    printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
    # Empty, not missing: a missing machine-id makes systemd apply its presets and switch services on again.
    : >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    touch "$root/etc/.updated" "$root/var/.updated"
    # The lease is the MAC address', the same as the one that the network boot had.
    printf '[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n' \
        >"$root/etc/systemd/network/80-dhcp.network"
    ln -sf /run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
    install -d -m 0700 "$root/root/.ssh"
    printf '%s\n' "$keys" >"$root/root/.ssh/authorized_keys"
    chmod 0600 "$root/root/.ssh/authorized_keys"
    cat >"$root/etc/ssh/sshd_config.d/endpoint.conf" <<'SSHD'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
X11Forwarding no
SSHD
    install -d "$root/usr/local/sbin"
    cat >"$root/usr/local/sbin/endpoint-identity" <<'IDENTITY'
#!/bin/sh
# The machine's SSH host key: kept on its cache partition where it has one, otherwise good until it is switched off.
set -eu
udevadm settle --timeout=10 --exit-if-exists=/dev/disk/by-label/goldsmith-cache || true
keys=/etc/ssh
if cache=$(blkid --label goldsmith-cache) && mkdir -p /srv/goldsmith-cache && mount -o noatime "$cache" /srv/goldsmith-cache; then
    keys=/srv/goldsmith-cache/ssh
    mkdir -p -m 0700 "$keys"
fi
key=$keys/ssh_host_ed25519_key
if [ ! -s "$key" ]; then
    rm -f "$key.new" "$key.new.pub"
    ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f "$key.new"
    mv "$key.new.pub" "$key.pub"
    sync "$key.new"
    mv "$key.new" "$key"
fi
[ "$keys" = /etc/ssh ] || install -m 0600 "$key" /etc/ssh/ssh_host_ed25519_key
IDENTITY
    chmod 0755 "$root/usr/local/sbin/endpoint-identity"
    # Debian tests the configuration before each start; this one does not change.
    mkdir -p "$root/etc/systemd/system/ssh.service.d"
    printf '[Service]\nExecStartPre=\n' >"$root/etc/systemd/system/ssh.service.d/endpoint.conf"
    cat >"$root/etc/systemd/system/endpoint-identity.service" <<'UNIT'
[Unit]
Description=SSH host key of the endpoint
After=systemd-udev-trigger.service
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/endpoint-identity

[Install]
RequiredBy=ssh.service
UNIT
    # The program comes into the cache with the disk (module voi_disk); the disk boots the system when it is done.
    cat >"$root/etc/systemd/system/goldsmith-restore.service" <<'UNIT'
[Unit]
Description=Restore the system on the disk of this endpoint
ConditionKernelCommandLine=goldsmith.restore
After=endpoint-identity.service
SuccessAction=reboot

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /srv/goldsmith-cache/voi/goldsmith-restore.pyz
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
UNIT
    chroot "$root" systemctl --quiet enable systemd-networkd.service ssh.service endpoint-identity.service goldsmith-restore.service
    chroot "$root" systemctl --quiet set-default multi-user.target
    mask_units
}

# BusyBox and the modules that the second archive needs, in the order in which they are loaded.
write_initramfs() {
    mkdir -p "$partial/initramfs/bin" "$partial/initramfs/modules"
    cp "$root/bin/busybox" "$partial/initramfs/bin/busybox"
    for module in loop squashfs overlay; do
        modprobe --dirname "$root" --set-version "$kernel" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$partial/modules"
    while read -r file; do
        cp "$file" "$partial/initramfs/modules/"
        basename "$file"
    done <"$partial/modules" >"$partial/initramfs/modules/order"
    cat >"$partial/initramfs/init" <<'INIT'
#!/bin/busybox sh
# The root file system is the squashfs of this RAM disk below an overlay in memory.
set -e
busybox=/bin/busybox
stop() {
    echo "endpoint OS: $1"
    $busybox sleep 20
    $busybox reboot -f
}
$busybox mkdir -p /proc /dev /lower /memory /root
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    $busybox insmod "/modules/$module" || stop "the kernel does not take $module"
done </modules/order
$busybox mount -t squashfs -o ro,loop /root.squashfs /lower || stop "its root file system is damaged; was it loaded in whole?"
$busybox mount -t tmpfs -o mode=0755 tmpfs /memory
$busybox mkdir /memory/upper /memory/work
$busybox mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay /root
name=endpoint
for word in $($busybox cat /proc/cmdline); do
    case $word in goldsmith.name=?*) name=${word#*=} ;; esac
done
echo "$name" >/root/etc/hostname
echo "127.0.1.1 $name" >>/root/etc/hosts
$busybox umount /proc
$busybox mount -o move /dev /root/dev
exec $busybox switch_root /root /sbin/init
INIT
    chmod 0755 "$partial/initramfs/init"
}

# The names in the directory as a cpio archive in the format that the kernel reads; each member at a multiple of 4 bytes.
archive() {
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0)
}

write_build() {
    mkdir -p "$partial/squashfs" "$partial/build"
    cp "$root/boot/vmlinuz-$kernel" "$partial/build/vmlinuz"
    rm -rf "${root:?}"/boot/*
    mksquashfs "$root" "$partial/squashfs/root.squashfs" -quiet -no-progress -comp zstd -Xcompression-level 12 -b 128K \
        >"$partial/mksquashfs.log" 2>&1 ||
        fail "The endpoint OS could not be packed: look for free space and memory on this host. mksquashfs said:" \
            "$(tail -n 5 "$partial/mksquashfs.log")"
    { archive "$partial/initramfs" && archive "$partial/squashfs"; } >"$partial/build/initrd.img"
    dpkg-query --admindir="$root/var/lib/dpkg" --show >"$partial/build/packages.txt"
    chmod 0644 "$partial/build"/*
    digest=$(cat "$partial/build/vmlinuz" "$partial/build/initrd.img" | sha256sum | cut -c 1-16)
}

make_endpoint_os() {
    [ -d "$directory" ] || fail "There is no directory $directory for the endpoint OS: make it, or set voi_boot_directory."
    exec 9<"$directory"
    flock -w 60 9 || fail "Another run is making the endpoint OS in $directory: wait until it has ended."
    trap discard_partial EXIT
    trap 'exit 1' HUP INT TERM
    discard_partial
    require_tools
    mkdir -p "$partial"
    install_packages
    kernel=$(basename "$root"/lib/modules/*)
    strip_root
    write_configuration
    write_initramfs
    write_build
    sync "$partial/build"/*
    [ -d "$directory/$digest" ] || mv -T "$partial/build" "$directory/$digest"
    echo "$digest"
}

# The script may itself come from standard input: nothing that it runs may read on there.
make_endpoint_os </dev/null

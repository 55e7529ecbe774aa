#!/bin/sh
# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# mmdebstrap runs it before it installs packages, with the root directory as $1.
# Maintainer scripts find these stubs first. Under emulation the real ones take minutes, for nothing: a host is given
# the machine's bundle of certificates, Python compiles what it imports, and no container boots an initial RAM disk.
set -eu
mkdir -p "$1/usr/local/sbin"
for program in update-ca-certificates py3compile update-initramfs; do
    ln -s /bin/true "$1/usr/local/sbin/$program"
done

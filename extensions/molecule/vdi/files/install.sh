#!/bin/sh
set -eu
timeout 120 sh -c 'until [ -e /dev/disk/by-label/OFFICE_TOOLS ]; do sleep 0.5; done'
mount -o ro /dev/disk/by-label/OFFICE_TOOLS /mnt
trap 'umount /mnt' EXIT
sh /mnt/install.sh molecule 1.0

#!/bin/sh
# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Installs the desktop agent and the office application of this tool image, and switches the agent on.
# A second run finds everything in place. The last line says "changed" or "unchanged".
#
# usage: install.sh [IMAGE VERSION]
#   IMAGE VERSION   the desktop image being built, for example: office 1.0. The agent reports it.
set -eu
umask 022

source=$(cd "$(dirname "$0")" && pwd)
result=unchanged

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# FILE DESTINATION MODE: puts FILE in place by renaming, so that a running program never sees half of it.
put() {
    if cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then
        return
    fi
    if ! { mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"; }; then
        fail "cannot write $2: check that the guest's disk is writable and not full."
    fi
    echo "installed $2"
    result=changed
}

case $# in
    0 | 2) ;;
    *) fail "expected no arguments or IMAGE VERSION, found $#: for example 'install.sh office 1.0'." ;;
esac
[ "$(id -u)" = 0 ] || fail "must be run by root, found user $(id -un)."
[ -d /run/systemd/system ] || fail "the desktop agent is a systemd service, and this guest does not run systemd."
(cd "$source" && sha256sum --quiet --check SHA256SUMS) ||
    fail "the files on this tool image are damaged: make the tool image again."

put "$source/desktop-agent" /usr/local/sbin/desktop-agent 755
put "$source/desktop-agent.service" /etc/systemd/system/desktop-agent.service 644
put "$source/office-app" /usr/local/bin/office-app 755
put "$source/VERSION" /usr/local/share/office-app/VERSION 644
if [ $# = 2 ]; then
    description=$(mktemp)
    trap 'rm -f "$description"' EXIT
    printf 'IMAGE_ID=%s\nIMAGE_VERSION=%s\n' "$1" "$2" >"$description"
    put "$description" /etc/desktop-image 644
fi

if [ "$result" = changed ]; then
    systemctl daemon-reload
fi
systemctl is-enabled --quiet desktop-agent.service || {
    systemctl enable --quiet desktop-agent.service || fail "systemd did not enable desktop-agent.service (see above)."
    result=changed
}
if [ "$result" = changed ]; then
    systemctl restart desktop-agent.service ||
        fail "the desktop agent did not start: 'journalctl -u desktop-agent' in the guest says why."
fi
echo "$result"

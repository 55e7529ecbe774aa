# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an administrator without this collection copies an image to many hosts with; each returns its seconds.

All of them are encrypted, as ours is, and none of them looks at what arrived.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fleet import DISK, Fleet
from stage import MIB

COPY = "/srv/copy.raw"


def let_source_in(fleet: Fleet) -> None:
    """Let root of the source log in to the receivers, as rsync between hosts needs it."""
    key = fleet.run(
        fleet.source, "test -e .ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cat .ssh/*.pub"
    ).strip()
    fleet.run_everywhere(fleet.receivers, f"echo '{key}' >> .ssh/authorized_keys")
    fleet.run(fleet.source, f"for host in {' '.join(fleet.receivers)}; do ssh-keyscan -t ed25519 $host; done "
                            "> .ssh/known_hosts 2>/dev/null")  # fmt: skip


def plain_copy(fleet: Fleet) -> float:
    """One copy to one receiver, through one encrypted stream."""
    receiver = fleet.receivers[0]
    return _seconds(fleet, f"ssh {receiver} 'cat > {COPY}' < {DISK}", [receiver])


def rsync(fleet: Fleet, receivers: Sequence[str]) -> float:
    """rsync to all receivers at the same time."""
    jobs = " ".join(f"rsync --archive {DISK} {receiver}:{COPY} &" for receiver in receivers)
    return _seconds(fleet, f"{jobs} wait", receivers)


def synchronize(fleet: Fleet, receivers: Sequence[str]) -> float:
    """ansible.posix.synchronize, as a task of the receivers that the source does."""
    task = {
        "ansible.posix.synchronize": {"src": DISK, "dest": COPY, "use_ssh_args": False, "set_remote_user": False},
        "delegate_to": fleet.source,
    }
    try:
        return fleet.play([task], receivers, expect_changed=True)
    finally:
        _remove(fleet, receivers)


def _seconds(fleet: Fleet, command: str, receivers: Sequence[str]) -> float:
    start = time.monotonic()
    fleet.run(fleet.source, command)
    seconds = time.monotonic() - start
    _remove(fleet, receivers)
    return seconds


def _remove(fleet: Fleet, receivers: Sequence[str]) -> None:
    """Remove the copies, and tell of one that is not whole."""
    size = int(fleet.run(fleet.source, f"stat -c %s {DISK}"))
    sizes = fleet.run_everywhere(receivers, f"stat -c %s {COPY} && rm {COPY}")
    if [int(answer) for answer in sizes] != [size] * len(receivers):
        raise SystemExit(f"a peer did not copy {size // MIB} MiB to every receiver: {sizes}")

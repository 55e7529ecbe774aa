# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""C(goldsmith-restore): what the endpoint OS runs when it was booted from the disk to restore the system.

It needs no network. It finds the disk of this machine that is ours and is to be restored at each boot, compares the
system area with what was written there, rewrites what differs, and has the disk boot the system next. It ends with the
status 0 then, and whoever started it may reboot. A disk on which a version is half written is left to the module
voi_disk: the status is 1.
"""

from __future__ import annotations

import os
import sys

from ..bare_metal.block_device import disks
from ..bare_metal.boot_menu import SYSTEM
from ..errors import ImagesError, NotFound, WrongState, from_os_error
from ..files import Files
from ..resources.voi_disk_current import Current, look, what_lies_there
from ..resources.voi_disk_options import CACHE_PATH, ON_BOOT
from ..resources.voi_disk_work import Work
from ..sizes import human_size


def main(arguments: list[str] | None = None) -> int:
    """Restore the disk, or the one that is named; print what was done, and return the exit status."""
    named = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            sys.stdout.write(restore(Files(), named or disks()) + "\n")
        except OSError as error:
            raise from_os_error(error) from error
    except ImagesError as error:
        sys.stderr.write(f"goldsmith-restore: {error}\n")
        return 1
    return 0


def restore(files: Files, paths: list[str], cache_path: str = CACHE_PATH) -> str:
    """Restore the first of the disks that is to be restored at each boot, and return a sentence on it."""
    current, work = _to_be_restored(paths), Work(files)
    state = current.state
    if state.system is None or state.pending is not None:
        raise WrongState(f"no version is whole on {current.disk.path}; run voi_disk again, which writes it")
    if current.cache_mount is None:
        work.mount_cache(current, current.table, cache_path)
    cache = current.cache_mount or cache_path
    current = what_lies_there(current, cache)
    numbers = list(current.differing or ())
    if numbers:
        work.write(cache, current, numbers, is_other=False)
    work.tell_boot_loader(current.disk, current.table, {"next_boot": SYSTEM})
    done = (
        f"{len(numbers)} pieces differed, {human_size(work.written.written)} written" if numbers else "nothing differed"
    )
    return f"{state.system.told} on {current.disk.path}: {done}"


def _to_be_restored(paths: list[str]) -> Current:
    for path in paths:
        if os.path.exists(path):
            current = look(path)
            if current.table is not None and current.environment.get("restore") == ON_BOOT:
                return current
    raise NotFound(f"no disk of this machine is to be restored at boot ({', '.join(paths) or 'there is none'})")


if __name__ == "__main__":
    raise SystemExit(main())

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""QEMU's locks on disk files, so that no disk is read while a VM writes to it.

Source: QEMU block/file-posix.c ("image locking"): who may write to a file holds byte 101 of it, who may resize it byte
103; who does not let others do so holds bytes 201 and 203. All are shared open file description locks (fcntl(2)).
"""

from __future__ import annotations

import errno
import fcntl
import struct

from ..errors import InUse

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process id (0 for these locks)
_WRITES, _RESIZES = 101, 103
_LET_NOBODY = 100  # added to the above
_NO_LOCKS_HERE = (errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def keep_writers_away(descriptor: int, path: str) -> None:
    """Keep QEMU from opening the file for writing until the descriptor is closed.

    Raises InUse when it has it open for that already. Where the file system has no locks, nothing is known and done.
    """
    try:
        for byte in (_WRITES, _RESIZES):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK, byte + _LET_NOBODY))
        locked = any(_is_held(descriptor, byte) for byte in (_WRITES, _RESIZES))
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return
        raise
    if locked:
        raise InUse(
            f"{path} is in use: a running VM may write to it, so a copy would be inconsistent; shut it down first"
        )


def _is_held(descriptor: int, byte: int) -> bool:
    """Return whether another open file holds the byte: then an exclusive lock on it could not be had."""
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, byte))
    return _FLOCK.unpack(answer)[0] != fcntl.F_UNLCK


def _lock(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, 0, byte, 1, 0)

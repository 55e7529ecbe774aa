# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The only code that writes files on a host.

What a crash may leave is either the old state or the new one: data is flushed to the disk before it gets its
final name, and a directory is flushed after a name in it changed. Check mode replaces L(Files) with
L(ReadOnlyFiles), which refuses every write.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator

from .errors import Busy, CheckModeWrite, NoSpace
from .sizes import human_size

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_REFUSALS, _MOMENT = 5, 0.01  # so often, seconds apart, is a lock refused before it counts as held


class Files:
    """Writes to the local file system. Paths are absolute; modes are octal numbers."""

    read_only = False

    def permit(self, path: str) -> str:
        """Return I(path), when writing there is allowed. A tool that writes by itself gets its path from here."""
        return path

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Create the directory and its parents; one that exists already stays as it is."""
        os.makedirs(self.permit(path), mode=mode, exist_ok=True)

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Replace the file at once and durably: readers see the old content or the new, never a mixture."""
        temporary = self._temporary(path, data, mode)
        try:
            os.rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        sync_directory(os.path.dirname(path))

    def note(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Replace the file at once, without waiting for the disk: for what means nothing after a crash."""
        directory, name = os.path.split(self.permit(path))
        descriptor, temporary = tempfile.mkstemp(prefix=unfinished_prefix(name), dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(data)
            os.rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise

    def create(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Create the file durably, complete from its first moment. Raises FileExistsError when the name is taken."""
        temporary = self._temporary(path, data, mode)
        try:
            os.link(temporary, path)
        finally:
            os.unlink(temporary)
        sync_directory(os.path.dirname(path))

    def place(self, source: str, path: str) -> None:
        """Give the finished file I(source) its final name, on the same file system, durably.

        Raises FileExistsError when the name is taken: nothing is ever replaced.
        """
        os.link(self.permit(source), self.permit(path))
        os.unlink(source)
        sync_directory(os.path.dirname(path))

    def replace(self, source: str, path: str) -> None:
        """Give the finished file I(source) its final name, on the same file system, durably, in place of what is there.

        Who has the old file open keeps the old content.
        """
        os.rename(self.permit(source), self.permit(path))
        sync_directory(os.path.dirname(path))

    def move(self, source: str, path: str) -> None:
        """Give the file I(source) another name, on the same file system, durably. Its content is not flushed.

        Raises FileExistsError when the name is taken by another file; a move that a killed run began is ended.
        """
        try:
            os.link(self.permit(source), self.permit(path))
        except FileExistsError:
            if not os.path.samefile(source, path):
                raise
        sync_directory(os.path.dirname(path))
        os.unlink(source)
        sync_directory(os.path.dirname(source))

    def append(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Append the bytes to the file durably; it is made when it is missing."""
        is_new = not os.path.exists(path)
        descriptor = os.open(self.permit(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "ab", buffering=0) as stream:
            stream.write(data)
            os.fsync(stream.fileno())
        if is_new:
            sync_directory(os.path.dirname(path))

    def remove(self, path: str) -> None:
        """Remove the file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.permit(path))

    def remove_directory(self, path: str) -> None:
        """Remove the directory, if it is there and empty."""
        try:
            os.rmdir(self.permit(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def set_mode(self, path: str, mode: int) -> None:
        os.chmod(self.permit(path), mode)

    def set_owner_as(self, path: str, other: str) -> None:
        """Give the file the owner and group of the file or directory I(other)."""
        status = os.stat(other)
        os.chown(self.permit(path), status.st_uid, status.st_gid)

    def set_owner(self, path: str, owner: int, group: int) -> None:
        """Give the file to the user and group of these ids; -1 leaves one as it is."""
        os.chown(self.permit(path), owner, group)

    @contextlib.contextmanager
    def lock(self, path: str, subject: str, shared: bool = False) -> Iterator[None]:
        """Hold the lock file for the block, and remove it then; the kernel drops a lock when the process dies.

        I(shared) holders hold it together, and keep out who wants it alone. Raises Busy, naming I(subject), when
        another process holds it. Works between the hosts of an NFS share too (Linux maps flock to byte-range locks
        there).
        """
        descriptor = _open_locked(self.permit(path), subject, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Removed while it is held alone: who waits for this very file sees that it lost its name, and opens anew.
            if not shared or _becomes_exclusive(descriptor, path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            os.close(descriptor)

    def _temporary(self, path: str, data: bytes, mode: int) -> str:
        directory, name = os.path.split(self.permit(path))
        descriptor, temporary = tempfile.mkstemp(prefix=unfinished_prefix(name), dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            os.unlink(temporary)
            raise
        return temporary


class ReadOnlyFiles(Files):
    """The files of check mode: every write is refused, and locks are not taken."""

    read_only = True

    def permit(self, path: str) -> str:
        raise CheckModeWrite(f"check mode must not write {path}")

    @contextlib.contextmanager
    def lock(self, path: str, subject: str, shared: bool = False) -> Iterator[None]:
        yield


def _open_locked(path: str, subject: str, operation: int) -> int:
    """Return the descriptor of the lock file, held, and still the file of this name.

    A shared holder that leaves has the lock alone for a moment; so one refusal does not tell that it is held.
    """
    refusals = 0
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            if _has_name(descriptor, path):
                return descriptor
        except OSError as error:
            if error.errno not in _HELD:
                os.close(descriptor)
                raise
            refusals += 1
        os.close(descriptor)
        if refusals == _REFUSALS:
            raise Busy(f"another run is working on {subject}; wait for it to end and run again")
        if refusals:
            time.sleep(_MOMENT)


def _becomes_exclusive(descriptor: int, path: str) -> bool:
    """Turn the shared lock into one that is held alone, when nobody else holds it and the file still has its name.

    The kernel drops the shared lock before it takes the other (flock(2)): a writer that was faster removed the name,
    and the file of that name may be another's by now.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return _has_name(descriptor, path)


def _has_name(descriptor: int, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


def is_locked(path: str) -> bool:
    """Whether a process of this host holds the lock file of this name, as the kernel's list of locks tells (proc(5)).

    The file is not touched: who tries a lock keeps others from taking it in that moment.
    """
    try:
        inode = f":{os.stat(path).st_ino}"
    except FileNotFoundError:
        return False
    with open("/proc/locks", encoding="ascii") as stream:
        return any(field.endswith(inode) for line in stream for field in line.split())


def unfinished_prefix(name: str) -> str:
    """Return what the names begin with that L(Files.write) leaves of a file of this name when it is killed."""
    return f".{name}.new-"


def sync_directory(path: str) -> None:
    """Flush the names in the directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(directory: str) -> int:
    """Return how many bytes are free in the file system of the directory."""
    return shutil.disk_usage(directory).free


def require_space(
    directory: str,
    needed: int,
    purpose: str,
    seen_free: int | None = None,
    advice: str = "use an image pool on a larger file system",
) -> None:
    """Raise NoSpace, with needed and free bytes, unless I(directory)'s file system has I(needed) bytes free.

    A plan gives the free bytes that were seen; without them they are looked up. I(advice) is what else can be done
    than making room.
    """
    free = free_space(directory) if seen_free is None else seen_free
    if free < needed:
        raise NoSpace(
            f"{purpose} needs {needed} bytes ({human_size(needed)}) in {directory}, but only {free} bytes "
            f"({human_size(free)}) are free; make room or {advice}"
        )


def require_file_system(directory: str, size: int, what: str) -> None:
    """Raise NoSpace, naming I(what), when a file of I(size) bytes is larger than all of I(directory)'s file system."""
    total = shutil.disk_usage(directory).total
    if size > total:
        raise NoSpace(
            f"{what} has {size} bytes ({human_size(size)}), but the file system of {directory} "
            f"has {total} bytes ({human_size(total)}) in all; use an image pool on a larger file system"
        )


def allocated(paths: Iterable[str]) -> int:
    """Return what the files take up; one with several names takes it up once, one that is gone nothing."""
    sizes = {}
    for path in paths:
        try:
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            continue
        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def file_system_type(directory: str) -> str:
    """Return the type of the file system that the directory lies on, as C(ext4) or C(nfs4) (proc_pid_mountinfo(5))."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1]
    return ""

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The libvirt host that a module works on: its connection, its files, its errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CheckModeWrite, ImagesError, LibvirtFailed, PermissionDenied, Unreachable
from ..files import Files, ReadOnlyFiles

try:
    import libvirt

    LIBVIRT_MISSING = None
except ImportError as error:
    libvirt = None
    LIBVIRT_MISSING = str(error)

if TYPE_CHECKING:
    from libvirt import virConnect

OPTIONS = {"libvirt_uri": {"type": "str", "default": "qemu:///system"}}


@dataclass(frozen=True)
class Host:
    """A libvirt host. In check mode the connection is read-only, and so is C(files).

    Without libvirt, I(connection) is None.
    """

    connection: virConnect | None
    files: Files

    @property
    def architecture(self) -> str:
        """Architecture of the libvirt host, by libvirt's name (C(x86_64), C(aarch64), C(armv7l))."""
        return self.connection.getInfo()[0]


@contextlib.contextmanager
def open_host(uri: str, read_only: bool) -> Iterator[Host]:
    """Open the host for the block; every libvirt error in it becomes one of ours.

    Raises Unreachable or PermissionDenied when there is no connection to be had.
    """
    if libvirt is None:
        raise Unreachable(
            f"the Python bindings of libvirt are missing on this host ({LIBVIRT_MISSING}); install python3-libvirt "
            "for the Python that Ansible uses there, or run role goldsmith.images.image_host"
        )
    libvirt.registerErrorHandler(_stay_silent, None)
    try:
        connection = libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise _connection_error(uri, error) from None
    try:
        yield Host(connection, ReadOnlyFiles() if read_only else Files())
    except libvirt.libvirtError as error:
        raise _libvirt_error(error) from error
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            connection.close()


def host_without_libvirt(read_only: bool) -> Host:
    """Return the host for work on its files alone, which needs no libvirt there."""
    return Host(None, ReadOnlyFiles() if read_only else Files())


def _connection_error(uri: str, error: Exception) -> ImagesError:
    message = str(error)
    if "Permission denied" in message or "authentication" in message.lower():
        return PermissionDenied(
            f"no permission to use libvirt at {uri}: {message}; run the task with become: true, "
            "or put the user into the group libvirt"
        )
    return Unreachable(f"libvirt is not reachable at {uri}: {message}; is libvirtd running on this host?")


def _libvirt_error(error: Exception) -> Exception:
    if error.get_error_code() == libvirt.VIR_ERR_OPERATION_DENIED and "read only access" in str(error):
        return CheckModeWrite(f"check mode must not write: {error}")
    return LibvirtFailed(f"libvirt: {error}")


def _stay_silent(_context: object, _error: tuple) -> None:
    """libvirt prints every error to stderr by default; ours are raised, and told once."""

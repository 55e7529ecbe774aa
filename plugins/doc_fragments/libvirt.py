# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Documentation that all modules share which work on a libvirt host."""

    DOCUMENTATION = r"""
options:
  libvirt_uri:
    description:
      - How libvirt is reached from the host on which the module runs.
      - In check mode the connection is opened read-only, so that libvirt itself refuses every write.
    type: str
    default: qemu:///system
requirements:
  - python >= 3.9
  - python3-libvirt >= 9.0 (the distribution's package)
  - libvirt >= 9.0
"""

    # Used by modules that change something.
    CHANGING = r"""
attributes:
  check_mode:
    support: full
    description: Tells exactly what a real run would do, and cannot write.
  diff_mode:
    support: full
    description: Returns what differs, before and after, by subject.
  platform:
    support: full
    description: Target operating systems.
    platforms: posix
"""

    # Used by modules that only read.
    READING = r"""
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    description: Target operating systems.
    platforms: posix
"""

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: voi_disk_info
version_added: 0.3.0
short_description: Tell what lies on the disk of a VOI endpoint
description:
  - Tells how the disk is divided, which version lies in its system area, and how far its update is. Nothing is written,
    and the system area is not read.
options:
  device:
    description: The whole disk, as V(/dev/vda).
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing.
requirements:
  - Programs in the endpoint OS (packages fdisk and mtools)
notes:
  - Needs root.
seealso:
  - module: goldsmith.images.voi_disk
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Look at the disk of an endpoint
  goldsmith.images.voi_disk_info:
    device: /dev/sda
"""

RETURN = r"""
voi_disk:
  description: The disk.
  returned: success
  type: dict
  contains:
    device: {description: The disk., type: str, returned: always}
    serial: {description: Its serial number., type: str, returned: always}
    size: {description: Its size in bytes., type: int, returned: always}
    prepared: {description: Whether this collection divided it., type: bool, returned: always}
    found: {description: Signatures on a disk that it did not divide., type: list, elements: str, returned: always}
    partitions:
      description: Partitions with C(number), C(name), C(start) and C(size) in bytes, and C(type).
      type: list
      elements: dict
      returned: always
    system_area:
      description: C(start) and C(size) in bytes. V(null) on a disk that is not prepared.
      type: dict
      returned: always
    cache: {description: Directory at which the cache is mounted., type: str, returned: always}
    image: {description: Image in the system area. V(null) where there is none., type: str, returned: always}
    version: {description: Its version., type: str, returned: always}
    profiles: {description: Profiles that were applied to it., type: list, elements: str, returned: always}
    accounted_pieces: {description: How many pieces they changed., type: int, returned: always}
    restore: {description: When it is restored., type: str, returned: always}
    next_boot: {description: "What is booted next, where that is said.", type: str, returned: always}
    system_ready: {description: Whether the image is whole., type: bool, returned: always}
    endpoint_os: {description: Whether the cache has an endpoint OS., type: bool, returned: always}
    update:
      description:
        - The update to the version in the system area. C(state) is V(waiting_for_restart) until the disk booted it,
          V(active) then, and V(failed) where writing was interrupted. C(from), C(to) and C(previous) have C(image) and
          C(version), C(error) and C(error_code) say what failed.
      type: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_reading
from ansible_collections.goldsmith.images.plugins.module_utils.resources import voi_disk_info


def main() -> None:
    spec = {"device": {"type": "path", "required": True}}
    run_reading(AnsibleModule(argument_spec=spec, supports_check_mode=True), voi_disk_info.collect)


if __name__ == "__main__":
    main()

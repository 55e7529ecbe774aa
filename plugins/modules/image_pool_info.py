# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pool_info
version_added: 0.1.0
short_description: Read the image pools of a libvirt host
description:
  - Returns the storage pools of types C(dir), C(fs) and C(netfs) with what they hold, by the same keys as
    M(goldsmith.images.image_pool).
options:
  name:
    description: Name of one pool. Without it, all are returned.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.image_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read all image pools
  goldsmith.images.image_pool_info:
  register: pools

- name: Show how much room they have
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.available | ansible.builtin.human_readable }} free"
  loop: "{{ pools.image_pools }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
image_pools:
  description: The pools, in the order of their names. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the pool., type: str, returned: always}
    type: {description: "Type: dir, fs or netfs.", type: str, returned: always}
    path: {description: Directory of the pool., type: str, returned: always}
    source_host: {description: Server of a netfs pool., type: str, returned: always}
    source_path: {description: Exported directory or block device., type: str, returned: always}
    active: {description: Whether the pool is running., type: bool, returned: always}
    autostart: {description: Whether libvirt starts it with the host., type: bool, returned: always}
    capacity: {description: "Size of its file system, in bytes; 0 while inactive.", type: int, returned: always}
    available: {description: "Free bytes of its file system; 0 while inactive.", type: int, returned: always}
    holdings:
      description: The desktop images, tool images, and files of source VMs and desktops in it.
      type: list
      elements: str
      returned: always
      sample: [desktop image office 1.0, tool image virtio-win]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_pool


def main() -> None:
    module = AnsibleModule(argument_spec=image_pool.INFO_OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run_info(module, image_pool.collect)


if __name__ == "__main__":
    main()

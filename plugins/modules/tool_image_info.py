# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_image_info
version_added: 0.1.0
short_description: Read the tool images of an image pool
description:
  - Returns the tool images in an image pool, by the same keys as M(goldsmith.images.tool_image).
  - An ISO C(tool-NAME.iso) that was put into the pool by hand is a tool image too. As it has no record, it is read to
    get its checksum.
options:
  pool:
    description: Name of the image pool. It must be running.
    type: str
    required: true
  name:
    description: Name of one tool image. Without it, all are returned.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.tool_image
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read all tool images of the pool
  goldsmith.images.tool_image_info:
    pool: golden
  register: tools

- name: Show which drivers there are
  ansible.builtin.debug:
    msg: "{{ item.name }} {{ item.version }}"
  loop: "{{ tools.tool_images | selectattr('kind', 'eq', 'drivers') }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
tool_images:
  description: The tool images, in the order of their names. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the tool image., type: str, returned: always}
    path: {description: Path of the ISO on the host., type: str, returned: always}
    size: {description: Size in bytes., type: int, returned: always}
    sha256: {description: "SHA-256 of the content, in hexadecimal.", type: str, returned: always}
    kind: {description: "What it is for: os, drivers, agent or software.", type: str, returned: always}
    version: {description: Version of what is in it., type: str, returned: always}
    description: {description: Description for people., type: str, returned: always}
    source:
      description: Where the content came from; V(null) for an ISO that was put into the pool by hand.
      type: str
      returned: always
      sample: /srv/iso/virtio-win.iso
    time:
      description: When it was recorded, in UTC; V(null) for an ISO that was put into the pool by hand.
      type: str
      returned: always
      sample: "2026-01-31T08:00:00+00:00"
    users:
      description: The VMs that have it mounted or would have after their next start or a revert, and who reads it now.
      type: list
      elements: str
      returned: always
      sample: [source VM office-src]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import tool_image


def main() -> None:
    module = AnsibleModule(argument_spec=tool_image.INFO_OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run_info(module, tool_image.collect)


if __name__ == "__main__":
    main()

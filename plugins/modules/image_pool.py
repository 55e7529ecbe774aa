# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pool
version_added: 0.1.0
short_description: Keep an image pool on a libvirt host
description:
  - An image pool is a libvirt storage pool of type C(dir), C(fs) or C(netfs) whose directory holds desktop images,
    tool images, and the disks of source VMs and desktops.
  - One task defines, builds, starts and autostarts it.
  - A storage pool that libvirt has already, with the same name, type and path, is adopted as it is.
  - Nothing is ever formatted, and files that are not ours are never removed.
options:
  name:
    description: Name of the storage pool. 1 to 64 of the characters A-Z a-z 0-9 . _ -
    type: str
    required: true
  state:
    description:
      - V(present) defines, starts and (with O(autostart)) autostarts the pool.
      - V(absent) stops and undefines it. The directory stays. Refused while a domain uses a file in it, and while
        it holds images unless O(remove_images=true).
    type: str
    choices: [present, absent]
    default: present
  type:
    description: Type of the storage pool.
    type: str
    choices: [dir, fs, netfs]
    default: dir
  path:
    description: Directory of the pool, or where its file system is mounted. Required with O(state=present).
    type: path
  source_host:
    description: Server of a V(netfs) pool.
    type: str
  source_path:
    description: Exported directory of a V(netfs) pool, or block device of an V(fs) pool.
    type: str
  source_format:
    description:
      - File system of V(fs), as V(ext4) or V(xfs), or protocol of V(netfs), as V(nfs) or V(glusterfs).
      - The names are libvirt's.
    type: str
  autostart:
    description: Whether libvirt starts the pool when the host starts.
    type: bool
    default: true
  remove_images:
    description: With O(state=absent), remove the images in the pool too. What is in use is never removed.
    type: bool
    default: false
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
seealso:
  - module: goldsmith.images.image_pool_info
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Keep golden images in /srv/golden
  goldsmith.images.image_pool:
    name: golden
    path: /srv/golden

- name: Keep golden images on an NFS server
  goldsmith.images.image_pool:
    name: golden
    type: netfs
    path: /srv/golden
    source_host: nas.example.com
    source_path: /export/golden
    source_format: nfs

- name: Remove the pool with the images in it
  goldsmith.images.image_pool:
    name: golden
    state: absent
    remove_images: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["define image pool golden (at /srv/golden)", "build image pool golden", "start image pool golden"]
image_pool:
  description: The pool as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
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
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_pool


def main() -> None:
    module = AnsibleModule(
        argument_spec=image_pool.OPTIONS | connection.OPTIONS,
        required_if=[("state", "present", ["path"]), ("type", "netfs", ["source_host", "source_path"])],
        supports_check_mode=True,
    )
    run(module, image_pool.ImagePool)


if __name__ == "__main__":
    main()

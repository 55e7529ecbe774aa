# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_image
version_added: 0.1.0
short_description: Keep a tool image in an image pool
description:
  - A tool image is an ISO (an operating system's installer, drivers, an agent, software) that source VMs can mount.
  - It comes from a file on the controller, from a file on the host, or from a web server, and lies in the image pool
    as C(tool-NAME.iso), with a record of what it is in C(tool-NAME.json) beside it.
  - New content is written aside, verified, and only then given its name. What is broken off or wrong leaves nothing
    behind.
  - It is replaced only when the content differs, and never while a VM has it mounted.
options:
  name:
    description: Name of the tool image. 1 to 64 of the characters A-Z a-z 0-9 . _ -
    type: str
    required: true
  pool:
    description: Name of the image pool, see M(goldsmith.images.image_pool). It must be running.
    type: str
    required: true
  state:
    description:
      - V(present) brings the content into the pool.
      - V(absent) removes the tool image. Refused while a VM has it mounted.
    type: str
    choices: [present, absent]
    default: present
  src:
    description:
      - Path of the ISO on the controller, absolute or relative to the C(files) of the role or playbook.
      - Only content that the host does not have is uploaded. The remote temporary directory needs room for it.
      - With O(remote_src=true), absolute path of the ISO on the host.
    type: path
  remote_src:
    description: Whether O(src) lies on the host. The file there stays; the pool gets a copy of it.
    type: bool
    default: false
  url:
    description:
      - Address of the ISO, beginning with C(http://) or C(https://), as the host reaches it.
      - Without O(checksum) the server is asked every time, and the content counts as the same as long as the server
        tells the same C(ETag), C(Last-Modified) and size for the same address. Where it tells none of them, what the
        pool has stays.
    type: str
  timeout:
    description: How many seconds the server of O(url) may stay silent.
    type: int
    default: 30
  checksum:
    description:
      - SHA-256 of the content, as V(sha256:) and 64 hexadecimal digits. Other content is refused.
      - With it, neither file nor server is read as long as the pool has that content.
    type: str
  size:
    description:
      - Size of the content in bytes. Free space is checked before anything is written, and other content is refused.
      - Known without saying for a file, and for most web servers.
    type: int
  source:
    description:
      - What the record says of where the content comes from.
      - By default O(src), or O(url) without user and password.
    type: str
  kind:
    description: What it is for. What is not said stays as it is; at first it is V(software).
    type: str
    choices: [os, drivers, agent, software]
  version:
    description: Version of what is in it, in any form. What is not said stays as it is.
    type: str
  description:
    description: Description for people. What is not said stays as it is.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.actor
  - goldsmith.images.progress
attributes:
  action:
    support: partial
    description: The part that uploads a file runs on the controller.
  async:
    support: none
    description: Use O(remote_src) or O(url) with a task that polls, when a file is large.
seealso:
  - module: goldsmith.images.tool_image_info
  - module: goldsmith.images.image_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Keep the virtio drivers for Windows in the pool
  goldsmith.images.tool_image:
    name: virtio-win
    pool: golden
    src: /srv/iso/virtio-win.iso
    kind: drivers
    version: 0.1.262

- name: Keep an installer, fetched by the host
  goldsmith.images.tool_image:
    name: debian-12
    pool: golden
    url: https://mirror.example.com/debian-12-netinst.iso
    checksum: "sha256:{{ debian_iso_sha256 }}"
    kind: os

- name: Remove an agent that is not used any more
  goldsmith.images.tool_image:
    name: desktop-agent
    pool: golden
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["add tool image virtio-win (from /srv/iso/virtio-win.iso)"]
tool_image:
  description: The tool image as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
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
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import tool_image


def main() -> None:
    module = AnsibleModule(
        argument_spec=tool_image.OPTIONS | connection.OPTIONS,
        mutually_exclusive=[("src", "url")],
        required_if=[("state", "present", ["src", "url"], True), ("remote_src", True, ["src"])],
        supports_check_mode=True,
    )
    run(module, tool_image.ToolImageInPool)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm_snapshot_info
version_added: 0.1.0
short_description: Read the snapshots of a source VM
description:
  - Returns the snapshots that M(goldsmith.images.source_vm_snapshot) made of a source VM, by the same keys as that
    module. Each names its parent, so that together they are the tree.
options:
  source_vm:
    description: Name of the source VM.
    type: str
    required: true
  name:
    description: Name of one snapshot. Without it, all are returned.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.source_vm_snapshot
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read the snapshots of a source VM
  goldsmith.images.source_vm_snapshot_info:
    source_vm: office-src
  register: found

- name: Show what each takes up
  ansible.builtin.debug:
    msg: "{{ item.name }} on {{ item.parent }}: {{ item.allocated | human_readable }}"
  loop: "{{ found.snapshots }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
snapshots:
  description: The snapshots, the oldest first. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the snapshot., type: str, returned: always, sample: before-update}
    source_vm: {description: Name of the source VM., type: str, returned: always, sample: office-src}
    description: {description: Its description., type: str, returned: always}
    created:
      description: When it was made (UTC).
      type: str
      returned: always
      sample: "2026-03-01T09:30:00.250000Z"
    vm_state: {description: "What the VM was then: running, paused or stopped.", type: str, returned: always}
    quiesced:
      description: Whether the guest agent had frozen the file systems of the VM, which ran.
      type: bool
      returned: always
    parent:
      description: Name of the snapshot on which this one was made. V(null) for the first.
      type: str
      returned: always
    current:
      description: Whether the VM stands on this snapshot, written to since or not.
      type: bool
      returned: always
    disks:
      description: The disks, in the order of the VM's.
      type: list
      elements: dict
      returned: always
      contains:
        target: {description: "Where the VM has it, as vda.", type: str, returned: always, sample: vda}
        path: {description: The layer that holds what the disk was., type: str, returned: always}
        format: {description: "Format of the layer: raw or qcow2.", type: str, returned: always}
        virtual_size: {description: Bytes that the guest saw., type: int, returned: always}
        allocated:
          description: Bytes that the layer takes up, without those under it. V(null) when it is missing.
          type: int
          returned: always
    nvram: {description: Whether UEFI variables were kept with it., type: bool, returned: always}
    tpm: {description: Whether the state of a TPM was kept with it., type: bool, returned: always}
    allocated: {description: Bytes that all its layers take up., type: int, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm_snapshot


def main() -> None:
    module = AnsibleModule(argument_spec=source_vm_snapshot.INFO_OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run_info(module, source_vm_snapshot.collect)


if __name__ == "__main__":
    main()

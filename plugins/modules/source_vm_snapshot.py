# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm_snapshot
version_added: 0.1.0
short_description: Make, revert to and delete snapshots of source VMs
description:
  - A snapshot holds the disks of a source VM, its UEFI variables and the state of its TPM, all of one moment. It holds
    neither memory nor hardware. After a revert the VM is off, and has the hardware that it had before the revert.
  - Snapshots are made of VMs that are off and of VMs that run. The disks of a running VM are as after a power cut,
    unless its guest agent answers and freezes the file systems for the moment (RV(snapshot.quiesced)).
  - A snapshot freezes the file of each disk, raw or qcow2, as a layer, and the VM goes on in a qcow2 overlay on it. The
    new files lie in the directory C(source-vms) of the VM's image pool.
  - All of it works with libvirt 9.0 as with newer ones. libvirt itself keeps no record of these snapshots. While a VM
    has snapshots that libvirt keeps itself (C(virsh snapshot-create)), everything here is refused.
  - A run that was interrupted at any moment leaves a VM that starts with the disks it had. The next run of the same
    task ends the work.
options:
  source_vm:
    description: Name of the source VM.
    type: str
    required: true
  name:
    description:
      - Name of the snapshot. 1 to 64 of the characters A-Z a-z 0-9 . _ - of which the first is a letter or digit.
      - Required unless O(all=true).
    type: str
  state:
    description:
      - V(present) makes the snapshot unless there is one of the name. That one stays as it is.
      - V(reverted) puts disks, UEFI variables and TPM state back to the snapshot, and gives up what was written since
        the last snapshot. Nothing changes when the VM is off and was not written to since it was reverted. Refused
        while the VM runs, unless O(force=true), and when disks, firmware or TPM came or went since the snapshot.
      - V(absent) deletes the snapshot. What it held goes into the layers that stand on it, so that neither the VM nor
        another snapshot changes.
      - With V(absent) and V(reverted), layers that nothing needs any more are merged or removed. That may take as long
        as copying what was written between two snapshots.
    type: str
    choices: [present, reverted, absent]
    default: present
  description:
    description: What the snapshot is, for people, up to 1024 characters. It can be changed later.
    type: str
  all:
    description: With O(state=absent), delete all snapshots of the VM. Its disks are single files again after that.
    type: bool
    default: false
  force:
    description: With O(state=reverted), pull the plug of a running VM.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that merging a layer of a running VM may take. After that it is ended, and the disk is as it was.
    type: int
    default: 600
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
requirements:
  - qemu-img
seealso:
  - module: goldsmith.images.source_vm_snapshot_info
  - module: goldsmith.images.source_vm
  - module: goldsmith.images.desktop_image
    description: Publishes a snapshot with O(goldsmith.images.desktop_image#module:snapshot).
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Keep the state before the update
  goldsmith.images.source_vm_snapshot:
    source_vm: office-src
    name: before-update
    description: Office 2024, before the update of autumn

- name: Go back to it, whether the VM runs or not
  goldsmith.images.source_vm_snapshot:
    source_vm: office-src
    name: before-update
    state: reverted
    force: true

- name: Start the VM again
  goldsmith.images.source_vm:
    name: office-src
    state: running

- name: Delete one snapshot
  goldsmith.images.source_vm_snapshot:
    source_vm: office-src
    name: before-update
    state: absent

- name: Delete all snapshots
  goldsmith.images.source_vm_snapshot:
    source_vm: office-src
    state: absent
    all: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample:
    - delete snapshot before-update of source VM office-src
    - "merge layer office-src.disk0.1f00c3aa.qcow2 of source VM office-src (into office-src.disk0.qcow2: 12 MiB)"
snapshot:
  description: The snapshot as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
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
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm_snapshot


def main() -> None:
    module = AnsibleModule(argument_spec=source_vm_snapshot.OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run(module, source_vm_snapshot.SourceVmSnapshot)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm_info
version_added: 0.1.0
short_description: Read the source VMs of a libvirt host
description:
  - Returns the domains that M(goldsmith.images.source_vm) made, by the same keys as that module.
  - Asks guest agents for the addresses of their guests. libvirt allows that over a writing connection only, so that in
    check mode they are not asked.
options:
  name:
    description: Name of one source VM. Without it, all are returned.
    type: str
  screenshot:
    description:
      - Path on the host to which a PNG picture of the screen of the VM O(name) is written, readable for its owner only.
      - A PNG picture that is there is replaced; any other file is left alone, and is an error.
      - In check mode nothing is written.
    type: path
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.source_vm
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read all source VMs
  goldsmith.images.source_vm_info:
  register: found

- name: Show where their consoles are
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.state }}, {{ item.console }}"
  loop: "{{ found.source_vms }}"
  loop_control:
    label: "{{ item.name }}"

- name: See what a guest shows that does not answer
  goldsmith.images.source_vm_info:
    name: office-src
    screenshot: /tmp/office-src.png

- name: Fetch the picture
  ansible.builtin.fetch:
    src: /tmp/office-src.png
    dest: office-src.png
    flat: true
"""

RETURN = r"""
screenshot:
  description: Where the picture of the screen is. In check mode, where it would be.
  returned: when O(screenshot) is said
  type: str
  sample: /tmp/office-src.png
source_vms:
  description: The source VMs, in the order of their names. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the domain., type: str, returned: always}
    uuid: {description: UUID of the domain., type: str, returned: always}
    state: {description: "State: running, paused or stopped.", type: str, returned: always}
    pool: {description: Image pool that it belongs to., type: str, returned: always}
    origin:
      description: Where it came from. V(null) for a VM that was made before this was recorded.
      type: str
      returned: always
      sample: ova /srv/import/office.ova
    desktop_type: {description: "Desktop type: vdi, idv or voi.", type: str, returned: always}
    os: {description: Short id of its OS as it was said., type: str, returned: always}
    os_profile:
      description: >-
        Short id of the OS whose hardware defaults it got. Differs from RV(source_vms[].os) where osinfo-db did not
        know that.
      type: str
      returned: always
      sample: debian11
    description: {description: Its description., type: str, returned: always}
    virt_type: {description: "How it runs: kvm, or qemu (emulation).", type: str, returned: always}
    vcpus: {description: Number of processors., type: int, returned: always}
    cores_per_socket: {description: Number of cores that a socket has., type: int, returned: always}
    max_vcpus:
      description: Number of processors that it can get while it runs.
      type: int
      returned: always
    memory: {description: Memory in bytes., type: int, returned: always}
    firmware: {description: "Firmware: bios, uefi or uefi-secure.", type: str, returned: always}
    secure_boot: {description: Whether it boots signed code only., type: bool, returned: always}
    tpm: {description: Whether it has a TPM., type: bool, returned: always}
    boot:
      description: "From what it boots, in order: hd, cdrom, network."
      type: list
      elements: str
      returned: always
    graphics: {description: "Its console: vnc, spice or none.", type: str, returned: always}
    video: {description: "Model of its video card, or none.", type: str, returned: always, sample: virtio}
    agent_channel: {description: Whether it has the channel of the guest agent., type: bool, returned: always}
    console:
      description: Where its console is served on the host. V(null) while it does not run.
      type: str
      returned: always
      sample: vnc://127.0.0.1:5900
    agent_connected: {description: Whether the guest agent in it is there., type: bool, returned: always}
    addresses_from:
      description: >-
        Who told RV(source_vms[].networks[].addresses): V(agent), the guest agent, or V(lease), libvirt's DHCP
        server. V(null) when nobody did. In check mode the agent is not asked.
      type: str
      returned: always
    autostart: {description: Whether it starts with the host., type: bool, returned: always}
    disks:
      description: Its disks, without CD-ROM drives.
      type: list
      elements: dict
      returned: always
      contains:
        target: {description: Name of the device., type: str, returned: always, sample: vda}
        path:
          description: File on the host that the VM writes to. With snapshots it is a qcow2 overlay on the disk.
          type: str
          returned: always
        format: {description: "Format: qcow2 or raw.", type: str, returned: always}
        bus: {description: Bus on which the guest sees it., type: str, returned: always}
        virtual_size:
          description: Size that the guest sees, in bytes. V(null) when the file cannot be read.
          type: int
          returned: always
        allocated:
          description: Bytes that the file takes up. V(null) when the file cannot be read.
          type: int
          returned: always
    networks:
      description: Its network cards.
      type: list
      elements: dict
      returned: always
      contains:
        network: {description: libvirt network., type: str, returned: always}
        bridge: {description: Bridge of the host., type: str, returned: always}
        model: {description: Model of the card., type: str, returned: always}
        mac: {description: MAC address., type: str, returned: always}
        addresses:
          description: IP addresses, without link-local ones.
          type: list
          elements: str
          returned: always
    build:
      description: Digests of the build steps that were done in it, in order.
      type: list
      elements: str
      returned: always
    snapshots: {description: "Names of its snapshots, the oldest first.", type: list, elements: str, returned: always}
    tool_images: {description: Names of the tool images that are mounted., type: list, elements: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_asking_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm_looking


def main() -> None:
    module = AnsibleModule(
        argument_spec=source_vm_looking.OPTIONS | connection.OPTIONS,
        required_by={"screenshot": ["name"]},
        supports_check_mode=True,
    )
    run_asking_info(module, source_vm_looking.collect)


if __name__ == "__main__":
    main()

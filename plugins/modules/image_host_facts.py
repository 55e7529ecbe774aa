# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_host_facts
version_added: 0.1.0
short_description: Read what an image host is and can do
description:
  - Returns the facts of a libvirt host that decide what it may serve and how its guests run.
  - Whether guests run under KVM is found out by running one, of a few instructions, in QEMU. That C(/dev/kvm) is
    there and that libvirt lists KVM does not tell. A guest that is not through within 5 seconds counts as not running.
  - The result of that probe is kept in C(/run/goldsmith-images/kvm-probe.json) until the next boot or until QEMU
    changes. Remove the file to probe again. In check mode nothing is kept.
options: {}
extends_documentation_fragment:
  - goldsmith.images.libvirt
attributes:
  check_mode:
    support: full
    description: Reads only, and does not keep the result of the probe.
  diff_mode:
    support: none
    description: Nothing is changed.
  facts:
    support: full
    description: Returns an C(ansible_facts) dictionary that is merged with the facts of the host.
  platform:
    support: full
    description: Target operating systems.
    platforms: posix
seealso:
  - module: goldsmith.images.image_pool_info
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read what the image host can do
  goldsmith.images.image_host_facts:

- name: Say why guests are slow here
  ansible.builtin.debug:
    msg: "Guests are emulated: {{ ansible_facts.image_host.kvm_reason }}"
  when: not ansible_facts.image_host.kvm_usable
"""

RETURN = r"""
ansible_facts:
  description: The facts of the host.
  returned: success
  type: dict
  contains:
    image_host:
      description: What the image host is and can do.
      returned: always
      type: dict
      contains:
        architecture:
          description: Architecture of the libvirt host, by libvirt's name.
          type: str
          returned: always
          sample: x86_64
        is_arm:
          description: Whether the host counts as ARM. ARM hosts support VDI desktop images only.
          type: bool
          returned: always
        desktop_types:
          description: The desktop types that the host may serve.
          type: list
          elements: str
          returned: always
          sample: [vdi, idv, voi]
        libvirt_version: {description: Version of libvirt., type: str, returned: always, sample: 9.0.0}
        qemu_version: {description: Version of QEMU., type: str, returned: always, sample: 7.2.22}
        virt_types:
          description: Virtualization types that domains of the host's own architecture can have and that work.
          type: list
          elements: str
          returned: always
          sample: [kvm, qemu]
        kvm_listed: {description: Whether libvirt lists KVM., type: bool, returned: always}
        kvm_usable: {description: Whether a guest ran under KVM., type: bool, returned: always}
        kvm_reason:
          description: How it was found out, or why KVM is not usable.
          type: str
          returned: always
          sample: a guest ran under kvm
        guest_architectures:
          description: Architectures of the guests that the host can run or emulate.
          type: list
          elements: str
          returned: always
          sample: [i686, x86_64]
        firmware:
          description:
            - The kinds of firmware that guests of the host's own architecture can have.
            - V(uefi-secure) is UEFI with Secure Boot and the usual keys enrolled.
          type: list
          elements: str
          returned: always
          sample: [bios, uefi, uefi-secure]
        firmware_images:
          description: The firmware images that were found, by kind, in the order in which libvirt prefers them.
          type: list
          elements: dict
          returned: always
          contains:
            type: {description: "Kind: bios, uefi or uefi-secure.", type: str, returned: always}
            path: {description: The image., type: str, returned: always}
            nvram_template:
              description: What a guest's UEFI variables start from; V(null) where there are none.
              type: str
              returned: always
        tpm_emulator:
          description: Path of swtpm; V(null) where it or swtpm_setup is missing.
          type: str
          returned: always
          sample: /usr/bin/swtpm
        memory_total: {description: Memory of the host in bytes., type: int, returned: always}
        memory_available:
          description: Memory in bytes that new guests can get without swapping.
          type: int
          returned: always
        disk_space:
          description: The running storage pools that can be image pools, and the room on their file systems.
          type: list
          elements: dict
          returned: always
          contains:
            pool: {description: Name of the storage pool., type: str, returned: always}
            path: {description: Its directory., type: str, returned: always}
            total: {description: Size of its file system in bytes., type: int, returned: always}
            available: {description: Free bytes of its file system., type: int, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_facts
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_host


def main() -> None:
    module = AnsibleModule(argument_spec=connection.OPTIONS, supports_check_mode=True)
    run_facts(module, image_host.collect)


if __name__ == "__main__":
    main()

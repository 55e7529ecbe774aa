# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: appliance_info
version_added: 0.1.0
short_description: Read an OVF or OVA appliance, and tell what an import would make of it
description:
  - Reads an appliance on the host where it lies. Nothing is imported, unpacked or written.
  - OVF 0.9, 1.x and 2.x are understood, as VMware's and VirtualBox's products, XenServer, oVirt, OpenNebula, converters
    and clouds write them.
  - What could reach outside of the appliance is refused or told, and never followed. These are document type
    declarations, links and devices in an archive, absolute names, names with C(..), and URLs.
options:
  path:
    description: An C(.ova) file, an C(.ovf) file with its files beside it, or a folder that holds one C(.ovf) file.
    type: path
    required: true
  configuration:
    description: Deployment option to read it with. Without it, the default one.
    type: str
  verify:
    description:
      - Read all files of the manifest and check their SHA-1, SHA-256 or SHA-512 digests. That takes as long as reading
        the disks.
      - The digest of the descriptor itself is always checked. Signatures are not, and a warning says so.
    type: bool
    default: true
extends_documentation_fragment:
  - goldsmith.images.libvirt.reading
requirements:
  - python3-defusedxml
seealso:
  - module: goldsmith.images.source_vm
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: See what is in an appliance
  goldsmith.images.appliance_info:
    path: /srv/import/office.ova
  register: office

- name: Show what an import would make
  ansible.builtin.debug:
    var: office.appliance.systems

- name: Read one with its deployment option for large sites, without reading its disks
  goldsmith.images.appliance_info:
    path: /srv/import/router/router.ovf
    configuration: large
    verify: false
"""

RETURN = r"""
appliance:
  description: What the appliance describes.
  returned: success
  type: dict
  contains:
    path: {description: The file that was read., type: str, returned: always}
    descriptor: {description: Name of the descriptor in it., type: str, returned: always, sample: office.ovf}
    configurations: {description: Ids of its deployment options., type: list, elements: str, returned: always}
    default_configuration:
      description: The deployment option that is marked as default, else the first. V(null) when there is none.
      type: str
      returned: always
    configuration: {description: The deployment option that this was read with., type: str, returned: always}
    networks: {description: Names of the exporter's networks., type: list, elements: str, returned: always}
    systems:
      description: Its virtual machines.
      type: list
      elements: dict
      returned: always
      contains:
        id: {description: Id in the descriptor., type: str, returned: always}
        name: {description: Name in the descriptor. V(null) when it has none., type: str, returned: always}
        os:
          description: Its operating system.
          type: dict
          returned: always
          contains:
            id: {description: CIM's number of it as it is written., type: str, returned: always, sample: "96"}
            type: {description: The producer's name of it., type: str, returned: always, sample: debian11_64Guest}
            osinfo:
              description: Short id of libosinfo that this stands for. V(null) when it stands for none.
              type: str
              returned: always
              sample: debian11
        firmware: {description: "Firmware: bios, uefi, or null when it is not said.", type: str, returned: always}
        secure_boot: {description: Whether it boots signed code only., type: bool, returned: always}
        tpm: {description: Whether it has a TPM., type: bool, returned: always}
        vcpus: {description: Number of processors., type: int, returned: always}
        cores_per_socket: {description: Cores of each socket., type: int, returned: always}
        memory: {description: Memory in bytes., type: int, returned: always}
        disks:
          description: Its disks.
          type: list
          elements: dict
          returned: always
          contains:
            capacity: {description: Size that the guest sees in bytes., type: int, returned: always}
            file: {description: File with its content. V(null) for a blank disk., type: str, returned: always}
            format: {description: URI of the file's format as it is written., type: str, returned: always}
            compression: {description: "Compression of the file, as gzip.", type: str, returned: always}
            bus: {description: "Bus, as scsi, ide, sata, nvme or virtio.", type: str, returned: always}
            address: {description: Place on the bus., type: str, returned: always}
        nics:
          description: Its network cards.
          type: list
          elements: dict
          returned: always
          contains:
            model: {description: Model as it is written., type: str, returned: always, sample: E1000}
            network: {description: The exporter's name of its network., type: str, returned: always}
            mac: {description: MAC address as it is written., type: str, returned: always}
        cdroms: {description: Number of its CD-ROM drives., type: int, returned: always}
        cdrom_files: {description: Files in these drives., type: list, elements: str, returned: always}
        warnings: {description: What an import could not take over., type: list, elements: str, returned: always}
    warnings:
      description: What is wrong with the appliance's files, and what of it is not checked.
      type: list
      elements: str
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_reading
from ansible_collections.goldsmith.images.plugins.module_utils.resources import appliance


def main() -> None:
    module = AnsibleModule(argument_spec=appliance.OPTIONS, supports_check_mode=True)
    run_reading(module, appliance.collect)


if __name__ == "__main__":
    main()

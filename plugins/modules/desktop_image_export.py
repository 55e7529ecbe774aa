# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: desktop_image_export
version_added: 0.1.0
short_description: Export a version of a desktop image
description:
  - Writes a version of a desktop image to files outside of its image pool, on the image host, in the format of other
    products or as a bundle, which an import takes back whole.
  - Beside each file C(NAME) lies C(NAME.sha256), as C(sha256sum --check) reads it, and a small hidden record
    C(.NAME.export.json), by which a later run knows the file again. The same export found there changes nothing.
  - A version that is prepared or disabled can be exported; one whose files are damaged is refused.
  - What is read is compared with the digests in the version's manifest before anything is written, and what was written
    is read back.
  - A file gets its name when it is whole. A run that was killed is taken up by the next one. Raw files go on where
    they stopped; OVAs and bundles keep the disks that were finished; of other formats the files that were finished
    stay, and the one that was being written is written again.
options:
  pool:
    description: Name of the image pool that the version is in. It must be running.
    type: str
    required: true
  name:
    description: Name of the desktop image.
    type: str
    required: true
  version:
    description: The version, C(MAJOR.MINOR). Quote it in YAML. Give this or O(marker).
    type: str
  marker:
    description: The marker that is on the version. Give this or O(version).
    type: str
  dest:
    description:
      - Where to, on the image host, as an absolute path outside of all image pools.
      - A path that ends with C(/), or a directory that exists, gets files of the names C(office@1.0.disk0.qcow2),
        C(office@1.0.nvram), C(office@1.0.ova) or C(office@1.0.bundle.tar). The directory is made when it is missing.
      - Any other path is that of the file itself; the image must have one disk then, or O(format) be V(ova) or
        V(bundle). UEFI variables get the same name with C(.nvram) behind it.
    type: path
    required: true
  format:
    description:
      - V(raw), V(qcow2), V(vhd), V(vhdx) and V(vmdk) (streamOptimized) give one file for each disk, and one for UEFI
        variables where the image has them.
      - V(ova) gives one archive with an OVF descriptor, digests and streamOptimized VMDKs, without UEFI variables.
      - V(bundle) gives one archive with the manifest, its signature, UEFI variables and the disks as qcow2.
      - By default V(vhd) for VOI images of Windows, and V(qcow2) for all others.
    type: str
    choices: [raw, qcow2, vhd, vhdx, vmdk, ova, bundle]
  subformat:
    description: Kind of a V(vhd) or V(vhdx). V(dynamic) unless something else is said. Azure takes V(fixed) VHDs only.
    type: str
    choices: [dynamic, fixed]
  compress:
    description:
      - How clusters of V(qcow2) are packed, by default V(none), and those in a V(bundle), by default V(zstd).
      - V(zstd) takes a fifth of the time of V(zlib), and no more room; QEMU reads it from version 5.1 on.
    type: str
    choices: [none, zlib, zstd]
  verify:
    description:
      - Whether each disk is read back from the file that was written and compared byte by byte, before the file gets
        its name. It takes a fraction of the time of the writing.
      - What is read from the image pool is always compared with the digests of the manifest.
    type: bool
    default: true
  force:
    description:
      - Whether a file of the name that is no export, or was changed since, is replaced. A file that a domain uses is
        never replaced.
    type: bool
    default: false
  mode:
    description: Mode of the files, in octal digits, quoted.
    type: raw
    default: '0644'
  owner:
    description: Name or id of the user that the files belong to.
    type: str
  group:
    description: Name or id of the group that the files belong to.
    type: str
requirements:
  - qemu-img
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.progress
seealso:
  - module: goldsmith.images.desktop_image
  - module: goldsmith.images.desktop_image_info
  - module: goldsmith.images.appliance_info
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Export what is stable, in the format of its desktop type
  goldsmith.images.desktop_image_export:
    pool: golden
    name: office
    marker: stable
    dest: /srv/exports/

- name: Export a bundle, which an import takes back whole
  goldsmith.images.desktop_image_export:
    pool: golden
    name: office
    version: "1.0"
    format: bundle
    dest: /srv/exports/
  register: exported

- name: Fetch it to the controller
  ansible.builtin.fetch:
    src: "{{ exported.desktop_image_export.files[0].path }}"
    dest: files/
    flat: true

- name: Export an appliance for VMware or VirtualBox
  goldsmith.images.desktop_image_export:
    pool: golden
    name: office
    version: "1.0"
    format: ova
    dest: /srv/exports/office.ova

- name: Export a fixed VHD for Azure, readable by one group
  goldsmith.images.desktop_image_export:
    pool: golden
    name: office
    version: "1.0"
    format: vhd
    subformat: fixed
    dest: /srv/exports/office.vhd
    mode: '0640'
    group: transfer
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["export image office 1.0 (to /srv/exports: office@1.0.disk0.qcow2, disk0 as qcow2)"]
desktop_image_export:
  description: The export as it is now; in check mode as it was found.
  returned: success
  type: dict
  contains:
    name: {description: Name of the image., type: str, returned: always, sample: office}
    version: {description: The version., type: str, returned: always, sample: "1.0"}
    desktop_type: {description: "vdi, idv or voi.", type: str, returned: always, sample: vdi}
    directory: {description: Directory that the files are in., type: str, returned: always, sample: /srv/exports}
    format: {description: Format of the files., type: str, returned: always, sample: qcow2}
    subformat: {description: "Kind of the format: dynamic, fixed, or null.", type: str, returned: always}
    compress: {description: "Compression: none, zlib, zstd, or null.", type: str, returned: always}
    files:
      description: The files of the export.
      type: list
      elements: dict
      returned: always
      contains:
        path: {description: Path of the file., type: str, returned: always, sample: /srv/exports/office@1.0.disk0.qcow2}
        content:
          description: "What is in it: C(disk0) and so on, V(nvram), V(ova) or V(bundle)."
          type: str
          returned: always
          sample: disk0
        target:
          description: "Where the source VM had the disk, as vda. V(null) for what is no disk."
          type: str
          returned: always
          sample: vda
        size: {description: Bytes of the file. V(null) while it is not exported., type: int, returned: always}
        sha256: {description: SHA-256 of the file. V(null) while it is not exported., type: str, returned: always}
        checksum_file: {description: Path of the file with the SHA-256., type: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import (
    desktop_image_export,
    desktop_image_export_options,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=desktop_image_export_options.OPTIONS | connection.OPTIONS,
        required_one_of=[("version", "marker")],
        mutually_exclusive=[("version", "marker")],
        supports_check_mode=True,
    )
    run(module, desktop_image_export.DesktopImageExport)


if __name__ == "__main__":
    main()

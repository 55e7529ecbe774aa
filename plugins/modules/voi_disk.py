# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: voi_disk
version_added: 0.3.0
short_description: Put a desktop image onto the disk of a VOI endpoint
description:
  - Divides the disk of an endpoint into a cache, a system area and a data partition (GPT), and installs a boot
    loader for BIOS and UEFI. The cache has an image pool, into which versions are fetched.
  - Writes a version of a VOI desktop image to the system area. What is there is compared first, by the Merkle tree of
    the version, and only blocks that differ are written, and verified. So an update writes what is new in it, a restore
    what is damaged, and nothing is written where nothing differs.
  - A run that was killed is ended by the next. Until then the disk boots the endpoint OS, and not half an image.
  - The data partition is made once, and never touched again.
  - Runs in the endpoint OS, which does not run from this disk.
options:
  device:
    description: The whole disk, as V(/dev/vda).
    type: path
    required: true
  cache_path:
    description:
      - Directory at which the cache is mounted. The image pool is C(images) in it, the kernel and the initrd of the
        endpoint OS are expected as C(endpoint-os/vmlinuz) and C(endpoint-os/initrd.img).
    type: path
    default: /srv/goldsmith-cache
  cache_size:
    description:
      - Size of the cache, as V(60GiB). Room for the versions of the image that are kept, as far as they are allocated,
        and for the endpoint OS.
      - Needed when the disk is divided. Another value is refused later.
    type: str
  system_size:
    description:
      - Size of the system area, as V(40GiB). At least the virtual size of the image, and of those that will follow it.
      - Needed when the disk is divided. Another value is refused later.
    type: str
  data_file_system:
    description:
      - File system of the data partition, which takes what is left of the disk. With V(none) there is none, and the
        system area takes it.
      - Used when the disk is divided. A data partition that has a file system stays as it is.
    type: str
    choices: [ext4, ntfs, none]
    default: ext4
  wipe:
    description:
      - Whether a disk that holds something else may be wiped. O(serial) has to name the disk.
      - A disk that this module divided is never wiped.
    type: bool
    default: false
  serial:
    description:
      - Serial number of the disk. Where it is given, a disk with another one is refused.
      - It is the World Wide Name for a disk without one, and for a disk without both the kernel's name and the size in
        bytes, as V(vda-42949672960). The refusal to wipe a disk tells it.
    type: str
  image:
    description:
      - Name of the desktop image. Without it, the disk is prepared, and what is in the system area stays as it is.
    type: str
  version:
    description:
      - Version of the image, which has to be in the cache. An older one is a rollback.
    type: str
  marker:
    description: Marker on a version of the image, in place of O(version).
    type: str
  restore:
    description:
      - When the system area is restored.
      - V(on_boot) has each start boot the endpoint OS from the cache. There the program C(goldsmith-restore), which the
        module puts into the cache, restores the system and boots it then.
      - V(on_request) is with O(restore_now) only. V(never) says that nobody should.
    type: str
    choices: [never, on_boot, on_request]
    default: never
  restore_now:
    description:
      - Whether to compare the system area with the version that lies there, and to write what differs. What profiles
        changed belongs to it.
    type: bool
    default: false
  profiles:
    description:
      - What kinds of machines need besides the image. Those that fit this machine are applied, in this order, after a
        version was written, or when one of them changed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the profile.
        type: str
        required: true
      vendor:
        description: Pattern (as of file names) for the vendor of the machine, as the firmware tells it (DMI).
        type: str
        default: ""
      product:
        description: Pattern for the product name of the machine.
        type: str
        default: ""
      macs:
        description: MAC addresses, of which the machine has one.
        type: list
        elements: str
        default: []
      files:
        description: Files that are put into the image.
        type: list
        elements: dict
        default: []
        suboptions:
          dest:
            description: Absolute path in the image.
            type: str
            required: true
          src:
            description: File on the endpoint. Either this or O(profiles[].files[].content).
            type: path
          content:
            description: Text of the file.
            type: str
          mode:
            description: Mode, as an octal number.
            type: str
            default: "0644"
      commands:
        description: Shell commands that run in the image (chroot). Linux only.
        type: list
        elements: str
        default: []
      registry:
        description: What is merged into the registry. Windows only.
        type: list
        elements: dict
        default: []
        suboptions:
          hive:
            description: Name of the hive, as V(SYSTEM).
            type: str
            required: true
          prefix:
            description: What the keys in O(profiles[].registry[].content) begin with, as V(HKEY_LOCAL_MACHINE\\SYSTEM).
            type: str
            required: true
          content:
            description: Text of a C(.reg) file.
            type: str
            required: true
  next_boot:
    description:
      - What the disk boots next, once. Later boots go to the image, or with O(restore=on_boot) to the endpoint OS.
    type: str
    choices: [system, endpoint_os]
  endpoint_os_arguments:
    description: Arguments of the kernel of the endpoint OS, when it is booted from the cache.
    type: str
    default: ""
  program:
    description: Where the program goldsmith-restore came to on this machine. The action plugin says it.
    type: path
  program_checksum:
    description: SHA-256 that it is to have. The action plugin says it.
    type: str
extends_documentation_fragment:
  - goldsmith.images.progress
attributes:
  check_mode:
    support: full
    description:
      - Compares the system area as a real run does. Nothing is written; where the cache is not mounted, it is mounted
        read-only while it is looked at.
  diff_mode:
    support: full
    description: Shows what each change replaces.
  action:
    support: partial
    description: The part that tells of the progress, and that brings the program, runs on the controller.
  async:
    support: none
    description: Runs on the controller in part.
requirements:
  - Programs in the endpoint OS (packages fdisk, dosfstools, mtools, e2fsprogs, ntfs-3g, libhivex-bin, grub-common,
    grub-pc-bin, grub-efi-amd64-bin)
notes:
  - Needs root.
  - Secure Boot has to be off.
seealso:
  - module: goldsmith.images.voi_disk_info
  - module: goldsmith.images.image_distribute
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Prepare the disk of an endpoint
  goldsmith.images.voi_disk:
    device: /dev/sda
    cache_size: 60GiB
    system_size: 40GiB

- name: Write the version that is in the cache, and boot it
  goldsmith.images.voi_disk:
    device: /dev/sda
    image: office
    marker: stable
    next_boot: system

- name: Restore the system
  goldsmith.images.voi_disk:
    device: /dev/sda
    image: office
    version: "1.1"
    restore_now: true

- name: Wipe a disk that held something else
  goldsmith.images.voi_disk:
    device: /dev/sda
    cache_size: 60GiB
    system_size: 40GiB
    wipe: true
    serial: S3Z8NB0K123456
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["write office 1.1 to the system area (12 of 3072 pieces differ, 12 MiB)", activate office 1.1]
system_area:
  description: What this run did to the system area. All V(0) where it wrote nothing.
  returned: success
  type: dict
  contains:
    pieces: {description: Pieces of 1 MiB that differed., type: int, returned: always}
    bytes_read: {description: Bytes read of it., type: int, returned: always}
    bytes_written: {description: Bytes written to it., type: int, returned: always}
voi_disk:
  description: The disk as it is now; in check mode as it was found.
  returned: success
  type: dict
  contains:
    device: {description: The disk., type: str, returned: always}
    serial: {description: Its serial number., type: str, returned: always}
    size: {description: Its size in bytes., type: int, returned: always}
    prepared: {description: Whether this collection divided it., type: bool, returned: always}
    found: {description: Signatures on a disk that it did not divide., type: list, elements: str, returned: always}
    partitions:
      description: Partitions with C(number), C(name), C(start) and C(size) in bytes, and C(type).
      type: list
      elements: dict
      returned: always
    system_area:
      description: C(start) and C(size) in bytes. V(null) on a disk that is not prepared.
      type: dict
      returned: always
    cache: {description: Directory at which the cache is mounted., type: str, returned: always}
    image: {description: Image in the system area. V(null) where there is none., type: str, returned: always}
    version: {description: Its version., type: str, returned: always}
    profiles: {description: Profiles that were applied to it., type: list, elements: str, returned: always}
    accounted_pieces: {description: How many pieces they changed., type: int, returned: always}
    restore: {description: When it is restored., type: str, returned: always}
    next_boot: {description: "What is booted next, where that is said.", type: str, returned: always}
    system_ready: {description: Whether the image is whole., type: bool, returned: always}
    endpoint_os: {description: Whether the cache has an endpoint OS., type: bool, returned: always}
    update:
      description:
        - The update to the version in the system area. C(state) is V(waiting_for_restart) until the disk booted it,
          V(active) then, and V(failed) where writing was interrupted. C(from), C(to) and C(previous) have C(image) and
          C(version), C(error) and C(error_code) say what failed.
      type: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import voi_disk, voi_disk_options


def main() -> None:
    module = AnsibleModule(
        argument_spec=voi_disk_options.OPTIONS,
        mutually_exclusive=voi_disk_options.MUTUALLY_EXCLUSIVE,
        required_by=voi_disk_options.REQUIRED_BY,
        supports_check_mode=True,
    )
    run(module, voi_disk.VoiDisk)


if __name__ == "__main__":
    main()

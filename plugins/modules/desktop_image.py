# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: desktop_image
version_added: 0.1.0
short_description: Publish, import, mark, edit, disable and remove versions of desktop images
description:
  - Publishes a source VM as a version of a desktop image, by clone (the source VM stays) or by conversion (it is gone
    afterwards), imports disks and bundles, moves markers, edits what is said of a version, disables and enables
    versions and images, and removes versions that nothing uses.
  - A version lies in the image pool's directory as raw sparse disks, its UEFI variables, and a manifest that is written
    last. The manifest names the digest of each disk, the SHA-256 Merkle root of BitTorrent v2.
  - The bytes of a version are never changed. Publishing it again from the unchanged source VM, or after that is gone,
    changes nothing; publishing other content under the same version is refused and the next free version named.
  - A run that was interrupted at any moment leaves no incomplete version. The next run of the same task removes what
    was left, or ends the conversion that had begun.
  - Every change is written to the log of the image pool, with who made it (C(log) of
    M(goldsmith.images.desktop_image_info)).
options:
  pool:
    description: Name of the image pool. It must be running.
    type: str
    required: true
  name:
    description:
      - Name of the desktop image. 1 to 64 of the characters A-Z a-z 0-9 . _ -
      - It does not begin with C(tool-), as the files of tool images do.
    type: str
    required: true
  version:
    description:
      - The version, C(MAJOR.MINOR). Quote it in YAML, else V(1.10) becomes V(1.1).
      - Without it (and without O(bump)) the task is about the image as a whole. Its description and labels can be
        edited, it can be disabled and enabled, and markers be removed.
    type: str
  bump:
    description:
      - Number the version that O(source_vm) is published as, or a disk O(src) imported as, by the newest one of the
        image. V(minor) makes 1.5 of 1.4, V(major) makes 2.0 of it; the first version is 1.0. Numbers of versions in the
        quarantine are not used again.
      - When the newest version was published from the source VM as it is now, or has the content of the disk, it is
        taken, so that a second run changes nothing.
    type: str
    choices: [major, minor]
  state:
    description:
      - V(present) publishes the version unless it is published, and moves O(markers) to it.
      - V(disabled) has the version, or without O(version) the image as a whole, serve no new desktops. Existing ones go
        on. Markers of what is disabled are frozen, they can be neither set nor moved nor removed. V(enabled) ends it.
      - V(unpublished) takes a published version back to the state C(deployment_done), in which it serves nothing and
        can be published again. Its content stays in the pool that it was made in. Refused as V(absent) is.
      - V(absent) removes the version to the quarantine. Refused while anything uses it on this host, and while markers
        are on it that O(markers) does not name. The image goes with its last version. What else the task says has no
        meaning then.
      - V(restored) brings back a version from the quarantine, without the markers that were on it.
    type: str
    choices: [present, disabled, enabled, unpublished, absent, restored]
    default: present
  source_vm:
    description:
      - The source VM to publish. It must be off, with its disks in files; for a O(snapshot) of it that does not matter.
      - Not needed for a version that is published already, to move markers or to change the description.
    type: str
  snapshot:
    description:
      - Publish this snapshot of the source VM (M(goldsmith.images.source_vm_snapshot)) and not the VM as it is. The VM
        may run meanwhile, and stays as it is.
      - Disks and UEFI variables are those of the snapshot, the hardware is that of the VM now. Refused when disks came
        or went since the snapshot.
      - Not with O(method=convert).
    type: str
  snapshot_after_publish:
    description:
      - Make a snapshot of this name of the source VM after it was published, so that work on the next version can begin
        from what was published.
      - Not with O(method=convert).
    type: str
  method:
    description:
      - V(clone) leaves the source VM as it is.
      - V(convert) removes the source VM and its disks once the version is published. Refused while other domains
        stand on its disks, and while it has snapshots.
    type: str
    choices: [clone, convert]
    default: clone
  publish:
    description:
      - With V(false) a new version is prepared and not published yet. It stands in the state C(deployment_done) until
        a task without this option publishes it. A version that is published already stays so.
      - By default a version of O(source_vm) is published, and one of O(src) is not.
    type: bool
  desktop_type:
    description:
      - What the desktops of the image are. An image has the type of its source VM or bundle, so this is a check and no
        choice. For a disk that is imported it is one, V(vdi) by default.
      - A host of an ARM architecture publishes V(vdi) only.
    type: str
    choices: [vdi, idv, voi]
  description:
    description: Free text about the version, or the image as a whole, up to 1024 characters. It can be changed later.
    type: str
  labels:
    description:
      - Names and values that you give to the version, or to the image as a whole, up to 64. They replace those that it
        has; V({}) removes them.
    type: dict
  os:
    description:
      - Correct the id (libosinfo) of the version's operating system, as V(debian12). A new version has that of its
        source VM or bundle.
      - For a disk that is imported, what is on it; its hardware is chosen by that.
    type: str
  minimum_vcpus:
    description: How many virtual processors a desktop of the version needs at least.
    type: int
  minimum_memory:
    description: How much memory a desktop of the version needs at least, as V(4GiB).
    type: str
  recommended_hardware:
    description: Whether desktops do well on V(general) hardware, or want V(dedicated) processors and memory.
    type: str
    choices: [general, dedicated]
  markers:
    description:
      - Names that point at one version each, as V(stable) or V(canary). With O(state=present) they are moved to this
        version; markers that are not listed stay where they are.
      - With O(state=absent) they are the markers that may be removed together with the version.
    type: list
    elements: str
  remove_markers:
    description: Markers to remove from the image, whatever version they are on.
    type: list
    elements: str
  signing_key:
    description:
      - Sign the version with this OpenSSH key, by its path on the image host. The path of a public key means the
        private key that an ssh-agent holds for this task (E(SSH_AUTH_SOCK)), or the one beside it. Nobody is asked for
        a passphrase.
      - A version that is published already and unsigned is signed by the next run. One that is signed stays as it is,
        whichever key signed it.
      - Who uses the image says whom they trust, by C(trusted_signers).
    type: path
  quarantine_days:
    description:
      - For how many days a version that is removed can be brought back. It then goes for good with the next
        M(goldsmith.images.image_pool_clean). With V(0) it is gone at once.
    type: int
    default: 7
  generalize:
    description:
      - Whether the copy is generalised by virt-sysprep (machine id, SSH host keys, logs, leases and other traces of
        one machine are taken out), so that every desktop becomes one of its own. The source VM is never touched.
      - By default images of type V(vdi) are, unless the source VM runs Windows. What is imported stays as it is by
        default, and a bundle in any case. Windows is generalised by its own
        sysprep, in the guest, before it is shut down.
      - A small systemd unit is put into the image that takes the host name of each desktop from the SMBIOS OEM string
        C(goldsmith.images.hostname=NAME) and makes missing SSH host keys, before the network and sshd start.
    type: bool
  generalize_operations:
    description:
      - The operations of virt-sysprep to do, instead of those that this collection chooses. See
        C(virt-sysprep --list-operations).
      - V(customize) is always done. It puts in the unit for host name and SSH host keys.
    type: list
    elements: str
requirements:
  - qemu-img
  - ssh-keygen (OpenSSH >= 8.2), for O(signing_key)
  - virt-sysprep (guestfs-tools) and a kernel package on the host, for O(generalize)
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.actor
  - goldsmith.images.image_import
  - goldsmith.images.progress
seealso:
  - module: goldsmith.images.desktop_image_info
  - module: goldsmith.images.source_vm
  - module: goldsmith.images.desktop_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Publish office 1.0 from the source VM, which stays
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.0"
    source_vm: office-src
    description: Office applications of autumn
    markers: [stable]

- name: Publish the state of a snapshot while work on the source VM goes on
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.1"
    source_vm: office-src
    snapshot: before-update

- name: Publish the source VM and keep a snapshot of what was published
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.2"
    source_vm: office-src
    snapshot_after_publish: published-1.2

- name: Publish office 1.3 and remove the source VM
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.3"
    source_vm: office-src
    method: convert

- name: Have the desktops that follow stable take 1.1
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.1"
    markers: [stable]

- name: Publish what was done in the source VM as the next version
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    bump: minor
    source_vm: office-src

- name: Say what desktops of the version need
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.1"
    labels: {team: accounting, ring: "2"}
    minimum_vcpus: 2
    minimum_memory: 4GiB
    recommended_hardware: general

- name: Have a version serve no new desktops
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.0"
    state: disabled

- name: Disable the image as a whole
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    state: disabled

- name: Bring back a version that was removed by mistake
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.0"
    state: restored

- name: Import a disk of Hyper-V as the next version, to be looked at before it is published
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    bump: minor
    src: /srv/import/office.vhdx
    checksum: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    os: win11
    hardware: {vcpus: 4, memory: 8GiB}

- name: Publish what was imported
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.4"

- name: Take over a version from another site, if our own people signed it
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    src: /srv/import/office@1.2.bundle.tar
    trusted_signers: [/etc/goldsmith/allowed_signers]
    publish: true
    markers: [stable]

- name: Remove a version with the marker on it
  goldsmith.images.desktop_image:
    pool: golden
    name: office
    version: "1.0"
    state: absent
    markers: [previous]
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["publish image office 1.0 (clone of office-src, generalized)", "set marker stable of image office (on 1.0)"]
desktop_image:
  description: The version as it is now; in check mode as it was found. V(null) when it is not published.
  returned: success
  type: dict
  contains:
    name: {description: Name of the image., type: str, returned: always, sample: office}
    version: {description: The version., type: str, returned: always, sample: "1.0"}
    state:
      description:
        - State of the version as far as this host tells. C(deployment_done) (not published), C(available),
          C(disabled), or C(failed) when files are missing or damaged.
      type: str
      returned: always
      sample: available
    damage:
      description: What is wrong with the files of a V(failed) copy.
      type: list
      elements: str
      returned: always
      sample: []
    scrubbed:
      description:
        - When the files of this copy were last read and compared with their digests (C(time), UTC), and the C(result),
          V(sound), V(damaged), or V(outdated) when a file was written or replaced since. V(null) when they never were.
      type: dict
      returned: always
      sample: {time: "2026-01-01T00:00:00Z", result: sound}
    signed:
      description:
        - The key that signed the version, by C(fingerprint) and C(key_type), and the C(namespace), as the signature
          names them. It is checked where C(trusted_signers) is given, not here. V(null) for an unsigned version.
      type: dict
      returned: always
      sample:
        key_type: ssh-ed25519
        fingerprint: SHA256:MMZcOlNcN9hsxLSzX92lwEw9iqi4rDKN0Wr1PFKRrlM
        namespace: manifest@goldsmith.images
    desktop_type: {description: "vdi, idv or voi.", type: str, returned: always, sample: vdi}
    architecture: {description: "Architecture of the guest, as x86_64.", type: str, returned: always}
    os: {description: "Id of the guest's operating system (libosinfo), as debian12.", type: str, returned: always}
    firmware:
      description: Firmware that the image needs.
      type: dict
      returned: always
      contains:
        type: {description: bios or uefi., type: str, returned: always}
        secure_boot: {description: Whether it boots with Secure Boot., type: bool, returned: always}
        tpm: {description: Whether it has a TPM., type: bool, returned: always}
    disks:
      description: The disks, in the order of the source VM's.
      type: list
      elements: dict
      returned: always
      contains:
        path: {description: The raw file., type: str, returned: always}
        target: {description: "Where the source VM had it, as vda.", type: str, returned: always}
        bus: {description: "Bus of the disk, as virtio.", type: str, returned: always}
        virtual_size: {description: Bytes that a guest sees., type: int, returned: always}
        allocated: {description: Bytes that it took up when it was published., type: int, returned: always}
        digest:
          description: "SHA-256 Merkle root of BitTorrent v2 (BEP 52) over the bytes that a guest sees."
          type: str
          returned: always
          sample: "sha256-merkle-16k:c6ebdc2be5abcfceca73f1b2f4fff122a3e1d49557893fce8baadd19c4e88b82"
    nvram:
      description: The UEFI variables, with C(path), C(size) and C(digest). V(null) for images with a BIOS.
      type: dict
      returned: always
    markers: {description: The markers on this version., type: list, elements: str, returned: always, sample: [stable]}
    parent:
      description: The version it was made from, C(1.0), or C(kiosk@1.0) of another image. V(null) where it is none.
      type: str
      returned: always
      sample: "1.0"
    children:
      description: The versions in this pool that were made from it, named as RV(desktop_image.parent).
      type: list
      elements: str
      returned: always
      sample: ["1.1", "kiosk@1.0"]
    description: {description: The description., type: str, returned: always}
    labels: {description: The labels., type: dict, returned: always, sample: {team: accounting}}
    minimum_vcpus: {description: "Processors that a desktop needs, or V(null).", type: int, returned: always}
    minimum_memory: {description: "Memory that a desktop needs, in bytes, or V(null).", type: int, returned: always}
    recommended_hardware: {description: "general, dedicated, or V(null).", type: str, returned: always}
    imported:
      description: What it was imported from. V(null) for a version that was published from a source VM.
      type: dict
      returned: always
      contains:
        path: {description: The file., type: str, returned: always}
        size: {description: Bytes of the file., type: int, returned: always}
        mtime_ns: {description: "Modification time of the file, in nanoseconds.", type: int, returned: always}
        sha256: {description: "SHA-256 of the file, where it is known.", type: str, returned: always}
        at: {description: When it was imported (UTC)., type: str, returned: always}
        by: {description: Who imported it., type: str, returned: always}
    provenance:
      description: Where the version comes from.
      type: dict
      returned: always
      contains:
        method: {description: "clone, convert or import.", type: str, returned: always}
        source_vm: {description: "Name of the source VM, empty for an imported disk.", type: str, returned: always}
        source_uuid: {description: UUID of the source VM., type: str, returned: always}
        source_disks:
          description: Path, file size and modification time (C(mtime_ns)) of the disks that were published or imported.
          type: list
          elements: dict
          returned: always
        host: {description: The host it was published on., type: str, returned: always}
        created: {description: When it was published (UTC)., type: str, returned: always}
        collection_version: {description: Version of goldsmith.images that published it., type: str, returned: always}
        generalized: {description: Operations of virt-sysprep done., type: list, elements: str, returned: always}
        tool_images: {description: Tool images that were mounted., type: list, elements: str, returned: always}
        snapshot:
          description: The snapshot of the source VM that was published. V(null) for the VM as it was.
          type: str
          returned: always
        snapshot_id: {description: Tells the snapshot from another of the name., type: str, returned: always}
        source_sha256:
          description: Checksum of the disk file that was imported. V(null) where nobody said it.
          type: str
          returned: always
        source_digest:
          description: Digest of what a guest saw of the disk that was imported, before it was generalised.
          type: str
          returned: always
    virtual_size: {description: Bytes that a guest sees of all disks., type: int, returned: always}
    allocated: {description: Bytes that all disks took up when they were published., type: int, returned: always}
    users:
      description: Domains whose backing chain holds a file of the version, and desktops that were made from it.
      type: list
      elements: str
      returned: always
      sample: [desktop acct-001]
image:
  description: The image as a whole. V(null) when it has no version.
  returned: success
  type: dict
  contains:
    name: {description: Name of the image., type: str, returned: always, sample: office}
    description: {description: Description of the image., type: str, returned: always}
    labels: {description: Labels of the image., type: dict, returned: always}
    disabled: {description: Whether the image as a whole is disabled., type: bool, returned: always}
    versions: {description: "Its versions, from old to new.", type: list, elements: str, returned: always}
    markers:
      description:
        - "The markers by name: C(version), since when (C(moved), UTC), by whom (C(moved_by)), where it was (C(from))."
      type: dict
      returned: always
      sample: {stable: {version: "1.1", moved: "2026-11-21T08:00:00Z", moved_by: alice@awx, from: "1.0"}}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_image, desktop_image_options


def main() -> None:
    module = AnsibleModule(
        argument_spec=desktop_image_options.OPTIONS | connection.OPTIONS,
        mutually_exclusive=desktop_image_options.MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    run(module, desktop_image.DesktopImage)


if __name__ == "__main__":
    main()

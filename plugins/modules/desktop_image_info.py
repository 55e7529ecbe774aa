# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: desktop_image_info
version_added: 0.1.0
short_description: Read the desktop images of an image pool
description:
  - Returns the published versions in an image pool by the same keys as M(goldsmith.images.desktop_image), with the
    state of their copies on this host and who uses them.
  - What it asks of libvirt does not grow with the number of domains; see RV(desktop_images[].users).
options:
  pool:
    description: Name of the image pool. It must be running.
    type: str
    required: true
  name:
    description: Name of one image. Without it, all are returned.
    type: str
  version:
    description: Only this version, C(MAJOR.MINOR), quoted.
    type: str
  marker:
    description: Only versions that this marker is on.
    type: str
  references:
    description:
      - Look thoroughly for everything that needs each version, and return it as RV(desktop_images[].references). This
        reads every domain's definition, the headers of all files in all storage pools, and who has files open.
    type: bool
    default: false
  log:
    description: Return the log of the changes of the catalogue too, of the image O(name) or of all.
    type: bool
    default: false
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.desktop_image
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read all images
  goldsmith.images.desktop_image_info:
    pool: golden
  register: images

- name: Show versions, markers and users
  ansible.builtin.debug:
    msg: "{{ item.name }} {{ item.version }} {{ item.markers | join(', ') }}: {{ item.users | length }} users"
  loop: "{{ images.desktop_images }}"
  loop_control:
    label: "{{ item.name }} {{ item.version }}"

- name: Who moved the markers of office, and when?
  goldsmith.images.desktop_image_info:
    pool: golden
    name: office
    log: true

- name: What would keep a version from being removed?
  goldsmith.images.desktop_image_info:
    pool: golden
    name: office
    version: "1.0"
    references: true

- name: Which version is stable?
  goldsmith.images.desktop_image_info:
    pool: golden
    name: office
    marker: stable
"""

RETURN = r"""
desktop_images:
  description: The versions, by name and from old to new. A name, version or marker that is not there gives none.
  returned: success
  type: list
  elements: dict
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
      description: The versions in this pool that were made from it, named as RV(desktop_images[].parent).
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
      description:
        - Domains, and snapshots that libvirt keeps of them, whose backing chain holds a file of the version, and
          desktops that were made from it, as seen at a glance. A domain's live disks are seen while it runs, those of
          its definition while it is off, and a disk that is named as a volume of a storage pool only while it runs.
        - A removal looks more thoroughly; see O(references).
      type: list
      elements: str
      returned: always
      sample: [desktop acct-001]
    references:
      description:
        - Everything on this host that needs the version, by which RV(ignore:users) of a refused removal are named.
      type: list
      elements: dict
      returned: when O(references=true)
      contains:
        kind:
          description: "What it is: desktop, source VM, domain, snapshot, file, volume, process, loop device or marker."
          type: str
          returned: always
          sample: process
        name: {description: "Its name, a path for a file.", type: str, returned: always, sample: 1234 (qemu-img)}
        path:
          description: The file of the version that it needs; empty where it needs the version and no file of it.
          type: str
          returned: always
          sample: /srv/golden/office@1.0.disk0.raw
images:
  description: The images as wholes, by name.
  returned: success
  type: list
  elements: dict
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
lineage:
  description:
    - Which version was made from which, as trees. Each node has C(name), C(version) and C(children). A version that was
      made from none that is here is a root.
  returned: success
  type: list
  elements: dict
  sample: [{name: office, version: "1.0", children: [{name: office, version: "1.1", children: []}]}]
in_progress:
  description:
    - Versions that are being made or brought here from other hosts, or of which that was interrupted. They are no
      versions yet.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the image., type: str, returned: always}
    version: {description: The version., type: str, returned: always}
    state:
      description:
        - "C(deploying): it is being made here; C(replicating): it is being brought here; C(retry_pending): bringing it
          here failed, the next run goes on."
      type: str
      returned: always
    working: {description: Whether a process of this host is at work on it., type: bool, returned: always}
    written: {description: Bytes that unfinished files have on the disk., type: int, returned: always}
    attempts: {description: How often bringing it here failed., type: int, returned: when it comes from another host}
    last_error:
      description: Why it failed the last time, or V(null).
      type: str
      returned: when it comes from another host
    total: {description: Bytes that are to travel., type: int, returned: when it comes from another host}
    done: {description: Bytes of them that are here., type: int, returned: when it comes from another host}
    method: {description: C(swarm) or C(direct)., type: str, returned: when it comes from another host}
    source: {description: The host that it comes from first., type: str, returned: when it comes from another host}
    base:
      description: The version here that it is made out of, or V(null).
      type: str
      returned: when it comes from another host
    started: {description: Since when (UTC)., type: str, returned: when it comes from another host}
    updated: {description: The last change (UTC)., type: str, returned: when it comes from another host}
    actor: {description: Who asked for it., type: str, returned: when it comes from another host}
log:
  description: The changes of the catalogue, from old to new.
  returned: when O(log=true)
  type: list
  elements: dict
  contains:
    time: {description: When it began (UTC)., type: str, returned: always}
    ended: {description: When it ended (UTC)., type: str, returned: when it ended}
    id: {description: Tells it from others., type: str, returned: always}
    actor: {description: "Who made it, as alice@awx-1.", type: str, returned: always}
    host: {description: The host., type: str, returned: always}
    action: {description: "What was done, as publish.", type: str, returned: always}
    subject: {description: "To what, as image office 1.0.", type: str, returned: always}
    detail: {description: More about it., type: str, returned: always}
    before: {description: "What there was before, or V(null).", type: raw, returned: always}
    after: {description: "What there was to be after it, or V(null).", type: raw, returned: always}
    outcome:
      description: "C(done), C(failed), C(skipped) (nothing was touched), or C(begun): at work, or killed."
      type: str
      returned: always
    error: {description: Why it failed., type: str, returned: when it failed}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_image_info


def main() -> None:
    module = AnsibleModule(argument_spec=desktop_image_info.INFO_OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run_info(module, desktop_image_info.collect)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pool_clean
version_added: 0.1.0
short_description: Keep house in an image pool
description:
  - Retires old versions, removes what runs that were killed left behind, removes for good what has served its time in
    the quarantine, finds files that nobody owns, verifies the content of the versions, and reports what takes up how
    much.
  - What is in use, marked, prepared or worked on is never touched. Who uses a file is looked up again under its lock,
    just before it is moved or removed.
  - Nothing is deleted that could be missed. Retired versions, lost data files and orphans go to the quarantine, from
    where M(goldsmith.images.desktop_image) with O(goldsmith.images.desktop_image#module:state=restored) brings a
    version back.
  - In check mode it tells each thing that would be done, and why.
  - What another run works on in that moment, or what came into use, is left for the next run and returned as
    RV(image_pool_clean.postponed); the rest goes on.
options:
  pool:
    description: Name of the image pool. It must be running.
    type: str
    required: true
  images:
    description:
      - Retire and scrub versions of these desktop images only. Without it, of all. One that the pool does not have is
        passed over.
      - The other work is not about single images, and always done.
    type: list
    elements: str
  keep_versions:
    description:
      - How many of the newest versions of each image are kept. Versions that are disabled, failed or not yet
        published do not count.
      - With neither this nor O(keep_days), no version is retired. With both, a version is retired when it is beyond
        both.
      - Whatever is said here, a version is kept that is marked, used by anything, or prepared and not yet published,
        and so is the newest version of an image that can serve desktops.
    type: int
  keep_days:
    description: How many days a version is kept, from when it was made or came into this pool, whichever was later.
    type: int
  quarantine_days:
    description:
      - How many days what is retired or moved stays in the quarantine. With V(0) it is gone at once.
      - What lies there already keeps the expiry that it was given.
    type: int
    default: 7
  partial_age:
    description:
      - How many hours ago a left-over file or an orphan was last written before it is one. What is younger is left
        alone, whoever may be about to use it.
    type: int
    default: 24
  orphans:
    description:
      - What to do with files that nobody owns and nobody uses. V(report) only returns them, V(quarantine) moves them
        to the quarantine.
      - On a network file system only files of this host's desktops are moved, as other hosts may use the rest.
    type: str
    choices: [report, quarantine]
    default: report
  scrub:
    description:
      - Read the versions again and compare them with their digests. A damaged copy is V(failed) from then on, serves
        no new desktops, and its RV(image_pool_clean.damaged[].damage) names the pieces.
    type: bool
    default: false
  scrub_rate:
    description: How much to read in a second at most, as V(100MiB). Without it, as fast as the disks are.
    type: str
  scrub_older_than:
    description:
      - How many days ago a version was last scrubbed before that is done again. With V(0), every run reads all
        versions, and reports a change for each.
    type: int
    default: 30
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.actor
  - goldsmith.images.progress
seealso:
  - module: goldsmith.images.desktop_image
  - module: goldsmith.images.image_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Keep three versions of each image, and whatever is younger than 90 days
  goldsmith.images.image_pool_clean:
    pool: golden
    keep_versions: 3
    keep_days: 90
    quarantine_days: 30

- name: See what would be retired, what is an orphan, and what takes up how much
  goldsmith.images.image_pool_clean:
    pool: golden
    keep_versions: 3
  check_mode: true
  register: cleaning

- name: Read every version once a month, slowly
  goldsmith.images.image_pool_clean:
    pool: golden
    scrub: true
    scrub_rate: 100MiB
    scrub_older_than: 30
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences with the reason.
  returned: success
  type: list
  elements: str
  sample:
    - retire image office 1.0 (older than 90 days, 4 newer versions, no marker, no user)
    - remove partial file /srv/golden/.partial/office@1.5.0a1b2c3d.disk0.raw (3 days old, 1.2 GiB, its lock is free)
image_pool_clean:
  description: The pool as it is now; in check mode as it was found. Sizes are bytes, ages are seconds, times are UTC.
  returned: success
  type: dict
  contains:
    path: {description: Directory of the pool., type: str, returned: always}
    kept:
      description: The versions that stay, each with the reason.
      type: list
      elements: dict
      returned: always
      sample: [{name: office, version: "1.4", reason: marker stable}]
    damaged:
      description: The versions whose files are not as they were published, as far as it is known, and what is wrong.
      type: list
      elements: dict
      returned: always
      contains:
        name: {description: Name of the image., type: str, returned: always}
        version: {description: The version., type: str, returned: always}
        damage: {description: What is wrong with each file., type: list, elements: str, returned: always}
    leftovers:
      description: What runs left and what is kept of it; in check mode also what would be removed, without a reason.
      type: list
      elements: dict
      returned: always
      contains:
        path: {description: The file., type: str, returned: always}
        kind: {description: "What it is, as C(partial file), C(lock file), C(data file).", type: str, returned: always}
        age: {description: Seconds since it was last written., type: int, returned: always}
        allocated: {description: What it takes up., type: int, returned: always}
        reason: {description: Why it is kept; V(null) when it is rubbish., type: str, returned: always}
    orphans:
      description: The files that nobody owns.
      type: list
      elements: dict
      returned: always
      contains:
        path: {description: The file., type: str, returned: always}
        age: {description: Seconds since it was last written., type: int, returned: always}
        allocated: {description: What it takes up., type: int, returned: always}
        reason: {description: Why it is not moved; V(null) when it may be., type: str, returned: always}
    quarantine:
      description: What is in the quarantine.
      type: list
      elements: dict
      returned: always
      contains:
        name: {description: "What it was, as C(office@1.0).", type: str, returned: always}
        kind: {description: "What it is: version or file.", type: str, returned: always}
        path: {description: The directory in which it lies., type: str, returned: always}
        removed: {description: When it was removed., type: str, returned: always}
        expires: {description: From when on it may go for good., type: str, returned: always}
        by: {description: Who removed it., type: str, returned: always}
        why: {description: Why it was removed., type: str, returned: always}
        allocated: {description: What it takes up., type: int, returned: always}
        expired: {description: Whether it may go for good., type: bool, returned: always}
        users: {description: Who names one of its files still., type: list, elements: str, returned: always}
        reason: {description: Why it is still there., type: str, returned: always}
    postponed:
      description: What was left for the next run, and why.
      type: list
      elements: str
      returned: always
      sample: ["retire image office 1.0: it is kept now: used by desktop acct-001"]
    usage:
      description: What the pool's files take up.
      type: dict
      returned: always
      contains:
        capacity: {description: Size of the pool's file system., type: int, returned: always}
        available: {description: Free bytes of it., type: int, returned: always}
        virtual_size: {description: What guests see of all versions., type: int, returned: always}
        allocated: {description: What the files of all versions really take up., type: int, returned: always}
        tool_images: {description: What tool images take up., type: int, returned: always}
        source_vms: {description: What the files of source VMs take up., type: int, returned: always}
        desktops: {description: What the files of desktops take up., type: int, returned: always}
        partial: {description: What unfinished files take up., type: int, returned: always}
        reclaimable: {description: What the quarantine takes up., type: int, returned: always}
        orphans: {description: What orphans take up., type: int, returned: always}
        images:
          description: The same by image and version; C(overlays) is how many disks stand on it and share its content.
          type: list
          elements: dict
          returned: always
          contains:
            name: {description: Name of the image., type: str, returned: always}
            virtual_size: {description: What guests see., type: int, returned: always}
            allocated: {description: What its files really take up., type: int, returned: always}
            overlays: {description: How many disks stand on it., type: int, returned: always}
            versions:
              description: The same of each version.
              type: list
              elements: dict
              returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean import ImagePoolClean
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_options import OPTIONS


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run(module, ImagePoolClean)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: desktop_pool
version_added: 0.1.0
short_description: Deploy a pool of desktops from an image version or marker
description:
  - A desktop pool is a number of desktops on one libvirt host, all made from one desktop image. It follows a version
    or a marker of the image.
  - Each desktop is a libvirt domain with the hardware of the image, and with an identity of its own, which stays as
    long as the desktop exists. That is its name (which is its host name too), UUID (SMBIOS UUID too) and MAC addresses.
    A generalised guest takes its host name from the SMBIOS OEM string C(goldsmith.images.hostname=NAME); the SMBIOS
    serial number is the name too.
  - When the version that is wanted changes, each desktop that is shut off gets new disks from it.
    B(This replaces the disks that came from the image, and every change in them is gone.) Data of users belongs on a
    data disk (O(data_disk), or one that the desktop is given by hand), or on a server. A data disk stays with its
    desktop.
  - A desktop that a push brings to another version, and that runs then, has to answer by its guest agent within
    O(agent_deadline). One that does not is put back on the version before, with the disks that it had, and the task
    fails with the error code C(push_failed); the returned RV(desktops) then say what each desktop runs. The version is
    not pushed again in the pool until O(retry=true), or until the pool follows another version.
  - A version that is disabled, or not published yet, serves no new desktops, and no desktop is brought to it. Desktops
    that have it go on.
  - Nothing happens between two runs. What waits for a shutdown, for log-off or for a time is done by the next run that
    finds it so; have cron or an AWX schedule run the play.
  - A desktop that runs, is paused or is saved keeps its version, and its hardware, until the module finds it shut off,
    or until O(push=force).
  - A desktop with snapshots, or one that does not run on a disk of its image any more, is left alone and reported
    in RV(desktop_pool.desktops[].held).
  - The desktops are made in one call; with linked clones, 100 take about as long as a few.
options:
  name:
    description: Name of the desktop pool. 1 to 64 of the characters A-Z a-z 0-9 . _ -
    type: str
    required: true
  state:
    description:
      - V(present) makes the desktops that are missing, brings those that are shut off up to date, and removes those
        beyond O(count).
      - V(absent) removes all desktops of the pool with their disks. See O(remove_data) for their data disks.
    type: str
    choices: [present, absent]
    default: present
  image_pool:
    description: Name of the image pool that holds the image, and will hold the disks of the desktops.
      Required with O(state=present).
    type: str
  image:
    description: Name of a desktop image of type C(vdi). Required with O(state=present).
    type: str
  version:
    description: Version of the image, as V("1.0"). Quote it, else YAML makes a number of it.
      One of O(version) and O(marker) is required with O(state=present).
    type: str
  marker:
    description: Marker of the image that the desktops follow.
    type: str
  count:
    description:
      - Number of desktops, 0 to 10000. They have the numbers from 1 on. One of this and O(numbers) is required with
        O(state=present).
      - When there are more, those with the highest numbers are removed with their disks. It is refused while they are
        not shut off, unless O(force=true).
    type: int
  numbers:
    description:
      - The numbers of the desktops that this host has, for a pool whose desktops are spread over several hosts.
        Desktops of the pool that are here and have other numbers are removed, as with O(count).
      - Shares in O(batch) and O(canary) are of the desktops of this host.
    type: list
    elements: int
    version_added: 0.2.0
  names:
    description:
      - Pattern of the desktops' names. C({n}) is the number of the desktop, from 1 on, and may say its width as
        C({n:03d}); C({pool}) is the name of the pool.
      - The names must be host names of 1 to 63 of the characters a-z 0-9 -, and must not belong to other domains.
      - Desktops are not renamed.
    type: str
    default: "{pool}-{n:03d}"
  clone:
    description:
      - V(linked) gives a desktop an overlay that takes up only what it changes. The version cannot be removed then.
      - V(full) gives it a copy of the whole disk. The copy shares blocks with the image where the file system can do
        that, but the space for it has to be free all the same.
    type: str
    choices: [linked, full]
    default: linked
  persistent:
    description:
      - Whether what a user changes survives that the desktop is shut down.
      - With V(false) the changes are dropped whenever the desktop is shut off. They survive a restart from inside of
        the guest. UEFI variables, the state of a TPM, and data disks are not dropped.
    type: bool
    default: true
  vcpus:
    description: Number of virtual processors. Without it, as many as the image has, or its C(minimum_vcpus) when that
      is more. Less than that is refused.
    type: int
  memory:
    description: Size of the memory, as V(2GiB). Without it, as large as the image's, or its C(minimum_memory) when that
      is more. Less than that is refused.
    type: str
  networks:
    description: Network cards of each desktop, in order. Without it, those of the image.
    type: list
    elements: dict
    suboptions:
      network:
        description: Name of an active libvirt network. One of this and O(networks[].bridge) is required.
        type: str
      bridge:
        description: Name of a bridge of the host.
        type: str
      model:
        description: Model of the card, as V(virtio) or V(e1000e). Without it, as in the image.
        type: str
  virt_type:
    description:
      - V(kvm) or V(qemu) (emulation).
      - V(auto) takes V(kvm) where a probe shows that guests really run under it, else V(qemu).
    type: str
    choices: [auto, kvm, qemu]
    default: auto
  autostart:
    description: Whether libvirt starts the desktops when the host starts.
    type: bool
    default: false
  started:
    description:
      - V(true) starts the desktops that are off.
      - V(false) shuts those down that run, by their guest agents, then by ACPI; those that still run after O(timeout)
        make the task fail, unless O(force=true).
      - Without it, the power of the desktops is left alone.
    type: bool
  data_disk:
    description:
      - A data disk of each desktop's own, besides the disks of the image. It is kept when the desktop gets another
        version, is put back or goes back, and what is written to it survives also with O(persistent=false).
      - In the guest it has the serial number C(data), as C(/dev/disk/by-id/virtio-data). It is on the bus of the
        image's first disk, and comes empty.
      - Desktops that are there already get it when they are shut off. Without the option, data disks that are there
        stay.
    type: dict
    suboptions:
      size:
        description: Size of the data disk, as V(10GiB). A larger size is given to disks of desktops that are shut off;
          a smaller one is refused.
        type: str
        required: true
  remove_data:
    description:
      - Whether the data disk of a desktop is removed with the desktop.
      - With V(false) its file stays, and the next desktop of that name gets it.
    type: bool
    default: false
  push:
    description:
      - How desktops that are not shut off get another version, or other hardware.
      - V(on_shutdown) leaves them until the module finds them shut off.
      - V(wait_for_logoff) asks the guest agent of each that runs who is logged in, and takes down those in which nobody
        is. The others wait, see O(logoff_timeout). One whose agent does not answer is not taken to be empty, nor is one
        that is paused or saved.
      - V(force) takes down all of them.
      - Those that are taken down are shut down; the plug of those that still run after O(timeout) is pulled. They are
        brought up to date and started again. A saved state is dropped.
      - Check mode cannot ask guest agents. With V(wait_for_logoff) it tells what is done where nobody is logged in.
    type: str
    choices: [on_shutdown, wait_for_logoff, force]
    default: on_shutdown
  logoff_timeout:
    description:
      - Seconds that O(push=wait_for_logoff) waits in all for users to log off, after it has pushed to those desktops in
        which nobody is logged in. With V(0) it does not wait.
      - When the time is over, the desktops that are still in use are left as they are, for the next run. That is no
        error.
    type: int
    default: 0
  start_at:
    description:
      - Before this time no version is pushed; the result says for which desktops it is C(scheduled). The first run at
        this time or later pushes. New desktops are made at once, of the wanted version, or with O(canary) of the
        version before.
      - A time as in RFC 3339, V(2026-12-01T22:00:00+01:00), or one in the time zone of the host, V(2026-12-01 22:00).
    type: str
  batch:
    description:
      - How many desktops at most are taken down and brought up at a time, as V(5), or as a share of O(count), V(20%).
        The next ones follow when these have answered by their guest agents. The first error ends the push.
      - Without it, all are taken down at a time.
    type: str
  canary:
    description:
      - How many desktops get a new version first, as V(2), or as a share of O(count), V(10%). They are those with the
        lowest numbers. The version is pending for the others until it is named in O(promote) or O(cancel), also when a
        later task does not say O(canary) any more. New desktops get the version before meanwhile.
      - A canary gets the version by O(push), as any desktop does.
    type: str
  promote:
    description:
      - A version that all desktops of the pool may have.
      - It has an effect while the pool is to follow this version, and none otherwise, so that it can stay in a play.
    type: str
  cancel:
    description:
      - A version that no desktop of the pool is to have. Canaries go back to the version that the pool had before, by
        O(push). The pool does not go to this version again until it is named in O(promote), or until the pool has
        followed another version meanwhile.
      - It has an effect while the pool is to follow this version, and none otherwise, so that it can stay in a play.
    type: str
  agent_deadline:
    description:
      - Seconds within which a desktop has to answer by its guest agent after it got another version and was started.
        With V(0) no answer is waited for, and no desktop is put back.
      - Desktops that are shut off and stay so get a version without proof, as do those whose image has no guest agent
        channel.
    type: int
    default: 300
  retry:
    description: Whether to push a version to a pool in which it failed on a desktop in an earlier run.
    type: bool
    default: false
  wait:
    description: Whether to wait until the guest agents of all running desktops answer, up to O(timeout).
    type: bool
    default: false
  timeout:
    description: Seconds to wait for guests to shut down, and for their agents.
    type: int
    default: 300
  force:
    description: Remove desktops that run, and pull the plug of those that O(started=false) could not shut down.
    type: bool
    default: false
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.trusted_signers
seealso:
  - module: goldsmith.images.desktop_pool_info
  - module: goldsmith.images.desktop_image
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Deploy 20 desktops that follow the marker stable
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    count: 20
    names: "acct-{n:03d}"
    started: true
    wait: true

- name: Deploy desktops that forget everything when they are shut down
  goldsmith.images.desktop_pool:
    name: training
    image_pool: golden
    image: office
    version: "1.0"
    count: 10
    persistent: false
    vcpus: 1
    memory: 1GiB

- name: Bring all desktops to the version that the marker is on, now, five at a time
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    count: 20
    names: "acct-{n:03d}"
    push: force
    batch: "5"
    timeout: 60

- name: Try the version that the marker is on with two desktops, from the evening on, where nobody is logged in
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    count: 20
    names: "acct-{n:03d}"
    data_disk: {size: 10GiB}
    push: wait_for_logoff
    start_at: "2026-12-01 22:00"
    canary: "2"

- name: Let all desktops have version 1.1, a fifth at a time
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    count: 20
    names: "acct-{n:03d}"
    push: wait_for_logoff
    logoff_timeout: 3600
    batch: 20%
    promote: "1.1"

- name: Keep those desktops of a pool over several hosts that belong here
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    numbers: [1, 3, 5, 7]
    names: "acct-{n:03d}"

- name: Remove the desktops, running or not
  goldsmith.images.desktop_pool:
    name: training
    state: absent
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["create desktop acct-001 (linked clone of office 1.0)", "start desktop acct-001"]
desktops:
  description: What each desktop of the pool runs after a push has failed, with C(name), C(version) and C(state).
  returned: when a desktop did not prove its version in this run
  type: list
  elements: dict
failures:
  description: Why a version failed, by the names of desktops.
  returned: when the error code is C(push_failed)
  type: dict
  sample: {"acct-001": "its guest agent did not answer within 300 s"}
desktop_pool:
  description: The pool as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
  contains:
    name: {description: Name of the pool., type: str, returned: always}
    count: {description: Number of its desktops on this host., type: int, returned: always}
    running: {description: Number of desktops that run., type: int, returned: always}
    outdated: {description: Number of desktops that do not have the wanted version., type: int, returned: always}
    versions:
      description: How many desktops have each version.
      type: dict
      returned: always
      sample: {"1.0": 18, "1.1": 2}
    rollout:
      description: How far the pool is on the way to a version that was given to a few desktops first, or V(null).
      type: dict
      returned: always
      contains:
        state: {description: "State: pending, promoted or cancelled.", type: str, returned: always}
        image: {description: Image that the pool is to follow., type: str, returned: always}
        version: {description: Its version., type: str, returned: always, sample: "1.1"}
        from_image: {description: Image that the pool had before., type: str, returned: always}
        from_version: {description: Its version., type: str, returned: always, sample: "1.0"}
        canaries: {description: Names of the desktops that go first., type: list, elements: str, returned: always}
    start_at:
      description: Time (UTC) before which a version is not pushed, while desktops wait for it. V(null) otherwise.
      type: str
      returned: always
      sample: "2026-12-01T21:00:00Z"
    desktops:
      description: The desktops, by their numbers.
      type: list
      elements: dict
      returned: always
      contains:
        name: {description: Name of the desktop., type: str, returned: always}
        index: {description: Its number in the pool., type: int, returned: always}
        uuid: {description: "UUID of the domain, and SMBIOS UUID.", type: str, returned: always}
        state: {description: "State: running, paused, saved or stopped.", type: str, returned: always}
        autostart: {description: Whether libvirt starts it with the host., type: bool, returned: always}
        image_pool: {description: Image pool of its disks., type: str, returned: always}
        image: {description: Image that its disks come from., type: str, returned: always}
        version: {description: Version that its disks come from., type: str, returned: always, sample: "1.0"}
        marker: {description: "Marker that it follows, or V(null).", type: str, returned: always}
        wanted_image: {description: Image that it is to have., type: str, returned: always}
        wanted_version:
          description: Version that it is to have. V(null) when the image, its version or marker is not there any more.
          type: str
          returned: always
        pending_version:
          description: Version that it gets when that is promoted, or V(null).
          type: str
          returned: always
        push:
          description:
            - C(up_to_date), it has the version that it is to have.
            - C(pending), a version waits to be promoted, or for the next run to find the desktop off or to prove it.
            - C(scheduled), C(waiting_for_logoff), C(waiting_for_shutdown), it waits for a time, or for its user.
            - C(failed), it did not prove the version, and was put back.
          type: str
          returned: always
        canary: {description: Whether it gets the pending version first., type: bool, returned: always}
        users:
          description: Users who are logged in, where O(push=wait_for_logoff) asked for them. V(null) where it did not,
            or where the guest agent did not answer.
          type: list
          elements: str
          returned: always
        up_to_date: {description: Whether it has the wanted image and version., type: bool, returned: always}
        restart_pending:
          description:
            - Whether something waits until it is shut off.
            - M(goldsmith.images.desktop_pool_info) knows of versions only, not of hardware that is wanted otherwise.
          type: bool
          returned: always
        held:
          description: Why it cannot be brought up to date though it is shut off, or V(null). Also that the version is
            disabled or not published.
          type: str
          returned: always
          sample: has snapshots
        clone: {description: "How its disks were made: linked or full.", type: str, returned: always}
        persistent: {description: Whether changes survive a shutdown., type: bool, returned: always}
        vcpus: {description: Number of virtual processors., type: int, returned: always}
        memory: {description: "Memory, in bytes.", type: int, returned: always}
        virt_type: {description: "Virtualization type: kvm or qemu.", type: str, returned: always}
        agent_connected: {description: Whether its guest agent is there., type: bool, returned: always}
        macs: {description: MAC addresses of its network cards., type: list, elements: str, returned: always}
        addresses:
          description: IP addresses that libvirt's networks have leased to it while it runs.
          type: list
          elements: str
          returned: always
        disks:
          description: The disks that were made for it from those of the image.
          type: list
          elements: dict
          returned: always
          contains:
            target: {description: Device name in the domain., type: str, returned: always, sample: vda}
            path: {description: File of the disk., type: str, returned: always}
            format: {description: "Format: qcow2 (an overlay) or raw.", type: str, returned: always}
            allocated:
              description: Bytes that the file takes up. V(null) when the file is missing.
              type: int
              returned: always
        data_disk:
          description: The data disk of its own, with the keys of RV(desktop_pool.desktops[].disks[]), or V(null).
          type: dict
          returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_pool


def main() -> None:
    module = AnsibleModule(
        argument_spec=desktop_pool.OPTIONS | connection.OPTIONS,
        required_if=[
            ("state", "present", ["image_pool", "image"]),
            ("state", "present", ["version", "marker"], True),
            ("state", "present", ["count", "numbers"], True),
        ],
        mutually_exclusive=[("version", "marker"), ("count", "numbers")],
        supports_check_mode=True,
    )
    run(module, desktop_pool.DesktopPool)


if __name__ == "__main__":
    main()

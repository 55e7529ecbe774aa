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
    data disk that the desktop is given besides, or on a server. Such a data disk stays with the desktop.
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
      - V(absent) removes all desktops of the pool with their disks.
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
      - Number of desktops, 0 to 10000. Required with O(state=present).
      - When there are more, those with the highest numbers are removed with their disks. It is refused while they are
        not shut off, unless O(force=true).
    type: int
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
    description: Number of virtual processors. Without it, as many as the image has.
    type: int
  memory:
    description: Size of the memory, as V(2GiB). Without it, as large as the image's.
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
  push:
    description:
      - How desktops that are not shut off get another version, or other hardware.
      - V(on_shutdown) leaves them until the module finds them shut off.
      - V(force) shuts them down, pulls the plug of those that still run after O(timeout), brings them up to date, and
        starts them again. A saved state is dropped.
    type: str
    choices: [on_shutdown, force]
    default: on_shutdown
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

- name: Bring all desktops to the version that the marker is on, now
  goldsmith.images.desktop_pool:
    name: accounting
    image_pool: golden
    image: office
    marker: stable
    count: 20
    names: "acct-{n:03d}"
    push: force
    timeout: 60

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
desktop_pool:
  description: The pool as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
  contains:
    name: {description: Name of the pool., type: str, returned: always}
    count: {description: Number of its desktops., type: int, returned: always}
    running: {description: Number of desktops that run., type: int, returned: always}
    outdated: {description: Number of desktops that do not have the wanted version., type: int, returned: always}
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
        up_to_date: {description: Whether it has the wanted image and version., type: bool, returned: always}
        restart_pending:
          description:
            - Whether something waits until it is shut off.
            - M(goldsmith.images.desktop_pool_info) knows of versions only, not of hardware that is wanted otherwise.
          type: bool
          returned: always
        held:
          description: Why it cannot be brought up to date though it is shut off, or V(null).
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
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_pool


def main() -> None:
    module = AnsibleModule(
        argument_spec=desktop_pool.OPTIONS | connection.OPTIONS,
        required_if=[
            ("state", "present", ["image_pool", "image", "count"]),
            ("state", "present", ["version", "marker"], True),
        ],
        mutually_exclusive=[("version", "marker")],
        supports_check_mode=True,
    )
    run(module, desktop_pool.DesktopPool)


if __name__ == "__main__":
    main()

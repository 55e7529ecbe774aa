# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: idv_desktop
version_added: 0.3.0
short_description: Have an endpoint run a desktop from an image, by itself
description:
  - An IDV endpoint is a machine at a user's desk that runs one desktop on its own libvirt. This module tells it which,
    and installs C(goldsmith-endpoint), a systemd unit that keeps the desktop running from then on, without Ansible and
    without the network.
  - The desktop is a libvirt domain made from a version of a desktop image of type C(idv), as those of
    M(goldsmith.images.desktop_pool) are.
  - The version comes here in the background, ordered with M(goldsmith.images.image_distribute), while the desktop runs
    what it has. When the desktop is started the next time, it runs the new version. A version whose guest agent does
    not answer within O(agent_deadline) is put back to the one before by the endpoint itself, and not tried again until
    O(retry=true), or until another version is wanted.
  - How far that is tells RV(idv_desktop.update).
  - The version before stays on the endpoint. Going back is naming it in O(version), which works without the network.
    Older versions that nobody needs are removed.
  - When the desktop gets another version, B(what was changed on its system disk is gone). Data of the user belongs on
    the data disk (O(data_disk)), which stays.
options:
  name:
    description: Name of the desktop, which is its host name too. An endpoint has one desktop. Required with
      O(state=present).
    type: str
  state:
    description:
      - V(present) has the endpoint run the desktop.
      - V(absent) removes the program and the desktop. Images stay. See O(remove_data) for the data disk.
    type: str
    choices: [present, absent]
    default: present
  image_pool:
    description: Name of the image pool of the endpoint that holds the image. Required with O(state=present).
    type: str
  image:
    description: Name of a desktop image of type C(idv). It need not be here yet. Required with O(state=present).
    type: str
  version:
    description: Version that the desktop is to run, as V("1.0"). Quote it, else YAML makes a number of it.
      One of O(version) and O(marker) is required with O(state=present).
    type: str
  marker:
    description: Marker of the image that the desktop follows. It is on the endpoint where it was on the host that the
      last version came from.
    type: str
  restore:
    description:
      - When what was changed on the system disk is dropped.
      - V(never) keeps it until the desktop gets another version.
      - V(on_restart) drops it whenever the desktop is off. With O(after_shutdown=start) that is at each reboot too.
    type: str
    choices: [never, on_restart]
    default: never
  apply:
    description:
      - When another version takes over once it is here.
      - V(on_restart) leaves the desktop until its user restarts it, or the endpoint.
      - V(now) shuts the desktop down for it, by its guest agent, then by ACPI, and after O(shutdown_timeout) by pulling
        its plug.
    type: str
    choices: [on_restart, now]
    default: on_restart
  after_shutdown:
    description:
      - What the endpoint does when the user shuts the desktop down.
      - V(start) starts it again. The desktop is started anew at each reboot too, so that a reboot brings a version that
        waits.
      - V(stay) leaves it off until the endpoint is started the next time, V(power_off) switches the endpoint off. A
        reboot of the guest stays within the running desktop then, and brings no version.
    type: str
    choices: [start, stay, power_off]
    default: start
  vcpus:
    description: Number of virtual processors. Without it, as many as the image has.
    type: int
  memory:
    description: Size of the memory, as V(8GiB). Without it, as large as the image's.
    type: str
  networks:
    description: Network cards of the desktop, in order. Without it, those of the image.
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
  data_disk:
    description:
      - A data disk of the user's, besides the disks of the image. It stays through updates, restores and going back.
      - In the guest it has the serial number C(data), as C(/dev/disk/by-id/virtio-data). It comes empty.
    type: dict
    suboptions:
      size:
        description: Size of the data disk, as V(100GiB). A disk that is smaller grows when the desktop is off.
        type: str
        required: true
  agent_deadline:
    description: Seconds within which the desktop has to answer by its guest agent after it got another version. With
      V(0) no answer is waited for, and nothing is put back.
    type: int
    default: 300
  shutdown_timeout:
    description: Seconds that O(apply=now) leaves the guest to shut down.
    type: int
    default: 300
  retry:
    description: Whether to try a version again that failed on this endpoint.
    type: bool
    default: false
  wait:
    description: Whether to wait until the version is active, up to O(timeout). The task fails when it fails.
    type: bool
    default: false
  timeout:
    description: Seconds to wait with O(wait=true).
    type: int
    default: 3600
  remove_data:
    description: Whether O(state=absent) removes the data disk too. Without it the next desktop of the name gets it.
    type: bool
    default: false
  force:
    description: Whether O(state=absent) removes a desktop that runs.
    type: bool
    default: false
  program:
    description: Where the program came to on this host. The action plugin says it.
    type: path
  program_checksum:
    description: SHA-256 that the program is to have. The action plugin says it.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
notes:
  - Needs root on the endpoint, systemd, and the image pool. Role P(goldsmith.images.idv_endpoint#role) sees to that.
  - ARM machines are refused, as they support VDI desktop images only.
seealso:
  - module: goldsmith.images.idv_desktop_info
  - module: goldsmith.images.image_distribute
  - module: goldsmith.images.desktop_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Have the endpoint run what the marker stable is on
  goldsmith.images.idv_desktop:
    name: desk-17
    image_pool: golden
    image: office
    marker: stable
    restore: on_restart
    data_disk: {size: 100GiB}

- name: Go back to the version before, now
  goldsmith.images.idv_desktop:
    name: desk-17
    image_pool: golden
    image: office
    version: "1.0"
    data_disk: {size: 100GiB}
    apply: now
    wait: true

- name: Make a plain machine of the endpoint again; the user's data stays
  goldsmith.images.idv_desktop:
    state: absent
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: [install program goldsmith-endpoint (0.3.0), start goldsmith-endpoint]
idv_desktop:
  description: The endpoint as it is now; in check mode as it was found. V(null) where the host has no such desktop.
  returned: success
  type: dict
  contains:
    name: {description: Name of the desktop., type: str, returned: always}
    image_pool: {description: Name of the image pool., type: str, returned: always}
    image: {description: Name of the image., type: str, returned: always}
    version:
      description: The version that the desktop is to run. V(null) while its marker is on none here.
      type: str
      returned: always
    marker: {description: "The marker that it follows, or V(null).", type: str, returned: always}
    restore: {description: When the changes on the system disk are dropped., type: str, returned: always}
    apply: {description: When another version takes over., type: str, returned: always}
    after_shutdown: {description: What follows when the user shuts it down., type: str, returned: always}
    unit:
      description: Whether the unit is C(active) and C(enabled).
      type: dict
      returned: always
    desktop:
      description:
        - The desktop itself, by the keys that RV(ignore:desktop_pool.desktops) of M(goldsmith.images.desktop_pool) has
          for it. V(null) while there is none yet.
      type: dict
      returned: always
    update:
      description: The update that is under way, or the last one. V(null) before the first.
      type: dict
      returned: always
      contains:
        state:
          description:
            - C(fetching) while the version is not here, C(ready) when it is, C(waiting_for_restart) while the desktop
              runs another one, C(active) once the desktop has answered with it, C(failed).
          type: str
          returned: always
        since: {description: Since when (UTC)., type: str, returned: always}
        from:
          description: C(image) and C(version) that ran when it began. V(null) for the first one.
          type: dict
          returned: always
        to: {description: C(image) and C(version) that the desktop is to run., type: dict, returned: always}
        previous:
          description: C(image) and C(version) that are kept for going back, besides what runs. V(null) without one.
          type: dict
          returned: always
        error: {description: "What failed, or V(null).", type: str, returned: always}
        error_code: {description: "Its code, as C(push_failed), or V(null).", type: str, returned: always}
    history:
      description: The last 50 states of updates, from old to new, each with the keys of RV(idv_desktop.update).
      type: list
      elements: dict
      returned: always
    versions: {description: Versions of the image that lie here., type: list, elements: str, returned: always}
    program_checksum: {description: SHA-256 of the program on the host., type: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import idv_desktop


def main() -> None:
    module = AnsibleModule(
        argument_spec=idv_desktop.OPTIONS | connection.OPTIONS,
        required_if=[
            ("state", "present", ["name", "image_pool", "image"]),
            ("state", "present", ["version", "marker"], True),
        ],
        mutually_exclusive=[("version", "marker")],
        supports_check_mode=True,
    )
    run(module, idv_desktop.IdvDesktop)


if __name__ == "__main__":
    main()

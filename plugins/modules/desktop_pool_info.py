# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: desktop_pool_info
version_added: 0.1.0
short_description: Read the desktop pools of a libvirt host
description:
  - Returns the desktop pools with their desktops, by the same keys as M(goldsmith.images.desktop_pool).
  - The desktops themselves say which version or marker they are to follow. A pool without desktops leaves no trace.
options:
  name:
    description: Name of one desktop pool. Without it, all are returned.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.desktop_pool
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read all desktop pools
  goldsmith.images.desktop_pool_info:
  register: pools

- name: Show which desktops wait for a restart
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.desktops | selectattr('restart_pending') | map(attribute='name') | join(', ') }}"
  loop: "{{ pools.desktop_pools }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
desktop_pools:
  description: The pools, in the order of their names. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the pool., type: str, returned: always}
    count: {description: Number of its desktops., type: int, returned: always}
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
          description: Always V(null); M(goldsmith.images.desktop_pool) asks for users.
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
          description: The data disk of its own, with the keys of RV(desktop_pools[].desktops[].disks[]), or V(null).
          type: dict
          returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_pool


def main() -> None:
    module = AnsibleModule(argument_spec=desktop_pool.INFO_OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run_info(module, desktop_pool.collect)


if __name__ == "__main__":
    main()

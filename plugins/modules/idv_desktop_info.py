# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: idv_desktop_info
version_added: 0.3.0
short_description: Read what the desktop of an endpoint runs, and how far its update is
description:
  - Returns the desktop of an IDV endpoint, its updates and the versions that lie there, by the same keys as
    M(goldsmith.images.idv_desktop).
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.reading
seealso:
  - module: goldsmith.images.idv_desktop
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read what the endpoint runs
  goldsmith.images.idv_desktop_info:
  register: endpoint

- name: Tell who has to restart the desktop
  ansible.builtin.debug:
    msg: "{{ inventory_hostname }} gets {{ endpoint.idv_desktop.update.to.version }} with its next restart"
  when: endpoint.idv_desktop.update.state == 'waiting_for_restart'
"""

RETURN = r"""
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
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_info
from ansible_collections.goldsmith.images.plugins.module_utils.resources import idv_desktop


def main() -> None:
    module = AnsibleModule(argument_spec=connection.OPTIONS, supports_check_mode=True)
    run_info(module, idv_desktop.collect)


if __name__ == "__main__":
    main()

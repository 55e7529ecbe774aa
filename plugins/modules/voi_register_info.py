# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: voi_register_info
version_added: 0.3.0
short_description: Read which machines booted from a boot server
description:
  - Returns the machines that asked a boot server (P(goldsmith.images.voi_boot#role)) what to boot. A machine that is
    no endpoint yet tells its make and serial number there, so that it can be put into the inventory.
  - What a machine says of itself is not proven, and the register holds the last 5 to 10 MiB of it. Of a name with an
    ampersand, which Debian 12's iPXE does not encode, only the part before it is known.
options:
  directory:
    description: Directory of the boot server, as O(goldsmith.images.voi_boot#role:main:voi_boot_directory).
    type: path
    default: /var/lib/goldsmith-images/voi-boot
extends_documentation_fragment:
  - goldsmith.images.libvirt.reading
notes:
  - Needs root on the boot server. libvirt is not asked.
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Read the register
  goldsmith.images.voi_register_info:
  register: boot

- name: Tell which machines are no endpoints yet
  ansible.builtin.debug:
    msg: "{{ boot.machines | rejectattr('known') }}"
"""

RETURN = r"""
machines:
  description: The machines, by MAC address.
  returned: success
  type: list
  elements: dict
  contains:
    mac: {description: MAC address of the network card that it booted from., type: str, returned: always}
    known: {description: Whether it is an endpoint of this boot server., type: bool, returned: always}
    address: {description: IP address that it had last., type: str, returned: always}
    uuid: {description: UUID by SMBIOS; empty where it never told., type: str, returned: always}
    vendor: {description: Manufacturer by SMBIOS., type: str, returned: always}
    product: {description: Product name by SMBIOS., type: str, returned: always}
    serial: {description: Serial number by SMBIOS., type: str, returned: always}
    first_seen: {description: When it asked first (UTC)., type: str, returned: always}
    last_seen: {description: When it asked last (UTC)., type: str, returned: always}
    count: {description: How often it asked., type: int, returned: always}
  sample:
    - mac: "52:54:00:12:34:56"
      known: false
      address: 10.7.0.23
      uuid: 4c4c4544-0051-3010-8057-b6c04f4d3332
      vendor: Dell Inc.
      product: OptiPlex 7010
      serial: CQ0WM32
      first_seen: "2026-01-31T08:00:00Z"
      last_seen: "2026-01-31T08:05:00Z"
      count: 2
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_reading
from ansible_collections.goldsmith.images.plugins.module_utils.resources import voi_register


def main() -> None:
    options = {"directory": {"type": "path", "default": "/var/lib/goldsmith-images/voi-boot"}}
    run_reading(AnsibleModule(argument_spec=options, supports_check_mode=True), voi_register.collect)


if __name__ == "__main__":
    main()

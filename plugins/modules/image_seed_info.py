# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_seed_info
version_added: 0.1.0
short_description: Read what a host does in the distribution of images
description:
  - Returns how the host takes part, by the same keys as M(goldsmith.images.image_seed), and what its C(goldsmith-seed)
    answers when it is asked.
extends_documentation_fragment:
  - goldsmith.images.libvirt.reading
requirements:
  - openssl
notes:
  - Needs root on the host. libvirt is not asked.
seealso:
  - module: goldsmith.images.image_seed
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Ask every host
  goldsmith.images.image_seed_info:
  register: seed

- name: Refuse a host whose program does not answer
  ansible.builtin.assert:
    that: seed.status is not none
    fail_msg: "{{ seed.problem or 'this host takes no part in the distribution' }}"
"""

RETURN = r"""
image_seed:
  description: The host as it takes part. V(null) where it does not.
  returned: success
  type: dict
  contains:
    name: {description: Name by which the other hosts know it., type: str, returned: always}
    address: {description: IP address at which they reach it., type: str, returned: always}
    port: {description: TCP port of the swarm., type: int, returned: always}
    web_port: {description: TCP port of the catalogue., type: int, returned: always}
    pod: {description: Its site., type: str, returned: always}
    gateway: {description: Whether it exchanges with other pods., type: bool, returned: always}
    kind: {description: "What it is: image_host or endpoint.", type: str, returned: always}
    pools: {description: Directories of the image pools by their names., type: dict, returned: always}
    peers: {description: Names of the hosts that it knows., type: list, elements: str, returned: always}
    unit:
      description: Whether the unit is C(active) and C(enabled).
      type: dict
      returned: always
    certificate:
      description:
        - When the certificate ends (C(expires), in UTC), and whether the authority on the host issued it (C(issued)).
          V(null) where there is none.
      type: dict
      returned: always
      sample: {expires: "2026-12-21T08:00:00Z", issued: true}
    program_checksum: {description: SHA-256 of the program on the host., type: str, returned: always}
status:
  description: What the program answers. V(null) where it does not.
  returned: success
  type: dict
problem:
  description: Why it does not answer.
  returned: success
  type: str
  sample: ""
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_reading
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_seed_info


def main() -> None:
    run_reading(AnsibleModule(argument_spec={}, supports_check_mode=True), image_seed_info.collect)


if __name__ == "__main__":
    main()

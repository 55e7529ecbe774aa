# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_seed
version_added: 0.1.0
short_description: Make a host a member of the distribution of images
description:
  - Installs C(goldsmith-seed) on a host, a systemd unit that offers the versions of its image pools to other hosts and
    fetches versions from them, with a configuration and a certificate of its own.
  - Whom O(peers) does not name, the host does not speak with. Connections are encrypted, and both sides need a
    certificate of the deployment's own authority.
  - The host's key is made on the host and never leaves it. Its certificate is signed on the controller, whose authority
    is made at the first use where the user brings none. It is renewed by a run when less than a third of its time is
    left, or when the name, the address or the authority is another.
  - What changes only the configuration or the certificate does not interrupt transfers.
options:
  state:
    description:
      - V(present) makes the host a member, and keeps it up to date.
      - V(absent) stops the unit and removes it, with the program, configuration, key, certificate and state. Images
        stay.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name by which the other hosts know it. 1 to 64 of the characters A-Z a-z 0-9 . _ -
      - By default the host's name in the inventory.
    type: str
  address:
    description: IP address at which the other hosts reach it. Required with O(state=present).
    type: str
  port:
    description: TCP port of the swarm. The port after it answers for the catalogue.
    type: int
    default: 7801
  pod:
    description: The site of the host. Within a pod everybody exchanges, between pods only gateways do.
    type: str
    default: ""
  gateway:
    description: Whether the host exchanges with other pods. In a pod without a gateway, one of its hosts does.
    type: bool
    default: false
  kind:
    description: What the host is. VDI images go to image hosts, IDV and VOI images to endpoints.
    type: str
    choices: [image_host, endpoint]
    default: image_host
  pools:
    description:
      - The image pools that take part, each by its name, whose directory libvirt knows, or by a dictionary of its
        C(name) and C(path), for which libvirt is not needed.
      - By default all that libvirt has running.
    type: list
    elements: raw
  peers:
    description: The hosts that it may exchange with. The host itself may be among them, and is passed over.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      address:
        description: IP address at which others reach it.
        type: str
        required: true
      port:
        description: TCP port of its swarm.
        type: int
        default: 7801
      pod:
        description: Its site.
        type: str
        default: ""
      gateway:
        description: Whether it exchanges with other pods.
        type: bool
        default: false
  labels:
    description: Labels of the host, for images that are only for some hosts.
    type: dict
    default: {}
  limits:
    description:
      - Rates that the host keeps to, each as a size per second, for example V(50MiB). Without one there is no limit.
    type: dict
    suboptions:
      upload:
        description: All that the host sends.
        type: str
      download:
        description: All that the host receives.
        type: str
      pod_link:
        description: What the host sends to each other pod.
        type: str
  schedule:
    description:
      - Times of the day, by the host's clock, with other rates than O(limits). The first that fits counts.
    type: list
    elements: dict
    default: []
    suboptions:
      start:
        description: When it begins, for example V(08:00).
        type: str
        required: true
      end:
        description: When it ends, for example V(18:00). Earlier than O(schedule[].start), it is on the next day.
        type: str
        required: true
      upload:
        description: All that the host sends.
        type: str
      download:
        description: All that the host receives.
        type: str
      pod_link:
        description: What the host sends to each other pod.
        type: str
  max_fetches:
    description: How many versions the host fetches at a time.
    type: int
    default: 2
  connections:
    description: How many peers the host exchanges a disk with at a time.
    type: int
    default: 32
  poll:
    description: Seconds after which the host asks its peers again whether there is something for it.
    type: int
    default: 300
  patience:
    description: Seconds without a byte after which a fetch has failed, to be tried again.
    type: int
    default: 120
  trusted_signers:
    description:
      - Whose signatures are trusted, as lines of an allowed_signers file (C(ssh-keygen(1)), "ALLOWED SIGNERS"), or as
        the absolute paths of such files on the host.
      - With it, no version comes to the host that none of them signed, whoever ordered it. Members trust each other's
        orders; this keeps what a stolen member offers from the others.
      - Without it, versions come whether they are signed or not.
    type: list
    elements: str
  valid_days:
    description:
      - For how many days a certificate is valid. A host that is taken out of the inventory can use the one that it has
        until then, at hosts that were not told.
    type: int
    default: 30
  ca_directory:
    description:
      - Directory on the controller with the authority's C(ca.pem) and C(ca.key). By default
        C(~/.config/goldsmith-images/ca).
      - Where it is empty or not there, an authority is made in it, for ten years. Check mode makes none.
    type: str
  ca_certificate:
    description: Certificate of the authority (PEM), in place of O(ca_directory). Goes with O(ca_key).
    type: str
  ca_key:
    description:
      - Private key of the authority (PEM, without a password), for example from a vault. It stays on the controller.
    type: str
  certificate:
    description: The host's certificate. Internal, given by the part that runs on the controller.
    type: str
  program:
    description: Where the program lies on the host. Internal, given by the part that runs on the controller.
    type: path
  program_checksum:
    description: SHA-256 of the program. Internal, given by the part that runs on the controller.
    type: str
extends_documentation_fragment:
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
attributes:
  action:
    support: partial
    description: The part that signs certificates and brings the program runs on the controller.
  async:
    support: none
    description: Runs on the controller in part.
requirements:
  - systemd on the host
  - openssl and libtorrent's Python bindings >= 2.0 on the host (packages openssl and python3-libtorrent)
  - cryptography on the controller (ansible-core needs it too)
notes:
  - Needs root on the host.
seealso:
  - module: goldsmith.images.image_seed_info
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Make members of all hosts of the play
  goldsmith.images.image_seed:
    address: "{{ ansible_host }}"
    pod: "{{ image_pod }}"
    pools: [golden]
    peers: "{{ ansible_play_hosts_all | goldsmith.images.seed_peers(hostvars) }}"
    limits:
      upload: 80MiB
    schedule:
      - {start: "08:00", end: "18:00", upload: 20MiB}

- name: Take a host out of the distribution; its images stay
  goldsmith.images.image_seed:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: [make key of hv1, install program goldsmith-seed (0.1.0), issue certificate of hv1 (for 30 days)]
image_seed:
  description: The host as it takes part now; in check mode as it was found. V(null) where it does not.
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
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_seed, image_seed_options


def main() -> None:
    module = AnsibleModule(
        argument_spec=image_seed_options.OPTIONS | connection.OPTIONS,
        required_if=[("state", "present", ["name", "address"])],
        supports_check_mode=True,
    )
    run(module, image_seed.ImageSeed)


if __name__ == "__main__":
    main()

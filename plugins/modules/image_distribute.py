# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_distribute
version_added: 0.1.0
short_description: Bring versions of desktop images to hosts
description:
  - Brings versions that lie on one host to the hosts that the task runs on. Each receiving host sends what it has to
    the others (a swarm), or fetches over one stream (O(method=direct)); both only with certificates of the deployment's
    own authority.
  - The work is done by C(goldsmith-seed) on each host, which M(goldsmith.images.image_seed) sets up (role
    C(goldsmith.images.seed)). It goes on without the play, and from where it was after whatever stopped it.
  - What the host has already of the nearest other version is put in place first, and only pieces that differ travel;
    zeros never do. A version is listed on the host when all of it was read and found to be what its manifest says.
  - Markers, labels, what is disabled and what was edited follow the source.
  - Hosts that a rule keeps from serving the image (architecture, desktop type) get nothing; RV(copies) says why, and
    the task does not fail for it. It fails on a host that should have a version and has it not in the end.
  - The source host may be among the hosts of the task. There, nothing is fetched.
options:
  pool:
    description: Name of the image pool on this host, as C(goldsmith-seed) knows it.
    type: str
    required: true
  source_host:
    description: Name in the inventory of the host where the versions lie. It is one of the peers of C(goldsmith-seed).
    type: str
    required: true
  name:
    description:
      - Desktop image of which one version is to be here. Without it and without O(images), every version of the source
        host that serves new desktops.
    type: str
  version:
    description: Version of O(name). Without it and without O(marker), the newest that is published.
    type: str
  marker:
    description: Marker on the source host that names the version of O(name).
    type: str
  images:
    description: Several versions at once.
    type: list
    elements: dict
    suboptions:
      name:
        description: Desktop image.
        type: str
        required: true
      version:
        description: Version of it.
        type: str
      marker:
        description: Marker on the source host that names the version.
        type: str
  method:
    description:
      - V(swarm) has all receivers exchange what they have. V(direct) fetches over one TLS stream from the nearest host
        that has the version. V(auto) takes V(direct) for fewer than three receivers.
    type: str
    choices: [auto, swarm, direct]
    default: auto
  receivers:
    description:
      - Names in the inventory of all hosts that are to have the versions. They are kept by every host, so that one that
        is off now fetches them when it comes up.
      - By default all hosts of the play, reached or not, but for O(source_host).
    type: list
    elements: str
  match_labels:
    description:
      - Names of labels that decide which hosts get an image. A host gets it when the image does not have the label, or
        when the host's label of that name (M(goldsmith.images.image_seed)) is one of those that the image's lists,
        separated by commas.
    type: list
    elements: str
    default: []
  retries:
    description: How often C(goldsmith-seed) tries again at once after a failure. It also does at its every look at its
      peers, and the next run of the task does.
    type: int
    default: 2
  window:
    description: The only time of the day at which versions may travel, by the host's clock. It may go over midnight.
    type: dict
    suboptions:
      start:
        description: Beginning, as V(22:00).
        type: str
        required: true
      end:
        description: End, as V(05:30).
        type: str
        required: true
  wait:
    description:
      - Whether to wait until the versions are here. With V(false) the task ends when they are ordered.
    type: bool
    default: true
  timeout:
    description: Seconds to wait. The fetch goes on after that.
    type: int
    default: 86400
  on_cancel:
    description:
      - What becomes of the fetch when the play is cancelled, or the controller goes away. V(leave) lets it go on,
        V(stop) ends it within about a minute; what is here stays for the next run.
    type: str
    choices: [leave, stop]
    default: leave
extends_documentation_fragment:
  - goldsmith.images.trusted_signers
  - goldsmith.images.progress
  - goldsmith.images.actor
attributes:
  check_mode:
    support: full
    description: Tells what would travel, and cannot write.
  diff_mode:
    support: full
    description: Returns what differs, before and after, by subject.
  platform:
    support: full
    description: Target operating systems.
    platforms: posix
  async:
    support: full
    description: Not needed, as the work is another program's.
seealso:
  - module: goldsmith.images.image_seed
  - module: goldsmith.images.desktop_image
author:
  - goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Bring what is marked stable to all hosts of the play
  goldsmith.images.image_distribute:
    pool: golden
    source_host: hv1
    name: office
    marker: stable

- name: Bring every version that serves desktops, at night, with at most one host's work lost when the play is stopped
  goldsmith.images.image_distribute:
    pool: golden
    source_host: hv1
    method: swarm
    window: {start: "22:00", end: "05:30"}
    on_cancel: stop

- name: Bring an image to the hosts of its sites
  goldsmith.images.image_distribute:
    pool: golden
    source_host: hv1
    name: office
    match_labels: [site]
"""

RETURN = r"""
copies:
  description: Each version that was asked for, as it lies on this host.
  returned: success or failure
  type: list
  elements: dict
  contains:
    name:
      description: Desktop image.
      type: str
      returned: always
      sample: office
    version:
      description: Version. V(null) where the source has none.
      type: str
      returned: always
      sample: "1.1"
    state:
      description:
        - V(available), V(replicating) (on its way), V(retry_pending) (it failed, and is tried again), V(failed) (it
          cannot be here), V(refused) (a rule keeps this host from serving it), V(not_selected) (its labels are not this
          host's). In check mode V(null) for a version that is not here yet.
      type: str
      returned: always
      sample: available
    reason:
      description: Why it is not available. V(null) where there is nothing to be said.
      type: str
      returned: always
    error_code:
      description: The reason as a word that does not change. V(null) without one.
      type: str
      returned: always
    source:
      description: Host that the version was to come from.
      type: str
      returned: always
      sample: hv1
    method:
      description: V(swarm) or V(direct). V(null) when nothing was fetched.
      type: str
      returned: always
    total:
      description: Bytes of data in the version.
      type: int
      returned: always
    missing:
      description: Bytes of that which this host did not have at their place.
      type: int
      returned: always
    base:
      description: Version on this host that it was made out of. V(null) for none.
      type: str
      returned: always
      sample: "1.0"
    received:
      description: Bytes that came over the network. V(null) when nothing was fetched.
      type: int
      returned: always
    rate:
      description: Bytes per second at this moment. V(null) when nothing was fetched.
      type: int
      returned: always
    seconds:
      description: How long it took, or takes so far. V(null) when nothing was fetched.
      type: float
      returned: always
    attempts:
      description: How many attempts failed since it was ordered. V(null) when nothing was fetched.
      type: int
      returned: always
    last_error:
      description: Why the last attempt failed. V(null) for none.
      type: str
      returned: always
    peers:
      description: How many hosts it was connected with when last seen. V(null) when nothing was fetched.
      type: int
      returned: always
    banned:
      description: Hosts that sent wrong pieces, and are not asked again. V(null) when nothing was fetched.
      type: list
      elements: str
      returned: always
actions:
  description: What was done, or in check mode would be, as sentences.
  returned: always
  type: list
  elements: str
  sample: ["fetch image office 1.1 (from hv1, swarm, 48 MiB of 2.1 GiB travel, on top of 1.0)"]
error_code:
  description: What kind of failure it is, when it is the same for all versions, else V(not_distributed).
  returned: failure
  type: str
  sample: no_space
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.reconcile import run
from ..module_utils.resources.image_distribute import DistributedImages
from ..module_utils.resources.image_distribute_options import MUTUALLY_EXCLUSIVE, OPTIONS, REQUIRED_BY


def main() -> None:
    module = AnsibleModule(
        argument_spec=OPTIONS,
        mutually_exclusive=MUTUALLY_EXCLUSIVE,
        required_by=REQUIRED_BY,
        supports_check_mode=True,
    )
    run(module, DistributedImages)


if __name__ == "__main__":
    main()

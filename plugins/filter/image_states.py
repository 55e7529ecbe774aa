# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: image_states
version_added: 0.1.0
short_description: States of versions over all hosts
description:
  - Puts together what M(goldsmith.images.desktop_image_info) says on each host, and tells for each version its state
    over all hosts, which hosts have it, how far it is on its way to others, and why it is not on the rest.
  - A host alone knows its own copies. What the states of copies and of versions mean, and how one comes of the others,
    stands in the collection's docs/image-states.md.
options:
  _input:
    description:
      - Results of M(goldsmith.images.desktop_image_info) or M(goldsmith.images.image_distribute), as registered, by the
        names of the hosts. A result may be one of a task that failed or of a host that could not be reached, and empty
        for a host that was not asked.
    type: dict
    required: true
  expected:
    description:
      - Hosts that should have the versions. One of them that did not answer counts as one to which the version could
        not be brought.
      - By default VDI images are expected on all hosts that answered, and other images where they are. Then a host that
        did not answer says nothing, as in P(goldsmith.images.image_report#filter).
    type: list
    elements: str
  refused:
    description:
      - Hosts that are not to have the versions, by name, each with the reason. They are named with it, and do not count
        unless they have a copy.
    type: dict
    default: {}
  name:
    description: Tell of this image only.
    type: str
  version:
    description:
      - Tell of this version only. A version that O(name) and O(version) say is in the result, even when no host has it.
    type: str
positional: expected, refused
seealso:
  - module: goldsmith.images.desktop_image_info
  - plugin: goldsmith.images.image_report
    plugin_type: filter
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Ask all hosts
  hosts: image_hosts
  tasks:
    - name: Read the desktop images
      goldsmith.images.desktop_image_info:
        pool: golden
      register: found

    - name: Say where each version is
      ansible.builtin.debug:
        msg: "{{ answers | goldsmith.images.image_states | map(attribute='sentence') }}"
      # "office 1.0: available: 6 of 6 hosts"
      # "office 1.1: partially_available: 5 of 6 hosts; hv4: retry_pending after 2 attempts with 43 % here: no space"
      vars:
        answers: >-
          {{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars)
             | map(attribute='found', default={}))) }}
      run_once: true

    - name: Go on only when every host of the site has version 1.1
      ansible.builtin.assert:
        that: office.state == 'available'
        fail_msg: "{{ office.sentence }}"
      vars:
        answers: >-
          {{ dict(groups['berlin'] | zip(groups['berlin'] | map('extract', hostvars)
             | map(attribute='found', default={}))) }}
        office: >-
          {{ answers | goldsmith.images.image_states(expected=groups['berlin'], name='office', version='1.1') | first }}
      run_once: true
"""

RETURN = r"""
_value:
  description: The versions, by image and from old to new.
  type: list
  elements: dict
  contains:
    name:
      description: Name of the image.
      type: str
      sample: office
    version:
      description: The version.
      type: str
      sample: "1.1"
    state:
      description:
        - State over all hosts, V(deploying), V(deployment_done), V(publishing), V(replicating), V(available),
          V(partially_available), V(disabled) or V(failed).
      type: str
      sample: partially_available
    copies:
      description:
        - "The copies by host, each with C(state), C(attempts) (how often it was tried in vain), C(last_error),
          C(damage) and C(progress) (percent of what is to travel that is here, V(null) where nothing travels)."
        - "The state of a copy is also V(missing) on a host that should have one and has nothing, and V(unknown) where
          the host did not answer."
      type: dict
      sample: {hv4: {state: retry_pending, attempts: 2, last_error: no space, damage: [], progress: 43}}
    sound:
      description: Hosts whose copies are whole.
      type: list
      elements: str
      sample: [hv1, hv2]
    missing:
      description: Hosts that should have the version and have nothing of it.
      type: list
      elements: str
    unknown:
      description: Hosts that did not answer.
      type: list
      elements: str
    reasons:
      description: Why hosts have no sound copy, by host.
      type: dict
      sample: {hv4: "retry_pending after 2 attempts: no space"}
    sentence:
      description: All of it in words, for the end of a play. Hosts with the same reason are named together.
      type: str
      sample: "office 1.1: partially_available: 5 of 6 hosts; hv4: retry_pending after 2 attempts: no space"
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.image_states import build_states


class FilterModule:
    """The filter image_states."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"image_states": build_states}

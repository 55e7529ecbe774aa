# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: image_report
version_added: 0.2.0
short_description: Put together what all hosts say of their images
description:
  - Makes one structure of plain data of the results of M(goldsmith.images.image_pool_info),
    M(goldsmith.images.desktop_image_info), M(goldsmith.images.desktop_pool_info) and
    M(goldsmith.images.image_host_facts) of all hosts. Role P(goldsmith.images.report#role) writes it as JSON, and
    draws its page of it.
  - Hosts with a pool of the same name are taken to have the same catalogue. A version is V(available) when every host
    that is to have it has it. VDI images are to be on every host with the pool, ARM images on ARM hosts and others on
    others; images of other types are where they are.
  - The same input gives the same output. Free room is told in steps of a thousandth of the file system.
options:
  _input:
    description: What was found, one element a host.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: Name of the host.
        type: str
        required: true
      pod:
        description: Its site.
        type: str
      image_pools:
        description: Result of M(goldsmith.images.image_pool_info), as registered. It may be one that failed.
        type: dict
        required: true
      facts:
        description: Result of M(goldsmith.images.image_host_facts).
        type: dict
      desktop_pools:
        description: Result of M(goldsmith.images.desktop_pool_info).
        type: dict
      idv_desktop:
        description: Result of M(goldsmith.images.idv_desktop_info).
        type: dict
      desktop_images:
        description: Results of a loop of M(goldsmith.images.desktop_image_info) over the names of image pools.
        type: list
        elements: dict
      problem:
        description: What else went wrong.
        type: str
  hosts:
    description:
      - Names of all hosts that the report is of, in the order in which it shows them. One that is not in the input is
        reported as not read.
    type: list
    elements: str
    required: true
  pools:
    description: Names of the image pools that the report is about. By default those that hold images on some host.
    type: list
    elements: str
    default: []
positional: hosts, pools
seealso:
  - plugin: goldsmith.images.image_states
    plugin_type: filter
  - plugin: goldsmith.images.lineage_drawing
    plugin_type: filter
  - plugin: goldsmith.images.report
    plugin_type: role
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Which versions are not everywhere?
  ansible.builtin.debug:
    msg: "{{ item.versions | rejectattr('state', 'equalto', 'available') | map(attribute='version') | join(', ') }}"
  loop: "{{ (found | goldsmith.images.image_report(ansible_play_hosts_all)).images }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
_value:
  description: The report. Sizes are in bytes.
  type: dict
  contains:
    schema:
      description: Version of this structure, 1.
      type: int
    summary:
      description: Numbers of hosts, images, versions, copies, desktop pools, desktops and endpoints, and in C(updates)
        of endpoints in each state of an update.
      type: dict
    attention:
      description:
        - What somebody should look at, the worst first, each with C(level) (error or warning), C(subject) and C(text).
      type: list
      elements: dict
    hosts:
      description:
        - All hosts, each with C(name), C(pod), C(architecture), C(desktop_types), C(virt_types), C(libvirt_version),
          C(pools), C(problems) and C(state), which is V(read), V(partly read), V(unreachable) or V(failed).
      type: list
      elements: dict
    pools:
      description:
        - The image pools of all hosts, each with C(host), C(name), C(type), C(path), C(source), C(active), C(capacity),
          C(used), C(used_permille), C(images), C(versions), C(allocated) and C(was_read).
      type: list
      elements: dict
    images:
      description:
        - The images by pool and name, each with C(pool), C(name), C(description), C(labels), C(disabled),
          C(desktop_type), C(architecture), C(os), C(markers), C(allocated), C(desktops), C(hosts) and C(versions), the
          newest first. The hosts are those that have or should have a copy, or did not tell.
        - A marker has C(name), C(moved), C(moved_by), C(from) and C(versions), which names the hosts that have it on
          each.
        - A version has C(version), C(state), C(parent), C(created), C(made_on), C(method), C(description), C(labels),
          C(signed), C(virtual_size), C(allocated), C(markers), C(differs), C(desktops), C(desktops_by_host),
          C(other_users) and C(copies), which has C(state), C(damage), C(attempts), C(last_error) and C(progress)
          (percent) for each host, as in P(goldsmith.images.image_states#filter).
        - The state of a copy is also V(missing) where a copy should be, V(unknown) where the host did not tell, and
          V(null) where none is to be.
      type: list
      elements: dict
    desktop_pools:
      description:
        - The desktop pools of all hosts, each with C(host), C(name), C(follows) (markers), C(wanted) and C(runs)
          (versions), C(count), C(running), C(outdated), C(restart_pending), C(rollout) (a version that some desktops
          have first), C(start_at), C(failed) and C(held).
      type: list
      elements: dict
    pending:
      description:
        - Pushes that are under way, each with C(host), C(desktop_pool), C(to) (versions), C(waiting) desktops of
          C(count), C(rollout), C(start_at) and C(held).
      type: list
      elements: dict
    endpoints:
      description:
        - The endpoints, each with C(host), C(desktop_type), C(desktop), C(image), C(marker), C(runs) (a version),
          C(running), C(state) of its update, C(since), C(from), C(to) and C(previous) (versions), C(error),
          C(versions) that lie there, C(restore) and C(program_runs), as M(goldsmith.images.idv_desktop) says.
      type: list
      elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.image_report import build_report


class FilterModule:
    """The filter image_report."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"image_report": build_report}

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_exec
version_added: 0.1.0
short_description: Run a command or a script in a guest through the QEMU guest agent
description:
  - Runs in any domain of the host whose guest has the QEMU guest agent, as the user of the agent, which is root or
    SYSTEM. The guest needs no network and no account.
  - Files are copied in first, then the command runs, then files are fetched.
  - Fails when the command ends with a status other than 0. C(failed_when) on the task decides otherwise, as with
    C(ansible.builtin.command).
  - Of the output, the first 4 MiB of each stream are returned. A command in a Windows guest must not write more than
    7 MiB in all, because libvirt gives up the agent of a guest that answers with more, until the guest is started anew.
options:
  name:
    description: Name of the domain, for example of a source VM. It must be running.
    type: str
    required: true
  cmd:
    description: A line for the guest's shell, which is C(/bin/sh), or PowerShell on Windows.
    type: str
  argv:
    description: A program with its arguments, run without a shell.
    type: list
    elements: str
  script:
    description:
      - The text of a script, which lies in the guest while it runs. Read one from the controller with
        the lookup C(ansible.builtin.file).
      - On Linux its first line may name its interpreter (C(#!)); without that it is C(/bin/sh). On Windows it is
        PowerShell.
    type: str
  interpreter:
    description: Interpreter of O(script) with its arguments, as V([/usr/bin/python3, -u]) or V([cmd.exe, /d, /c]).
    type: list
    elements: str
  environment:
    description: Environment variables that are added to those of the agent.
    type: dict
  chdir:
    description: Directory in the guest in which the command runs.
    type: str
  stdin:
    description: Standard input of the command, as it is.
    type: str
  creates:
    description: A path in the guest, which may hold wildcards. When it exists, nothing is done.
    type: str
  removes:
    description: A path in the guest, which may hold wildcards. When it does not exist, nothing is done.
    type: str
  copy_in:
    description:
      - Small files (up to 16 MiB) that are put into the guest first. One that is there with the same content and mode
        is no change. Larger things go in on a tool image.
    type: list
    elements: dict
    suboptions:
      content:
        description: Content of the file.
        type: str
      src:
        description: File on the image host that is copied.
        type: path
      dest:
        description: File in the guest. Its directory must exist.
        type: str
        required: true
      mode:
        description: Mode of the file, octal digits in quotes, as V('0644'). Not for Windows.
        type: raw
  fetch:
    description: Small files (up to 16 MiB) in the guest whose content is returned after the command.
    type: list
    elements: str
  timeout:
    description: Seconds that the command may take. Then it is killed with its children, and the task fails.
    type: int
    default: 300
  agent_timeout:
    description: Seconds to wait for the guest agent, for example while the guest boots.
    type: int
    default: 60
extends_documentation_fragment:
  - goldsmith.images.libvirt
attributes:
  check_mode:
    support: partial
    description: Runs nothing, and tells that something would run.
    details: >-
      Does nothing, and reports a change where something would run or be copied. O(creates), O(removes) and files in the
      guest are not looked at, because libvirt has no read-only access to a guest agent.
  diff_mode:
    support: none
    description: What a command changes in a guest is not known.
  platform:
    support: full
    description: Target operating systems.
    platforms: posix
notes:
  - RHEL and its relatives block C(guest-exec) and the C(guest-file) commands in the agent's configuration
    (F(/etc/sysconfig/qemu-ga)); allow them in the guest.
seealso:
  - module: goldsmith.images.source_vm
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Install packages in a source VM
  goldsmith.images.guest_exec:
    name: office-src
    cmd: apt-get update && apt-get --yes install libreoffice
    environment:
      DEBIAN_FRONTEND: noninteractive
    creates: /usr/bin/libreoffice
    timeout: 1800

- name: Run a script of the controller in it
  goldsmith.images.guest_exec:
    name: office-src
    script: "{{ lookup('ansible.builtin.file', 'office-apps.sh') }}"

- name: Put a configuration file into it
  goldsmith.images.guest_exec:
    name: office-src
    copy_in:
      - dest: /etc/motd
        content: "This desktop is looked after by IT, extension 1234.\n"
        mode: "0644"

- name: Install drivers from a tool image in a Windows guest
  goldsmith.images.guest_exec:
    name: kiosk-src
    argv: [msiexec.exe, /i, 'E:\virtio-win-gt-x64.msi', /qn, /norestart]
    creates: 'C:\Program Files\Virtio-Win'
  register: drivers
  failed_when: drivers.rc not in [0, 3010]

- name: Read a log
  goldsmith.images.guest_exec:
    name: office-src
    fetch: [/var/log/dpkg.log]
  register: log
"""

RETURN = r"""
cmd:
  description: The command line that ran in the guest, without what was put around it.
  returned: when a command ran
  type: list
  elements: str
rc:
  description: >-
    Its status. A negative one is the signal that ended it. V(0) when nothing was run because of O(creates) or
    O(removes).
  returned: when a command ran or was not needed
  type: int
stdout:
  description: Its standard output.
  returned: when a command ran or was not needed
  type: str
stderr:
  description: Its standard error.
  returned: when a command ran or was not needed
  type: str
stdout_truncated:
  description: Whether there was more output than is returned.
  returned: when a command ran
  type: bool
stderr_truncated:
  description: Whether there was more error output than is returned.
  returned: when a command ran
  type: bool
guest_os:
  description: Id of the guest's OS, from its os-release, or C(mswindows).
  returned: success
  type: str
  sample: debian
copied:
  description: The files of O(copy_in) that were not there already.
  returned: success
  type: list
  elements: str
fetched:
  description: The files of O(fetch).
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: File in the guest., type: str, returned: always}
    size: {description: Its size in bytes., type: int, returned: always}
    encoding: {description: Encoding of the content., type: str, returned: always, sample: base64}
    content: {description: Its content., type: str, returned: always}
msg:
  description: Why nothing was done.
  returned: in check mode, or when a command was not needed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run_action
from ansible_collections.goldsmith.images.plugins.module_utils.resources import guest_exec


def main() -> None:
    module = AnsibleModule(
        argument_spec=guest_exec.OPTIONS | connection.OPTIONS,
        mutually_exclusive=guest_exec.MUTUALLY_EXCLUSIVE,
        required_one_of=guest_exec.REQUIRED_ONE_OF,
        required_by=guest_exec.REQUIRED_BY,
        supports_check_mode=True,
    )
    run_action(module, guest_exec.execute)


if __name__ == "__main__":
    main()

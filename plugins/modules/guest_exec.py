from __future__ import annotations
DOCUMENTATION = r"""
module: guest_exec
short_description: x
description: x
options: {}
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

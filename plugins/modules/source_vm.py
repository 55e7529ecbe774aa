from __future__ import annotations
DOCUMENTATION = r"""
module: source_vm
short_description: x
description: x
options: {}
"""
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm


def main() -> None:
    module = AnsibleModule(argument_spec=source_vm.OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run(module, source_vm.SourceVm)


if __name__ == "__main__":
    main()

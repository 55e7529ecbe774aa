# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe, plan, apply: what every managing module does, and the only code that knows check mode.

A resource (module_utils/resources) tells what is there (C(observe)) and what has to change (C(plan), which
touches nothing). L(run) applies the changes, or in check mode only tells them. C(changed), C(actions) and
C(diff) all come from that one plan.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

from . import progress
from .catalog.audit import apply_all, audit_log_of
from .changes import Change
from .errors import ImagesError, from_os_error
from .files import Files
from .hypervisor.connection import Host, host_without_libvirt, open_host


class Resource(Protocol):
    """What a managed thing offers to L(run). C(Desired.from_params) checks what options alone can tell.

    A resource whose changes carry notes also has a C(notes_key), by which the result has them; one that changes a
    catalogue has C(audit_log(desired, current)), where every change is logged; one that reports more than the thing
    itself has C(to_results(current)) in place of C(to_result). One that goes on with the rest when a part fails has
    C(failure(current)), which says in the end what is missing, or None. One that can do without libvirt has
    C(needs_libvirt(desired)), and gets a host without a connection where that is false.
    """

    result_key: str
    Desired: Any

    def __init__(self, host: Host) -> None: ...

    def observe(self, desired: Any) -> Any: ...

    def plan(self, desired: Any, current: Any) -> Iterable[Change]: ...

    def to_result(self, current: Any) -> Any: ...


def run(module: AnsibleModule, resource_type: type[Resource]) -> None:
    """Bring the resource to the state that the module's options describe, and exit the module."""
    done: list[Change] = []
    with _failures_told(module, done), progress.told(Files()):
        desired = resource_type.Desired.from_params(module.params)
        with _opened(module, resource_type, desired) as host:
            resource = resource_type(host)
            current = resource.observe(desired)
            plan = list(resource.plan(desired, current))
            if not module.check_mode:
                apply_all(plan, audit_log_of(resource, desired, current), done)
                if plan:
                    current = resource.observe(desired)
                plan = done
            result = {**_results(resource, current), **_notes(resource, plan)}
            failure = _failure(resource, current)
    result |= {"changed": bool(plan), "actions": [change.sentence for change in plan], **_diff(module, plan)}
    if failure is not None:
        module.fail_json(msg=str(failure), error_code=failure.error_code, **result)
    module.exit_json(**result)


def run_info(module: AnsibleModule, collect: Callable[[Host, dict[str, Any]], dict[str, Any]]) -> None:
    """Exit the module with what I(collect) reads from the host over a read-only connection."""
    with _failures_told(module, []), open_host(module.params["libvirt_uri"], read_only=True) as host:
        result = collect(host, module.params)
    module.exit_json(changed=False, **result)


def run_reading(module: AnsibleModule, collect: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Exit the module with what I(collect) reads from files; libvirt is not asked."""
    with _failures_told(module, []):
        result = collect(module.params)
    module.exit_json(changed=False, **result)


def run_asking_info(module: AnsibleModule, collect: Callable[[Host, dict[str, Any]], dict[str, Any]]) -> None:
    """Exit the module with what I(collect) reads. Outside of check mode the connection is a writing one.

    Over no other does libvirt ask guest agents, or take pictures of screens.
    """
    run_action(module, lambda host, params: {"changed": False, **collect(host, params)})


def run_facts(module: AnsibleModule, collect: Callable[[Host], dict[str, Any]]) -> None:
    """Exit the module with what I(collect) reads from the host, as facts. Outside of check mode it may keep a cache."""
    with _failures_told(module, []), open_host(module.params["libvirt_uri"], read_only=True) as host:
        facts = collect(host if module.check_mode else replace(host, files=Files()))
    module.exit_json(changed=False, ansible_facts=facts)


def run_action(module: AnsibleModule, act: Callable[[Host, dict[str, Any]], dict[str, Any]]) -> None:
    """Exit the module with the result of I(act), which does something once and says itself whether it C(changed)."""
    with _failures_told(module, []), open_host(module.params["libvirt_uri"], read_only=module.check_mode) as host:
        result = act(host, module.params)
    module.exit_json(**result)


def _opened(
    module: AnsibleModule, resource_type: type[Resource], desired: Any
) -> contextlib.AbstractContextManager[Host]:
    needs_libvirt = getattr(resource_type, "needs_libvirt", None)
    if needs_libvirt is None or needs_libvirt(desired):
        return open_host(module.params["libvirt_uri"], read_only=module.check_mode)
    return contextlib.nullcontext(host_without_libvirt(read_only=module.check_mode))


@contextlib.contextmanager
def _failures_told(module: AnsibleModule, done: list[Change]) -> Iterator[None]:
    """Turn errors into fail_json, with what was done before the failure."""
    try:
        try:
            yield
        except OSError as error:
            raise from_os_error(error) from error
    except ImagesError as error:
        facts = {"error_code": error.error_code, "changed": bool(done), "actions": [c.sentence for c in done]}
        if error.users:
            facts["users"] = error.users
        facts.update(error.facts)
        module.fail_json(msg=str(error), **facts)


def _results(resource: Resource, current: Any) -> dict[str, Any]:
    to_results = getattr(resource, "to_results", None)
    return to_results(current) if to_results else {resource.result_key: resource.to_result(current)}


def _failure(resource: Resource, current: Any) -> ImagesError | None:
    """Return what is missing in the end, for a resource that goes on with the rest when a part fails."""
    judge = getattr(resource, "failure", None)
    return judge(current) if judge else None


def _notes(resource: Resource, plan: list[Change]) -> dict[str, list[str]]:
    """Return the notes on the changes, for a resource whose result has a key for them."""
    key = getattr(resource, "notes_key", None)
    return {key: [note for change in plan for note in change.notes]} if key else {}


def _diff(module: AnsibleModule, plan: list[Change]) -> dict[str, Any]:
    if not module._diff:
        return {}
    sides: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
    for change in plan:
        for side, value in (("before", change.before), ("after", change.after)):
            if value is None:
                continue
            told = sides[side].get(change.subject)
            # Several changes of one thing tell of different fields.
            both = isinstance(told, dict) and isinstance(value, dict)
            sides[side][change.subject] = {**told, **value} if both else value
    return {"diff": sides}

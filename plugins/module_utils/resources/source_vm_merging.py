# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How layers that nothing needs any more are merged or removed. Stopped at any moment, every disk shows what it did."""

from __future__ import annotations

import os
import secrets

from ..catalog.naming import layer_file
from ..catalog.snapshots import Merging
from ..disk import copying, qemu_img
from ..disk.chain import DiskFile
from ..disk.layers import Merge, Remove, Step
from ..errors import Busy, WrongState
from ..files import Files, require_space, sync_directory
from ..hypervisor import snapshots as layering
from ..hypervisor.connection import Host
from .source_vm_snapshot_state import Layered, require_unshared, users_of_layers
from .source_vm_snapshot_work import locked, make_overlay, read_again, store_of


def take_step(host: Host, source_vm: str, step: Step, timeout: float) -> None:
    """Merge or remove a layer that nothing needs. Raises Busy when another run changed what there is."""
    with locked(host, source_vm) as vm:
        require_unshared(vm, users_of_layers(host, vm))
        if step not in vm.tree.steps():
            raise Busy(f"the snapshots of source VM {source_vm} were changed by another run; run again")
        if isinstance(step, Remove):
            host.files.remove(step.path)
        else:
            _merge(host, vm, step, timeout)


def _merge(host: Host, vm: Layered, step: Merge, timeout: float) -> None:
    """Merge the layer into the one under it, and have everything that stood on it stand there.

    What shows through the layer is the same all the time.
    """
    target = _target_over(vm, step.child)
    require_space(os.path.dirname(step.into), step.size, f"merging layer {step.child}")
    if target is not None and vm.domain.running:
        _merge_running(host, vm, step, target, timeout)
        vm = read_again(host, vm)
    elif not vm.tree.layers[step.child].is_empty:
        qemu_img.commit(host.files, step.child)
        copying.flush(step.into)
        if step.child not in vm.tree.tops:
            _empty(host.files, vm, step)
    if step.child in vm.tree.tops:
        _step_down(host, vm, step)
    else:
        _change_over(host, vm, step)
    host.files.remove(step.child)
    sync_directory(os.path.dirname(step.child))


def _merge_running(host: Host, vm: Layered, step: Merge, target: str, timeout: float) -> None:
    """Have the running VM merge the layer.

    What QEMU did is seen at the overlay that stood on the layer; the snapshots that the layer is name that overlay
    meanwhile, so that a run after a kill can tell.
    """
    store, chain = store_of(host, vm), vm.tree.chain(vm.top(target).path)
    named = [snapshot for snapshot in vm.snapshots if step.child in snapshot.layers]
    over = chain[chain.index(step.child) - 1]
    layering.end_merge(host, vm.name, target)
    for snapshot in named:
        store.save(snapshot.with_layer_merging(step.child, Merging(step.into, over)))
    layering.merge_live(host, vm.name, target, step.child, step.into, timeout)


def _step_down(host: Host, vm: Layered, step: Merge) -> None:
    """Have the VM, which is off, stand on the layer under its top. Raises WrongState when it was started meanwhile."""
    into = vm.tree.layers[step.into]
    tops = {disk.target: vm.top(disk.target) for disk in vm.disks if vm.top(disk.target).path == step.child}
    layering.set_tops(host, vm.name, {target: DiskFile(into.path, into.format) for target in tops})
    if layering.runs_on(host, vm.name, [step.child]):
        layering.set_tops(host, vm.name, tops)
        raise WrongState(f"source VM {vm.name} was started by another run; nothing was merged. Run again")


def _change_over(host: Host, vm: Layered, step: Merge) -> None:
    """Have overlays and snapshots that stand on the merged layer stand on the one under it, one after the other."""
    into, store = vm.tree.layers[step.into], store_of(host, vm)
    for overlay in vm.tree.children(step.child):
        qemu_img.change_base(host.files, overlay.path, into.path, into.format)
        copying.flush(overlay.path)
    for snapshot in vm.snapshots:
        if step.child in snapshot.layers:
            store.save(snapshot.with_layer_moved(step.child, into.path, into.format))
    # What the definition says of the layers under a disk is old now.
    layering.set_tops(host, vm.name, {})


def _empty(files: Files, vm: Layered, step: Merge) -> None:
    """Put an empty overlay in the place of the merged layer, at once.

    By that a later run sees that the data is where it belongs, whatever it finds changed over by then.
    """
    scratch = os.path.join(vm.directory, layer_file(vm.name, 0, secrets.token_hex(4)))
    try:
        make_overlay(files, scratch, DiskFile(step.into, vm.tree.layers[step.into].format))
        files.replace(scratch, step.child)
    except BaseException:
        files.remove(scratch)
        raise


def _target_over(vm: Layered, layer: str) -> str | None:
    """Return the disk of the VM that stands on the layer, now."""
    for disk in vm.disks:
        if layer in vm.tree.chain(vm.top(disk.target).path):
            return disk.target
    return None

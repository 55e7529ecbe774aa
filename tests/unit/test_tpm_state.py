# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of TPM states: whole, or not there."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import tpm_state


@pytest.fixture
def states(tmp_path, monkeypatch):
    """The directory of the states; the domain C(old) has one, with the lock that its swtpm left."""
    monkeypatch.setattr(tpm_state, "DIRECTORY", str(tmp_path))
    state = tmp_path / "old" / "tpm2"
    state.mkdir(parents=True)
    (state / "tpm2-00.permall").write_bytes(b"keys")
    (state / "tpm2-00.permall").chmod(0o640)
    (state / ".lock").touch()
    state.chmod(0o700)
    return tmp_path


def tree(path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def test_copy_waits_until_the_domain_is_defined(states):
    tpm_state.stage_copy(Files(), "old", "clone")
    assert tpm_state.is_staged("clone", "new")
    tpm_state.place_copy(Files(), "clone", "new")
    assert not tpm_state.is_staged("clone", "new")
    assert tree(states / "new") == ["tpm2/tpm2-00.permall"]
    assert (states / "new" / "tpm2" / "tpm2-00.permall").read_bytes() == b"keys"
    modes = [(states / "new" / name).stat().st_mode & 0o777 for name in ("tpm2", "tpm2/tpm2-00.permall")]
    assert modes == [0o700, 0o640]
    assert tree(states / "old") == ["tpm2/.lock", "tpm2/tpm2-00.permall"]


def test_domain_that_never_ran_has_no_state_to_copy(states):
    tpm_state.stage_copy(Files(), "other", "clone")
    tpm_state.place_copy(Files(), "clone", "new")
    assert [path.name for path in states.iterdir()] == ["old"]


def test_copy_of_a_killed_run_is_discarded(states):
    tpm_state.stage_copy(Files(), "old", "clone")
    tpm_state.discard_copy(Files(), "clone")
    tpm_state.discard_copy(Files(), "clone")
    assert [path.name for path in states.iterdir()] == ["old"]


def test_state_that_libvirt_made_meanwhile_is_not_replaced(states):
    (states / "new").mkdir()
    tpm_state.stage_copy(Files(), "old", "clone")
    assert not tpm_state.is_staged("clone", "new")

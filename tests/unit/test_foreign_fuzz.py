# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever is changed in a disk file: it is read, or refused with an error of ours; never anything else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import MUTABLES, Bench, Patch, pass_checksums_over

from ansible_collections.goldsmith.images.plugins.module_utils.disk.formats import vhd, vhdx

LIKELY = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 7 + b"\1", b"\1" + b"\0" * 7])
PATCHES = st.lists(
    st.builds(Patch, st.integers(0, 5), st.integers(0, 2000), st.one_of(LIKELY, st.binary(min_size=1, max_size=8))),
    max_size=4,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("mutants"))


@pytest.fixture
def no_checksums(monkeypatch):
    """Undo afterwards what L(pass_checksums_over) does."""
    monkeypatch.setattr(vhd, "_require_checksum", vhd._require_checksum)
    monkeypatch.setattr(vhdx.Vhdx, "_checked", vhdx.Vhdx._checked)
    pass_checksums_over()


@pytest.mark.parametrize("name", MUTABLES)
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,  # the same mutants in every run: new ones are looked for by make fuzz
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(patches=PATCHES, length=st.one_of(st.none(), st.integers(0, 140_000)))
def test_mutant_is_read_or_refused(bench, no_checksums, name, patches, length):
    bench.read(name, patches, length)

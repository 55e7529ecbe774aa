# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an endpoint is told, as a file."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.config import EndpointConfig, read_config
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged

CARD = {"network": "default", "bridge": None, "model": "virtio"}


def test_configuration_is_read_as_it_was_written(tmp_path):
    config = EndpointConfig("desk", "golden", "office", marker="stable", data_disk=2**30, networks=(CARD,))
    path = tmp_path / "endpoint.json"
    path.write_bytes(config.to_json())

    assert read_config(str(path)) == config


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema": 2}', b'{"schema": 1, "networks": null}', b"{"])
def test_damaged_configuration_is_told(content):
    with pytest.raises(Damaged, match=r"endpoint\.json cannot be read"):
        EndpointConfig.from_json(content)

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes as users write them."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.sizes import human_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GiB", 20 * 1024**3),
        ("512 MiB", 512 * 1024**2),
        ("1.5T", 1536 * 1024**3),
        ("2 GB ", 2 * 1000**3),
        ("  2gb", 2 * 1000**3),
        ("64k", 64 * 1024),
        ("1KB", 1000),
        ("10B", 10),
        ("4096", 4096),
        (4096, 4096),
        ("0.1TB", 100 * 1000**3),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_size_is_read_in_every_accepted_form(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["2 blue", "", "GiB", "1,5G", "-1G", "1e9", "20 Gi B", "0x10", "2GBB", "٣", None, True]
)
def test_what_is_no_size_is_refused_with_the_accepted_forms(text):
    with pytest.raises(BadInput, match=r"^memory: .* is not a size; accepted forms: 20GiB, 512 MiB, 1.5T, 2 GB"):
        parse_size(text, "memory")


@pytest.mark.parametrize("text", ["0", "0GiB", "1.5", "0.3K", 0, "9" * 400 + ".5"])
def test_size_is_a_whole_positive_number_of_bytes(text):
    with pytest.raises(BadInput, match="is not a whole positive number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (2 * 1024**3, "2 GiB"),
        (3 * 1024**4, "3 TiB"),
    ],
)
def test_size_is_told_for_reading(size, text):
    assert human_size(size) == text

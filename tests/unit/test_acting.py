# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is told to the module as the author: the user of the play, or who launched the job."""

from __future__ import annotations

import getpass
import socket

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.acting import actor


@pytest.mark.parametrize(
    ("task_vars", "user"),
    [
        ({}, getpass.getuser()),
        ({"awx_user_name": "alice"}, "alice"),
        ({"tower_user_name": "bob", "awx_user_name": ""}, "bob"),
    ],
)
def test_author_is_the_user_of_the_play_or_of_the_job(task_vars, user):
    assert actor(task_vars) == f"{user}@{socket.gethostname()}"

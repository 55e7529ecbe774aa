# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who works here: what the log of an image pool calls the author of a change."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

OPTIONS = {"actor": {"type": "str"}}


def actor_of(said: str | None, environment: Mapping[str, str] | None = None) -> str:
    """Return who is said to work here, or else the user that logged in and from where: C(alice@192.0.2.7)."""
    if said:
        return said
    environment = os.environ if environment is None else environment
    client = environment.get("SSH_CONNECTION", "").partition(" ")[0]
    return f"{environment.get('SUDO_USER') or getpass.getuser()}@{client or socket.gethostname()}"

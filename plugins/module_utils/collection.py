# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What this collection is, for the records it leaves on hosts, where its galaxy.yml is not."""

from __future__ import annotations

VERSION = "0.1.0"

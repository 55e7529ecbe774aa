# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one host answered: results of the info modules as Ansible registered them, whether they succeeded or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Found = Mapping[str, Any]

# Where the results stand, and the key that a result has when its module succeeded.
_ANSWERS = {
    "image_pools": "image_pools",
    "facts": "ansible_facts",
    "desktop_pools": "desktop_pools",
    "idv_desktop": "idv_desktop",
    "voi_disk": "voi_disk",
}
_LONGEST_MESSAGE = 500


def read_results(found: Found) -> dict[str, Any]:
    """Return what the host told, and as C(problems) what it did not.

    C(image_pools), C(desktop_pools), C(facts), C(idv_desktop) and C(voi_disk) are None where that is not known or not
    there; C(desktop_images) has the answers by the names of the pools.
    """
    asked_first = [found.get(name) or {} for name in ("image_pools", "voi_disk")]
    loop = found.get("desktop_images") or []
    answers = {name: (found.get(name) or {}).get(key) for name, key in _ANSWERS.items()}
    return {
        **answers,
        "host": found["host"],
        "pod": found.get("pod") or "",
        "kind": found.get("kind") or "",
        "facts": (answers["facts"] or {}).get("image_host"),
        "desktop_images": {result["item"]: result for result in loop if "desktop_images" in result},
        "unreachable": any(result.get("unreachable") for result in asked_first),
        "problems": list(dict.fromkeys(_problems(found, loop))),
    }


def _problems(found: Found, loop: list[Found]) -> Iterator[str]:
    for name, key in _ANSWERS.items():
        result = found.get(name) or {}
        if key not in result and not result.get("skipped"):
            yield from _messages(result)
    for result in loop:
        if "desktop_images" not in result and not result.get("skipped"):
            yield from (f"image pool {result['item']}: {message}" for message in _messages(result))
    yield from _messages({"msg": found.get("problem")})


def message_of(result: Found) -> str:
    """Return the message of a result that failed, in one line, or nothing."""
    message = " ".join(str(result.get("msg") or "").split()).replace("Task failed: ", "", 1)
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."


def _messages(result: Found) -> Iterator[str]:
    message = message_of(result)
    if message:
        yield message

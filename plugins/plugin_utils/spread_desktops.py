# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which desktops of a pool belong on which host, when one pool lies on several hosts.

Desktops have numbers that are unique over all hosts, and with them their names. A desktop is not moved: it is removed
where it is and made anew where it belongs, so as few as possible are, and none that would lose what its user stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .host_results import Found, message_of

EVEN, FREE_MEMORY = "even", "free_memory"
SPREADS = (EVEN, FREE_MEMORY)
# Free memory is never the same twice: a host keeps a quarter more desktops than its share before any leaves it.
_TOLERANCE = 1.25


@dataclass(frozen=True)
class Member:
    """A host of the play with the desktops that it has, by their numbers.

    I(listed): it is to have desktops; I(has_version): the image's version is there, and I(serves): new desktops can be
    made of it. I(memory) is what its desktops of the pool can have, in bytes. A host that did not answer has a
    I(problem), and nothing else is known of it.
    """

    name: str
    listed: bool
    desktops: Mapping[int, Found] = field(default_factory=dict)
    has_version: bool = False
    serves: bool = False
    memory: int = 0
    problem: str = ""

    @property
    def takes(self) -> bool:
        return self.listed and self.serves


def build_spread(
    pools: Mapping[str, Found],
    images: Mapping[str, Found],
    hosts: Sequence[str],
    count: int,
    facts: Mapping[str, Found] | None = None,
    spread: str = EVEN,
    move_persistent: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Return which host gets which desktops (RETURN of the filter spread_desktops).

    I(pools), I(images) and I(facts) are results of desktop_pool_info, desktop_image_info and image_host_facts by host,
    of tasks that failed, too.
    """
    if spread not in SPREADS:
        raise ValueError(f"spread: {spread!r} is not known; say {' or '.join(SPREADS)}")
    names, facts = list(dict.fromkeys([*hosts, *pools])), facts or {}
    members = [
        _member(name, name in hosts, *(told.get(name) or {} for told in (pools, images, facts))) for name in names
    ]
    wishes = _Wishes(count, spread, move_persistent, force)
    silent = [member for member in members if member.problem]
    refused = _twice(members)
    if refused:
        return _result(members, _as_they_are(members, count), [], refused)
    if silent:
        waiting = [
            f"{member.name} did not answer ({member.problem}), so which desktops it has is not known, and none is made "
            "or moved; take it out of the hosts and out of the play when it is gone for good"
            for member in silent
        ]
        return _result(members, _as_they_are(members, count), waiting, "")
    return _spread(members, wishes)


@dataclass(frozen=True)
class _Wishes:
    count: int
    spread: str
    move_persistent: bool
    force: bool

    def holds(self, desktop: Found) -> bool:
        """Whether the desktop keeps what its user stored, which making it anew elsewhere would lose."""
        return bool(desktop["persistent"] or desktop["data_disk"]) and not self.move_persistent

    def can_leave(self, desktop: Found) -> bool:
        """Whether the desktop may be removed now from a host that is not to have it any more."""
        return self.force or _is_loose(desktop)


def _is_loose(desktop: Found) -> bool:
    """Whether the desktop can be removed and nobody misses it: it is shut off, and nothing holds it."""
    return desktop["state"] == "stopped" and not desktop["held"]


def _member(name: str, listed: bool, pools: Found, images: Found, facts: Found) -> Member:
    if "desktop_pools" not in pools:
        return Member(name, listed, problem=message_of(pools) or "it was not asked in this play")
    desktops = {desktop["index"]: desktop for pool in pools["desktop_pools"] for desktop in pool["desktops"]}
    states = [version["state"] for version in images.get("desktop_images") or []]
    running = sum(desktop["memory"] for desktop in desktops.values() if desktop["state"] == "running")
    host = (facts.get("ansible_facts") or {}).get("image_host") or {}
    memory = (host.get("memory_available") or 0) + running
    return Member(name, listed, desktops, bool(states), "available" in states, memory)


def _twice(members: Iterable[Member]) -> str:
    """Return what is wrong when two hosts have a desktop of the same number, or nothing."""
    where: dict[int, list[str]] = {}
    names: dict[int, str] = {}
    for member in members:
        for number, desktop in member.desktops.items():
            where.setdefault(number, []).append(member.name)
            names[number] = desktop["name"]
    troubles = [f"{names[number]} is on {' and '.join(there)}" for number, there in sorted(where.items()) if there[1:]]
    if not troubles:
        return ""
    return (
        f"each desktop of a pool over several hosts is on one of them, but {_listed(troubles)}; remove what is there "
        "twice, or give each host a pool of its own name"
    )


def _as_they_are(members: Iterable[Member], count: int) -> dict[str, list[int]]:
    return {member.name: [number for number in sorted(member.desktops) if number <= count] for member in members}


def _spread(members: Sequence[Member], wishes: _Wishes) -> dict[str, Any]:
    numbers, waiting = _as_they_are(members, wishes.count), []
    takers = [member for member in members if member.takes]
    leaving = [member for member in members if not member.listed and numbers[member.name]]
    refused = _held_on(leaving, numbers, wishes)
    if refused:
        return _result(members, numbers, [], refused)
    for member in leaving if takers else ():
        stay = [number for number in numbers[member.name] if not wishes.can_leave(member.desktops[number])]
        numbers[member.name] = stay
        if stay:
            waiting.append(f"{member.name} gives up {_named(member, stay)} once shut off and without snapshots")
    if takers:
        waiting += _balance(takers, numbers, wishes)
    lacking = [number for number in range(1, wishes.count + 1) if not _is_placed(number, numbers)]
    if lacking and not takers:
        listed = ", ".join(member.name for member in members if member.listed) or "no host"
        refused = (
            f"{len(lacking)} desktops lack a host: of {listed}, none has the version as available; distribute the "
            "image to them first"
        )
    weights = {member.name: _weight(member, wishes.spread) for member in takers}
    for number in lacking if takers else ():
        emptiest = min(weights, key=lambda name: (len(numbers[name]) + 1) / weights[name])
        numbers[emptiest].append(number)
    waiting += [
        f"{member.name} has {len(numbers[member.name])} desktops and not the version; they are left as they are"
        for member in members
        if numbers[member.name] and not member.has_version
    ]
    return _result(members, {name: sorted(those) for name, those in numbers.items()}, waiting, refused)


def _is_placed(number: int, numbers: Mapping[str, Sequence[int]]) -> bool:
    return any(number in those for those in numbers.values())


def _held_on(leaving: Iterable[Member], numbers: Mapping[str, Sequence[int]], wishes: _Wishes) -> str:
    """Return why hosts that are not to have desktops any more cannot give theirs up, or nothing."""
    troubles = []
    for member in leaving:
        held = [number for number in numbers[member.name] if wishes.holds(member.desktops[number])]
        troubles += [f"{_named(member, held)} on {member.name}"] if held else []
    if not troubles:
        return ""
    return (
        f"what users stored would be lost with {_listed(troubles)}, to be made anew on another host; put the host back "
        "into the hosts, or say move_persistent: true when it may be lost"
    )


def _balance(takers: Sequence[Member], numbers: dict[str, list[int]], wishes: _Wishes) -> list[str]:
    """Take from hosts with more than their share what may go now, and return what waits."""
    waiting = []
    limits = _limits(takers, numbers, wishes)
    for member in takers:
        mine = numbers[member.name]
        surplus = max(0, len(mine) - limits[member.name])
        loose = [number for number in reversed(mine) if not wishes.holds(member.desktops[number])][:surplus]
        going = [number for number in loose if _is_loose(member.desktops[number])]
        numbers[member.name] = [number for number in mine if number not in going]
        staying = sorted(set(loose) - set(going))
        if staying:
            names = _named(member, staying)
            waiting.append(f"{member.name} has too many, and gives up {names} once shut off and without snapshots")
    return waiting


def _limits(takers: Sequence[Member], numbers: Mapping[str, Sequence[int]], wishes: _Wishes) -> dict[str, int]:
    """Return how many desktops each host may keep: its share of those that are not held elsewhere.

    A host that holds more than its share leaves less to the others.
    """
    elsewhere = sum(len(those) for name, those in numbers.items() if name not in {member.name for member in takers})
    rest, limits, sharing = wishes.count - elsewhere, {}, list(takers)
    held = {
        member.name: sum(wishes.holds(member.desktops[number]) for number in numbers[member.name]) for member in takers
    }
    while sharing:
        shares = _shares(sharing, numbers, rest, wishes.spread)
        above = [member for member in sharing if held[member.name] > shares[member.name]]
        if not above:
            return {**limits, **shares}
        limits.update({member.name: held[member.name] for member in above})
        rest -= sum(held[member.name] for member in above)
        sharing = [member for member in sharing if member not in above]
    return limits


def _shares(sharing: Sequence[Member], numbers: Mapping[str, Sequence[int]], rest: int, spread: str) -> dict[str, int]:
    if spread == FREE_MEMORY:
        weights = {member.name: _weight(member, spread) for member in sharing}
        whole = sum(weights.values())
        return {name: math.ceil(max(0, rest) * weight / whole * _TOLERANCE) for name, weight in weights.items()}
    each, more = divmod(max(0, rest), len(sharing))
    fullest = sorted(sharing, key=lambda member: -len(numbers[member.name]))
    return {member.name: each + (place < more) for place, member in enumerate(fullest)}


def _weight(member: Member, spread: str) -> int:
    return max(1, member.memory) if spread == FREE_MEMORY else 1


def _result(
    members: Iterable[Member], numbers: Mapping[str, Sequence[int]], waiting: Sequence[str], refused: str
) -> dict[str, Any]:
    hosts = {
        member.name: {
            "numbers": list(numbers[member.name]),
            "keeps": [number for number in numbers[member.name] if number in member.desktops],
            "gets": [number for number in numbers[member.name] if number not in member.desktops],
            "gives_up": sorted(set(member.desktops) - set(numbers[member.name])),
            "has_version": member.has_version,
        }
        for member in members
        if not member.problem
    }
    return {"hosts": hosts, "waiting": list(waiting), "refused": refused}


def _named(member: Member, numbers: Sequence[int]) -> str:
    return _listed([member.desktops[number]["name"] for number in numbers])


def _listed(words: Sequence[str]) -> str:
    """Return the words, of many only the first: C(acct-001, acct-002, acct-003, acct-004, acct-005 and 15 more)."""
    more = len(words) - 5
    return ", ".join(words[:5]) + (f" and {more} more" if more > 0 else "")

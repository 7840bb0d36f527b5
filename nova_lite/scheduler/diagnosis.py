"""Why Placement offers nothing: asked need by need, after the fact, so that a refusal can say what is missing where.

Each class of resource is asked for alone, once in the smallest amount and once in that needed, and each trait alone.
What groups, pools and aggregates add to that is not told apart.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nova_lite import concurrency, errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.scheduler import pick
from nova_lite.scheduler.request import UNITS, Needs

#: Seconds for which an answer is good enough for the next request of the same needs, and how many are kept.
_KEPT_S = 5.0
_MOST_KEPT = 64
#: Ways to fall short that are named in one sentence.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing a host falls short of, said of one host and of many; ``share`` of what is needed is missing."""

    one: str
    many: str
    share: float = 1.0


@dataclass
class Findings:
    """What Placement says of each need alone: class → root → what is free, class → roots that can give all of it,
    trait → roots that have it.

    ``unsure`` are the classes and traits for which it had more to name than it was asked for.
    """

    free: dict[str, Mapping[str, int]] = field(default_factory=dict)
    able: dict[str, frozenset[str]] = field(default_factory=dict)
    having: dict[str, frozenset[str]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)


class Diagnosis:
    """Asks Placement what each host lacks; remembers for some seconds, since refusals come in crowds."""

    def __init__(self, placement: PlacementClient, *, limit: int) -> None:
        self._placement = placement
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Findings]] = {}

    def misses(self, needs: Needs, nodes: Sequence[str]) -> dict[str, tuple[Miss, ...]]:
        """Return node → what it falls short of, for every one of ``nodes`` of which that is known."""
        found = self._findings(needs)
        told = {node: misses_of(node, needs, found) for node in nodes}
        return {node: misses for node, misses in told.items() if misses is not None}

    def _findings(self, needs: Needs) -> Findings:
        key = repr((sorted(needs.totals.items()), sorted(needs.required), sorted(needs.forbidden)))
        now = concurrency.monotonic()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] < _KEPT_S:
                return kept[1]
        found = self._ask(needs)
        with self._lock:
            self._kept = {name: (at, one) for name, (at, one) in self._kept.items() if now - at < _KEPT_S}
            if len(self._kept) < _MOST_KEPT:
                self._kept[key] = (now, found)
        return found

    def _ask(self, needs: Needs) -> Findings:
        found = Findings()
        for name, amount in needs.totals.items():
            rooms = self._rooms(name, found, f"{name}:1")
            found.free[name] = {root: room.get(name, 0) for root, room in rooms.items()}
            found.able[name] = frozenset(self._rooms(name, found, f"{name}:{amount}"))
        anchor = min(needs.totals, default="VCPU")
        for trait in needs.required | needs.forbidden:
            found.having[trait] = frozenset(self._rooms(trait, found, f"{anchor}:1", required=trait))
        return found

    def _rooms(self, about: str, found: Findings, resources: str, **more: str) -> Mapping[str, Mapping[str, int]]:
        """Return root → class → what is free there, of roots that can give ``resources``."""
        query = {"resources": resources, "limit": self._limit, **more}
        try:
            offered = self._placement.candidates(query)
        except errors.Invalid:  # a class or trait that Placement does not know: nobody has it
            return {}
        if len(offered.allocation_requests) >= self._limit:
            found.unsure.add(about)
        return pick.room_by_root(pick.offers_by_root(offered), offered)


def misses_of(node: str, needs: Needs, found: Findings) -> tuple[Miss, ...] | None:
    """Return what ``node`` falls short of, None when it may be one of those that Placement did not name: pure."""
    misses: list[Miss] = []
    for name, amount in needs.totals.items():
        unit = UNITS.get(name, name)
        free = found.free[name].get(node, 0)
        if name in found.unsure and (free == 0 or (free >= amount and node not in found.able[name])):
            return None
        if free == 0:
            misses.append(Miss(f"has no {unit} free", f"have no {unit} free"))
        elif free < amount:
            lacking = f"{amount - free} {unit}"
            misses.append(Miss(f"lacks {lacking}", f"lack {lacking}", (amount - free) / amount))
        elif node not in found.able[name]:
            limit = f"no {amount} {unit} to one server"
            misses.append(Miss(f"gives {limit}", f"give {limit}"))
    if any(trait in found.unsure and node not in found.having[trait] for trait in needs.required | needs.forbidden):
        return None
    for trait in sorted(needs.required):
        if node not in found.having[trait]:
            misses.append(Miss(f"has not the trait {trait}", f"have not the trait {trait}"))
    for trait in sorted(needs.forbidden):
        if node in found.having[trait]:
            misses.append(Miss(f"has the trait {trait}", f"have the trait {trait}"))
    # Each need alone can be met: it is how they must lie together.
    apart = "all of it, but not together as asked"
    return tuple(misses) or (Miss(f"has {apart}", f"have {apart}"),)


def nearest(misses: Mapping[str, Sequence[Miss]]) -> list[str]:
    """Return, in words, how many hosts fall short of what, those that miss the least first."""
    alike: dict[tuple[Miss, ...], int] = {}
    for each in misses.values():
        alike[tuple(each)] = alike.get(tuple(each), 0) + 1
    ordered = sorted(alike, key=lambda found: (len(found), sum(miss.share for miss in found), -alike[found]))
    return [_sentence(alike[found], found) for found in ordered[:_MOST_NAMED]]


def _sentence(count: int, misses: Sequence[Miss]) -> str:
    if count == 1:
        return f"1 host {' and '.join(miss.one for miss in misses)}"
    return f"{count} hosts {' and '.join(miss.many for miss in misses)}"

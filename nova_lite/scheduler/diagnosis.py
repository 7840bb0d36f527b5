"""Why Placement offers nothing: asked after the fact, so that a refusal can say what is missing where.

Placement is asked who has at least one of each class: its answers tell what these hosts have of all classes, and which
traits. Only when that leaves open why a host was refused is it asked for the whole amounts, class by class. What groups
add to that is not told apart.

Refusals come in crowds. So each question is asked once in some seconds, by one request while the others wait for its
answer, and only so many hosts are looked at: a crowd costs Placement no more than one refusal does.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nova_lite import concurrency, errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.candidates import Stocks
from nova_lite.scheduler.request import UNITS, Needs, Query, Restriction, restricting

#: Seconds for which an answer is good enough for the next request; and when it does not tell why a host is refused, for
#: then it may be out of date. How many are kept.
_KEPT_S, _DOUBTED_S = 5.0, 1.0
_MOST_KEPT = 64
#: Hosts looked at for one refusal, at most.
_MOST_LOOKED_AT = 1000
#: Ways to fall short that are named in one sentence.
_MOST_NAMED = 3
#: The trait of pools outside the trees of the hosts that use them.
_SHARED = "MISC_SHARES_VIA_AGGREGATE"


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing a host falls short of, said of one host and of many; ``share`` of what is needed is missing.

    ``is_elsewhere``: it is not where the request wants to go, and would be no help whatever it had.
    """

    one: str
    many: str
    share: float = 1.0
    is_elsewhere: bool = False


#: Each need alone can be met: it is how they must lie together.
_APART = Miss("has all of it, but not together as asked", "have all of it, but not together as asked")


@dataclass(frozen=True)
class Answer:
    """What Placement said to one question: root → class → what is free in its tree, root → the traits of its tree and
    of itself, class → the most that a shared pool has free. ``is_all``: it had no more to name.
    """

    rooms: Mapping[str, Mapping[str, int]]
    traits: Mapping[str, frozenset[str]]
    of_roots: Mapping[str, frozenset[str]]
    pools: Mapping[str, int]
    is_all: bool


_NOBODY = Answer({}, {}, {}, {}, is_all=True)


@dataclass
class Findings:
    """All answers put together, and those to questions that leave hosts out: class → roots that can give all of it,
    name of a pre-filter → roots in the right aggregates.
    """

    rooms: dict[str, Mapping[str, int]] = field(default_factory=dict)
    traits: dict[str, frozenset[str]] = field(default_factory=dict)
    of_roots: dict[str, frozenset[str]] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=dict)
    able: dict[str, Answer] = field(default_factory=dict)
    inside: dict[str, Answer] = field(default_factory=dict)
    is_all: bool = True

    def add(self, answer: Answer) -> None:
        """Take in what one more answer says of hosts."""
        self.rooms.update(answer.rooms)
        self.traits.update(answer.traits)
        self.of_roots.update(answer.of_roots)
        self.pools.update(answer.pools)
        self.is_all = self.is_all and answer.is_all


@dataclass(frozen=True)
class Looked:
    """What was found: node → what it falls short of; and whether that is all nodes."""

    misses: Mapping[str, tuple[Miss, ...]]
    is_all: bool


class Diagnosis:
    """Asks Placement what each host lacks."""

    def __init__(self, placement: PlacementClient, *, limit: int) -> None:
        self._placement = placement
        self._limit = min(limit, _MOST_LOOKED_AT)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Answer]] = {}

    def look(self, needs: Needs, nodes: Sequence[str]) -> Looked:
        """Return what those of ``nodes`` fall short of that can be looked at, the most likely ones first."""
        looked = self._look(needs, nodes, _KEPT_S)
        if any(_APART in each for each in looked.misses.values()):
            return self._look(needs, nodes, _DOUBTED_S)
        return looked

    def _look(self, needs: Needs, nodes: Sequence[str], kept_s: float) -> Looked:
        found = Findings()
        anchor = min(needs.totals, default="VCPU")
        for name in sorted(needs.totals.keys() | {anchor}):
            found.add(self._ask({"resources": f"{name}:1"}, kept_s))
        for name, each in needs.restrictions.items():
            if each.one_of is not None or each.none_of:
                found.inside[name] = self._ask({"resources": f"{anchor}:1", **restricting([each])}, kept_s)
        # Of those it did not name nobody knows anything, unless it named all.
        chosen = [node for node in nodes if found.is_all or node in found.rooms]
        chosen = sorted(chosen, key=lambda node: node not in found.rooms)[:_MOST_LOOKED_AT]
        misses = {node: misses_of(node, needs, found, anchor) for node in chosen}
        if not all(misses.values()):
            found.able = {
                name: self._ask({"resources": f"{name}:{amount}"}, kept_s) for name, amount in _largest(needs).items()
            }
            misses |= {node: clean_misses(node, needs, found) for node, each in misses.items() if not each}
        told = {node: each for node, each in misses.items() if each}
        return Looked(told, is_all=found.is_all and len(told) == len(misses))

    def _ask(self, question: Query, kept_s: float) -> Answer:
        """Return what Placement says, or said in the last ``kept_s`` seconds; one request asks at a time."""
        key = repr(sorted(question.items()))
        with self._lock:
            now = concurrency.monotonic()
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] < kept_s:
                return kept[1]
            answer = self._answer(question)
            self._kept = {name: (at, one) for name, (at, one) in self._kept.items() if now - at < _KEPT_S}
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[min(self._kept, key=lambda name: self._kept[name][0])]
            self._kept[key] = (now, answer)
        return answer

    def _answer(self, question: Query) -> Answer:
        try:
            stocks = self._placement.stocks({**question, "limit": self._limit})
        except errors.Invalid:  # a class or trait that Placement does not know: nobody has it
            return _NOBODY
        return read(stocks, self._limit)


def read(stocks: Stocks, limit: int) -> Answer:
    """Return what an answer of Placement says of each tree: pure."""
    summaries = stocks.provider_summaries
    roots = {summaries[uuid].root_provider_uuid for each in stocks.allocation_requests for uuid in each.allocations}
    rooms: dict[str, dict[str, int]] = {root: {} for root in roots}
    traits: dict[str, set[str]] = {root: set() for root in roots}
    pools: dict[str, int] = {}
    for summary in summaries.values():
        root = summary.root_provider_uuid
        free = {name: stock.capacity - stock.used for name, stock in summary.resources.items()}
        if _SHARED in summary.traits:
            pools.update({name: max(amount, pools.get(name, 0)) for name, amount in free.items()})
        if root in rooms:
            traits[root].update(summary.traits)
            for name, amount in free.items():
                rooms[root][name] = rooms[root].get(name, 0) + amount
    return Answer(
        rooms=rooms,
        traits={root: frozenset(names) for root, names in traits.items()},
        of_roots={root: frozenset(summaries[root].traits) for root in roots if root in summaries},
        pools=pools,
        is_all=len(stocks.allocation_requests) < limit,
    )


def misses_of(node: str, needs: Needs, found: Findings, anchor: str) -> tuple[Miss, ...]:
    """Return what ``node`` falls short of, as far as amounts, traits and aggregates tell: pure.

    ``anchor`` is the class of which hosts had to have something to be named as in the right aggregates.
    """
    room = found.rooms.get(node, {})
    misses = [miss for name, amount in needs.totals.items() if (miss := _lacking(name, amount, room, found.pools))]
    # Of one that has nothing free Placement tells no traits.
    if node in found.rooms:
        having = found.traits.get(node, frozenset())
        for trait in sorted(needs.required - having):
            misses.append(Miss(f"has not the trait {trait}", f"have not the trait {trait}"))
        for trait in sorted(needs.forbidden & having):
            misses.append(Miss(f"has the trait {trait}", f"have the trait {trait}"))
    for name, each in needs.restrictions.items():
        if not _fulfils(node, name, each, found, is_anchored=room.get(anchor, 0) > 0):
            is_elsewhere = name in ("WantedHost", "AvailabilityZone")
            misses.append(Miss(each.one, each.many, is_elsewhere=is_elsewhere))
    return tuple(misses)


def clean_misses(node: str, needs: Needs, found: Findings) -> tuple[Miss, ...]:
    """Return why a node that has enough of each class is not offered; nothing when it may not have been named: pure."""
    misses = []
    for name, amount in _largest(needs).items():
        answer = found.able[name]
        if node in answer.rooms or name not in found.rooms.get(node, {}):
            continue
        if not answer.is_all:
            return ()
        limit = f"no {amount} {UNITS.get(name, name)} to one server"
        misses.append(Miss(f"gives {limit}", f"give {limit}"))
    return tuple(misses) or (_APART,)


def nearest(misses: Mapping[str, Sequence[Miss]]) -> list[str]:
    """Return, in words, how many hosts fall short of what, those that miss the least first; without those elsewhere."""
    alike: dict[tuple[Miss, ...], int] = {}
    for each in misses.values():
        if not any(miss.is_elsewhere for miss in each):
            alike[tuple(each)] = alike.get(tuple(each), 0) + 1
    ordered = sorted(alike, key=lambda found: (len(found), sum(miss.share for miss in found), -alike[found]))
    return [_sentence(alike[found], found) for found in ordered[:_MOST_NAMED]]


def _largest(needs: Needs) -> dict[str, int]:
    """Return class → the most that one provider must give: groups may be given by several."""
    return {name: max(each.resources.get(name, 0) for each in needs.groups.values()) for name in needs.totals}


def _lacking(name: str, amount: int, room: Mapping[str, int], pools: Mapping[str, int]) -> Miss | None:
    """Return what is missing of a class that a host gives, or a shared pool in its place."""
    unit = UNITS.get(name, name)
    free = room[name] if name in room else pools.get(name, 0)
    if free >= amount:
        return None
    if free <= 0:
        nothing = f"no {unit.partition(' of ')[2] or unit} free"
        return Miss(f"has {nothing}", f"have {nothing}")
    lacking = f"{amount - free} {unit}"
    return Miss(f"lacks {lacking}", f"lack {lacking}", (amount - free) / amount)


def _fulfils(node: str, name: str, asked: Restriction, found: Findings, *, is_anchored: bool) -> bool:
    """Return whether a node is as a pre-filter wants it, or may be."""
    if asked.node is not None and asked.node != node:
        return False
    traits = found.of_roots.get(node)
    if traits is not None and (not asked.required <= traits or asked.forbidden & traits):
        return False
    answer = found.inside.get(name)
    return answer is None or not is_anchored or node in answer.rooms or not answer.is_all


def _sentence(count: int, misses: Sequence[Miss]) -> str:
    told = [miss.one if count == 1 else miss.many for miss in misses]
    alike: dict[str, list[str]] = {}
    for verb, _, rest in (each.partition(" ") for each in told):
        alike.setdefault(verb, []).append(rest)
    return f"{count} host{'s' * (count > 1)} {' and '.join(f'{verb} {_listed(each)}' for verb, each in alike.items())}"


def _listed(parts: Sequence[str]) -> str:
    """Return parts with commas between them, and "and" before the last."""
    return " and ".join([*filter(None, [", ".join(parts[:-1])]), parts[-1]])

"""Clients that claim, release, change and look while something fails, and remember all that they were told."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.integration.races.client import NO_ANSWER, Client
from tests.integration.races.cloud import claim, inventory_body, is_full, new_uuid, provider
from tests.integration.races.conftest import Size
from tests.integration.races.truth import State

#: Who is told this knows nothing: the request may have been carried out or not.
_UNKNOWN = (503, NO_ANSWER)
#: Seconds a client waits after it was told to come again.
_PAUSE_S = 0.05
#: Threads that may run, of which every fourth has a shelf of its own.
THREADS = 8


@dataclass(slots=True)
class _Life:
    """One consumer: what it asked for, what it was told, and what its release was told (None: never asked)."""

    consumer: str
    amounts: dict[str, dict[str, int]]
    claimed: int
    released: int | None = None


@dataclass(slots=True)
class _Shelf:
    """A provider whose two inventories are always set to the same total."""

    uuid: str
    acknowledged: int = 0
    attempted: int = 0


@dataclass(slots=True)
class Load:
    """Use ``run`` as the work of a thread; afterwards ``broken_promises`` compares with the database."""

    client: Client
    size: Size
    providers: list[str] = field(default_factory=list)
    #: Every status that was answered, of reads and writes.
    statuses: Counter[int] = field(default_factory=Counter)
    lives: list[_Life] = field(default_factory=list)
    shelves: list[_Shelf] = field(default_factory=list)

    def prepare(self) -> None:
        """Make providers, while nothing fails yet: two with room enough, one with little, and the shelves."""
        self.client.must("PUT", "/resource_classes/CUSTOM_RACE_LOAD")
        for total in (1_000_000, 1_000_000, 12):
            self.providers.append(provider(self.client, {"CUSTOM_RACE_LOAD": 1_000_000, "VCPU": total}))
        for _ in range(THREADS // 4):
            self.shelves.append(_Shelf(provider(self.client, {"VCPU": 1, "MEMORY_MB": 1}), 1, 1))

    def answers(self) -> int:
        """Return how many requests succeeded."""
        return self.statuses[204] + self.statuses[200]

    def run(self, over: threading.Event, number: int) -> None:
        """Go on until it is over: three of four claim, the fourth changes inventories. ``number`` is below THREADS."""
        shelf = self.shelves[number // 4] if number % 4 == 3 else None
        dice = self.size.random("load", number)
        while not over.is_set():
            if shelf is not None:
                status = self._restock(shelf)
            elif dice.random() < 0.3:
                status = self._look(dice.choice(self.providers))
            else:
                uuids = dice.sample(self.providers, 2)
                amounts = {uuid: {"VCPU": 1, "CUSTOM_RACE_LOAD": dice.randint(1, 9)} for uuid in uuids}
                status = self._live(amounts, stays=dice.random() < 0.4)
            if status in _UNKNOWN:
                over.wait(_PAUSE_S)

    def _told(self, status: int) -> int:
        self.statuses[status] += 1
        return status

    def _live(self, amounts: dict[str, dict[str, int]], *, stays: bool) -> int:
        life = _Life(new_uuid(), amounts, NO_ANSWER)
        self.lives.append(life)
        answer = claim(self.client, amounts, life.consumer)
        assert answer.status in (204, *_UNKNOWN) or is_full(answer), answer
        life.claimed = self._told(answer.status)
        if life.claimed == 204 and not stays:
            life.released = NO_ANSWER
            answer = self.client.call("DELETE", f"/allocations/{life.consumer}")
            assert answer.status in (204, *_UNKNOWN), answer
            life.released = self._told(answer.status)
        return answer.status

    def _look(self, uuid: str) -> int:
        """Read; where the inventory is shown there is never more used than there is."""
        answer = self.client.call("GET", "/allocation_candidates?resources=CUSTOM_RACE_LOAD:1&limit=50")
        assert answer.status in (200, *_UNKNOWN), answer
        if answer.status == 200:
            for shown in answer.body["provider_summaries"].values():
                assert all(each["used"] <= each["capacity"] for each in shown["resources"].values()), answer
        self._told(self.client.call("GET", f"/resource_providers/{uuid}/usages").status)
        return self._told(answer.status)

    def _restock(self, shelf: _Shelf) -> int:
        path = f"/resource_providers/{shelf.uuid}/inventories"
        shown = self.client.call("GET", path)
        if shown.status != 200:
            assert shown.status in _UNKNOWN, shown
            return self._told(shown.status)
        assert shown.body["inventories"]["VCPU"]["total"] >= shelf.acknowledged, "an acknowledged write is gone"
        shelf.attempted += 1
        wanted = {"VCPU": shelf.attempted, "MEMORY_MB": shelf.attempted}
        answer = self.client.call("PUT", path, inventory_body(wanted, shown.body["resource_provider_generation"]))
        assert answer.status in (200, *_UNKNOWN), answer
        if answer.status == 200:
            shelf.acknowledged = shelf.attempted
        return self._told(answer.status)

    def broken_promises(self, state: State) -> Iterator[str]:
        """Yield what a client was told and is not so, and what is there in part."""
        for life in self.lives:
            there = state.allocations.get(life.consumer)
            if there not in (None, life.amounts):
                yield f"{life} holds a part: {there}"
            is_sure = life.claimed not in _UNKNOWN and life.released not in _UNKNOWN
            should = life.claimed == 204 and life.released is None
            if is_sure and should != (there is not None):
                yield f"{life} {'is gone' if should else 'is there'}"
        for shelf in self.shelves:
            totals = {capacity for capacity, _ in state.providers[shelf.uuid].inventories.values()}
            if len(totals) != 1 or not shelf.acknowledged <= min(totals) <= shelf.attempted:
                yield f"{shelf} has {totals}"

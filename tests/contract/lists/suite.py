"""What lists of servers promise, over any cells on any database. Subclass; give it a fixture ``make_cloud``."""

import random
import uuid as uuids
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from nova_lite.cells import listing
from nova_lite.cells.fanout import Fanout
from nova_lite.db.repositories import build_requests, instances, mappings
from nova_lite.model.states import TaskState, VmState
from tests.contract.lists.oracle import Placed, Question, World, random_question, random_server
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.factories import NOON, make_spec

MakeCloud = Callable[[Sequence[str]], Cloud]


def page_by_page(client: Client, path: str, parameters: dict[str, Any], between: Callable[[str], None]) -> list[str]:
    """Follow a list's links to its end and return the ids; ``between`` is told the last id before the next page."""
    answer = client.request("GET", path, params=parameters, params_csv=False)
    found: list[str] = []
    for _ in range(500):
        assert answer.status_code == 200, (parameters, answer.text)
        page = [server["id"] for server in answer.json["servers"]]
        found += page
        links = answer.json.get("servers_links")
        if links is None:
            return found
        assert page, "a page with a next one is not empty"
        between(page[-1])
        answer = client.request("GET", links[0]["href"].partition("/v2.1")[2])
    raise AssertionError(f"the list has no end: {parameters}")


class ListSuite:
    """Pages put together are the whole list; also while servers come, move and go."""

    #: Worlds to try; each is asked ``questions`` times.
    seeds: Sequence[int] = range(8)
    questions = 14

    def test_pages_make_the_list_that_sorting_everything_makes(
        self, make_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for seed in self.seeds:
            dice = random.Random(seed)
            cells = [str(uuids.UUID(int=dice.getrandbits(128), version=4)) for _ in range(dice.randrange(1, 5))]
            world = World([random_server(dice, cells) for _ in range(dice.choice([5, 60, 60]))])
            # Cells' rows come in batches of 100 at least, which no test fills: so in smaller ones here.
            batches = dice.choice([listing.Batches(), listing.Batches(2), listing.Batches(7)])
            monkeypatch.setattr(listing.Batches, "of", classmethod(lambda cls, conf, batches=batches: batches))
            monkeypatch.setattr(build_requests, "_AT_ONCE", dice.choice([1, 3, 200]))
            cloud = make_cloud(cells)
            fill(cloud, world)
            for number in range(self.questions):
                question = random_question(dice)
                expected = world.answer(question)
                for limit in (dice.randrange(1, 8), dice.randrange(8, 100)):
                    found = self._list(cloud, question, dice.choice(["/servers", "/servers/detail"]), limit)
                    assert found == expected, (seed, number, question, limit, batches)

    def test_who_is_there_all_the_time_is_listed_once_while_others_come_and_go(
        self, make_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for seed in self.seeds:
            dice = random.Random(1000 + seed)
            cells = [str(uuids.UUID(int=dice.getrandbits(128), version=4)) for _ in range(3)]
            alive: dict[str, Any] = {"project_id": "demo", "vm_state": VmState.ACTIVE, "task_state": None}
            world = World([random_server(dice, cells) for _ in range(25)])
            world.servers += [placed for _ in range(60) if (placed := random_server(dice, cells)).place is None]
            world.servers = [
                placed if placed.place is None else replace(placed, server=replace(placed.server, **alive))
                for placed in world.servers
            ]
            batches = listing.Batches(3)
            monkeypatch.setattr(listing.Batches, "of", classmethod(lambda cls, conf, batches=batches: batches))
            monkeypatch.setattr(build_requests, "_AT_ONCE", 2)
            cloud = make_cloud(cells)
            fill(cloud, world)
            for keys in ([], ["display_name"], ["launch_index", "uuid"]):
                question = Question(is_admin=True, filters={}, sort_keys=keys, sort_dirs=[dice.choice(["asc", "desc"])])
                unrest = Unrest(dice, cloud, world, cells)
                with monkeypatch.context() as patch:
                    unrest.stir_at_every_question(patch)
                    found = self._list(cloud, question, "/servers", dice.randrange(1, 6), between=unrest.spare_and_stir)
                assert unrest.changes > 20
                expected = [uuid for uuid in unrest.world.answer(question) if uuid in unrest.there_from_the_start]
                assert [uuid for uuid in found if uuid in unrest.there_from_the_start] == expected, (seed, question)
                assert len(found) == len(set(found)), (seed, question)
                world = unrest.world

    @staticmethod
    def _list(
        cloud: Cloud, question: Question, path: str, limit: int, between: Callable[[str], None] = lambda last: None
    ) -> list[str]:
        client = cloud.client("admin:demo" if question.is_admin else "alice:demo")
        return page_by_page(client, path, question.parameters | {"limit": limit}, between)


def fill(cloud: Cloud, world: World) -> None:
    """Put the servers where they are; many at once, for real servers are slow to commit."""
    with cloud.api_db.writer() as session:
        for placed in world.servers:
            server = placed.server
            mappings.add_instance(
                session, server.uuid, project_id=server.project_id, user_id=server.user_id, vcpus=1, ram_mib=1
            )
            build_requests.add(session, [server], make_spec(server))
        session.flush()
        for placed in world.servers:
            if placed.place is not None:
                assert mappings.settle(session, placed.server.uuid, placed.place)
    for place in {placed.place for placed in world.servers} - {None}:
        with cloud.cells.get(str(place)).db.writer() as session:
            for placed in world.servers:
                if placed.place == place:
                    instances.add(session, placed.server)


@dataclass
class Unrest:
    """Servers that come, move from their build request into a cell, change and go while a list is read."""

    dice: random.Random
    cloud: Cloud
    world: World
    cells: Sequence[str]
    changes: int = 0
    spared: str = ""

    def __post_init__(self) -> None:
        self.there_from_the_start = {placed.server.uuid for placed in self.world.servers}
        #: Servers inserted into a cell and not yet settled there: they are seen at both places.
        self._arriving: dict[str, str] = {}

    def stir_at_every_question(self, patch: pytest.MonkeyPatch) -> None:
        """Change something whenever cells are asked, before and after they answer."""
        ask = Fanout.ask

        def asked(fanout: Fanout, *args: Any, **kwargs: Any) -> Any:
            self.stir()
            answers = ask(fanout, *args, **kwargs)
            for _ in range(self.dice.randrange(6)):
                self.stir()
            return answers

        patch.setattr(Fanout, "ask", asked)

    def spare_and_stir(self, last: str) -> None:
        """Change something between two pages; the server the next begins behind stays known."""
        self.spared = last
        self.stir()

    def stir(self) -> None:
        """Do one thing at random."""
        self.changes += 1
        self.dice.choice([self._come, self._arrive, self._arrive, self._settle, self._settle, self._change, self._go])()

    def _come(self) -> None:
        facts = {"project_id": "demo", "created_at": NOON + timedelta(microseconds=self.dice.randrange(9))}
        placed = random_server(self.dice, self.cells, **facts)
        while placed.place is not None:
            placed = random_server(self.dice, self.cells, **facts)
        self.world = World([*self.world.servers, placed])
        fill(self.cloud, World([placed]))

    def _arrive(self) -> None:
        for placed in self._waiting():
            if placed.server.uuid not in self._arriving:
                cell = self.dice.choice(self.cells)
                self._arriving[placed.server.uuid] = cell
                with self.cloud.cells.get(cell).db.writer() as session:
                    instances.add(session, placed.server)
                return

    def _settle(self) -> None:
        for placed in self._waiting():
            cell = self._arriving.pop(placed.server.uuid, None)
            if cell is not None:
                with self.cloud.api_db.writer() as session:
                    assert mappings.settle(session, placed.server.uuid, cell)
                placed.place = cell
                return

    def _change(self) -> None:
        """Change what the list is not sorted by."""
        for placed in self._settled():
            task = placed.server.task_state
            if placed.server.vm_state is VmState.ACTIVE:
                task = self.dice.choice([None, TaskState.REBOOTING])
            placed.server = replace(placed.server, task_state=task)
            with self.cloud.cells.get(str(placed.place)).db.writer() as session:
                instances.change(session, placed.server.uuid, task_state=task, description="changed")
            return

    def _go(self) -> None:
        """Delete a server, in a cell or before it came to one; it is none of those that are there all the time."""
        for placed in [*self._settled(), *self._waiting()]:
            uuid = placed.server.uuid
            if self.dice.random() < 0.5 or (placed.place is None and uuid in {self.spared, *self._arriving}):
                continue
            self.there_from_the_start.discard(uuid)
            self.world = World([each for each in self.world.servers if each.server.uuid != uuid])
            if placed.place is None:
                with self.cloud.api_db.writer() as session:
                    assert build_requests.drop(session, uuid)
                    mappings.queue_for_delete(session, uuid)
            else:
                with self.cloud.cells.get(placed.place).db.writer() as session:
                    assert instances.mark_deleted(session, uuid)
            return

    def _waiting(self) -> Iterator[Placed]:
        found = [placed for placed in self.world.servers if placed.place is None]
        self.dice.shuffle(found)
        return iter(found)

    def _settled(self) -> Iterator[Placed]:
        found = [
            placed
            for placed in self.world.servers
            if placed.place is not None and placed.server.vm_state is not VmState.DELETED
        ]
        self.dice.shuffle(found)
        return iter(found)

"""What the scheduler knows of hosts when cells do not answer."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from nova_lite import concurrency, config, errors
from nova_lite.cells.fanout import Answers, Fanout, Sighting
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import ApiBase
from nova_lite.model.candidates import Candidates
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.host_cache import CellHosts
from nova_lite.scheduler.hosts import Hosts
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.survey import Surveyor
from nova_lite.scheduler.waiting import Waiting
from nova_lite.storage import Database


class SilentCells:
    """Two cells of one host each, "node-a" and "node-b"; ``down`` say nothing, and have done so for ``silent_s``."""

    def __init__(self, *down: str, silent_s: float = 1000.0) -> None:
        self.down = set(down)
        self._silent_s = silent_s

    def all(self, *, with_cell0: bool) -> list[Any]:
        assert not with_cell0
        return [SimpleNamespace(cell=SimpleNamespace(uuid=uuid, is_disabled=False)) for uuid in ("a", "b")]

    def of_hosts(self) -> dict[str, str]:
        return {"host-a": "a", "host-b": "b"}

    def ask(self, _: object, *, of: list[Any]) -> Answers[CellHosts]:
        found = {cell.cell.uuid: told(cell.cell.uuid) for cell in of if cell.cell.uuid not in self.down}
        return Answers(found, dict.fromkeys(self.down, "silent"))

    def forget(self) -> None:
        pass

    def look_again(self, cells: Sequence[Any]) -> bool:
        return any(cell.cell.uuid not in self.down for cell in cells)

    def sighting(self, _: str) -> Sighting:
        return Sighting(silent_since=concurrency.monotonic() - self._silent_s)


def told(cell: str, *, is_up: bool = True) -> CellHosts:
    states = [HostState(cell, f"host-{cell}", f"node-{cell}", f"host-{cell}", is_up=is_up, is_disabled=False)]
    return CellHosts(cast(Database, None), 1, float("inf"), states)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'api.sqlite'}")) as database:
        ApiBase.metadata.create_all(database.engine)
        yield database


def hosts(database: Database, cells: SilentCells) -> Hosts:
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    conf.set_override("io_ops_weight_multiplier", 0.0, "filter_scheduler")  # so that nobody asks how busy hosts are
    return Hosts(conf, database, cast(Cells, cells), cast(Fanout, cells))


class OfferingPlacement:
    """Offers ``nodes`` and grants every claim."""

    def __init__(self, *nodes: str) -> None:
        self._nodes = nodes

    def candidates(self, _: object) -> Candidates:
        summaries = {node: {"root_provider_uuid": node, "resources": {}} for node in self._nodes}
        requests = [{"allocations": {node: {"resources": {"VCPU": 1}}}} for node in self._nodes]
        return msgspec.convert({"allocation_requests": requests, "provider_summaries": summaries}, Candidates)

    def claim(self, *_: object, **__: object) -> bool:
        return True


class Everybody:
    """Waits for a host."""

    def missing(self, _: object) -> list[str]:
        return []


def placed_on(database: Database, cells: SilentCells, *nodes: str) -> str:
    """Return the host that a server gets when Placement offers ``nodes``."""
    placement = cast(PlacementClient, OfferingPlacement(*nodes))
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    surveyor = Surveyor(conf, hosts(database, cells), placement)
    scheduler = SchedulerEndpoint(conf, surveyor, placement, cast(Waiting, Everybody()))
    spec = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image")
    decision = scheduler.place(msgspec.to_builtins(spec), ["server"])
    if decision["refusal"] is not None:
        raise errors.NoValidHost(decision["refusal"])
    return str(decision["placed"][0]["selections"][0]["host"])


def test_servers_ended_in_error_because_all_cells_were_slow_once(database: Database) -> None:
    with pytest.raises(errors.Unavailable):
        hosts(database, SilentCells("a", "b")).load({})


def test_one_silent_cell_is_passed_over(database: Database) -> None:
    assert placed_on(database, SilentCells("a"), "node-a", "node-b") == "host-b"


def test_a_host_mapped_a_moment_ago_is_found(database: Database) -> None:
    class MappedSinceLastLook(SilentCells):
        is_old = True

        def of_hosts(self) -> dict[str, str]:
            return {"host-b": "b"} if self.is_old else super().of_hosts()

        def forget(self) -> None:
            self.is_old = False

    assert placed_on(database, MappedSinceLastLook(), "node-a") == "host-a"


def test_a_server_that_only_a_silent_cell_could_take_is_refused_and_told_so(database: Database) -> None:
    with pytest.raises(errors.NoValidHost, match="Of 1 host with room: 1 cannot be reached now"):
        placed_on(database, SilentCells("a"), "node-a")


def test_it_waits_while_the_cell_has_just_fallen_silent(database: Database) -> None:
    with pytest.raises(errors.Unavailable):
        placed_on(database, SilentCells("a", silent_s=5), "node-a")


def test_a_cell_that_is_back_is_seen_before_a_server_is_refused(database: Database) -> None:
    class BackWhenLookedAt(SilentCells):
        def look_again(self, cells: Sequence[Any]) -> bool:
            assert [cell.cell.uuid for cell in cells] == ["a"]
            self.down.clear()
            return True

    assert placed_on(database, BackWhenLookedAt("a"), "node-a") == "host-a"


def test_nobody_waits_for_a_silent_cell_that_has_nothing_to_offer(database: Database) -> None:
    class NeverLookedAt(SilentCells):
        def look_again(self, cells: Sequence[Any]) -> bool:
            raise AssertionError("its nodes are not among those offered")

    class OnlyADeadHost(NeverLookedAt):
        def ask(self, _: object, *, of: list[Any]) -> Answers[CellHosts]:
            return Answers({"b": told("b", is_up=False)}, {"a": "silent"})

    with pytest.raises(errors.NoValidHost):
        placed_on(database, OnlyADeadHost("a"), "node-b")

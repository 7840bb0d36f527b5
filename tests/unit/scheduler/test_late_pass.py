"""A pass that ends when another has long placed its servers takes nothing from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from nova_lite import config
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.repositories import build_requests, mappings
from nova_lite.errors import Unavailable
from nova_lite.model.host import CELL0_UUID, Cell, HostState
from nova_lite.model.instance import Instance
from nova_lite.scheduler import request
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import Stage
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.survey import Survey, Surveyor
from nova_lite.scheduler.waiting import Waiting
from nova_lite.storage import Database
from tests.contract.db.factories import FLAVOR, SPEC, make_instance

CELL = "11111111-1111-4111-8111-111111111111"
HOST = HostState(CELL, "host", "node", "host", is_up=True, is_disabled=False)
OFFER = {"node": {"VCPU": 1}}
ELSEWHERE = {"other": {"VCPU": 1}}


class Held:
    """A Placement that knows what each consumer holds; ``meanwhile`` happens as the second server is claimed for."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, dict[str, int]]] = {}
        self.claims = 0
        self.meanwhile: Any = None

    def claim(self, uuid: str, allocations: dict[str, dict[str, int]], **_: str) -> bool:
        self.claims += 1
        if self.claims == 2:
            self.meanwhile()
        return self.held.setdefault(uuid, allocations) is allocations

    def allocations(self, uuid: str) -> dict[str, dict[str, int]]:
        return self.held.get(uuid, {})

    def release(self, uuid: str) -> None:
        self.held.pop(uuid, None)


class Found:
    """One host that takes all."""

    def survey(self, *_: object) -> Survey:
        return Survey(Sought(SPEC), request.needs(FLAVOR), {"node": OFFER}, [HOST], [Stage("Placement", 1, 1)], {})


@pytest.fixture
def api_db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'api.db'}")
    ApiBase.metadata.create_all(made.engine)
    with made.writer() as session:
        for uuid in (CELL0_UUID, CELL):
            mappings.add_cell(session, Cell(uuid, uuid[:1], "none:///", f"sqlite:///{uuid}"))
    yield made
    made.close()


@pytest.fixture
def servers(api_db: Database) -> list[Instance]:
    """Two that wait."""
    made = [make_instance(host=None, node=None) for _ in range(2)]
    with api_db.writer() as session:
        for each in made:
            mappings.add_instance(session, each.uuid, project_id="demo", user_id="alice", vcpus=1, ram_mib=1)
        build_requests.add(session, made, SPEC)
    return made


@pytest.mark.parametrize(
    ("cell", "is_deleted", "keeps"),
    [
        pytest.param(CELL, False, True, id="it lives"),
        pytest.param(CELL, True, False, id="it is being deleted"),
        pytest.param(CELL0_UUID, False, False, id="it is buried"),
        pytest.param(None, True, False, id="it was deleted before it lived"),
    ],
)
def test_a_late_pass_lets_go_only_what_nobody_has(
    api_db: Database, servers: list[Instance], cell: str | None, is_deleted: bool, keeps: bool
) -> None:
    first, second = (each.uuid for each in servers)
    placement = Held()

    def another_pass() -> None:
        """The conductor believes this pass lost, lets go of all, asks another, and goes on with that one's answer."""
        placement.held = {first: ELSEWHERE, second: ELSEWHERE}
        with api_db.writer() as session:
            for each in servers:
                if cell is None:
                    build_requests.drop(session, each.uuid)
                else:
                    mappings.settle(session, each.uuid, cell)
                if is_deleted:
                    mappings.queue_for_delete(session, each.uuid)

    placement.meanwhile = another_pass
    scheduler = SchedulerEndpoint(
        config.load(files=[]), cast(Surveyor, Found()), cast(PlacementClient, placement), Waiting(api_db)
    )
    with pytest.raises(Unavailable):
        scheduler.place(msgspec.to_builtins(SPEC), [first, second])
    assert (first in placement.held) == keeps

"""Servers of one request in several cells."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from nova_lite import config
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes
from nova_lite.conductor.saga import Work
from nova_lite.conductor.spanning import schedule
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db import migrate
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, mappings, workflows
from nova_lite.errors import Unavailable
from nova_lite.model.host import Cell
from nova_lite.model.request_spec import Placed, Selection
from nova_lite.model.states import TaskState
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance, make_workflow

DEAD, LIVE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[SuperTools]:
    """An API database and two cells, of which the first does not answer."""
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    databases = [Database(f"sqlite:///{tmp_path / name}.db") for name in ("api", "live")]
    migrate.sync(databases[0], "api")
    migrate.sync(databases[1], "cell")
    with databases[0].writer() as session:
        for uuid, connection in ((DEAD, f"sqlite:///{tmp_path / 'gone' / 'dead.db'}"), (LIVE, str(databases[1].url))):
            mappings.add_cell(session, Cell(uuid, uuid[:1], f"kombu+memory:////{uuid}", connection))
    cells = Cells(conf, databases[0])
    fanout = Fanout(conf, cells)
    clients = (cast(SchedulerClient, None), cast(PlacementClient, None), cast(Volumes, None))
    yield SuperTools(conf, databases[0], cells, fanout, *clients)
    fanout.close()
    cells.close()
    for database in databases:
        database.close()


def test_builds_in_other_cells_do_not_wait_for_a_silent_one(tools: SuperTools) -> None:
    live = tools.cells.get(LIVE)
    servers = [make_instance(task_state=TaskState.SCHEDULING) for _ in range(2)]
    with live.db.writer() as session:
        instances.add(session, servers[1])
    placed = [
        Placed(server.uuid, (Selection("host1", "node1", "host1", cell_uuid, "nova"),))
        for server, cell_uuid in zip(servers, (DEAD, LIVE), strict=True)
    ]
    written = {server.uuid: schedule._editable(server) for server in servers}
    workflow = replace(make_workflow(kind="schedule"), inputs={"instance_uuids": [each.uuid for each in servers]})
    workflow = replace(workflow, facts={"placed": placed, "written": written, "settled": {u: {} for u in written}})
    work = Work(workflow, tools, 60.0)
    for _ in range(2):
        with pytest.raises(Unavailable):
            schedule.start_builds(work)
        with live.db.reader() as session:
            assert instances.get(session, servers[1].uuid).task_state is TaskState.SPAWNING
            assert workflows.subjects_at_work(session, CellWorkflowRow, [servers[1].uuid])

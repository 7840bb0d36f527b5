"""A server whose deletion failed for good counts again."""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.cells import setup
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.conductor.spanning import cell_looker
from nova_lite.conductor.spanning.failed_deletes import FailedDeletes
from nova_lite.db import migrate
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, mappings, workflows
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance, make_workflow

PROJECT = "demo"


@dataclass
class Cloud:
    """An API database and one cell, as a super conductor sees them."""

    conf: cfg.ConfigOpts
    api_db: Database
    cell_db: Database
    cells: Cells

    def add_server(self, *, why: Status = Status.FAILED) -> str:
        """Put a server into the cell that was to be deleted; its deletion ended so."""
        instance = make_instance(vm_state=VmState.ERROR, task_state=None, project_id=PROJECT)
        with self.cell_db.writer() as session:
            instances.add(session, instance)
            workflow = replace(make_workflow(), kind="delete", subject=instance.uuid)
            workflows.add(session, CellWorkflowRow, workflow, timeout_s=60)
            session.execute(sa.update(CellWorkflowRow).values(status=why))
        with self.api_db.writer() as session:
            mappings.add_instance(session, instance.uuid, project_id=PROJECT, user_id="alice", vcpus=1, ram_mib=1)
            mappings.queue_for_delete(session, instance.uuid)
        return instance.uuid

    @property
    def counted(self) -> int:
        with self.api_db.reader() as session:
            return mappings.usage(session, PROJECT)[0]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    api_db, cell_db = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("api", "cell"))
    migrate.sync(api_db, "api")
    migrate.sync(cell_db, "cell")
    setup.create_cell(api_db, name="dead", transport_url="rabbit://h/dead", connection=f"sqlite:///{tmp_path}/no/db")
    setup.create_cell(api_db, name="one", transport_url="rabbit://h/v", connection=str(cell_db.url))
    cells = Cells(conf, api_db)
    yield Cloud(conf, api_db, cell_db, cells)
    cells.close()
    api_db.close()
    cell_db.close()


def test_what_a_failed_deletion_left_counts_again(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    server = cloud.add_server()
    assert cloud.counted == 0
    looker = FailedDeletes(cloud.conf, cloud.api_db, cloud.cells)
    with caplog.at_level(logging.WARNING):
        looker.look()
        looker.look()
    assert cloud.counted == 1
    assert caplog.text.count(server) == 1


@pytest.mark.parametrize("why", [Status.RUNNING, Status.DONE, Status.SUPERSEDED])
def test_a_deletion_under_way_or_done_is_left_alone(cloud: Cloud, why: Status) -> None:
    cloud.add_server(why=why)
    FailedDeletes(cloud.conf, cloud.api_db, cloud.cells).look()
    assert cloud.counted == 0


def test_a_server_being_deleted_again_is_left_alone(cloud: Cloud) -> None:
    accepted, begun = cloud.add_server(), cloud.add_server()
    with cloud.api_db.writer() as session:
        workflow = replace(make_workflow(), kind="delete", subject=accepted, uuid=str(uuid.uuid4()))
        workflows.add(session, ApiWorkflowRow, workflow, timeout_s=60)
    with cloud.cell_db.writer() as session:
        instances.change(session, begun, task_state=TaskState.DELETING)
    FailedDeletes(cloud.conf, cloud.api_db, cloud.cells).look()
    assert cloud.counted == 0


def test_it_bears_an_api_database_that_is_down(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(**_: object) -> None:
        raise errors.Unavailable("The database does not answer.")

    monkeypatch.setattr(cloud.cells, "all", silent)
    with caplog.at_level(logging.WARNING):
        FailedDeletes(cloud.conf, cloud.api_db, cloud.cells).look()
    assert "Could not look for failed deletions" in caplog.text


def test_a_silent_cell_does_not_keep_the_conductor_from_stopping(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def silent(**_: object) -> list[OpenCell]:
        asked.set()
        answered.wait(timeout=480)
        return []

    monkeypatch.setattr(cloud.cells, "all", silent)
    monkeypatch.setattr(cell_looker, "_PATIENCE_S", 0.01)
    cloud.conf.set_override("recount_interval", 0.01, group="quota")
    looker = FailedDeletes(cloud.conf, cloud.api_db, cloud.cells)
    looker.start()
    assert asked.wait(timeout=480)
    looker.stop()
    answered.set()
    monkeypatch.setattr(cell_looker, "_PATIENCE_S", 480)
    looker.stop()  # what was let go on ends before the databases are closed


@pytest.mark.parametrize(("interval", "looks"), [(0.0, False), (0.02, True)])
def test_it_looks_as_often_as_is_wanted(cloud: Cloud, interval: float, looks: bool) -> None:
    cloud.add_server()
    cloud.conf.set_override("recount_interval", interval, group="quota")
    looker = FailedDeletes(cloud.conf, cloud.api_db, cloud.cells)
    looker.start()
    deadline = time.monotonic() + 480
    while looks and not cloud.counted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    looker.stop()
    assert cloud.counted == int(looks)

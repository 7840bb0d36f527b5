"""The super conductor's own audit: it tells, repairs only where that is wanted, rests, and bears what is silent."""

import logging
import threading
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.cells import setup
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.conductor.spanning import audits
from nova_lite.conductor.spanning.auditing.auditor import Outcome
from nova_lite.conductor.spanning.audits import Audits
from nova_lite.db import migrate
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import build_requests, instances, mappings, workflows
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import FLAVOR, NOON, SPEC, make_instance, make_workflow

PROJECT = "demo"
#: What a server's claim is, as its flavor says.
CLAIM = {"VCPU": FLAVOR.vcpus, "MEMORY_MB": FLAVOR.ram_mib, "DISK_GB": FLAVOR.root_gib + FLAVOR.ephemeral_gib}


@dataclass
class FakePlacement:
    """Who holds what of which provider; silent when told to be."""

    held: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    is_silent: bool = False

    def roots(self) -> dict[str, str]:
        if self.is_silent:
            raise errors.Unavailable("Placement does not answer.")
        return {provider: provider for provider in self.held}

    def holders(self, provider: str) -> dict[str, dict[str, int]] | None:
        return self.held.get(provider)


@dataclass
class Cloud:
    """An API database, Placement and two cells, one of which is dead; and the audits of a super conductor."""

    conf: cfg.ConfigOpts
    api_db: Database
    cell_db: Database
    cells: Cells
    placement: FakePlacement = field(default_factory=FakePlacement)

    def audits(self) -> Audits:
        return Audits(
            self.conf, self.api_db, self.cells, cast("PlacementClient", self.placement), lambda workflow: None
        )

    def add_server(self, *, counted_vcpus: int = FLAVOR.vcpus) -> str:
        """Put a server into the cell that lives; it may count for what it is not."""
        node = str(uuids.uuid4())
        instance = make_instance(vm_state=VmState.ACTIVE, task_state=None, node=node, launched_at=NOON)
        self.placement.held[node] = {instance.uuid: dict(CLAIM)}
        with self.cell_db.writer() as session:
            instances.add(session, instance)
        (alive,) = (cell for cell in self.cells.all() if cell.cell.name == "one")
        with self.api_db.writer() as session:
            counts = {"vcpus": counted_vcpus, "ram_mib": FLAVOR.ram_mib}
            mappings.add_instance(session, instance.uuid, project_id=PROJECT, user_id="alice", **counts)
            build_requests.add(session, [instance], SPEC)
            assert mappings.settle(session, instance.uuid, alive.cell.uuid)
        return instance.uuid

    @property
    def counted_vcpus(self) -> int:
        with self.api_db.reader() as session:
            return mappings.usage(session, PROJECT)[1]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    conf.set_override("grace", 0.0, "audit")
    conf.set_override("pause", 0.0, "audit")
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


def outcomes(audits_: Audits) -> list[tuple[str, str, Outcome]]:
    report = audits_.look()
    assert report is not None
    return [(each.finding.kind, each.finding.subject, each.outcome) for each in report.judged]


def test_what_is_wrong_is_told_and_not_touched(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    well, wrong = cloud.add_server(), cloud.add_server(counted_vcpus=7)
    with caplog.at_level(logging.INFO):
        assert outcomes(cloud.audits()) == [("usage-wrong", wrong, Outcome.REPAIRABLE)]
    assert cloud.counted_vcpus == FLAVOR.vcpus + 7
    assert f"usage-wrong {wrong}" in caplog.text
    assert well not in caplog.text
    # The dead cell is told of, and keeps nobody from judging the other.
    assert "2 servers looked at, 1 findings, 0 repaired; 1 cells and 0 hosts did not answer" in caplog.text


def test_it_is_repaired_where_that_is_wanted(cloud: Cloud) -> None:
    wrong = cloud.add_server(counted_vcpus=7)
    cloud.conf.set_override("repair", True, "audit")
    assert outcomes(cloud.audits()) == [("usage-wrong", wrong, Outcome.REPAIRED)]
    assert cloud.counted_vcpus == FLAVOR.vcpus
    assert outcomes(cloud.audits()) == []


def test_what_nobody_can_decide_is_told_even_then(cloud: Cloud) -> None:
    server = cloud.add_server()
    workflow = make_workflow(subject=server)
    with cloud.cell_db.writer() as session:
        workflows.add(session, CellWorkflowRow, workflow, timeout_s=60)
        hung = {"status": Status.RUNNING, "lease_owner": "somebody", "lease_until": 4e9, "deadline": 1.0}
        session.execute(sa.update(CellWorkflowRow).values(**hung))
    cloud.conf.set_override("repair", True, "audit")
    assert outcomes(cloud.audits()) == [("work-overdue", workflow.uuid, Outcome.TOLD)]


class Rests(threading.Event):
    """Notes how long somebody wanted to rest, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


def test_it_rests_after_each_page_and_provider(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.add_server()
    cloud.conf.set_override("pause", 0.25, "audit")
    audits_ = cloud.audits()
    audits_._stopping = rests = Rests()
    assert outcomes(audits_) == []
    # Nothing looked wrong, so there is no second look: a page of mappings, one of servers, three providers.
    assert rests.seconds == [0.25] * 5
    cloud.add_server(counted_vcpus=7)
    cloud.conf.set_override("grace", 30.0, "audit")
    assert len(outcomes(audits_)) == 1
    assert rests.seconds.count(30.0) == 1


def test_a_conductor_that_leaves_looks_no_further(cloud: Cloud) -> None:
    cloud.add_server(counted_vcpus=7)
    cloud.conf.set_override("repair", True, "audit")
    audits_ = cloud.audits()
    audits_.stop()
    assert audits_.look() is None
    assert cloud.counted_vcpus == 7


def test_without_placement_it_looks_another_time(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    wrong = cloud.add_server(counted_vcpus=7)
    audits_ = cloud.audits()
    cloud.placement.is_silent = True
    with caplog.at_level(logging.WARNING):
        assert audits_.look() is None
    assert "The audit could not be made: Placement does not answer." in caplog.text
    cloud.placement.is_silent = False
    assert outcomes(audits_) == [("usage-wrong", wrong, Outcome.REPAIRABLE)]


@pytest.mark.parametrize(("interval", "looks"), [(0.0, False), (0.01, True)])
def test_it_looks_as_often_as_is_wanted(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, interval: float, looks: bool
) -> None:
    again, count, look = threading.Event(), 0, Audits.look

    def counted(audits_: Audits) -> object:
        nonlocal count
        count += 1
        if count == 3:
            again.set()
        return look(audits_)

    monkeypatch.setattr(Audits, "look", counted)
    cloud.conf.set_override("interval", interval, "audit")
    audits_ = cloud.audits()
    audits_.start()
    assert not looks or again.wait(timeout=480)
    audits_.stop()
    assert (count > 0) is looks


def test_a_silent_cell_does_not_keep_the_conductor_from_stopping(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def silent(**_: object) -> list[object]:
        asked.set()
        answered.wait(timeout=480)
        return []

    monkeypatch.setattr(cloud.cells, "all", silent)
    monkeypatch.setattr(audits, "_PATIENCE_S", 0.01)
    cloud.conf.set_override("interval", 0.01, "audit")
    audits_ = cloud.audits()
    audits_.start()
    assert asked.wait(timeout=480)
    audits_.stop()
    answered.set()
    monkeypatch.setattr(audits, "_PATIENCE_S", 480)
    audits_.stop()  # what was let go on ends before the databases are closed

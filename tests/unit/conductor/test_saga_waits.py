"""Workflows that wait for somebody else's work: looked at again when due, and told when that has ended."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.conductor.saga import Definition, Runner, Step, Work
from nova_lite.db.cell_tables import CellBase, CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.workflow import Status, Workflow
from nova_lite.storage import Database

NEVER_S = 3600.0


class Site:
    """A runner that never scans, and the names of the workflows whose steps ran."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.ran: list[str] = []
        self.runner: Runner[Site] = Runner(
            db=db, row=CellWorkflowRow, definitions={}, tools=self, owner="one", lease_s=NEVER_S,
            scan_interval_s=lambda: NEVER_S, threads=2,
        )  # fmt: skip

    def define(
        self,
        kind: str,
        do: Callable[[Work["Site"]], None],
        afterwards: Callable[[Work["Site"]], list[str]] = lambda work: [],
    ) -> str:
        """Define a workflow of one step and add one of its kind; return its UUID."""
        definition = Definition(kind, (Step("do", do),), afterwards=afterwards)
        self.runner.definitions = {**self.runner.definitions, kind: definition}
        workflow = Workflow(str(uuid.uuid4()), kind, str(uuid.uuid4()), "project", "user", "req-1", {}, 0.0)
        with self._db.writer() as session:
            workflows.add(session, CellWorkflowRow, workflow, timeout_s=NEVER_S)
        return workflow.uuid

    def hasten(self, workflow: str) -> None:
        with self._db.writer() as session:
            workflows.hasten(session, CellWorkflowRow, workflow)

    def status(self, workflow: str) -> Status:
        with self._db.reader() as session:
            found = workflows.get(session, CellWorkflowRow, workflow)
        assert found is not None
        return found.status

    def ends(self, workflow: str) -> Status:
        """Wait until a workflow has ended, and return how."""
        pause = threading.Event()
        for _ in range(12_000):
            if (status := self.status(workflow)) in (Status.DONE, Status.FAILED):
                return status
            pause.wait(0.01)
        raise AssertionError(f"workflow {workflow} is {self.status(workflow)}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = Database(f"sqlite:///{tmp_path}/cell.db")
    CellBase.metadata.create_all(database.engine)
    made = Site(database)
    made.runner.start()
    yield made
    made.runner.stop()
    database.close()


@pytest.mark.parametrize("again_s", [None, 0.0, 0.05])
def test_one_that_must_wait_is_looked_at_again_without_a_scan(site: Site, again_s: float | None) -> None:
    looks = itertools.count(1)

    def look(work: Work[Site]) -> None:
        if next(looks) < 3:
            raise errors.NotYet("Not yet.", again_s=again_s)

    workflow = site.define("waits", look)
    site.runner.wake(workflow)
    assert site.ends(workflow) is Status.DONE
    assert next(looks) == 4


@pytest.mark.parametrize("outcome", [Status.DONE, Status.FAILED])
def test_one_that_has_ended_calls_those_that_wait_for_it(site: Site, outcome: Status) -> None:
    looked, is_free = threading.Event(), threading.Event()

    def wait(work: Work[Site]) -> None:
        looked.set()
        if not is_free.is_set():
            raise errors.NotYet("Not yet.", again_s=NEVER_S)

    def work(work: Work[Site]) -> None:
        is_free.set()
        if outcome is Status.FAILED:
            raise errors.GuestFailed("It does not work.")

    def call(work: Work[Site]) -> list[str]:
        site.hasten(waiting)
        return [waiting]

    waiting = site.define("waits", wait)
    working = site.define("works", work, afterwards=call)
    site.runner.wake(waiting)
    assert looked.wait(480)
    parked = threading.Event()
    while site.runner._running and not parked.wait(0.01):  # until it is parked
        pass
    site.runner.wake(working)
    assert (site.ends(working), site.ends(waiting)) == (outcome, Status.DONE)


def test_those_that_cannot_be_called_do_not_fail_it(site: Site) -> None:
    def cannot(work: Work[Site]) -> list[str]:
        raise errors.Unavailable("The database does not answer.")

    workflow = site.define("works", lambda work: None, afterwards=cannot)
    site.runner.wake(workflow)
    assert site.ends(workflow) is Status.DONE


def test_a_runner_stops_while_one_waits(site: Site) -> None:
    def wait(work: Work[Site]) -> None:
        raise errors.NotYet("Not yet.", again_s=0.05)

    workflow = site.define("waits", wait)
    site.runner.wake(workflow)
    site.runner.stop()
    assert site.status(workflow) in (Status.PENDING, Status.RUNNING)

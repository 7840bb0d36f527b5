"""What tests of the runner of workflows share: steps that keep a diary, a runner, and its database."""

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.conductor import saga
from nova_lite.conductor.saga import Definition, Record, Runner, Step, Work
from nova_lite.db.cell_tables import CellBase, CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Database, epoch_now


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@dataclasses.dataclass
class Diary:
    """What steps did, in order, and what each is told to do next."""

    entries: list[str] = dataclasses.field(default_factory=list)
    raising: dict[str, list[BaseException]] = dataclasses.field(default_factory=dict)

    def note(self, entry: str) -> None:
        self.entries.append(entry)
        planned = self.raising.get(entry, [])
        if planned:
            raise planned.pop(0)


DiaryWork = Work[Diary]


def doing(name: str) -> Callable[[DiaryWork], dict[str, object]]:
    """Return a step's deed that notes the step's name."""

    def do(work: DiaryWork) -> dict[str, object]:
        work.tools.note(name)
        return {name: True}

    return do


def undoing(name: str) -> Callable[[DiaryWork], None]:
    """Return a step's undo that notes what it undoes."""

    def undo(work: DiaryWork) -> None:
        work.tools.note(f"undo {name}")

    return undo


def record_c(work: DiaryWork, session: Session) -> dict[str, object]:
    work.tools.note("c")
    return {"c": True}


def tell_failure(work: DiaryWork) -> None:
    work.tools.note(f"failed: {work.reason}")


THREE = Definition[Diary](
    "three",
    (
        Step("a", doing("a"), undo=undoing("a")),
        Step("b", doing("b"), undo=undoing("b")),
        Record("c", record_c, undo=undoing("c")),
    ),
    on_failure=Step("failed", tell_failure),
)
FORWARD_ONLY = Definition[Diary](
    "forward",
    (Step("a", doing("a"), undo=undoing("a")), Step("b", doing("b"), no_way_back=True)),
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/cell.db")
    CellBase.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "_BACKOFF_S", (0.0,))


def new_runner(db: Database, diary: Diary, owner: str = "one", **changes: Any) -> Runner[Diary]:
    """Return a runner of the diary's workflows, on one thread."""
    facts: dict[str, Any] = {
        "db": db,
        "row": CellWorkflowRow,
        "definitions": {"three": THREE, "forward": FORWARD_ONLY},
        "tools": diary,
        "owner": owner,
        "lease_s": 60.0,
        "scan_interval_s": lambda: 60.0,
        "threads": 1,
    }
    return Runner(**(facts | changes))


def add(db: Database, kind: str = "three", timeout_s: float = 60.0) -> str:
    """Write a workflow down as an API does; return its id."""
    workflow = Workflow(str(uuid.uuid4()), kind, str(uuid.uuid4()), "project", "user", "req-1", {}, 0.0)
    with db.writer() as session:
        workflows.add(session, CellWorkflowRow, workflow, timeout_s=timeout_s)
    return workflow.uuid


def get(db: Database, uuid_: str) -> Workflow:
    """Return a workflow as it is recorded."""
    with db.reader() as session:
        found = workflows.get(session, CellWorkflowRow, uuid_)
    assert found is not None
    return found


def expire_leases(db: Database) -> None:
    """Have the lease of every workflow run out."""
    with db.writer() as session:
        session.execute(sa.update(CellWorkflowRow).values(lease_until=epoch_now() - 1))


def killed_once(db: Database, workflow: str, place: str, diary: Diary) -> None:
    """Run a workflow on a conductor that dies at ``place``."""

    def die_after(kind: str, step: str) -> None:
        if place == f"after {step}":
            raise Killed

    if not place.startswith("after"):
        diary.raising[place] = [Killed()]
    with pytest.raises(Killed):
        new_runner(db, diary, after_record=die_after).run(workflow)


def wait_until(is_so: Callable[[], bool], timeout_s: float = 480.0) -> bool:
    """Return whether ``is_so`` became true in time; looks again every few milliseconds."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < end:
        if is_so():
            return True
        pause.wait(0.005)
    return False

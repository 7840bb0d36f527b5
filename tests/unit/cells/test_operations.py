"""Beginning operations in a cell: one transaction decides every race."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellBase, CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS, TaskState, VmState, refusal
from nova_lite.model.workflow import Status, Workflow
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance, new_uuid

REQUESTER = Requester("alice", "demo", "req-1")


@pytest.fixture
def cell_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'cell.sqlite'}")
    CellBase.metadata.create_all(database.engine)
    yield database
    database.close()


def _add(db: Database, vm_state: VmState, task_state: TaskState | None = None) -> Instance:
    instance = make_instance(vm_state=vm_state, task_state=task_state)
    with db.writer() as session:
        instances.add(session, instance)
    return instance


def _begin(db: Database, uuid: str, action: str, request_id: str = "req-1") -> Workflow:
    with db.writer() as session:
        return operations.begin(
            session, uuid, action, Requester("alice", "demo", request_id), timeout_s=60, inputs={"a": 1}
        )


def _about(db: Database, uuid: str) -> list[Workflow]:
    with db.reader() as session:
        return workflows.about(session, CellWorkflowRow, uuid)


@pytest.mark.parametrize(
    "action", [name for name in operations.EVENTS if name in ACTIONS and name not in ("create", "delete")]
)
@pytest.mark.parametrize("task_state", [None, TaskState.SPAWNING, TaskState.REBOOTING, TaskState.DELETING])
def test_the_table_of_states_decides(cell_db: Database, action: str, task_state: TaskState | None) -> None:
    for vm_state in (VmState.ACTIVE, VmState.STOPPED, VmState.ERROR, VmState.BUILDING):
        instance = _add(cell_db, vm_state, task_state)
        if refusal(action, vm_state, task_state) is not None:
            with pytest.raises(errors.Conflict, match=instance.uuid):
                _begin(cell_db, instance.uuid, action)
            assert _about(cell_db, instance.uuid) == []
            continue
        begun = _begin(cell_db, instance.uuid, action)
        (recorded,) = _about(cell_db, instance.uuid)
        assert (recorded.uuid, recorded.kind, recorded.inputs) == (begun.uuid, action, {"a": 1})
        with cell_db.reader() as session:
            assert instances.get(session, instance.uuid).task_state is ACTIONS[action].while_busy
            (shown,) = actions.of_instance(session, instance.uuid)
        assert (shown.action, shown.request_id) == (operations.shown(action), "req-1")


def test_of_two_at_once_one_begins(cell_db: Database) -> None:
    instance = _add(cell_db, VmState.ACTIVE)
    _begin(cell_db, instance.uuid, "stop")
    with pytest.raises(errors.Conflict, match="task_state powering-off"):
        _begin(cell_db, instance.uuid, "stop", "req-2")


def test_what_is_interrupted_is_superseded(cell_db: Database) -> None:
    instance = _add(cell_db, VmState.ACTIVE)
    soft = _begin(cell_db, instance.uuid, "reboot")
    hard = _begin(cell_db, instance.uuid, "reboot-hard", "req-2")
    assert {found.uuid: found.status for found in _about(cell_db, instance.uuid)} == {
        soft.uuid: Status.SUPERSEDED,
        hard.uuid: Status.PENDING,
    }
    with cell_db.reader() as session:
        interrupted = actions.of_request(session, instance.uuid, "req-1")
        going_on = actions.of_request(session, instance.uuid, "req-2")
    assert interrupted is not None
    assert going_on is not None
    assert (interrupted.message, interrupted.events[0].result) == ("Error", "Error")
    assert interrupted.events[0].details == "Interrupted by reboot-hard."
    assert (going_on.finish_time, going_on.message) == (None, None)


@pytest.mark.parametrize("task_state", [None, *(task for task in TaskState if task is not TaskState.DELETING)])
def test_deleting_begins_whatever_else_is_done(cell_db: Database, task_state: TaskState | None) -> None:
    instance = _add(cell_db, VmState.ACTIVE)
    busy = _begin(cell_db, instance.uuid, "stop", "req-0")
    with cell_db.writer() as session:
        instances.change(session, instance.uuid, task_state=task_state)
        begun = operations.begin_delete(session, instance.uuid, REQUESTER, timeout_s=60)
    assert begun is not None
    assert {found.uuid: found.status for found in _about(cell_db, instance.uuid)} == {
        busy.uuid: Status.SUPERSEDED,
        begun.uuid: Status.PENDING,
    }


def test_a_delete_begins_once(cell_db: Database) -> None:
    instance = _add(cell_db, VmState.ACTIVE)
    with cell_db.writer() as session:
        assert operations.begin_delete(session, instance.uuid, REQUESTER, timeout_s=60) is not None
        assert operations.begin_delete(session, instance.uuid, REQUESTER, timeout_s=60) is None
        assert operations.begin_delete(session, new_uuid(), REQUESTER, timeout_s=60) is None
        instances.mark_deleted(session, instance.uuid)
        assert operations.begin_delete(session, instance.uuid, REQUESTER, timeout_s=60) is None


def test_what_is_gone_is_not_found(cell_db: Database) -> None:
    with pytest.raises(errors.NotFound):
        _begin(cell_db, new_uuid(), "stop")

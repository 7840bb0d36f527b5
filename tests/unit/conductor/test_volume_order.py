"""What waits for work on a server's volumes, and what does not."""

import threading
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nova_lite.cells import operations, volumes
from nova_lite.cells.operations import Requester
from nova_lite.conductor.saga import Runner
from nova_lite.conductor.service import CELL_WORKFLOWS
from nova_lite.conductor.workflows.attach_volume import ATTACH_VOLUME
from nova_lite.conductor.workflows.detach_volume import DETACH_VOLUME
from nova_lite.conductor.workflows.power import ALL
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db import migrate
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, workflows
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance

#: What makes a guest, ends it for good, copies its disk or has nothing to do with it.
_WAITS_FOR_NONE = {
    *("create", "delete", "mirror-status", "complete-evacuation", "snapshot", "backup"),
    *("undo-volume-image", "thaw-guest"),
}
#: What waits for its own volume alone.
_WAITS_FOR_ONE = {"extend-volume"}
_NEVER_S = 3600.0
_HELD = BlockDevice("held", "volume", "/dev/vdb", attachment_id="attachment", phase=Phase.ATTACHED)


def _who() -> Requester:
    return Requester("user", "project", f"req-{uuids.uuid4()}")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'cell.db'}")
    migrate.sync(database, "cell")
    yield database
    database.close()


@pytest.fixture
def server(db: Database) -> Instance:
    flavor = Flavor("1", "plain", 1, 512, 1)
    made = make_instance(vm_state=VmState.ACTIVE, task_state=None, host="host1", flavor=flavor, volumes=(_HELD,))
    with db.writer() as session:
        instances.add(session, made)
    return made


@pytest.fixture
def runner(db: Database) -> Iterator[Runner[CellTools]]:
    """A runner that neither scans nor wakes what it parked."""
    made: Runner[CellTools] = Runner(
        db=db,
        row=CellWorkflowRow,
        definitions={each.kind: each for each in (ATTACH_VOLUME, DETACH_VOLUME, *ALL)},
        tools=CellTools(conf=Mock(), db=db, agents=_agents(), placement=Mock(), volumes=Mock()),
        owner="one",
        lease_s=_NEVER_S,
        scan_interval_s=lambda: _NEVER_S,
        threads=2,
    )
    yield made
    made._pool.stop()


def _agents() -> Any:
    return Mock(reboot=Mock(return_value=1))


def _attaching(db: Database, server: Instance, *, is_reserved: bool = True) -> str:
    """Begin to attach a volume; return the work."""
    wanted, who = BlockDevice(str(uuids.uuid4()), str(uuids.uuid4()), ""), _who()
    with db.writer() as session:
        device = volumes.begin_attach(session, server.uuid, wanted, who, timeout_s=_NEVER_S)
    if is_reserved:
        with db.writer() as session:
            assert volumes.note_reserved(session, server.uuid, device, "another", who)
    return str(device.work)


def _detaching(db: Database, server: Instance) -> str:
    with db.writer() as session:
        return volumes.begin_detach(session, server.uuid, "volume", _who(), timeout_s=_NEVER_S).uuid


def _status(db: Database, workflow: str) -> Status:
    with db.reader() as session:
        found = workflows.get(session, CellWorkflowRow, workflow)
    assert found is not None
    return found.status


def _is_done(db: Database, workflow: str) -> bool:
    pause = threading.Event()
    for _ in range(6000):
        if _status(db, workflow) is Status.DONE:
            return True
        pause.wait(0.01)
    return False


def test_all_that_moves_remakes_stops_or_starts_a_guest_waits_for_its_volumes() -> None:
    waiting = {kind for kind, definition in CELL_WORKFLOWS.items() if set(volumes.KINDS) <= set(definition.behind)}
    assert set(CELL_WORKFLOWS) - waiting == _WAITS_FOR_NONE | _WAITS_FOR_ONE


def test_a_volume_waits_for_the_one_before_it_and_is_called_when_that_is_done(
    db: Database, server: Instance, runner: Runner[CellTools]
) -> None:
    first, second = _detaching(db, server), _attaching(db, server)
    assert runner.run(second) is not None
    assert runner.run(first) is None
    assert _status(db, first) is Status.DONE
    assert _is_done(db, second)


def test_a_volume_that_is_refused_calls_those_behind_it_too(
    db: Database, server: Instance, runner: Runner[CellTools]
) -> None:
    first, second = _detaching(db, server), _attaching(db, server)
    service: Any = runner.tools.volumes.as_service()
    service.begin_detaching.side_effect = OSError("a bug")
    service.show.return_value.status = "in-use"
    assert runner.run(second) is not None
    assert runner.run(first) is None
    assert _status(db, first) is Status.FAILED
    assert _is_done(db, second)
    assert _phases(db, server) == [Phase.ATTACHED, Phase.ATTACHED]


def test_what_is_done_to_the_guest_is_called_when_its_volume_is_there(
    db: Database, server: Instance, runner: Runner[CellTools]
) -> None:
    volume = _attaching(db, server)
    with db.writer() as session:
        reboot = operations.begin(session, server.uuid, "reboot", _who(), timeout_s=_NEVER_S)
    assert runner.run(reboot.uuid) is not None
    assert runner.run(volume) is None
    assert _is_done(db, reboot.uuid)


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_volume_is_made_to_show_that_it_goes_once(
    db: Database, server: Instance, runner: Runner[CellTools], is_shown: bool
) -> None:
    """By the request, or by the conductor where the request died."""
    with db.writer() as session:
        work = volumes.begin_detach(session, server.uuid, "volume", _who(), timeout_s=_NEVER_S, is_held_back=True)
    assert runner.run(work.uuid) is None
    assert _status(db, work.uuid) is Status.PENDING
    with db.writer() as session:
        volumes.note_detaching(session, work, is_shown=is_shown)
    assert runner.run(work.uuid) is None
    assert _status(db, work.uuid) is Status.DONE
    service: Any = runner.tools.volumes.as_service()
    assert service.begin_detaching.call_count == (not is_shown)


@pytest.mark.parametrize("begin", [_attaching, _detaching])
def test_nobody_waits_for_what_is_being_reserved(
    db: Database, server: Instance, runner: Runner[CellTools], begin: Any
) -> None:
    """Whoever asked for that may have died."""
    reserving = _attaching(db, server, is_reserved=False)
    work = begin(db, server)
    assert runner.run(work) is None
    assert (_status(db, work), _status(db, reserving)) == (Status.DONE, Status.PENDING)


def _phases(db: Database, server: Instance) -> list[Phase]:
    with db.reader() as session:
        return [device.phase for device in instances.get(session, server.uuid).volumes]

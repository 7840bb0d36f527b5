"""What is written down of a server's volumes: races, and what comes late."""

import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.cells import operations, volumes
from nova_lite.cells.operations import Requester
from nova_lite.db import migrate
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance

REQUESTER = Requester("user", "project", "req-1")
#: Its only disk is /dev/vda.
PLAIN = Flavor("1", "plain", 1, 512, 1)
AT_REST = {"vm_state": VmState.ACTIVE, "task_state": None, "host": "host1", "flavor": PLAIN}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'cell.db'}")
    migrate.sync(database, "cell")
    yield database
    database.close()


@pytest.fixture
def server(db: Database) -> Instance:
    made = make_instance(**AT_REST)
    with db.writer() as session:
        instances.add(session, made)
    return made


def _wanted(name: str = "", volume: str | None = None) -> BlockDevice:
    return BlockDevice(str(uuids.uuid4()), volume or str(uuids.uuid4()), name)


def _begin(db: Database, server: Instance, wanted: BlockDevice) -> BlockDevice:
    with db.writer() as session:
        return volumes.begin_attach(session, server.uuid, wanted, REQUESTER, timeout_s=60)


def _attached(db: Database, server: Instance) -> BlockDevice:
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        assert volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
        volumes.bring_to(session, server.uuid, device.uuid, Phase.ATTACHED, work=None)
    return _known(db, server)[0]


def _known(db: Database, server: Instance) -> tuple[BlockDevice, ...]:
    with db.reader() as session:
        return instances.get(session, server.uuid).volumes


def _statuses(db: Database, server: Instance) -> list[Status]:
    with db.reader() as session:
        return [each.status for each in workflows.about(session, CellWorkflowRow, server.uuid)]


def test_volumes_get_the_free_names_in_turn(db: Database, server: Instance) -> None:
    names = [
        _begin(db, server, wanted).device_name for wanted in (_wanted(), _wanted("/dev/vdd"), _wanted(), _wanted())
    ]
    assert names == ["/dev/vdb", "/dev/vdd", "/dev/vdc", "/dev/vde"]


@pytest.mark.parametrize("name", ["/dev/vda", "/dev/vdb"])
def test_a_name_that_is_taken_is_refused(db: Database, server: Instance, name: str) -> None:
    _begin(db, server, _wanted("/dev/vdb"))
    with pytest.raises(errors.Conflict, match="in use"):
        _begin(db, server, _wanted(name))
    assert len(_known(db, server)) == 1


def test_a_volume_comes_once(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with pytest.raises(errors.Invalid, match="already"):
        _begin(db, server, _wanted(volume=device.volume_id))
    assert _known(db, server) == (device,)


def test_a_new_place_waits_for_its_reservation(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with db.reader() as session:
        assert workflows.claimable(session, CellWorkflowRow, limit=9) == []
    with db.writer() as session:
        assert volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
    (known,) = _known(db, server)
    assert (known.phase, known.attachment_id) == (Phase.ATTACHING, "attachment")
    with db.reader() as session:
        assert workflows.claimable(session, CellWorkflowRow, limit=9) == [device.work]


def test_a_reservation_that_comes_late_is_not_noted(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        volumes.bring_to(session, server.uuid, device.uuid, Phase.DETACHING, work=device.work)
        assert not volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
        volumes.drop(session, instances.lock(session, server.uuid), device.uuid)
        assert not volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
    assert _known(db, server) == ()


def test_a_server_being_deleted_takes_no_reservation(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        operations.begin_delete(session, server.uuid, REQUESTER, timeout_s=60)
        assert not volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)


def test_a_refused_volume_leaves_no_place(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        volumes.give_up(session, server.uuid, device, may_be_reserved=False)
    assert _known(db, server) == ()
    assert _statuses(db, server) == [Status.SUPERSEDED]


def test_a_volume_that_may_be_reserved_is_left_to_a_conductor(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        volumes.give_up(session, server.uuid, device, may_be_reserved=True)
    assert _known(db, server) == (device,)
    with db.reader() as session:
        assert workflows.claimable(session, CellWorkflowRow, limit=9) == [device.work]


def test_a_volume_is_detached_once(db: Database, server: Instance) -> None:
    device = _attached(db, server)
    with db.writer() as session:
        volumes.begin_detach(session, server.uuid, str(device.volume_id), REQUESTER, timeout_s=60)
    with pytest.raises(errors.Conflict, match="detaching"), db.writer() as session:
        volumes.begin_detach(session, server.uuid, str(device.volume_id), REQUESTER, timeout_s=60)
    with pytest.raises(errors.NotFound), db.writer() as session:
        volumes.begin_detach(session, server.uuid, "another", REQUESTER, timeout_s=60)


def test_agents_are_told_what_may_come_and_go(db: Database, server: Instance) -> None:
    device = _begin(db, server, _wanted())

    def may(phase: Phase, *, host: str = "host1", epoch: int = server.epoch) -> bool:
        with db.reader() as session:
            return volumes.is_in_phase(session, host, server.uuid, epoch, device.uuid, phase)

    assert not may(Phase.ATTACHING)
    with db.writer() as session:
        volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
    assert may(Phase.ATTACHING)
    assert not may(Phase.DETACHING)
    assert not may(Phase.ATTACHING, host="host2")
    assert not may(Phase.ATTACHING, epoch=server.epoch + 1)
    with db.writer() as session:
        operations.begin_delete(session, server.uuid, REQUESTER, timeout_s=60)
    assert not may(Phase.ATTACHING)


def test_what_takes_over_from_a_reboot_leaves_work_on_volumes_alone(db: Database, server: Instance) -> None:
    _begin(db, server, _wanted())
    device = _begin(db, server, _wanted())
    with db.writer() as session:
        volumes.note_reserved(session, server.uuid, device, "attachment", REQUESTER)
        operations.begin(session, server.uuid, "reboot", Requester("user", "project", "req-2"), timeout_s=60)
    with db.writer() as session:
        operations.begin(session, server.uuid, "reboot-hard", Requester("user", "project", "req-3"), timeout_s=60)
    assert _statuses(db, server) == [Status.PENDING, Status.SUPERSEDED, Status.PENDING, Status.PENDING]
    with db.reader() as session:
        assert actions.is_under_way(session, server.uuid, "req-1", "attach_volume")
        assert not actions.is_under_way(session, server.uuid, "req-2", "reboot")
        assert instances.get(session, server.uuid).task_state is TaskState.REBOOTING_HARD

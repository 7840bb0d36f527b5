"""Instances of one cell. Writes that can race name what they expect and raise Conflict otherwise."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens
from nova_lite.errors import Conflict, NotFound
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.conductor import ExpectedGuest
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, InjectedFile, Instance
from nova_lite.model.states import COPYING_TO_SHELVE, ENDING_CONSOLES, TaskState, VmState, after_power_report
from nova_lite.model.workflow import OPEN
from nova_lite.storage import Handle

_T = cast(sa.Table, InstanceRow.__table__).c
#: What an Instance and its table call by different names.
_COLUMN_NAMES = {
    "image_id": "image_ref",
    "metadata": "user_metadata",
    "has_config_drive": "config_drive",
    "is_locked": "locked",
}
_FIELDS = [field.name for field in fields(Instance)]
#: The columns of an Instance, in the order of its fields: a row of them is read by place, which is quickest.
COLUMNS = tuple(_T[_COLUMN_NAMES.get(name, name)] for name in _FIELDS)
#: Made once, for each show of a server runs one of them.
_EVEN_DELETED = sa.select(*COLUMNS).where(_T.uuid == sa.bindparam("uuid"))
_LIVING = _EVEN_DELETED.where(_T.deleted.is_(False))
_HELD = _LIVING.with_for_update()
_HELD_BRIEFLY = (
    sa.select(_T.vm_state, _T.task_state, _T.host)
    .where(_T.uuid == sa.bindparam("uuid"), _T.deleted.is_(False))
    .with_for_update()
)
_PLACED = sa.select(_T.uuid, _T.host, _T.epoch, _T.task_state, _T.volumes).where(
    _T.uuid == sa.bindparam("uuid"), _T.deleted.is_(False)
)
_PLACED_HELD = _PLACED.with_for_update()
_TABLE = cast(sa.Table, InstanceRow.__table__)
_ADD = sa.insert(_TABLE)
_IS_THERE = sa.select(_T.id).where(_T.uuid == sa.bindparam("uuid"))
_ON = sa.select(_T.host, _T.epoch, _T.task_state).where(_T.uuid == sa.bindparam("uuid"), _T.deleted.is_(False))
_WHEREABOUTS = sa.select(_T.uuid, _T.host, _T.epoch, _T.task_state).where(
    _T.uuid.in_(sa.bindparam("uuids", expanding=True)), _T.deleted.is_(False)
)
_REMOVED = sa.delete(_TABLE).where(_T.uuid == sa.bindparam("uuid"))
_CHANGED = sa.update(_TABLE).where(_T.uuid == sa.bindparam("this"), _T.deleted.is_(False))
_CHANGED_AT_REST = _CHANGED.where(_T.task_state.is_(None))
_CHANGED_DURING = _CHANGED.where(_T.task_state == sa.bindparam("task"))


def _devices(stored: Any) -> tuple[BlockDevice, ...]:
    return msgspec.convert(stored, tuple[BlockDevice, ...]) if stored else ()


def _files(stored: Any) -> tuple[InjectedFile, ...]:
    return msgspec.convert(stored, tuple[InjectedFile, ...]) if stored else ()


_TASKS: dict[str | None, TaskState | None] = {None: None, **{state.value: state for state in TaskState}}
#: What is more than a plain value: its place, and how it is made of what is stored.
_MADE: tuple[tuple[int, Callable[[Any], object]], ...] = (
    (_FIELDS.index("vm_state"), {state.value: state for state in VmState}.__getitem__),
    (_FIELDS.index("task_state"), _TASKS.__getitem__),
    (_FIELDS.index("power_state"), {state.value: state for state in PowerState}.__getitem__),
    (_FIELDS.index("flavor"), lambda stored: Flavor(**stored)),
    (_FIELDS.index("tags"), tuple),
    (_FIELDS.index("fault"), lambda stored: stored and msgspec.convert(stored, Fault)),
    (_FIELDS.index("volumes"), _devices),
    (_FIELDS.index("personality"), _files),
)
#: States of an instance whose guest must be off, and of one whose guest should be running.
_OFF = (VmState.STOPPED, VmState.SOFT_DELETED, VmState.SHELVED)
_RUNNING = (VmState.ACTIVE, VmState.RESCUED, VmState.RESIZED)


@dataclass(frozen=True, slots=True)
class Held:
    """What is to be known of an instance that is held."""

    vm_state: VmState
    task_state: TaskState | None
    host: str | None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """On which host an instance is, which guest of its guests that is, and what is being done to it."""

    host: str | None
    epoch: int
    task_state: TaskState | None


@dataclass(frozen=True, slots=True)
class Placed:
    """What work on an instance's volumes has to know of it."""

    uuid: str
    host: str | None
    epoch: int
    task_state: TaskState | None
    volumes: tuple[BlockDevice, ...]


def add(handle: Handle, instance: Instance, *, may_be_there: bool = True) -> None:
    """Insert an instance; one with its UUID that ``may_be_there`` already is left alone."""
    if not may_be_there or handle.scalar(_IS_THERE, {"uuid": instance.uuid}) is None:
        handle.execute(_ADD, _values(instance))


def get(handle: Handle, uuid: str, *, with_deleted: bool = False) -> Instance:
    """Return one instance; raises NotFound."""
    row = handle.execute(_EVEN_DELETED if with_deleted else _LIVING, {"uuid": uuid}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return instance_of(row)


def lock(handle: Handle, uuid: str) -> Instance:
    """Return one instance, held against other writers until the transaction ends; raises NotFound."""
    row = handle.execute(_HELD, {"uuid": uuid}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return instance_of(row)


def hold(handle: Handle, uuid: str) -> Held:
    """Hold an instance as ``lock`` does, and return of it what most ask then: less than a tenth of it."""
    row = handle.execute(_HELD_BRIEFLY, {"uuid": uuid}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return Held(VmState(row.vm_state), _TASKS[row.task_state], row.host)


def placed(handle: Handle, uuid: str) -> Placed:
    """Return where an instance is and which volumes it has: less than a tenth of it; raises NotFound."""
    return _placed(handle, _PLACED, uuid)


def whereabouts(handle: Handle, uuids: Collection[str]) -> dict[str, Whereabouts]:
    """Return where instances are, by their UUIDs; those that are gone are missing."""
    rows = handle.execute(_WHEREABOUTS, {"uuids": list(uuids)})
    return {row.uuid: Whereabouts(row.host, row.epoch, _TASKS[row.task_state]) for row in rows}


def hold_placed(handle: Handle, uuid: str) -> Placed:
    """Hold an instance as ``lock`` does, and return of it what ``placed`` does."""
    return _placed(handle, _PLACED_HELD, uuid)


def _placed(handle: Handle, which: sa.Select[Any], uuid: str) -> Placed:
    row = handle.execute(which, {"uuid": uuid}).one_or_none()
    if row is None:
        raise NotFound(f"Instance {uuid} could not be found.")
    return Placed(row.uuid, row.host, row.epoch, _TASKS[row.task_state], _devices(row.volumes))


def change(handle: Handle, uuid: str, *, expect_task: TaskState | str | None = "any", **values: Any) -> None:
    """Set columns of a live instance; raises Conflict when it is gone or its task is not ``expect_task``.

    A task that ends its consoles revokes their tokens.
    """
    if unknown := values.keys() - _T.keys():
        raise TypeError(f"Instances have no {', '.join(sorted(unknown))}.")
    statement = {None: _CHANGED_AT_REST, "any": _CHANGED}.get(expect_task, _CHANGED_DURING)
    done = handle.execute(statement, {"this": uuid, "task": expect_task, "updated_at": utcnow(), **values})
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"Instance {uuid} is gone or busy with something else.")
    if values.get("task_state") in ENDING_CONSOLES:
        console_tokens.revoke(handle, uuid)


def set_fault(session: Session, uuid: str, fault: Fault, **values: Any) -> None:
    """Set an instance's fault, and other columns with it, whatever its task."""
    change(session, uuid, fault=msgspec.to_builtins(fault), **values)


def note_power(session: Session, uuid: str, host: str, power_state: PowerState) -> VmState | None:
    """Write down the power state a guest at rest on ``host`` was found in; one busy or elsewhere is left alone.

    Return the ``vm_state`` that the instance had, if that changed; else None.
    """
    row = session.scalar(
        sa.select(InstanceRow).filter_by(uuid=uuid, host=host, deleted=False, task_state=None).with_for_update()
    )
    if row is None:
        return None
    was = VmState(row.vm_state)
    row.power_state, row.vm_state = power_state, after_power_report(was, power_state)
    return None if row.vm_state == was else was


def note_upload(session: Session, uuid: str, host: str, epoch: int) -> None:
    """Write down that the disk of an instance being shelved on ``host`` is copied, and uploaded now."""
    pending, uploading = COPYING_TO_SHELVE
    session.execute(
        sa.update(InstanceRow)
        .where(
            InstanceRow.uuid == uuid,
            InstanceRow.host == host,
            InstanceRow.epoch == epoch,
            InstanceRow.task_state == pending,
            InstanceRow.deleted.is_(False),
        )
        .values(task_state=uploading, updated_at=utcnow())
    )


def mark_deleted(session: Session, uuid: str) -> bool:
    """Turn a live instance into a deleted one; False when it was not there or was deleted before."""
    now = utcnow()
    done = session.execute(
        sa.update(InstanceRow)
        .where(InstanceRow.uuid == uuid, InstanceRow.deleted.is_(False))
        .values(
            deleted=True,
            deleted_at=now,
            terminated_at=now,
            updated_at=now,
            vm_state=VmState.DELETED,
            task_state=None,
            power_state=PowerState.NOSTATE,
        )
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def reclaimable(session: Session, *, before: datetime, limit: int) -> list[Instance]:
    """Return soft-deleted instances at rest that were so ``before``, those deleted first."""
    statement = (
        sa.select(*COLUMNS)
        .where(
            _T.deleted.is_(False),
            _T.vm_state == VmState.SOFT_DELETED,
            _T.task_state.is_(None),
            _T.deleted_at < before,
        )
        .order_by(_T.deleted_at)
        .limit(limit)
    )
    return [instance_of(row) for row in session.execute(statement)]


def offloadable(session: Session, *, before: datetime, limit: int) -> list[Instance]:
    """Return shelved instances at rest that have been on their hosts since ``before``, those shelved first."""
    statement = (
        sa.select(*COLUMNS)
        .where(_T.deleted.is_(False), _T.vm_state == VmState.SHELVED, _T.task_state.is_(None), _T.shelved_at < before)
        .order_by(_T.shelved_at)
        .limit(limit)
    )
    return [instance_of(row) for row in session.execute(statement)]


def remove(handle: Handle, uuid: str) -> None:
    """Take back an instance that no user ever saw in this cell."""
    handle.execute(_REMOVED, {"uuid": uuid})


def lives(session: Session, uuid: str) -> bool:
    """Return whether there is such an instance that is not deleted."""
    found = sa.select(InstanceRow.id).filter_by(uuid=uuid, deleted=False)
    return session.scalar(found) is not None


def expected_on(session: Session, host: str) -> list[ExpectedGuest]:
    """Return what should be on ``host``."""
    at_work = (
        sa.select(CellWorkflowRow.id)
        .where(CellWorkflowRow.subject == InstanceRow.uuid, CellWorkflowRow.status.in_(OPEN))
        .exists()
    )
    rows = session.execute(
        sa.select(
            InstanceRow.uuid,
            InstanceRow.epoch,
            InstanceRow.power_state,
            InstanceRow.vm_state,
            InstanceRow.task_state,
            at_work,
        ).filter_by(host=host, deleted=False)
    )
    return [
        ExpectedGuest(
            uuid=uuid,
            epoch=epoch,
            power_state=PowerState(power_state),
            should_run=vm_state in _RUNNING,
            must_be_off=vm_state in _OFF,
            is_settled=task_state is None and not busy,
        )
        for uuid, epoch, power_state, vm_state, task_state, busy in rows
    ]


def task_on(session: Session, uuid: str, host: str, epoch: int) -> TaskState | None:
    """Return what is being done to an instance, if it lives and belongs on ``host`` at ``epoch``, else None."""
    row = session.execute(_ON, {"uuid": uuid}).one_or_none()
    if row is None or (row.host, row.epoch) != (host, epoch) or row.task_state is None:
        return None
    return TaskState(row.task_state)


def on(host: str, node: str, node_name: str) -> dict[str, Any]:
    """Return the columns that say where an instance is."""
    return {"host": host, "node": node, "node_name": node_name}


def sized(flavor: Flavor, *, boots_from_volume: bool) -> dict[str, Any]:
    """Return the columns that hold an instance's flavor; its host gives it no root disk if that is a volume."""
    return {
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.ram_mib,
        "root_gb": 0 if boots_from_volume else flavor.root_gib,
        "ephemeral_gb": flavor.ephemeral_gib,
        "flavor": msgspec.to_builtins(flavor),
    }


def with_volumes(devices: Sequence[BlockDevice]) -> dict[str, Any]:
    """Return the column that holds an instance's volumes."""
    return {"volumes": msgspec.to_builtins(devices) or None}


def instance_of(row: Sequence[Any]) -> Instance:
    """Return the Instance that a row of ``COLUMNS`` holds."""
    values = list(row)
    for place, made in _MADE:
        values[place] = made(values[place])
    return Instance(*values)


def _values(instance: Instance) -> dict[str, Any]:
    """Return the columns that hold ``instance``."""
    return {
        "uuid": instance.uuid,
        "project_id": instance.project_id,
        "user_id": instance.user_id,
        "display_name": instance.display_name,
        "hostname": instance.hostname,
        "description": instance.description,
        "vm_state": instance.vm_state,
        "task_state": instance.task_state,
        "power_state": instance.power_state,
        "host": instance.host,
        "node": instance.node,
        "node_name": instance.node_name,
        "epoch": instance.epoch,
        **sized(instance.flavor, boots_from_volume=instance.boots_from_volume),
        "image_ref": instance.image_id,
        "image_properties": instance.image_properties,
        "user_metadata": instance.metadata,
        "tags": list(instance.tags),
        "key_name": instance.key_name,
        "key_data": instance.key_data,
        "user_data": instance.user_data,
        "config_drive": instance.has_config_drive,
        "availability_zone": instance.availability_zone,
        "requested_zone": instance.requested_zone,
        "launch_index": instance.launch_index,
        "reservation_id": instance.reservation_id,
        "root_device_name": instance.root_device_name,
        "access_ip_v4": instance.access_ip_v4,
        "access_ip_v6": instance.access_ip_v6,
        "disk_config": instance.disk_config,
        "locked": instance.is_locked,
        "locked_reason": instance.locked_reason,
        "scheduling": instance.scheduling,
        "fault": None if instance.fault is None else msgspec.to_builtins(instance.fault),
        "created_at": instance.created_at,
        "updated_at": instance.updated_at,
        "launched_at": instance.launched_at,
        "terminated_at": instance.terminated_at,
        "deleted_at": instance.deleted_at,
        "deleted": instance.is_deleted,
        "shelved_image": instance.shelved_image,
        **with_volumes(instance.volumes),
        "personality": msgspec.to_builtins(instance.personality) or None,
        "boot_roles": instance.boot_roles,
    }


def hosts_of(session: Session, uuids: Sequence[str]) -> dict[str, str]:
    """Return instance → host, of living instances that are on one."""
    statement = sa.select(InstanceRow.uuid, InstanceRow.host).where(
        InstanceRow.uuid.in_(uuids), InstanceRow.host.is_not(None), InstanceRow.deleted.is_(False)
    )
    return {uuid: str(host) for uuid, host in session.execute(statement)}

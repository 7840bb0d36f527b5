"""Servers accepted but not yet in a cell, and what was asked for them; both in the API database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import BuildRequestRow, RequestSpecRow
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import RequestSpec
from nova_lite.storage import Handle, unanswered

#: Made once, for each boot runs them.
_REQUESTS = cast(sa.Table, BuildRequestRow.__table__)
_SPECS = cast(sa.Table, RequestSpecRow.__table__)
_ADD, _ADD_SPEC = unanswered(sa.insert(_REQUESTS)), unanswered(sa.insert(_SPECS))
_ONE = sa.select(_REQUESTS.c.instance).where(_REQUESTS.c.instance_uuid == sa.bindparam("uuid"))
_HELD = _ONE.with_for_update()
_SPEC = sa.select(_SPECS.c.spec).where(_SPECS.c.instance_uuid == sa.bindparam("uuid"))
_SOME: sa.BindParameter[Sequence[str]] = sa.bindparam("some", expanding=True)
_WAITING = sa.select(_REQUESTS.c.instance_uuid).where(_REQUESTS.c.instance_uuid.in_(_SOME))
#: Servers that are read at once where not all may be wanted.
_AT_ONCE = 200


def add(handle: Handle, instances: Sequence[Instance], spec: RequestSpec) -> None:
    """Record accepted servers of one request: two statements, however many they are."""
    handle.execute(
        _ADD,
        [
            {
                "instance_uuid": instance.uuid,
                "project_id": instance.project_id,
                "instance": msgspec.to_builtins(instance),
                "created_at": instance.created_at,
            }
            for instance in instances
        ],
    )
    asked = msgspec.to_builtins(spec)
    handle.execute(_ADD_SPEC, [{"instance_uuid": instance.uuid, "spec": asked} for instance in instances])


def get(handle: Handle, instance_uuid: str, *, for_update: bool = False) -> Instance | None:
    """Return a server that is in no cell yet, or None; ``for_update`` holds it until the transaction ends."""
    stored = handle.execute(_HELD if for_update else _ONE, {"uuid": instance_uuid}).scalar_one_or_none()
    return None if stored is None else _instance(stored)


def of(session: Session, project_id: str | None) -> list[Instance]:
    """Return every server that is in no cell yet, of a project or of all."""
    statement = sa.select(BuildRequestRow).order_by(BuildRequestRow.created_at.desc(), BuildRequestRow.id.desc())
    if project_id is not None:
        statement = statement.filter_by(project_id=project_id)
    return [_instance(row.instance) for row in session.scalars(statement)]


def by_time(
    session: Session, project_id: str | None, *, descends: bool, after: tuple[datetime, str] | None
) -> Iterator[Instance]:
    """Yield the servers that are in no cell yet, of a project or of all, by time and UUID, which go the same way.

    Begins behind the time and UUID ``after``. No more is read than is taken, but for a part of the last reading.
    """
    key = (BuildRequestRow.created_at, BuildRequestRow.instance_uuid)
    while True:
        statement = sa.select(BuildRequestRow).order_by(*(column.desc() if descends else column for column in key))
        if project_id is not None:
            statement = statement.where(BuildRequestRow.project_id == project_id)
        if after is not None:
            time, uuid = after
            later = BuildRequestRow.created_at < time if descends else BuildRequestRow.created_at > time
            behind = BuildRequestRow.instance_uuid < uuid if descends else BuildRequestRow.instance_uuid > uuid
            statement = statement.where(sa.or_(later, sa.and_(BuildRequestRow.created_at == time, behind)))
        rows = list(session.scalars(statement.limit(_AT_ONCE)))
        yield from (_instance(row.instance) for row in rows)
        if len(rows) < _AT_ONCE:
            return
        after = (rows[-1].created_at, rows[-1].instance_uuid)


def waiting(handle: Handle, instance_uuids: Sequence[str]) -> set[str]:
    """Return those of ``instance_uuids`` that are in no cell yet and still wanted."""
    return set(handle.scalars(_WAITING, {"some": instance_uuids}))


def rename(session: Session, instance: Instance) -> bool:
    """Keep what changed on a server that is in no cell yet; False when it is in one now."""
    changed = session.execute(
        sa.update(BuildRequestRow)
        .where(BuildRequestRow.instance_uuid == instance.uuid)
        .values(instance=msgspec.to_builtins(instance))
    )
    return bool(changed.rowcount == 1)  # type: ignore[attr-defined]


def explain(session: Session, instance_uuids: Sequence[str], explanation: Mapping[str, object]) -> None:
    """Keep with servers that are in no cell yet why they got no host."""
    statement = sa.select(BuildRequestRow).where(BuildRequestRow.instance_uuid.in_(instance_uuids))
    for row in session.scalars(statement.with_for_update()):
        row.instance = {**row.instance, "scheduling": explanation}


def drop(session: Session, instance_uuid: str) -> bool:
    """Take back a server that is in no cell yet; False when it is in one now (or gone)."""
    dropped = session.execute(sa.delete(BuildRequestRow).where(BuildRequestRow.instance_uuid == instance_uuid))
    return bool(dropped.rowcount == 1)  # type: ignore[attr-defined]


def spec(handle: Handle, instance_uuid: str) -> RequestSpec | None:
    """Return what was asked of the scheduler for an instance, or None."""
    stored = handle.execute(_SPEC, {"uuid": instance_uuid}).scalar_one_or_none()
    return None if stored is None else msgspec.convert(stored, RequestSpec)


def hints_of(session: Session, instance_uuids: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return instance UUID → scheduler hints as sent, of those of ``instance_uuids`` that are known."""
    rows = session.execute(
        sa.select(RequestSpecRow.instance_uuid, RequestSpecRow.spec).where(
            RequestSpecRow.instance_uuid.in_(instance_uuids)
        )
    )
    return {uuid: stored.get("hints") or {} for uuid, stored in rows}


def pin(session: Session, instance_uuid: str, zone: str | None) -> None:
    """Make later moves of an instance keep to ``zone``, or to none."""
    row = session.get(RequestSpecRow, instance_uuid, with_for_update=True)
    if row is not None:
        row.spec = {**row.spec, "availability_zone": zone}


def resize(session: Session, instance_uuid: str, flavor: Flavor) -> None:
    """Keep with what was asked for an instance the flavor it has now."""
    row = session.get(RequestSpecRow, instance_uuid, with_for_update=True)
    if row is not None:
        row.spec = {**row.spec, "flavor": msgspec.to_builtins(flavor)}


def rebuild(
    session: Session, instance_uuid: str, image_id: str, properties: Mapping[str, str], disk_format: str | None
) -> None:
    """Keep with what was asked for an instance the image it has now."""
    row = session.get(RequestSpecRow, instance_uuid, with_for_update=True)
    if row is not None:
        image = {"image_id": image_id, "image_properties": dict(properties), "image_disk_format": disk_format}
        row.spec = {**row.spec, **image}


def _instance(stored: Mapping[str, Any]) -> Instance:
    return msgspec.convert(stored, Instance)

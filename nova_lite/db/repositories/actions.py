"""Instance actions and their events: what was done to an instance, by whom, and how it went."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import InstanceActionEventRow, InstanceActionRow
from nova_lite.db.columns import utcnow
from nova_lite.errors import Invalid
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Handle

_ACTIONS = cast(sa.Table, InstanceActionRow.__table__)
_EVENTS = cast(sa.Table, InstanceActionEventRow.__table__)
_A, _E = _ACTIONS.c, _EVENTS.c
#: Made once, for each operation runs them.
_OF_REQUEST = sa.select(_A.id).where(
    _A.instance_uuid == sa.bindparam("instance"), _A.request_id == sa.bindparam("request")
)
_KNOWN = _OF_REQUEST.where(_A.action == sa.bindparam("action"))
_OPEN = _OF_REQUEST.where(_A.finish_time.is_(None)).limit(1)
_BEGUN, _EVENT_BEGUN = sa.insert(_ACTIONS), sa.insert(_EVENTS)
_ENDED = sa.update(_ACTIONS).where(
    _A.instance_uuid == sa.bindparam("instance"), _A.request_id == sa.bindparam("request"), _A.finish_time.is_(None)
)
_OPEN_EVENTS = sa.update(_EVENTS).where(_E.finish_time.is_(None))
_EVENT_ENDED = _OPEN_EVENTS.where(_E.action_id == sa.bindparam("of"))
_EVENT_OF_REQUEST_ENDED = _OPEN_EVENTS.where(_E.action_id == _OPEN.scalar_subquery())


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """One part of an action; ``result`` is None while it runs, else Success or Error."""

    event: str
    start_time: datetime
    finish_time: datetime | None
    result: str | None
    host: str | None
    details: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class InstanceAction:
    """An action; ``message`` is None unless it failed."""

    id: int
    instance_uuid: str
    action: str
    request_id: str
    user_id: str
    project_id: str
    message: str | None
    start_time: datetime
    finish_time: datetime | None
    updated_at: datetime
    events: tuple[ActionEvent, ...] = ()


def begin(
    handle: Handle,
    *,
    instance_uuid: str,
    action: str,
    request_id: str,
    user_id: str,
    project_id: str,
    event: str | None,
) -> None:
    """Record that ``action`` has begun, with its first event if any; again for the same request changes nothing."""
    if not is_known(handle, instance_uuid, request_id, action):
        new = {"instance_uuid": instance_uuid, "request_id": request_id, "action": action}
        begin_new(handle, event=event, **new, user_id=user_id, project_id=project_id)


def begin_new(handle: Handle, *, event: str | None, **new: str) -> None:
    """Record as ``begin`` does an action that nobody can have begun yet."""
    now = utcnow()
    made: Any = handle.execute(_BEGUN, {**new, "start_time": now})
    if event is not None:
        action_id = made.inserted_primary_key[0]
        handle.execute(_EVENT_BEGUN, {"action_id": action_id, "event": event, "start_time": now})


def take_back(session: Session, *, instance_uuid: str, request_id: str, action: str) -> None:
    """Forget that a request began ``action`` on an instance: it was refused after all."""
    known = {"instance": instance_uuid, "request": request_id, "action": action}
    session.execute(sa.delete(_EVENTS).where(_E.action_id.in_(_KNOWN)), known)
    session.execute(
        sa.delete(_ACTIONS).where(_A.instance_uuid == instance_uuid, _A.request_id == request_id, _A.action == action)
    )


def is_known(handle: Handle, instance_uuid: str, request_id: str, action: str) -> bool:
    """Return whether a request has begun ``action`` on an instance, however that went."""
    sought = {"instance": instance_uuid, "request": request_id, "action": action}
    return handle.scalar(_KNOWN, sought) is not None


def is_under_way(session: Session, instance_uuid: str, request_id: str, action: str) -> bool:
    """Return whether ``action``, which a request has begun on an instance, has not ended."""
    known = sa.select(InstanceActionRow.id).filter_by(
        instance_uuid=instance_uuid, request_id=request_id, action=action, finish_time=None
    )
    return session.scalar(known) is not None


def begin_again(session: Session, *, instance_uuid: str, request_id: str, event: str) -> None:
    """Record that an action which is under way began one more event, such as the next attempt at the same thing."""
    action_id = _open_action(session, instance_uuid, request_id)
    if action_id is not None:
        session.execute(sa.insert(_EVENTS), {"action_id": action_id, "event": event})


def begin_one(session: Session, *, instance_uuid: str, request_id: str, event: str) -> None:
    """Record that an action which is under way began an event, unless one of it is still open: it may end in that."""
    action_id = _open_action(session, instance_uuid, request_id)
    is_open = sa.select(InstanceActionEventRow.id).filter_by(action_id=action_id, finish_time=None).limit(1)
    if session.scalar(is_open) is None:
        begin_again(session, instance_uuid=instance_uuid, request_id=request_id, event=event)


def next_event(session: Session, *, instance_uuid: str, request_id: str, event: str, host: str | None) -> None:
    """Record that what an action was doing on ``host`` went well, and that it began one more event."""
    action_id = _open_action(session, instance_uuid, request_id)
    _end_event(session, action_id, utcnow(), error=None, host=host)
    begin_again(session, instance_uuid=instance_uuid, request_id=request_id, event=event)


def fail_event(
    session: Session, *, instance_uuid: str, request_id: str, error: str, host: str | None, traceback: str | None
) -> None:
    """Record that what an action was just trying failed; the action goes on.

    ``error`` is for users to read, ``traceback`` for administrators.
    """
    action_id = _open_action(session, instance_uuid, request_id)
    _end_event(session, action_id, utcnow(), error=error, host=host, traceback=traceback)


def _open_action(session: Session, instance_uuid: str, request_id: str) -> int | None:
    return session.scalar(_OPEN, {"instance": instance_uuid, "request": request_id})


def _end_event(session: Session, action_id: int | None, now: datetime, **how: str | None) -> None:
    session.execute(_EVENT_ENDED, {"of": action_id, **_ending(now, **how)})


def _ending(now: datetime, *, error: str | None, host: str | None, traceback: str | None = None) -> dict[str, Any]:
    if error is None:
        return {"finish_time": now, "result": "Success", "details": None, "traceback": None, "host": host}
    return {"finish_time": now, "result": "Error", "details": error, "traceback": traceback, "host": host}


def finish(
    session: Session,
    *,
    instance_uuid: str,
    request_id: str,
    error: str | None,
    host: str | None,
    traceback: str | None = None,
) -> None:
    """Record how the actions of a request on an instance ended: well, or with ``error``.

    ``error`` is for users to read, ``traceback`` for administrators; of what went well it is not kept.
    """
    now = utcnow()
    which = {"instance": instance_uuid, "request": request_id}
    session.execute(_EVENT_OF_REQUEST_ENDED, {**which, **_ending(now, error=error, host=host, traceback=traceback)})
    message = None if error is None else "Error"
    session.execute(_ENDED, {**which, "finish_time": now, "updated_at": now, "message": message})


def finish_work(session: Session, workflow: Workflow, *, error: str | None, host: str | None) -> None:
    """Record how the action that ``workflow`` carries out ended, as ``finish`` does."""
    finish(
        session,
        instance_uuid=workflow.subject,
        request_id=workflow.request_id,
        error=error,
        host=host,
        traceback=workflow.traceback,
    )


def interrupt(session: Session, instance_uuid: str, by: str, *, spare: Collection[str] = ()) -> None:
    """Record that whatever was being done to an instance, but for actions to ``spare``, ended as ``by`` took over."""
    now = utcnow()
    unfinished = sa.select(InstanceActionRow.id).where(
        InstanceActionRow.instance_uuid == instance_uuid,
        InstanceActionRow.finish_time.is_(None),
        InstanceActionRow.action.not_in(spare),
    )
    ids = list(session.scalars(unfinished))
    if not ids:
        return
    session.execute(
        sa.update(InstanceActionEventRow)
        .where(InstanceActionEventRow.action_id.in_(ids), InstanceActionEventRow.finish_time.is_(None))
        .values(finish_time=now, result="Error", details=f"Interrupted by {by}.")
    )
    session.execute(
        sa.update(InstanceActionRow)
        .where(InstanceActionRow.id.in_(ids))
        .values(finish_time=now, updated_at=now, message="Error")
    )


def of_instance(session: Session, instance_uuid: str) -> list[InstanceAction]:
    """Return an instance's actions, newest first, without their events."""
    rows = session.scalars(
        sa.select(InstanceActionRow)
        .filter_by(instance_uuid=instance_uuid)
        .order_by(InstanceActionRow.start_time.desc(), InstanceActionRow.id.desc())
    )
    return [_action(row, ()) for row in rows]


def last(session: Session, instance_uuid: str, action: str) -> InstanceAction | None:
    """Return when ``action`` was last done to an instance, without its events; None when it never was."""
    row = session.scalar(
        sa.select(InstanceActionRow)
        .filter_by(instance_uuid=instance_uuid, action=action)
        .order_by(InstanceActionRow.id.desc())
        .limit(1)
    )
    return None if row is None else _action(row, ())


def page(
    session: Session,
    instance_uuid: str,
    limit: int,
    *,
    marker: str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[InstanceAction]:
    """Return an instance's actions, newest first, behind the one of request ``marker``, without their events.

    ``since`` and ``before`` bound when they last changed. Raises Invalid when ``marker`` did nothing to the instance.
    """
    statement = (
        sa.select(InstanceActionRow)
        .where(InstanceActionRow.instance_uuid == instance_uuid)
        .order_by(InstanceActionRow.start_time.desc(), InstanceActionRow.id.desc())
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(InstanceActionRow.updated_at >= since)
    if before is not None:
        statement = statement.where(InstanceActionRow.updated_at <= before)
    if marker is not None:
        last = session.scalar(
            sa.select(InstanceActionRow).filter_by(instance_uuid=instance_uuid, request_id=marker).limit(1)
        )
        if last is None:
            raise Invalid(f"marker: request {marker[:64]!r} could not be found")
        statement = statement.where(
            sa.or_(
                InstanceActionRow.start_time < last.start_time,
                sa.and_(InstanceActionRow.start_time == last.start_time, InstanceActionRow.id < last.id),
            )
        )
    return [_action(row, ()) for row in session.scalars(statement)]


def of_request(session: Session, instance_uuid: str, request_id: str) -> InstanceAction | None:
    """Return the action a request did to an instance, with its events, or None."""
    row = session.scalar(
        sa.select(InstanceActionRow)
        .filter_by(instance_uuid=instance_uuid, request_id=request_id)
        .order_by(InstanceActionRow.id)
        .limit(1)
    )
    if row is None:
        return None
    events = session.scalars(
        sa.select(InstanceActionEventRow).filter_by(action_id=row.id).order_by(InstanceActionEventRow.id)
    )
    return _action(row, [_event(event) for event in events])


def _action(row: InstanceActionRow, events: Sequence[ActionEvent]) -> InstanceAction:
    return InstanceAction(
        id=row.id,
        instance_uuid=row.instance_uuid,
        action=row.action,
        request_id=row.request_id,
        user_id=row.user_id,
        project_id=row.project_id,
        message=row.message,
        start_time=row.start_time,
        finish_time=row.finish_time,
        updated_at=row.updated_at,
        events=tuple(events),
    )


def _event(row: InstanceActionEventRow) -> ActionEvent:
    return ActionEvent(
        event=row.event,
        start_time=row.start_time,
        finish_time=row.finish_time,
        result=row.result,
        host=row.host,
        details=row.details,
        traceback=row.traceback,
    )

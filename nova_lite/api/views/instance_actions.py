"""How it looks what was done to a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import falcon

from nova_lite.api.services.instance_actions import SeenAction
from nova_lite.api.views import links
from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.api.views.host_id import host_id
from nova_lite.db.repositories.actions import ActionEvent, InstanceAction
from nova_lite.model.operation import Operation
from nova_lite.web import paging
from nova_lite.web.versions import Version

#: From here on everybody sees the events, without what only administrators may see of them.
_EVENTS_FOR_ALL = Version(2, 51)


@dataclass(frozen=True)
class _SeenEvent:
    event: ActionEvent
    project_id: str
    operation: Operation | None


_ACTION = View[InstanceAction](
    Field("action", lambda action: action.action),
    Field("instance_uuid", lambda action: action.instance_uuid),
    Field("request_id", lambda action: action.request_id),
    Field("user_id", lambda action: action.user_id),
    Field("project_id", lambda action: action.project_id),
    Field("start_time", lambda action: timestamp(action.start_time)),
    Field("message", lambda action: action.message),
    Field("updated_at", lambda action: timestamp(action.updated_at), since="2.58"),
)
_EVENT = (
    Field[_SeenEvent]("event", lambda seen: seen.event.event),
    Field[_SeenEvent]("start_time", lambda seen: timestamp(seen.event.start_time)),
    Field[_SeenEvent]("finish_time", lambda seen: timestamp(seen.event.finish_time)),
    Field[_SeenEvent]("result", lambda seen: seen.event.result),
    Field[_SeenEvent]("hostId", lambda seen: host_id(seen.project_id, seen.event.host), since="2.62"),
)
_HOSTS = (
    Field[_SeenEvent]("traceback", lambda seen: seen.event.traceback),
    Field[_SeenEvent]("host", lambda seen: seen.event.host, since="2.62"),
)


def _details(seen: _SeenEvent) -> str | None:
    """Return why an event failed or, while it lasts, how far what it is part of has come."""
    if seen.event.finish_time is not None or seen.operation is None:
        return seen.event.details
    return progress(seen.operation)


def progress(operation: Operation) -> str | None:
    """Return in words where an operation stands, how much is behind, until when it has, and why it is undone."""
    stage = operation.stage
    if stage is None:
        return None
    of = f" of {len(operation.steps)}" if operation.steps else ""
    told = f"Step {stage.number}{of}: {stage.name}, attempt {stage.attempts}. {operation.percent} % done."
    told += f" Expires at {datetime.fromtimestamp(operation.deadline, UTC):%Y-%m-%dT%H:%M:%SZ}."
    return told if operation.reason is None else f"{told} Being undone: {operation.reason}"


_DETAILS = (Field[_SeenEvent]("details", _details, since="2.84"),)
#: (shows hosts, shows details) → how an event looks.
_EVENT_VIEWS = {
    (hosts, details): View(*_EVENT, *(_HOSTS if hosts else ()), *(_DETAILS if details else ()))
    for hosts in (False, True)
    for details in (False, True)
}


def many(req: falcon.Request, actions: Sequence[InstanceAction], *, has_more: bool) -> dict[str, object]:
    """Return one page of actions."""
    document: dict[str, object] = {
        "instanceActions": [_ACTION.render(action, req.context.version) for action in actions]
    }
    if has_more:
        href = paging.next_url(links.collection_url(req), req.context.query, actions[-1].request_id)
        document["links"] = [{"rel": "next", "href": href}]
    return document


def one(req: falcon.Request, seen: SeenAction) -> dict[str, object]:
    """Return one action with what the caller may see of its events."""
    version: Version = req.context.version
    shown = _ACTION.render(seen.action, version)
    if seen.shows_hosts or version >= _EVENTS_FOR_ALL:
        view = _EVENT_VIEWS[seen.shows_hosts, seen.shows_details]
        project_id = seen.action.project_id
        shown["events"] = [
            view.render(_SeenEvent(event, project_id, seen.operation), version) for event in seen.action.events
        ]
    return {"instanceAction": shown}

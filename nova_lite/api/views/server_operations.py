"""How an operation on a server looks: in every microversion alike."""

from datetime import UTC, datetime

import falcon

from nova_lite.api.services.server_operations import Seen
from nova_lite.api.views import links
from nova_lite.api.views.fields import timestamp
from nova_lite.model.operation import Operation, Stage
from nova_lite.web import paging


def many(req: falcon.Request, seen: Seen) -> dict[str, object]:
    """Return one page of operations."""
    document: dict[str, object] = {"operations": [_shown(each, seen) for each in seen.operations]}
    if seen.has_more:
        href = paging.next_url(links.collection_url(req), req.context.query, seen.operations[-1].lead.uuid)
        document["operations_links"] = [{"rel": "next", "href": href}]
    return document


def one(seen: Seen) -> dict[str, object]:
    """Return one operation with all its steps."""
    (operation,) = seen.operations
    return {"operation": {**_shown(operation, seen), "steps": operation.steps}}


def _shown(operation: Operation, seen: Seen) -> dict[str, object]:
    lead, stage = operation.lead, operation.stage
    shown: dict[str, object] = {
        "id": lead.uuid,
        "action": operation.action,
        "request_id": lead.request_id,
        "user_id": lead.user_id,
        "project_id": lead.project_id,
        "state": operation.state,
        "step": None if stage is None else _step(stage, of=len(operation.steps)),
        "progress": operation.percent,
        "reason": operation.reason,
        "started_at": timestamp(lead.created_at),
        "updated_at": timestamp(operation.updated_at),
        "finished_at": None if operation.is_open else timestamp(operation.updated_at),
        "expires_at": timestamp(datetime.fromtimestamp(operation.deadline, UTC)),
    }
    if seen.shows_hosts:
        shown["host"] = operation.host
    return shown


def _step(stage: Stage, *, of: int) -> dict[str, object]:
    return {"number": stage.number, "of": of, "name": stage.name, "attempts": stage.attempts}

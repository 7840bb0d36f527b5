"""``/os-aggregates`` and what is below it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api.microversions import MINIMUM
from nova_lite.api.policies import aggregates as policies
from nova_lite.api.schemas import aggregates as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, MAX_INT, read_uuid
from nova_lite.api.services.aggregates import AggregateChange, AggregateService
from nova_lite.api.views import aggregates as views
from nova_lite.db.repositories.aggregates import Aggregate
from nova_lite.model.caller import Caller
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, EMPTY_OK, endpoint
from nova_lite.web.validation import Kinds, Schemas

#: Told who asks, which aggregate, and what stands under the action's name.
Do = Callable[[AggregateService, Caller, int, Any], Aggregate]


@dataclass(frozen=True)
class Action:
    """One action: the rule it needs, the body it takes, what it does."""

    policy: str
    schema: Schemas
    do: Do


def _add_host(service: AggregateService, caller: Caller, aggregate_id: int, body: Mapping[str, str]) -> Aggregate:
    return service.add_host(caller, aggregate_id, body["host"])


def _remove_host(service: AggregateService, caller: Caller, aggregate_id: int, body: Mapping[str, str]) -> Aggregate:
    return service.remove_host(caller, aggregate_id, body["host"])


def _set_metadata(service: AggregateService, caller: Caller, aggregate_id: int, body: Mapping[str, Any]) -> Aggregate:
    return service.change(caller, aggregate_id, AggregateChange(metadata=body["metadata"]))


ACTIONS: Mapping[str, Action] = {
    "add_host": Action(policies.ADD_HOST, schemas.ADD_HOST, _add_host),
    "remove_host": Action(policies.REMOVE_HOST, schemas.REMOVE_HOST, _remove_host),
    "set_metadata": Action(policies.SET_METADATA, schemas.SET_METADATA, _set_metadata),
}


class Aggregates:
    """``/os-aggregates``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(policy=policies.INDEX, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, views.many(req, self._aggregates.all()))

    @endpoint(policy=policies.CREATE, query=ANY_QUERY, body=schemas.CREATE, enforce=True)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = req.context.body["aggregate"]
        made = self._aggregates.create(req.context.caller, wanted["name"], wanted.get("availability_zone"))
        send_json(resp, views.created(req, made))


class AggregateItem:
    """``/os-aggregates/{aggregate_id}``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        send_json(resp, views.one(req, self._aggregates.show(_number(aggregate_id))))

    @endpoint(policy=policies.UPDATE, query=ANY_QUERY, body=schemas.UPDATE, enforce=True)
    def on_put(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        wanted = req.context.body["aggregate"]
        metadata = {key: value for key, value in wanted.items() if key == "availability_zone"}
        change = AggregateChange(name=wanted.get("name"), metadata=metadata)
        send_json(resp, views.one(req, self._aggregates.change(req.context.caller, _number(aggregate_id), change)))

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, enforce=True, answers=EMPTY_OK)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        self._aggregates.remove(req.context.caller, _number(aggregate_id))


class AggregateAction:
    """``/os-aggregates/{aggregate_id}/action``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(
        policy=tuple(action.policy for action in ACTIONS.values()),
        query=ANY_QUERY,
        body=Kinds(schemas.ANY_ACTION, ((MINIMUM, None, action.schema) for action in ACTIONS.values())),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        caller, body = req.context.caller, req.context.body
        name = next(iter(body))
        action = ACTIONS.get(name)
        if action is None:
            raise errors.Invalid(f"There is no such action: {name[:64]}")
        caller.require(action.policy)
        action.schema.check(body, req.context.version, is_relaxed=req.context.is_relaxed)
        send_json(resp, views.one(req, action.do(self._aggregates, caller, _number(aggregate_id), body[name])))


class AggregateImages:
    """``/os-aggregates/{aggregate_id}/images``"""

    def __init__(self, aggregates: AggregateService) -> None:
        self._aggregates = aggregates

    @endpoint(
        policy=policies.CACHE_IMAGES,
        query=ANY_QUERY,
        body=schemas.CACHE_IMAGES,
        enforce=True,
        since="2.81",
        answers=ACCEPTED,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, aggregate_id: str) -> None:
        wanted = [read_uuid(image["id"], "cache.id") for image in req.context.body["cache"]]
        self._aggregates.cache_images(req.context.caller, _number(aggregate_id), wanted)
        resp.status = falcon.HTTP_202


def _number(text: str) -> int:
    """Return an aggregate's number; raises Invalid for what is none, NotFound for one that none has."""
    if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text, re.ASCII) is None:
        raise errors.Invalid(f"aggregate id: {text[:64]!r} is not a number")
    # Python refuses to read numbers of thousands of digits.
    number = int(text) if len(text) < 20 else MAX_INT + 1
    if not 0 < number <= MAX_INT:
        raise errors.NotFound(f"Aggregate {text[:64]} could not be found.")
    return number

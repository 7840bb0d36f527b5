"""``/flavors``, ``/flavors/detail`` and ``/flavors/{flavor_id}``."""

import re
import uuid as uuids
from collections.abc import Mapping
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api.policies import flavors as policies
from nova_lite.api.schemas import flavors as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, read_boolean, read_whole_number
from nova_lite.api.services.flavors import FlavorService
from nova_lite.api.views import flavors as views
from nova_lite.db.repositories.flavors import FlavorQuery
from nova_lite.model.flavor import Flavor
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, endpoint
from nova_lite.web.validation import Query

_TRUE = ("1", "t", "true", "on", "y", "yes")
_FALSE = ("0", "f", "false", "off", "n", "no")
_MAX_RXTX = 3.40282e38


class Flavors:
    """``/flavors``"""

    def __init__(self, flavors: FlavorService, *, max_limit: int) -> None:
        self._flavors = flavors
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_page(self._flavors, req, resp, self._max_limit, is_detailed=False)

    @endpoint(policy=policies.CREATE, query=LENIENT_QUERY, body=schemas.CREATE, enforce=True)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        flavor = _flavor(req.context.body["flavor"])
        self._flavors.create(req.context.caller, flavor)
        send_json(resp, views.one(req, flavor, with_extra_specs=_may_see_extra_specs(req)))


class FlavorsDetail:
    """``/flavors/detail``"""

    def __init__(self, flavors: FlavorService, *, max_limit: int) -> None:
        self._flavors = flavors
        self._max_limit = max_limit

    @endpoint(policy=policies.INDEX, query=schemas.LIST_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_page(self._flavors, req, resp, self._max_limit, is_detailed=True)


class FlavorItem:
    """``/flavors/{flavor_id}``"""

    def __init__(self, flavors: FlavorService) -> None:
        self._flavors = flavors

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        flavor = self._flavors.show(req.context.caller, flavor_id)
        send_json(resp, views.one(req, flavor, with_extra_specs=_may_see_extra_specs(req)))

    @endpoint(policy=policies.UPDATE, query=LENIENT_QUERY, body=schemas.UPDATE, enforce=True, since="2.55")
    def on_put(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        flavor = self._flavors.describe(req.context.caller, flavor_id, req.context.body["flavor"]["description"])
        send_json(resp, views.one(req, flavor, with_extra_specs=_may_see_extra_specs(req)))

    @endpoint(policy=policies.DELETE, query=LENIENT_QUERY, enforce=True, answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, flavor_id: str) -> None:
        self._flavors.delete(req.context.caller, flavor_id)
        resp.status = falcon.HTTP_202


def _send_page(
    flavors: FlavorService, req: falcon.Request, resp: falcon.Response, max_limit: int, *, is_detailed: bool
) -> None:
    page = paging.page(req.context.query, max_limit)
    caller = req.context.caller
    wanted = _wanted(req.context.query, caller.project_id, page.marker)
    found, has_more = flavors.page(caller, wanted, page.limit)
    document = views.many(
        req, found, is_detailed=is_detailed, with_extra_specs=_may_see_extra_specs(req), has_more=has_more
    )
    send_json(resp, document)


def _may_see_extra_specs(req: falcon.Request) -> bool:
    return bool(req.context.caller.may(policies.EXTRA_SPECS_INDEX))


def _wanted(query: Query, project_id: str, marker: str | None) -> FlavorQuery:
    return FlavorQuery(
        project_id=project_id,
        is_public=_is_public(query.one("is_public")),
        name_part=query.one("name"),
        min_ram_mib=_number(query, "minRam"),
        min_disk_gib=_number(query, "minDisk"),
        sort_key=query.one("sort_key") or "flavorid",
        is_descending=query.one("sort_dir") == "desc",
        marker=marker,
    )


def _is_public(text: str | None) -> bool | None:
    """Return what ``is_public`` asks for: the word none means all."""
    word = "true" if text is None else text.strip().lower()
    if word == "none":
        return None
    if word not in _TRUE + _FALSE:
        raise errors.Invalid(f"is_public: {word[:64]!r} is neither a truth value nor none")
    return word in _TRUE


def _number(query: Query, name: str) -> int | None:
    text = query.one(name)
    if text is None:
        return None
    if re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) is None:
        raise errors.Invalid(f"{name}: {text[:64]!r} is not a whole number")
    return int(text)


def _flavor(body: Mapping[str, Any]) -> Flavor:
    """Return the flavor a valid request body describes, with a new id where it names none."""
    flavor_id = body.get("id")
    flavor_id = str(uuids.uuid4()) if flavor_id is None else str(flavor_id)
    if re.fullmatch(schemas.FLAVOR_ID_PATTERN, flavor_id) is None:
        raise errors.Invalid(f"id: {flavor_id[:64]!r} is no flavor id")
    rxtx_factor = float(body.get("rxtx_factor", 1.0))
    if not 0 < rxtx_factor <= _MAX_RXTX:
        raise errors.Invalid("rxtx_factor: not greater than 0, or too great")
    return Flavor(
        flavor_id=flavor_id,
        name=body["name"],
        vcpus=read_whole_number(body, "vcpus", 1),
        ram_mib=read_whole_number(body, "ram", 1),
        root_gib=read_whole_number(body, "disk", 0),
        ephemeral_gib=read_whole_number(body, "OS-FLV-EXT-DATA:ephemeral", 0),
        swap_mib=read_whole_number(body, "swap", 0),
        rxtx_factor=rxtx_factor,
        is_public=read_boolean(body.get("os-flavor-access:is_public", True)),
        description=body.get("description"),
    )

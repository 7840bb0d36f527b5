"""``/servers`` and ``/servers/{id}``."""

from collections.abc import Mapping, Sequence
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api import urls
from nova_lite.api.handlers.looks import HostStatusSight, look
from nova_lite.api.handlers.passwords import Passwords
from nova_lite.api.handlers.rebuilds import read_files
from nova_lite.api.policies import server_scheduling as scheduling_rules
from nova_lite.api.policies import servers as rules
from nova_lite.api.schemas import servers as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, read_address, read_boolean, read_whole_number
from nova_lite.api.services import block_device_mappings
from nova_lite.api.services.block_device_mappings import Asked
from nova_lite.api.services.server_creation import NewServers, ServerCreationService
from nova_lite.api.services.server_deletion import ServerDeletionService
from nova_lite.api.services.server_lists import ListRequest, ServerListService, ServerPage
from nova_lite.api.services.servers import Details, Remains, ServerService
from nova_lite.api.views import links
from nova_lite.api.views import server_scheduling as scheduling_views
from nova_lite.api.views import servers as views
from nova_lite.db.repositories.instance_lists import Named
from nova_lite.model.instance import Instance
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import NO_CONTENT, Answers, endpoint
from nova_lite.web.validation import Query
from nova_lite.web.versions import Version

#: Version from which a description is its own; before, it was the name.
_OWN_DESCRIPTION = Version(2, 19)
#: Version from which a list refuses a status no server can have; before, it was empty.
_KNOWN_STATUS_ONLY = Version(2, 38)
#: Version from which a list also names servers whose cell does not answer.
_BEARS_DOWN_CELLS = Version(2, 69)
#: Version from which servers can be made with volumes that several of them may have.
_SHARED_VOLUMES = Version(2, 60)


class Servers:
    """``/servers``"""

    def __init__(
        self, creation: ServerCreationService, lists: ServerListService, passwords: Passwords, *, max_limit: int
    ) -> None:
        self._creation = creation
        self._lists = lists
        self._passwords = passwords
        self._max_limit = max_limit

    def rule_of(self, body: object) -> str | None:
        """Return the rule of whoever makes a server, whatever they ask for."""
        return rules.CREATE

    @endpoint(policy=rules.INDEX, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._lists.names(req.context.caller, _asked(req, self._max_limit))
        seen_by = look(req)
        servers = [views.basic(each, seen_by) for each in found.servers]
        _send_page(req, resp, found, servers, is_detailed=False)

    @endpoint(
        policy=(rules.CREATE, scheduling_rules.SHOW_HOSTS),
        query=schemas.CREATE_QUERY,
        body=schemas.CREATE,
        answers=Answers((202, 200)),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body: Mapping[str, Any] = req.context.body
        server: Mapping[str, Any] = body["server"]
        _refuse_unsupported(server)
        hints = body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints") or {}
        new = _new_servers(server, hints, req.context.version)
        if read_boolean(req.context.query.one("dry_run") or False):
            rehearsal = self._creation.rehearse(req.context.caller, new)
            with_hosts = req.context.caller.may(scheduling_rules.SHOW_HOSTS)
            send_json(resp, scheduling_views.rehearsal(rehearsal, with_hosts=with_hosts))
            return
        accepted = self._creation.create(req.context.caller, new)
        resp.status = falcon.HTTP_202
        if read_boolean(server.get("return_reservation_id", False)):
            send_json(resp, {"reservation_id": accepted.reservation_id}, falcon.HTTP_202)
            return
        first = accepted.instances[0]
        groups = server.get("security_groups", [{"name": "default"}])
        document = views.created(first, look(req), groups) | self._passwords.told(server.get("adminPass"))
        resp.location = f"{urls.api_url(req)}/servers/{first.uuid}"
        send_json(resp, {"server": document}, falcon.HTTP_202)


class ServersDetail:
    """``/servers/detail``"""

    def __init__(self, lists: ServerListService, *, max_limit: int) -> None:
        self._lists = lists
        self._max_limit = max_limit

    @endpoint(policy=rules.DETAIL, query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._lists.details(req.context.caller, _asked(req, self._max_limit))
        seen_by, sight = look(req), HostStatusSight(req.context.caller)
        servers = [
            views.detail(
                views.Seen(each, seen_by, found.hints.get(each.uuid, {})),
                sight.of(found.host_statuses.get(each.uuid)),
            )
            for each in found.servers
        ]
        _send_page(req, resp, found, servers, is_detailed=True)


class Server:
    """``/servers/{id}``"""

    def __init__(self, servers: ServerService, deletion: ServerDeletionService) -> None:
        self._servers = servers
        self._deletion = deletion

    @endpoint(policy=rules.SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        bears_down_cell = req.context.version >= _BEARS_DOWN_CELLS
        found = self._servers.show(req.context.caller, server_id, bears_down_cell=bears_down_cell, **_wants(req))
        if isinstance(found, Remains):
            send_json(resp, {"server": views.remains(found.instance, look(req, found.instance))})
        else:
            send_json(resp, {"server": views.show(_seen(req, found), _host_status(req, found))})

    @endpoint(policy=rules.UPDATE, query=LENIENT_QUERY, body=schemas.UPDATE)
    def on_put(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        changes = _changes(req.context.body["server"])
        found = self._servers.update(req.context.caller, server_id, changes, **_wants(req))
        send_json(resp, {"server": views.updated(_seen(req, found), _host_status(req, found))})

    @endpoint(policy=rules.DELETE, query=LENIENT_QUERY, answers=NO_CONTENT)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self._deletion.delete(req.context.caller, server_id)
        resp.status = falcon.HTTP_204


def _asked(req: falcon.Request, max_limit: int) -> ListRequest:
    query: Query = req.context.query
    version: Version = req.context.version
    page = paging.page(query, max_limit)
    filters = schemas.filters(query, version, all_of_them=req.context.caller.may(rules.ALL_FILTERS))
    is_plain = not schemas.PAGING & query.keys() and not filters.keys() - {"all_tenants"}
    return ListRequest(
        filters=filters,
        sort_keys=schemas.sort_keys(query, version),
        sort_dirs=query.all("sort_dir"),
        limit=page.limit,
        marker=page.marker,
        known_status_only=version >= _KNOWN_STATUS_ONLY,
        bears_down_cells=version >= _BEARS_DOWN_CELLS and is_plain,
        **_wants(req),
    )


def _send_page(
    req: falcon.Request,
    resp: falcon.Response,
    found: ServerPage[Instance] | ServerPage[Named],
    servers: Sequence[Mapping[str, Any]],
    *,
    is_detailed: bool,
) -> None:
    seen_by = look(req)
    # First what is hardly known: the last server of a page may be the marker of the next.
    unreachable = [
        views.unreachable(each.uuid, each.project_id, each.created_at, seen_by, is_detailed=is_detailed)
        for each in found.unreachable
    ]
    document: dict[str, Any] = {"servers": [*unreachable, *servers]}
    if found.last_uuid is not None:
        url = paging.next_url(links.collection_url(req), req.context.query, found.last_uuid)
        document["servers_links"] = [{"rel": "next", "href": url}]
    send_json(resp, document)


def _wants(req: falcon.Request) -> dict[str, bool]:
    """Return what the answer will show that is not read with a server."""
    sight = HostStatusSight(req.context.caller)
    return {
        "with_host_status": req.context.version >= views.HOST_STATUS and sight.sees_any,
        "with_hints": req.context.version >= views.HINTS,
    }


def _seen(req: falcon.Request, found: Details) -> views.Seen:
    return views.Seen(found.instance, look(req, found.instance), found.hints or {}, found.group)


def _host_status(req: falcon.Request, found: Details) -> str | None:
    return HostStatusSight(req.context.caller).of(found.host_status)


def _new_servers(server: Mapping[str, Any], hints: Mapping[str, object], version: Version) -> NewServers:
    name: str = server["name"].strip()
    min_count = read_whole_number(server, "min_count", 1, 1)
    return NewServers(
        name=name,
        flavor_id=str(server["flavorRef"]).rpartition("/")[2],
        image_id=server.get("imageRef") or "",
        description=server.get("description") if version >= _OWN_DESCRIPTION else name,
        hostname=server.get("hostname"),
        metadata=server.get("metadata", {}),
        key_name=server.get("key_name"),
        user_data=server.get("user_data"),
        personality=read_files(server),
        has_config_drive=read_boolean(server.get("config_drive", False)),
        availability_zone=server.get("availability_zone"),
        host=server.get("host"),
        hypervisor_hostname=server.get("hypervisor_hostname"),
        min_count=min_count,
        max_count=read_whole_number(server, "max_count", 1, min_count),
        access_ip_v4=read_address(server.get("accessIPv4")),
        access_ip_v6=read_address(server.get("accessIPv6")),
        disk_config=server.get("OS-DCF:diskConfig", "MANUAL"),
        tags=tuple(dict.fromkeys(server.get("tags", ()))),
        hints=hints,
        devices=_devices(server),
        knows_shared_volumes=version >= _SHARED_VOLUMES,
        is_protected=server.get("deletion_protection", False),
    )


def _devices(server: Mapping[str, Any]) -> tuple[Asked, ...] | None:
    """Return what is asked for by block device mappings, None without any; raises Invalid."""
    image_id: str = server.get("imageRef") or ""
    old, new = server.get("block_device_mapping"), server.get("block_device_mapping_v2")
    if old and new:
        raise errors.Invalid("Using different block_device_mapping syntaxes is not allowed in the same request.")
    if old:
        return block_device_mappings.read_old(old, image_id, truth=read_boolean)
    if new:
        return block_device_mappings.read(new, image_id, truth=read_boolean)
    if not image_id:
        raise errors.Invalid("imageRef: an image to boot from is required")
    return None


def _refuse_unsupported(server: Mapping[str, Any]) -> None:
    """Raise Invalid, in clear words, for what the schema knows and no host here can give."""
    networks = server.get("networks")
    if isinstance(networks, list) and networks:
        raise errors.Invalid("networks: ports and networks are not supported; say none or auto (microversion 2.37)")
    if server.get("trusted_image_certificates"):
        raise errors.Invalid("trusted_image_certificates: image signatures are not supported")


def _changes(server: Mapping[str, Any]) -> dict[str, object]:
    """Return the attributes that an update sets."""
    changes: dict[str, object] = {}
    if "name" in server:
        changes["display_name"] = server["name"].strip()
    for wire, attribute in (
        ("description", "description"),
        ("hostname", "hostname"),
        ("OS-DCF:diskConfig", "disk_config"),
        ("pinned_availability_zone", "requested_zone"),
    ):
        if wire in server:
            changes[attribute] = server[wire]
    for wire, attribute in (("accessIPv4", "access_ip_v4"), ("accessIPv6", "access_ip_v6")):
        if wire in server:
            changes[attribute] = read_address(server[wire])
    return changes

"""The action ``rebuild``, as HTTP has it: what its body asks for, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api import urls
from nova_lite.api.handlers.looks import HostStatusSight, look
from nova_lite.api.schemas.values import read_address, read_boolean
from nova_lite.api.services.rebuilds import AskedRebuild
from nova_lite.api.services.servers import Details
from nova_lite.api.views import servers as views
from nova_lite.model.instance import InjectedFile
from nova_lite.web.app import send_json

#: What stands in the body → attribute of Instance, of what is taken as it is.
_ATTRIBUTES = {
    "description": "description",
    "metadata": "metadata",
    "OS-DCF:diskConfig": "disk_config",
    "key_name": "key_name",
    "user_data": "user_data",
    "hostname": "hostname",
}
_CERTIFICATES = "trusted_image_certificates"


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A server that is being rebuilt, as it is to be; and what is told of its administrator's password."""

    server: Details
    password: dict[str, object]


def read_files(body: Mapping[str, Any]) -> tuple[InjectedFile, ...]:
    """Return the files that a body puts into a server."""
    return tuple(InjectedFile(file["path"], file["contents"]) for file in body.get("personality", ()))


def asked(body: Mapping[str, Any], *, reimages: bool = False) -> AskedRebuild:
    """Return what a valid body asks for; raises Invalid, in clear words, for what no host here can give.

    ``reimages``: from 2.93 on, a volume that is booted from is meant, too.
    """
    if body.get(_CERTIFICATES):
        raise errors.Invalid(f"{_CERTIFICATES}: image signatures are not supported")
    changes = {attribute: body[wire] for wire, attribute in _ATTRIBUTES.items() if wire in body}
    if "personality" in body:
        changes["personality"] = read_files(body)
    if "name" in body:
        changes["display_name"] = body["name"].strip()
    for wire, attribute in (("accessIPv4", "access_ip_v4"), ("accessIPv6", "access_ip_v6")):
        if wire in body:
            changes[attribute] = read_address(body[wire])
    return AskedRebuild(
        image_id=body["imageRef"],
        changes=changes,
        names_certificates=_CERTIFICATES in body,
        preserves_ephemeral=read_boolean(body.get("preserve_ephemeral", False)),
        reimages=reimages,
    )


def send(req: falcon.Request, resp: falcon.Response, answer: Rebuilding) -> None:
    """Answer with the server and where it is."""
    server = answer.server
    seen = views.Seen(server.instance, look(req, server.instance), server.hints or {}, server.group)
    status = HostStatusSight(req.context.caller).of(server.host_status)
    resp.location = f"{urls.api_url(req)}/servers/{server.instance.uuid}"
    document = views.rebuilt(seen, status) | answer.password
    send_json(resp, {"server": document}, falcon.HTTP_202)

"""``/os-volumes``, up to 2.35: from 2.36 on clients ask the block storage service themselves."""

import falcon

from nova_lite.api.policies import volumes as policies
from nova_lite.api.schemas import volumes as schemas
from nova_lite.api.schemas.values import read_whole_number
from nova_lite.api.services.volumes import VolumeService
from nova_lite.api.views import links
from nova_lite.api.views import volumes as views
from nova_lite.model.volume import NewVolume
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, endpoint


class Volumes:
    """``/os-volumes``"""

    def __init__(self, volumes: VolumeService, *, max_limit: int) -> None:
        self._volumes = volumes
        self._max_limit = max_limit

    @endpoint(policy=policies.LIST, query=schemas.LIST_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_all(req, resp, self._volumes, self._max_limit)

    @endpoint(policy=policies.CREATE, query=ANY_QUERY, body=schemas.CREATE, enforce=True, until="2.35")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = req.context.body["volume"]
        new = NewVolume(
            size_gib=read_whole_number(wanted, "size", 1),
            name=wanted.get("display_name", ""),
            description=wanted.get("display_description", ""),
            snapshot_id=wanted.get("snapshot_id"),
            volume_type=wanted.get("volume_type"),
            availability_zone=wanted.get("availability_zone"),
            metadata=wanted.get("metadata", {}),
        )
        made = self._volumes.create(req.context.caller, new)
        resp.location = f"{links.collection_url(req)}/{made.id}"
        send_json(resp, {"volume": views.one(made)})


class VolumesDetail:
    """``/os-volumes/detail``, which tells no more than ``/os-volumes``."""

    def __init__(self, volumes: VolumeService, *, max_limit: int) -> None:
        self._volumes = volumes
        self._max_limit = max_limit

    @endpoint(policy=policies.DETAIL, query=schemas.LIST_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_all(req, resp, self._volumes, self._max_limit)


class Volume:
    """``/os-volumes/{volume_id}``"""

    def __init__(self, volumes: VolumeService) -> None:
        self._volumes = volumes

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        send_json(resp, {"volume": views.one(self._volumes.show(req.context.caller, volume_id))})

    @endpoint(policy=policies.DELETE, query=ANY_QUERY, enforce=True, until="2.35", answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        self._volumes.delete(req.context.caller, volume_id)
        resp.status = falcon.HTTP_202


def _send_all(req: falcon.Request, resp: falcon.Response, volumes: VolumeService, max_limit: int) -> None:
    shown = volumes.every(req.context.caller)[schemas.window(req.context.query, max_limit)]
    send_json(resp, {"volumes": [views.one(each) for each in shown]})

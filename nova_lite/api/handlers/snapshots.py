"""``/os-snapshots``, up to 2.35: from 2.36 on clients ask the block storage service themselves."""

import falcon

from nova_lite.api.policies import volumes as policies
from nova_lite.api.schemas import snapshots as schemas
from nova_lite.api.schemas.values import read_boolean
from nova_lite.api.schemas.volumes import LIST_QUERY, window
from nova_lite.api.services.volumes import SnapshotService
from nova_lite.api.views import snapshots as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, endpoint


class Snapshots:
    """``/os-snapshots``"""

    def __init__(self, snapshots: SnapshotService, *, max_limit: int) -> None:
        self._snapshots = snapshots
        self._max_limit = max_limit

    @endpoint(policy=policies.SNAPSHOTS_LIST, query=LIST_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_all(req, resp, self._snapshots, self._max_limit)

    @endpoint(policy=policies.SNAPSHOTS_CREATE, query=ANY_QUERY, body=schemas.CREATE, enforce=True, until="2.35")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = req.context.body["snapshot"]
        made = self._snapshots.create(
            req.context.caller,
            wanted["volume_id"],
            wanted.get("display_name", ""),
            wanted.get("display_description", ""),
            may_be_in_use=read_boolean(wanted.get("force", False)),
        )
        send_json(resp, {"snapshot": views.one(made)})


class SnapshotsDetail:
    """``/os-snapshots/detail``, which tells no more than ``/os-snapshots``."""

    def __init__(self, snapshots: SnapshotService, *, max_limit: int) -> None:
        self._snapshots = snapshots
        self._max_limit = max_limit

    @endpoint(policy=policies.SNAPSHOTS_DETAIL, query=LIST_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send_all(req, resp, self._snapshots, self._max_limit)


class Snapshot:
    """``/os-snapshots/{snapshot_id}``"""

    def __init__(self, snapshots: SnapshotService) -> None:
        self._snapshots = snapshots

    @endpoint(policy=policies.SNAPSHOTS_SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        send_json(resp, {"snapshot": views.one(self._snapshots.show(req.context.caller, snapshot_id))})

    @endpoint(policy=policies.SNAPSHOTS_DELETE, query=ANY_QUERY, enforce=True, until="2.35", answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        self._snapshots.delete(req.context.caller, snapshot_id)
        resp.status = falcon.HTTP_202


def _send_all(req: falcon.Request, resp: falcon.Response, snapshots: SnapshotService, max_limit: int) -> None:
    shown = snapshots.every(req.context.caller)[window(req.context.query, max_limit)]
    send_json(resp, {"snapshots": [views.one(each) for each in shown]})

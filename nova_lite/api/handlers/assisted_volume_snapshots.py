"""``/os-assisted-volume-snapshots``"""

import falcon
import msgspec

from nova_lite import errors
from nova_lite.api.policies import assisted_volume_snapshots as policies
from nova_lite.api.schemas import assisted_volume_snapshots as schemas
from nova_lite.api.services.assisted_volume_snapshots import AssistedVolumeSnapshotService
from nova_lite.web.endpoint import Answers, endpoint


class _DeleteInfo(msgspec.Struct):
    """What is told of a snapshot to be removed; what else it says is a host's to read."""

    volume_id: str


class AssistedVolumeSnapshots:
    """``/os-assisted-volume-snapshots``"""

    def __init__(self, snapshots: AssistedVolumeSnapshotService) -> None:
        self._snapshots = snapshots

    @endpoint(policy=policies.CREATE, body=schemas.CREATE, enforce=True, answers=Answers(()))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._snapshots.refuse(req.context.body["snapshot"]["volume_id"])


class AssistedVolumeSnapshot:
    """``/os-assisted-volume-snapshots/{snapshot_id}``"""

    def __init__(self, snapshots: AssistedVolumeSnapshotService) -> None:
        self._snapshots = snapshots

    @endpoint(policy=policies.DELETE, query=schemas.DELETE_QUERY, enforce=True, answers=Answers(()))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, snapshot_id: str) -> None:
        told = req.context.query.all("delete_info")
        try:
            info = msgspec.json.decode(told[-1] if told else "", type=_DeleteInfo)
        except (msgspec.DecodeError, msgspec.ValidationError) as exc:
            raise errors.Invalid(f"delete_info: {exc}") from exc
        self._snapshots.refuse(info.volume_id)

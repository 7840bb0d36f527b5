"""Remove an image of a server that boots from a volume, when who was making it died or failed; and let guests go on.

The API makes such an image while the request lasts, for its snapshots are to be the user's: see
``api/services/volume_images.py``. Nothing here can be taken back: all is tried until it is done.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volume_images
from nova_lite.conductor.saga import Definition, Record, Step, Work
from nova_lite.conductor.workflows import shelved_images
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.repositories import actions, instances
from nova_lite.model.instance import Instance

#: What a snapshot is that cannot be removed yet.
_BEING_MADE = "creating"
#: Seconds a host gets to let a guest go on.
_THAW_S = 60.0
#: Seconds between two looks at snapshots.
_LOOK_AGAIN_S = 0.5


def thaw_if_frozen(work: Work[CellTools]) -> None:
    """Let the guest go on, should it have been frozen."""
    if work.inputs["freezes"]:
        thaw(work)


def thaw(work: Work[CellTools]) -> None:
    """Let the guest go on, wherever it is by now; one that is gone needs nothing."""
    instance = _server(work)
    if instance is None or instance.host is None:
        return
    try:
        work.tools.agents.thaw(instance.host, instance.uuid, timeout_s=_THAW_S)
    except errors.NotFound:
        return


def remove_snapshots(work: Work[CellTools]) -> None:
    """Remove every snapshot made for the image, be that known to anybody or not."""
    service = work.tools.volumes.as_service()
    for volume_id in work.inputs["volumes"]:
        for snapshot in service.snapshots_of(volume_id):
            if snapshot.metadata.get(volume_images.MADE_FOR) != work.subject:
                continue
            if snapshot.status == _BEING_MADE:
                raise errors.NotYet(f"Snapshot {snapshot.id} is still being made.", again_s=_LOOK_AGAIN_S)
            service.delete_snapshot(snapshot.id)


def remove_image(work: Work[CellTools]) -> None:
    """Have the image removed, should there be one."""
    instance = _server(work)
    shelved_images.remove(work.tools, work.subject, at=None if instance is None else instance.host)


def end_action(work: Work[CellTools], session: Session) -> None:
    """End the server's action, unless who began it has said why there is no image."""
    actions.finish(
        session,
        instance_uuid=work.inputs["instance"],
        request_id=work.workflow.request_id,
        error="The request ended before the image was made.",
        host=None,
    )


def await_snapshots(work: Work[CellTools]) -> None:
    """See that the snapshots are made, or as long as a guest may stand still is over."""
    if work.seconds_left <= 0:
        return
    service = work.tools.volumes.as_service()
    for snapshot_id in work.inputs["snapshots"]:
        try:
            status = service.snapshot(snapshot_id).status
        except errors.NotFound:
            continue
        except errors.NovaLiteError as exc:
            raise errors.NotYet("Nobody says whether the snapshots are made.", again_s=_LOOK_AGAIN_S) from exc
        if status == _BEING_MADE:
            raise errors.NotYet(f"Snapshot {snapshot_id} is still being made.", again_s=_LOOK_AGAIN_S)


def _server(work: Work[CellTools]) -> Instance | None:
    try:
        with work.tools.db.reader() as session:
            return instances.get(session, work.inputs["instance"])
    except errors.NotFound:
        return None


UNDO_VOLUME_IMAGE = Definition(
    volume_images.UNDO,
    (
        Step("thaw guest", thaw_if_frozen, no_way_back=True),
        Step("remove snapshots", remove_snapshots, no_way_back=True),
        Step("remove image", remove_image, no_way_back=True),
        Record("end action", end_action, no_way_back=True),
    ),
)
THAW_GUEST = Definition(
    volume_images.THAW,
    (
        Step("await snapshots", await_snapshots, no_way_back=True),
        Step("thaw guest", thaw, no_way_back=True),
    ),
)
ALL = (UNDO_VOLUME_IMAGE, THAW_GUEST)

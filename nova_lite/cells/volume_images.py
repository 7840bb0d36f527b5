"""An image of a server that boots from a volume, while it is made: what is noted in the server's cell.

The image names snapshots that are made as the user, while the request lasts. Before the first of them there is a
workflow that would remove them all, parked for as long as a request may take; its name is the image's. Whoever has
made the image takes it back, and where the guest was frozen for it begins another one that lets the guest go on.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Status, Workflow

#: Removes an image that is not to be, with its snapshots. The subject of both is the image: servers' work is stopped by
#: other work on them, and this must not be.
UNDO = "undo-volume-image"
#: Lets a guest go on that was frozen for an image, once its snapshots are made.
THAW = "thaw-guest"
#: Seconds that a request may take, before what it made is removed.
REQUEST_S = 300.0
#: Seconds that a guest is kept frozen for snapshots at most.
STANDSTILL_S = 120.0
#: What the metadata of a snapshot has: the image that it is made for.
MADE_FOR = "image_id"
_EVENT = "api_snapshot_instance"


def begin(
    session: Session,
    uuid: str,
    image_id: str,
    requester: Requester,
    *,
    freezes: bool,
    timeout_s: float,
) -> Instance:
    """Note that an image with snapshots of a server's volumes is being made, and return the server.

    ``freezes``: its guest may be frozen meanwhile. Raises NotFound, Conflict naming the state that forbids it.
    """
    instance = instances.lock(session, uuid)
    operations.refuse_if_wrong_state(instance, "snapshot")
    actions.begin(
        session,
        instance_uuid=uuid,
        action=operations.shown("snapshot"),
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=_EVENT,
    )
    volume_ids = [device.volume_id for device in snapshotted(instance.volumes)]
    inputs = {"instance": uuid, "volumes": volume_ids, "freezes": freezes}
    undoing = Workflow.asked_by(requester, UNDO, image_id, inputs, uuid=image_id)
    workflows.add(session, CellWorkflowRow, undoing, timeout_s=timeout_s)
    workflows.hold_back(session, CellWorkflowRow, image_id, delay_s=REQUEST_S)
    return instance


def snapshotted(devices: Iterable[BlockDevice]) -> list[BlockDevice]:
    """Return the devices whose volumes are in an image: all but those that are only being reserved."""
    return [device for device in devices if device.volume_id is not None and device.phase is not Phase.RESERVING]


def keep(
    session: Session, uuid: str, image_id: str, snapshot_ids: Sequence[str], requester: Requester, *, thaws: bool
) -> str | None:
    """Note that the image is made; return the workflow that lets the guest go on, if it ``thaws``.

    Raises Timeout when all is being removed already.
    """
    if not workflows.withdraw(session, CellWorkflowRow, image_id):
        raise errors.Timeout("It took too long to make the snapshots of the server's volumes.")
    actions.finish(session, instance_uuid=uuid, request_id=requester.request_id, error=None, host=None)
    if not thaws:
        return None
    inputs = {"instance": uuid, "snapshots": list(snapshot_ids)}
    thawing = Workflow.asked_by(requester, THAW, image_id, inputs)
    workflows.add(session, CellWorkflowRow, thawing, timeout_s=STANDSTILL_S)
    return thawing.uuid


def give_up(session: Session, uuid: str, image_id: str, requester: Requester, reason: str) -> None:
    """Note why the image is not to be, and have a conductor remove at once what there is of it."""
    actions.finish(session, instance_uuid=uuid, request_id=requester.request_id, error=reason, host=None)
    workflows.hasten(session, CellWorkflowRow, image_id)


def is_made(session: Session, uuid: str, host: str, epoch: int, image_id: str) -> bool:
    """Return whether an image is being made of a server that is on ``host`` at ``epoch``: what agents ask."""
    try:
        instance = instances.get(session, uuid)
    except errors.NotFound:
        return False
    work = workflows.get(session, CellWorkflowRow, image_id)
    is_here = (instance.host, instance.epoch) == (host, epoch)
    return is_here and work is not None and (work.kind, work.status) == (UNDO, Status.PENDING)

"""Bring a volume to a server, inside its cell, beside whatever else is done to it.

The API has reserved the volume: its attachment is in the server's row. The agent has the attachment give it the way to
the volume and plugs that in. What fails is undone: the guest loses the disk, the attachment is removed and the server's
row forgets it. A server that is on no host has its volume by an attachment of none, which is completed all the same:
clients look for volumes in use, as with Nova. It is connected when the server comes to a host.
"""

from collections.abc import Callable, Collection

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, host_is_down
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.db.repositories.instances import Placed
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.storage import retried

#: Seconds a host gets to put a guest's disks back as they were.
UNDO_S = 60.0


def plug_in(work: Work[CellTools]) -> Facts | None:
    """Have the host connect the volume, which is reserved, and give it to the guest."""
    server, device = found(work)
    if device is None or device.attachment_id is None:
        raise errors.Conflict("The request ended before the volume was reserved for the server.")
    if not reached(work, server, device, work.tools.agents.attach_volume, timeout_s=max(1.0, work.seconds_left)):
        raise errors.HostFailed("The server's host does not answer.")
    return {"attachment": device.attachment_id}


def take_back(work: Work[CellTools]) -> None:
    """Have guest and host without the volume, where they may have it, and then the volume free of the server."""
    server, device = turned(work, Phase.DETACHING)
    if device is None:
        return
    service = work.tools.volumes.as_service()
    if device.attachment_id is None:
        # One whose making nobody could note.
        known = {each.attachment_id for each in server.volumes}
        for attachment in service.attachments_of(work.subject):
            if attachment.volume_id == device.volume_id and attachment.id not in known:
                service.detach(attachment.id)
        return
    # A host that is down loses both.
    reached(work, server, device, work.tools.agents.detach_volume, timeout_s=UNDO_S)
    service.detach(device.attachment_id)


def complete_attachment(work: Work[CellTools]) -> None:
    """Tell the block storage service that the server has the volume."""
    if "attachment" in work.facts:
        work.tools.volumes.as_service().complete(work.facts["attachment"])


def mark_attached(work: Work[CellTools], session: Session) -> Facts | None:
    """Note that the server has the volume."""
    server = volumes.bring_to(session, work.subject, work.inputs["device"], Phase.ATTACHED, work=None)
    return finish(work, session, error=None, server=server)


def forget_volume(work: Work[CellTools], session: Session) -> Facts | None:
    """Let the server have the volume no more, and say why if that was not asked for."""
    server = instances.hold_placed(session, work.subject)
    volumes.drop(session, server, work.inputs["device"])
    return finish(work, session, error=work.reason, server=server)


def found(work: Work[CellTools]) -> tuple[Placed, BlockDevice | None]:
    """Return the server and the volume as it has it; None for the volume when it has it no more."""
    with work.tools.db.reading() as connection:
        server = instances.placed(connection, work.subject)
    return server, block_device.find(server.volumes, work.inputs["device"])


@retried
def turned(work: Work[CellTools], phase: Phase) -> tuple[Placed, BlockDevice | None]:
    """Return the same as ``found``, once the volume's phase lets no late message do any more what is undone now."""
    with work.tools.db.writer() as session:
        server = volumes.bring_to(session, work.subject, work.inputs["device"], phase, work=work.workflow.uuid)
    return server, block_device.find(server.volumes, work.inputs["device"])


def reached(
    work: Work[CellTools], server: Placed, device: BlockDevice, do: Callable[..., None], *, timeout_s: float
) -> bool:
    """Have a server's host ``do`` something with a volume of it; return False where that host is down."""
    if server.host is None:
        return True
    try:
        do(server.host, server.uuid, server.epoch, device, timeout_s=timeout_s)
    except errors.Timeout:
        if not host_is_down(work.tools, server.host):
            raise
        return False
    return True


def finish(work: Work[CellTools], session: Session, *, error: str | None, server: Placed | None = None) -> Facts | None:
    """End the server's action; return as fact which work on the server that waits can go on, None for none.

    ``server`` is its row, locked; without it, it is locked here. ``error`` is what users read, None when it went well.
    """
    server = server or instances.hold_placed(session, work.subject)
    actions.finish_work(session, work.workflow, error=error, host=server.host)
    beside = volumes.others_at_work(server, work.workflow.uuid)
    if server.task_state is None and not beside:
        return None
    waiting = workflows.hasten_others(session, CellWorkflowRow, work.subject, spare=volumes.KINDS, of_those=beside)
    return {"others": waiting}


def those_that_wait(work: Work[CellTools]) -> Collection[str]:
    """Return the work on the server that ``finish`` has found waiting."""
    others: Collection[str] = work.facts.get("others", ())
    return others


ATTACH_VOLUME = Definition(
    volumes.ATTACH,
    (
        Step("plug in", plug_in, undo=take_back),
        Step("complete attachment", complete_attachment, kept=True),
        Record("mark attached", mark_attached, no_way_back=True),
    ),
    on_failure=Record("forget volume", forget_volume),
    behind=volumes.KINDS,
    afterwards=those_that_wait,
)

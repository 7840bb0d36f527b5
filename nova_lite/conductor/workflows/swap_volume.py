"""Put another volume below a running guest in the place of one of its own, which the block storage service migrates.

The API has reserved the next volume for the server. The guest's host copies the volume to it while the guest goes on,
and turns the guest over; up to then all can be undone. Once the guest has the next volume there is no way back: what is
told to the block storage service is tried until it is heard. Then the volume is where the guest has it, under its own
id, by the attachment that the next one came by.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volume_swaps as records
from nova_lite.cells import volumes
from nova_lite.conductor import volume_swaps
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.attach_volume import finish, found, reached, those_that_wait
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.repositories.instances import Placed
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.storage import retried


def hold_attachment(work: Work[CellTools]) -> None:
    """See that the next volume is reserved, and still awaited: from here on its attachment is this workflow's."""
    _, device = found(work)
    if device is None or device.next_attachment_id is None:
        raise errors.Conflict("The request ended before the volume was reserved for the server.")
    if device.phase is Phase.SWAPPING_BACK:
        raise errors.Conflict("The server was to keep its volume where it is.")
    if device.phase is Phase.SWAPPED:
        return
    if not volume_swaps.is_migrating(work.tools.volumes.as_service(), str(device.volume_id)):
        raise errors.Conflict("The volume is not being migrated any more.")


def turn_back(work: Work[CellTools]) -> None:
    """Have the guest have its volume where it was, and nobody anything of the next one. A host that is down is left."""
    server, device = _turned_back(work)
    if device is None or device.next_volume_id is None:
        return
    if device.next_attachment_id is not None:
        reached(work, server, device, work.tools.agents.swap_volume_back, timeout_s=max(1.0, work.seconds_left))
    volume_swaps.abandon(work.tools.volumes.as_service(), work.subject, device)


@retried
def _turned_back(work: Work[CellTools]) -> tuple[Placed, BlockDevice | None]:
    with work.tools.db.writer() as session:
        records.turn_back(session, work.subject, work.inputs["device"], work=work.workflow.uuid)
    return found(work)


def swap_disk(work: Work[CellTools]) -> None:
    """Have the host copy the volume to the next one, and the guest have that."""
    server, device = found(work)
    if device is None or server.host is None:
        raise errors.Conflict("The server has the volume no more.")
    if device.phase is Phase.SWAPPED:
        return
    if not reached(work, server, device, work.tools.agents.swap_volume, timeout_s=max(1.0, work.seconds_left)):
        raise errors.HostFailed("The server's host does not answer.")


def note_swap(work: Work[CellTools], session: Session) -> None:
    """Note that the guest has the next volume."""
    records.note_swap(session, work.subject, work.inputs["device"], work=work.workflow.uuid)


def complete_attachment(work: Work[CellTools]) -> None:
    """Tell the block storage service that the server has the next volume."""
    _, device = found(work)
    if device is not None:
        volume_swaps.complete(work.tools.volumes.as_service(), device)


def remove_old_attachment(work: Work[CellTools]) -> None:
    """Have the block storage service forget that the server has the volume where it was."""
    _, device = found(work)
    if device is not None:
        volume_swaps.remove_old(work.tools.volumes.as_service(), device)


def complete_migration(work: Work[CellTools]) -> Facts | None:
    """Have the volume be where the guest has it, and find how large it is there."""
    _, device = found(work)
    if device is None or device.volume_id is None:
        return None
    service = work.tools.volumes.as_service()
    volume_swaps.complete_migration(service, device)
    return {"size_gib": service.show(device.volume_id).size_gib}


def take_over(work: Work[CellTools], session: Session) -> Facts | None:
    """Note that the server has its volume by the attachment that the next one came by."""
    if "size_gib" in work.facts:
        records.take_over(session, work.subject, work.inputs["device"], work.facts["size_gib"])
    return finish(work, session, error=None)


def keep_volume(work: Work[CellTools], session: Session) -> Facts | None:
    """Let the server have the volume as before, and say why; one that could not be turned back is left for audits."""
    if work.facts.get("left_behind"):
        records.leave(session, work.subject, work.inputs["device"])
    else:
        records.keep(session, work.subject, work.inputs["device"])
    return finish(work, session, error=work.reason or "An internal error happened.")


SWAP_VOLUME = Definition(
    volumes.SWAP,
    (
        Step("hold attachment", hold_attachment, undo=turn_back),
        Step("swap disk", swap_disk),
        Record("note swap", note_swap, no_way_back=True),
        Step("complete attachment", complete_attachment, no_way_back=True),
        Step("remove old attachment", remove_old_attachment, no_way_back=True),
        Step("complete migration", complete_migration, no_way_back=True),
        Record("take over", take_over, no_way_back=True),
    ),
    on_failure=Record("keep volume", keep_volume),
    behind=volumes.KINDS,
    afterwards=those_that_wait,
)

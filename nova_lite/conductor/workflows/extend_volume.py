"""Have a guest see that one of its volumes has grown. The block storage service says that one has."""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.attach_volume import finish, found
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.model.block_device import Phase

#: A volume that waits for the host's part of its extension.
_EXTENDING = "extending"


def extend_disk(work: Work[CellTools]) -> Facts | None:
    """Have the guest's disk be as large as the volume is; one on no host finds that when it starts."""
    instance, device = found(work)
    if device is None or device.volume_id is None:
        return None
    if device.phase is not Phase.ATTACHED:
        raise errors.NotYet(f"Volume {device.volume_id} is {device.phase}.")
    service = work.tools.volumes.as_service()
    volume = service.show(device.volume_id)
    if instance.host is not None:
        work.tools.agents.extend_volume(
            instance.host,
            instance.uuid,
            device.volume_id,
            volume.size_gib,
            timeout_s=max(1.0, work.seconds_left),
        )
    if volume.status == _EXTENDING:
        service.complete_extension(device.volume_id, has_failed=False)
    return {"size_gib": volume.size_gib}


def tell_failure(work: Work[CellTools]) -> None:
    """Tell the block storage service, should it wait, that the guest does not see the larger volume."""
    _, device = found(work)
    if device is None or device.volume_id is None:
        return
    service = work.tools.volumes.as_service()
    try:
        if service.show(device.volume_id).status == _EXTENDING:
            service.complete_extension(device.volume_id, has_failed=True)
    except errors.NotFound:
        return


def note_size(work: Work[CellTools], session: Session) -> None:
    """Note how large the volume is."""
    if "size_gib" in work.facts:
        volumes.note_size(session, work.subject, work.inputs["device"], work.facts["size_gib"])
    finish(work, session, error=None)


def end(work: Work[CellTools], session: Session) -> None:
    """Leave the volume as it was, and say why."""
    finish(work, session, error=work.reason or "An internal error happened.")


EXTEND_VOLUME = Definition(
    volumes.EXTEND,
    (Step("extend disk", extend_disk, undo=tell_failure), Record("note size", note_size, no_way_back=True)),
    on_failure=Record("end", end),
)

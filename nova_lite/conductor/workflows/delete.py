"""Delete a server in its cell, for good or so that it can be restored. Deleting wins over all else."""

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor import volume_claims
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows import shelved_images
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well, host_is_down, hosted
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, evacuations, instances, migrations
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.migration import FINISHED

#: Turns of several tries each, after which the image of a shelved server that cannot be removed is left where it is.
_PATIENT_TURNS = 2


def destroy_guest(work: Work[CellTools]) -> Facts | None:
    """Remove the guest from its host; a host that is down does it itself when it comes back.

    Of a server that was moving, it may be on either host, and what was set aside goes, too. Which attachments a host
    knows of one that moved, or whose volume was being filled anew, is not told by its row alone.
    """
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject, with_deleted=True)
        moves = migrations.open_of(session, work.subject)
    host = instance.host
    ends = {place.host for move in moves for place in (move.source, move.dest) if place is not None}
    has_several = bool(moves) or bool(block_device.as_left(instance.volumes))
    devices = block_device.with_next(instance.volumes)
    if has_several:
        devices = volume_claims.everywhere(work.tools.volumes, instance)
    left = [
        each for each in sorted({*ends, *([] if host is None else [host])}) if not _cleared(work, each, ends, devices)
    ]
    for image_id in work.inputs.get("shelved_images", ()):
        is_last_try = work.workflow.attempt > _PATIENT_TURNS
        shelved_images.remove_if_possible(work.tools, image_id, at=host, is_last_try=is_last_try)
    return {"left_to_host": ", ".join(left)} if left else None


def _cleared(work: Work[CellTools], host: str, ends: Collection[str], devices: Sequence[BlockDevice]) -> bool:
    """Have a host remove what it has of the server; False when it is down. ``ends`` are where a move began or ends."""
    timeout_s = max(1.0, work.seconds_left)
    try:
        work.tools.agents.destroy(host, work.subject, devices, timeout_s=timeout_s)
        if host in ends:
            work.tools.agents.drop_aside(host, work.subject, timeout_s=timeout_s)
        for image_id in work.inputs.get("unfilled_images", ()):
            work.tools.agents.discard_image(host, image_id, timeout_s=timeout_s)
    except errors.Timeout:
        if not host_is_down(work.tools, host):
            raise
        return False
    return True


def free_claim(work: Work[CellTools]) -> None:
    """Give back the server's volumes and what it has in Placement, then what its moves have there.

    None takes anything from it any more.
    """
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject, with_deleted=True)
        moves = migrations.open_of(session, work.subject)
        left = evacuations.left_by(session, work.subject)
    volume_claims.free(work.tools.volumes, instance)
    for consumer in (work.subject, *(move.uuid for move in moves), *left):
        work.tools.placement.release(consumer)


def mark_deleted(work: Work[CellTools], session: Session) -> None:
    """Turn the server into a deleted one."""
    host = instances.get(session, work.subject, with_deleted=True).host
    for move in migrations.open_of(session, work.subject):
        migrations.bring_to(session, move.uuid, "confirmed" if move.status == FINISHED else "cancelled")
    evacuations.complete(session, evacuations.left_by(session, work.subject))
    instances.mark_deleted(session, work.subject)
    actions.finish_work(session, work.workflow, error=None, host=host)


def turn_off(work: Work[CellTools]) -> Facts:
    """Turn the guest off, should there be one, and forget its image, should it be shelved.

    A host that is down does it itself when it comes back.
    """
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    if instance.shelved_image is not None:
        is_last_try = work.workflow.attempt > _PATIENT_TURNS
        shelved_images.remove_if_possible(work.tools, instance.shelved_image, at=instance.host, is_last_try=is_last_try)
    if instance.host is None:
        return {"power_state": int(PowerState.NOSTATE)}
    try:
        timeout_s = max(1.0, work.seconds_left)
        found = work.tools.agents.power_off(instance.host, instance.uuid, instance.epoch, timeout_s=timeout_s)
    except errors.NotFound:
        found = PowerState.NOSTATE
    except errors.Timeout:
        if not host_is_down(work.tools, instance.host):
            raise
        found = PowerState.NOSTATE
    return {"power_state": int(found)}


def mark_soft_deleted(work: Work[CellTools], session: Session) -> None:
    """Note since when the server is deleted."""
    end_well(work, session, deleted_at=utcnow(), shelved_image=None, shelved_at=None)


def turn_on(work: Work[CellTools]) -> Facts:
    """Start the guest of a server that is not deleted after all, by its own disk should it have been rescued."""
    instance, host = hosted(work)
    work.tools.agents.unrescue(
        host,
        instance.uuid,
        instance.epoch,
        during=work.workflow.kind,
        start=False,
        timeout_s=max(1.0, work.seconds_left),
    )
    found = work.tools.agents.power_on(
        host, instance.uuid, instance.epoch, instance.volumes, timeout_s=work.seconds_left
    )
    return {"power_state": int(found)}


def mark_restored(work: Work[CellTools], session: Session) -> None:
    """Forget that the server was deleted."""
    end_well(work, session, deleted_at=None)


DELETE = Definition(
    "delete",
    (
        Step("destroy guest", destroy_guest),
        Step("free claim", free_claim, no_way_back=True),
        Record("mark deleted", mark_deleted, no_way_back=True),
    ),
    on_failure=Record("end in error", end_in_error),
)

SOFT_DELETE = Definition(
    "delete-softly",
    (
        Step("turn off", turn_off),
        Record("mark soft-deleted", mark_soft_deleted, no_way_back=True),
    ),
    on_failure=Record("end in error", end_in_error),
    behind=volumes.KINDS,
)

RESTORE = Definition(
    "restore",
    (
        Step("turn on", turn_on),
        Record("mark restored", mark_restored, no_way_back=True),
    ),
    on_failure=Record("end", end_in_error),
    behind=volumes.KINDS,
)

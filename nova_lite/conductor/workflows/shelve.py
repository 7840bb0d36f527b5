"""Shelve a server and take it off its host, inside its cell.

Its guest is turned off and its disk put into the image that the API has made. Then, at once or when an operator or the
clock says so, it is offloaded: its guest and what it holds in Placement go, and it is on no host. What fails before it
is shelved is undone; offloading is only ever tried again, for the disk is safe.
"""

import logging

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import shelving, volumes
from nova_lite.conductor import move_volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows import shelved_images
from nova_lite.conductor.workflows.tools import CellTools, host_is_down, hosted
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, instances
from nova_lite.model import block_device
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.states import COPY_TO_SHELVE, COPYING_TO_SHELVE, TaskState, VmState
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds a host gets for what must be quick.
_QUICK_S = 30.0
#: Turns of several tries each, after which a host that cannot remove a guest now is left to do that by itself later.
_PATIENT_TURNS = 2
#: What a server is busy with until it is shelved.
_SHELVING = (TaskState.SHELVING, *COPYING_TO_SHELVE)
#: States in which the guest is off already; one that is suspended keeps its memory as long as it is on its host.
_OFF = (VmState.STOPPED, VmState.SUSPENDED)


def hold_image(work: Work[CellTools]) -> None:
    """Do nothing: the image was made by the API, and from here on it is this workflow's to remove."""


def turn_off(work: Work[CellTools]) -> None:
    """Have the guest shut down."""
    instance, host = hosted(work)
    if instance.vm_state not in _OFF:
        work.tools.agents.power_off(host, instance.uuid, instance.epoch, timeout_s=max(1.0, work.seconds_left))


def turn_on_again(work: Work[CellTools]) -> None:
    """Have the guest of a server that ran run again; of one that was paused, its memory is gone."""
    instance = _let_start(work)
    if instance.vm_state is VmState.ACTIVE and instance.host is not None:
        try:
            work.tools.agents.power_on(instance.host, instance.uuid, instance.epoch, timeout_s=_QUICK_S)
        except errors.NotFound:
            LOG.warning("Server %s that could not be shelved has no guest on its host", instance.uuid)


@retried
def _let_start(work: Work[CellTools]) -> Instance:
    """Let the guest be started, and no more be stopped or copied by what comes late; return the server."""
    with work.tools.db.writer() as session:
        instance = instances.lock(session, work.subject)
        if instance.task_state not in (*_SHELVING, TaskState.UNSHELVING):
            raise errors.Conflict(f"Instance {work.subject} is busy with something else.")
        instances.change(session, work.subject, task_state=TaskState.UNSHELVING)
        return instance


def begin_copying(work: Work[CellTools], session: Session) -> None:
    """Let the disk be copied, unless it is a volume."""
    if work.inputs["image"] is None:
        return
    instances.change(session, work.subject, expect_task=TaskState.SHELVING, task_state=COPYING_TO_SHELVE[0])


def take_snapshot(work: Work[CellTools]) -> None:
    """Have the host fill the image, if there is to be one."""
    if work.inputs["image"] is None:
        return
    instance, host = hosted(work)
    work.tools.agents.snapshot(
        host,
        instance.uuid,
        instance.epoch,
        action=COPY_TO_SHELVE,
        image_id=work.inputs["image"],
        timeout_s=work.seconds_left,
    )


def remove_image(work: Work[CellTools]) -> None:
    """Have the image removed, filled or not; nobody else may fill it from here on."""
    instance = _let_start(work)
    if work.inputs["image"] is not None:
        shelved_images.remove(work.tools, work.inputs["image"], at=instance.host)


def mark_shelved(work: Work[CellTools], session: Session) -> Facts:
    """Turn the server into a shelved one, and on towards being offloaded if operators want that at once.

    One whose disk is a volume is always offloaded at once: there is nothing to keep on its host.
    """
    instance, image = instances.lock(session, work.subject), work.inputs["image"]
    if instance.task_state not in (COPYING_TO_SHELVE if image is not None else (TaskState.SHELVING,)):
        raise errors.Conflict(f"Instance {work.subject} is busy with something else.")
    is_going_on = image is None or work.tools.conf.shelved_offload_time == 0
    instances.change(
        session,
        work.subject,
        vm_state=VmState.SHELVED,
        task_state=TaskState.SHELVING_OFFLOADING if is_going_on else None,
        power_state=PowerState.SHUTDOWN,
        shelved_image=image,
        shelved_at=utcnow(),
    )
    if not is_going_on:
        _finish(work, session, host=instance.host)
    # One that an administrator took off the shelf by setting its state has an image that nobody wants any more.
    return {"offloads": is_going_on, "stale_image": instance.shelved_image}


def remove_stale_image(work: Work[CellTools]) -> None:
    """Have the image removed that the server had from an earlier time on the shelf."""
    stale = work.facts.get("stale_image")
    if stale is not None and stale != work.inputs["image"]:
        is_last_try = work.workflow.attempt > _PATIENT_TURNS
        shelved_images.remove_if_possible(work.tools, stale, at=None, is_last_try=is_last_try)


def destroy_guest(work: Work[CellTools]) -> Facts | None:
    """Have the guest removed; a host that cannot now does it by itself later, for it expects none any more.

    Its volumes are reserved anew before, so that they are never free.
    """
    if not _is_offloading(work):
        return None
    instance, host = hosted(work)
    facts = {"attachments": _reserved(work)} if instance.volumes else None
    try:
        work.tools.agents.discard(host, instance.uuid, instance.epoch, instance.volumes, timeout_s=_QUICK_S)
    except errors.NovaLiteError as exc:
        if work.workflow.attempt <= _PATIENT_TURNS and not host_is_down(work.tools, host):
            raise
        LOG.warning("Guest %s is left to its host %s: %s %s", instance.uuid, host, exc, exc.facts)
    return facts


def _reserved(work: Work[CellTools]) -> dict[str, str]:
    """Return new attachments that no host has; none where they are refused: then the old ones stay."""
    try:
        return move_volumes.reserve(work)
    except errors.GuestFailed as exc:
        LOG.warning("Volumes of server %s keep their attachments: %s", work.subject, exc)
        move_volumes.remove_others(work.tools, work.subject)
        return {}


def free_claim(work: Work[CellTools]) -> None:
    """Give back what the server has in Placement, and by what its host had its volumes."""
    if not _is_offloading(work):
        return
    if work.facts.get("attachments"):
        move_volumes.remove_old(work.tools, work.subject, work.facts["attachments"])
    work.tools.placement.release(work.subject)


def mark_offloaded(work: Work[CellTools], session: Session) -> None:
    """Turn the server into one that is on no host."""
    if not _is_offloading(work):
        return
    instance = instances.lock(session, work.subject)
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.SHELVING_OFFLOADING,
        vm_state=VmState.SHELVED_OFFLOADED,
        task_state=None,
        power_state=PowerState.SHUTDOWN,
        epoch=instance.epoch + 1,
        host=None,
        node=None,
        node_name=None,
        **instances.with_volumes(block_device.at_none(instance.volumes, work.facts.get("attachments", {}))),
    )
    _finish(work, session, host=instance.host)


def end_unshelved(work: Work[CellTools], session: Session) -> None:
    """Leave the server as it was, but for a paused one, which has lost its memory and is off."""
    instance = instances.lock(session, work.subject)
    is_paused = instance.vm_state is VmState.PAUSED
    vm_state = VmState.STOPPED if is_paused else instance.vm_state
    power_state = PowerState.SHUTDOWN if is_paused else instance.power_state
    instances.change(session, work.subject, vm_state=vm_state, power_state=power_state, task_state=None)
    _finish(work, session, host=instance.host, error=work.reason or "An internal error happened.")


_OFFLOADING = (
    Step("destroy guest", destroy_guest, no_way_back=True),
    Step("free claim", free_claim, no_way_back=True),
    Record("mark offloaded", mark_offloaded, no_way_back=True),
)
SHELVE = Definition(
    shelving.SHELVE,
    (
        Step("hold image", hold_image, undo=remove_image),
        Step("turn off", turn_off, undo=turn_on_again),
        Record("begin copying", begin_copying),
        Step("take snapshot", take_snapshot),
        Record("mark shelved", mark_shelved, no_way_back=True),
        Step("remove stale image", remove_stale_image, no_way_back=True),
        *_OFFLOADING,
    ),
    on_failure=Record("end", end_unshelved),
    behind=volumes.KINDS,
)
OFFLOAD = Definition(shelving.OFFLOAD, _OFFLOADING, behind=volumes.KINDS)
ALL = (SHELVE, OFFLOAD)


def _is_offloading(work: Work[CellTools]) -> bool:
    return work.workflow.kind == shelving.OFFLOAD or bool(work.facts["offloads"])


def _finish(work: Work[CellTools], session: Session, *, host: str | None, error: str | None = None) -> None:
    actions.finish_work(session, work.workflow, error=error, host=host)

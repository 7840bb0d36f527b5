"""Take a server off the shelf, inside its cell: start it where it still is, or build it from its image on a new host.

For one that is on no host, those above have chosen and claimed one, and named alternates: it is built as a new server
is. Should all fail it is on no host again, with nothing claimed and its image where it was.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations, shelving, volumes
from nova_lite.conductor.saga import Definition, Detour, Facts, Record, Step, Work
from nova_lite.conductor.workflows import boot_volumes, build, shelved_images
from nova_lite.conductor.workflows.tools import CellTools, host_is_down, hosted
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, build_failures, instances
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState

#: Turns of several tries each, after which an image that cannot be removed is left where it is.
_PATIENT_TURNS = 5


def spawn_guest(work: Work[CellTools]) -> Facts:
    """Have the host make the guest from the image of its disk, and start it."""
    instance = _server(work)
    if instance.host is None:
        raise errors.NovaLiteError("A server being built has no host.", instance=work.subject)
    try:
        power_state = work.tools.agents.unshelve(instance, timeout_s=max(1.0, work.seconds_left))
    except errors.Timeout as exc:
        if host_is_down(work.tools, instance.host):
            raise errors.HostFailed("The host that was to start the server does not answer.") from exc
        raise
    boot_volumes.complete_attachments(work, instance)
    return {"power_state": int(power_state), "node": instance.node}


def destroy_guest(work: Work[CellTools]) -> None:
    """Remove what there is of the guest, and free its claim; no host has a way to its volumes, which stay reserved."""
    build.destroy_guest(work)
    work.tools.placement.release(work.subject)
    boot_volumes.renew_attachments(work)


def power_on(work: Work[CellTools]) -> Facts:
    """Have the guest started where it is."""
    instance, host = hosted(work)
    timeout_s = max(1.0, work.seconds_left)
    found = work.tools.agents.power_on(host, work.subject, instance.epoch, instance.volumes, timeout_s=timeout_s)
    return {"power_state": int(found)}


def remove_image(work: Work[CellTools]) -> None:
    """Have the image removed: the disk is the server's again."""
    image_id = work.inputs["image"]
    if image_id is not None:
        is_last_try = work.workflow.attempt > _PATIENT_TURNS
        shelved_images.remove_if_possible(work.tools, image_id, at=_server(work).host, is_last_try=is_last_try)


def mark_active(work: Work[CellTools], session: Session) -> None:
    """Turn the server into a running one, pinned to the zone that was asked for, or to none."""
    instance = instances.lock(session, work.subject)
    pin = work.inputs["pin"]
    is_built = work.workflow.kind == shelving.UNSHELVE
    instances.change(
        session,
        work.subject,
        expect_task=TaskState.SPAWNING if is_built else TaskState.POWERING_ON,
        vm_state=VmState.ACTIVE,
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        shelved_image=None,
        shelved_at=None,
        requested_zone=instance.requested_zone if pin is None else pin["zone"],
        launched_at=utcnow() if is_built else instance.launched_at,
    )
    if work.facts.get("node") is not None:
        build_failures.forget(session, work.facts["node"])
    _finish(work, session, host=instance.host)


def give_up(work: Work[CellTools], session: Session) -> None:
    """Leave the server shelved: on its host, or on none, with its image."""
    instance = instances.lock(session, work.subject)
    on_no_host = {"host": None, "node": None, "node_name": None} if work.workflow.kind == shelving.UNSHELVE else {}
    instances.change(session, work.subject, task_state=None, power_state=PowerState.SHUTDOWN, **on_no_host)
    # The last host's failure is told already; that nothing else was possible is not.
    event, request_id = operations.EVENTS[shelving.UNSHELVE], work.workflow.request_id
    actions.begin_one(session, instance_uuid=work.subject, request_id=request_id, event=event)
    _finish(work, session, host=instance.host, error=work.reason or "An internal error happened.")


_DONE = (
    Step("remove image", remove_image, no_way_back=True),
    Record("mark active", mark_active, no_way_back=True),
)
UNSHELVE = Definition(
    shelving.UNSHELVE,
    (
        Step(
            "spawn guest",
            spawn_guest,
            undo=destroy_guest,
            detour=Detour(
                errors.HostFailed,
                (
                    Record("note failure", build.note_failure),
                    Step("clear host", build.clear_host),
                    Step("claim next host", build.claim_next_host),
                    Record("move to next host", build.move_to_next_host),
                ),
            ),
        ),
        *_DONE,
    ),
    on_failure=Record("give up", give_up),
    behind=volumes.KINDS,
)
UNSHELVE_HERE = Definition(
    shelving.UNSHELVE_HERE,
    (Step("power on", power_on), *_DONE),
    on_failure=Record("give up", give_up),
    behind=volumes.KINDS,
)
ALL = (UNSHELVE, UNSHELVE_HERE)


def _server(work: Work[CellTools]) -> Instance:
    with work.tools.db.reader() as session:
        return instances.get(session, work.subject)


def _finish(work: Work[CellTools], session: Session, *, host: str | None, error: str | None = None) -> None:
    actions.finish_work(session, work.workflow, error=error, host=host)

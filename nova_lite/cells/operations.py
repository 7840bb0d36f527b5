"""Begin an operation on an instance in its cell: check the state, write it down, record the workflow.

One transaction decides every race. Both the API (when a client asks) and the super conductor (when a workflow that
spans cells reaches the cell) begin operations here; the cell's conductor carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import actions, instances, workflows
from nova_lite.model import states
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS, ALONGSIDE, COPYING_TO_SHELVE, TaskState, VmState
from nova_lite.model.workflow import OPEN, Workflow

#: Action → the event that ``os-instance-actions`` shows under it.
EVENTS: Mapping[str, str] = {
    "create": "compute__do_build_and_run_instance",
    "delete": "compute_terminate_instance",
    "start": "compute_start_instance",
    "stop": "compute_stop_instance",
    "reboot": "compute_reboot_instance",
    "reboot-hard": "compute_reboot_instance",
    "pause": "compute_pause_instance",
    "unpause": "compute_unpause_instance",
    "suspend": "compute_suspend_instance",
    "resume": "compute_resume_instance",
    "delete-softly": "compute_soft_delete_instance",
    "restore": "compute_restore_instance",
    "resize": "cold_migrate",
    "confirm-resize": "compute_confirm_resize",
    "revert-resize": "compute_revert_resize",
    "rescue": "compute_rescue_instance",
    "unrescue": "compute_unrescue_instance",
    "rebuild": "rebuild_server",
    "live-migrate": "conductor_live_migrate_instance",
    "snapshot": "compute_snapshot_instance",
    "backup": "compute_backup_instance",
    "shelve": "compute_shelve_instance",
    "shelve-offload": "compute_shelve_offload_instance",
    "unshelve": "compute_unshelve_instance",
    "attach-volume": "compute_attach_volume",
    "detach-volume": "compute_detach_volume",
    "extend-volume": "compute_extend_volume",
    "swap-volume": "compute_swap_volume",
}
#: Action → its name in messages and in ``os-instance-actions``, where that is another one.
_SHOWN: Mapping[str, str] = {
    "reboot-hard": "reboot",
    "delete-softly": "delete",
    "confirm-resize": "confirmResize",
    "revert-resize": "revertResize",
    "live-migrate": "live-migration",
    "snapshot": "createImage",
    "backup": "createBackup",
    "shelve-offload": "shelveOffload",
    "attach-volume": "attach_volume",
    "detach-volume": "detach_volume",
    "extend-volume": "extend_volume",
    "swap-volume": "swap_volume",
}

#: What an instance is busy with until it is on the shelf; the last when that is undone.
_SHELVING = (TaskState.SHELVING, *COPYING_TO_SHELVE, TaskState.UNSHELVING)


def shown(action: str) -> str:
    """Return what users know ``action`` (a key of ``states.ACTIONS``) as."""
    return _SHOWN.get(action, action)


@dataclass(frozen=True, slots=True)
class Requester:
    """On whose behalf an operation runs."""

    user_id: str
    project_id: str
    request_id: str


def begin(
    session: Session,
    uuid: str,
    action: str,
    requester: Requester,
    *,
    timeout_s: float,
    inputs: Mapping[str, object] | None = None,
) -> Workflow:
    """Begin ``action`` (a key of ``states.ACTIONS``) on an instance and return the recorded workflow.

    Raises NotFound when the instance is gone, Conflict naming the state that forbids it. What the action may
    interrupt is superseded. ``session`` must be a writer of the instance's cell.
    """
    instance = instances.lock(session, uuid)
    refuse_if_wrong_state(instance, action)
    rule = ACTIONS[action]
    if instance.task_state is not None:
        workflows.supersede(session, CellWorkflowRow, uuid, spare=ALONGSIDE)
        actions.interrupt(session, uuid, by=action, spare=[shown(each) for each in ALONGSIDE])
    instances.change(session, uuid, task_state=rule.while_busy)
    return _record(session, instance, action, requester, timeout_s=timeout_s, inputs=inputs)


def begin_delete(session: Session, uuid: str, requester: Requester, *, timeout_s: float) -> Workflow | None:
    """Begin deleting an instance, whatever else is being done to it; None when it is gone or already being deleted."""
    try:
        instance = instances.lock(session, uuid)
    except errors.NotFound:
        return None
    if instance.task_state is TaskState.DELETING:
        return None
    inputs = {"unfilled_images": _unfilled_images(session, instance), "shelved_images": _shelved(session, instance)}
    workflows.supersede(session, CellWorkflowRow, uuid)
    actions.interrupt(session, uuid, by="delete")
    instances.change(session, uuid, task_state=TaskState.DELETING)
    return _record(session, instance, "delete", requester, timeout_s=timeout_s, inputs=inputs)


def _unfilled_images(session: Session, instance: Instance) -> list[str]:
    """Return the images that wait for a copy of the instance's disk, which nobody will make any more."""
    if instance.task_state not in (TaskState.IMAGE_SNAPSHOT, TaskState.IMAGE_BACKUP):
        return []
    known = workflows.about(session, CellWorkflowRow, instance.uuid)
    return [
        str(workflow.inputs["image"]) for workflow in known if workflow.status in OPEN and "image" in workflow.inputs
    ]


def _shelved(session: Session, instance: Instance) -> list[str]:
    """Return the images that have, or are to have, the disk of an instance on the shelf."""
    known = workflows.about(session, CellWorkflowRow, instance.uuid) if instance.task_state in _SHELVING else []
    going = [str(each.inputs["image"]) for each in known if each.status in OPEN and each.kind == "shelve"]
    return sorted({*going, *([] if instance.shelved_image is None else [instance.shelved_image])})


def begin_soft_delete(session: Session, uuid: str, requester: Requester, *, timeout_s: float) -> Workflow | None:
    """Begin deleting an instance so that it can be restored; for good, where its state or its task forbids that.

    None when it is gone or going already, or when this request was heard before.
    """
    try:
        instance = instances.lock(session, uuid)
    except errors.NotFound:
        return None
    if (instance.vm_state, instance.task_state) == (VmState.SOFT_DELETED, None):
        return None
    if instance.task_state is TaskState.SOFT_DELETING:
        return None
    if actions.is_known(session, uuid, requester.request_id, shown("delete-softly")):
        return None
    if states.refusal("delete-softly", instance.vm_state, instance.task_state) is not None:
        return begin_delete(session, uuid, requester, timeout_s=timeout_s)
    return begin(session, uuid, "delete-softly", requester, timeout_s=timeout_s)


def begin_restore(session: Session, uuid: str, requester: Requester, *, timeout_s: float) -> Workflow | None:
    """Begin restoring a soft-deleted instance; None when this request was heard before.

    Raises NotFound when it is gone, Conflict when it is in another state or on its way.
    """
    if actions.is_known(session, uuid, requester.request_id, "restore"):
        return None
    return begin(session, uuid, "restore", requester, timeout_s=timeout_s)


def refuse_if_wrong_state(instance: Instance, action: str) -> None:
    """Raise Conflict when the instance's state forbids ``action``."""
    attribute = states.refusal(action, instance.vm_state, instance.task_state)
    if attribute is not None:
        value = instance.vm_state if attribute == "vm_state" else instance.task_state
        raise errors.Conflict(f"Cannot '{shown(action)}' instance {instance.uuid} while it is in {attribute} {value}")


def _record(
    session: Session,
    instance: Instance,
    action: str,
    requester: Requester,
    *,
    timeout_s: float,
    inputs: Mapping[str, object] | None,
) -> Workflow:
    actions.begin(
        session,
        instance_uuid=instance.uuid,
        action=shown(action),
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=EVENTS[action],
    )
    workflow = Workflow.asked_by(requester, action, instance.uuid, inputs or {})
    workflows.add(session, CellWorkflowRow, workflow, timeout_s=timeout_s)
    return workflow

"""Every state a server can be in, and every transition between them; nothing else assigns a state.

``ACTIONS`` is the one table: where an action may start, what the server shows while it is busy, where it ends, and
where a failure leaves it. The diagram in the documentation is drawn from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nova_lite.model.guest import PowerState


class VmState(StrEnum):
    """What a server is, apart from what is being done to it."""

    ACTIVE = "active"
    BUILDING = "building"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    RESCUED = "rescued"
    RESIZED = "resized"
    SOFT_DELETED = "soft-delete"
    DELETED = "deleted"
    ERROR = "error"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"


class TaskState(StrEnum):
    """What is being done to a server now; shown as ``OS-EXT-STS:task_state``."""

    SCHEDULING = "scheduling"
    SPAWNING = "spawning"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    PAUSING = "pausing"
    UNPAUSING = "unpausing"
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    SOFT_DELETING = "soft-deleting"
    RESTORING = "restoring"
    RESCUING = "rescuing"
    UNRESCUING = "unrescuing"
    REBUILDING = "rebuilding"
    REBUILD_SPAWNING = "rebuild_spawning"
    RESIZE_PREP = "resize_prep"
    RESIZE_MIGRATING = "resize_migrating"
    RESIZE_MIGRATED = "resize_migrated"
    RESIZE_FINISH = "resize_finish"
    RESIZE_CONFIRMING = "resize_confirming"
    RESIZE_REVERTING = "resize_reverting"
    MIGRATING = "migrating"
    IMAGE_SNAPSHOT = "image_snapshot"
    IMAGE_BACKUP = "image_backup"
    SHELVING = "shelving"
    SHELVING_IMAGE_PENDING_UPLOAD = "shelving_image_pending_upload"
    SHELVING_IMAGE_UPLOADING = "shelving_image_uploading"
    SHELVING_OFFLOADING = "shelving_offloading"
    UNSHELVING = "unshelving"
    DELETING = "deleting"


ANY = frozenset(VmState) - {VmState.DELETED}
#: Where a server's disk can be copied.
_COPIED = frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED})
#: Where a server's guest can be made anew.
_REMADE = frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR})

#: Tasks that touch nothing but the guest's power: an administrator may end them by setting the state, and a delete.
RESETTABLE = frozenset(
    {
        TaskState.POWERING_OFF,
        TaskState.POWERING_ON,
        TaskState.REBOOTING,
        TaskState.REBOOTING_HARD,
        TaskState.PAUSING,
        TaskState.UNPAUSING,
        TaskState.SUSPENDING,
        TaskState.RESUMING,
    }
)

#: Tasks after which a guest is off, elsewhere or another one: whoever may open a console may not go on doing so.
ENDING_CONSOLES = frozenset(
    {
        TaskState.POWERING_OFF,
        TaskState.SUSPENDING,
        TaskState.SOFT_DELETING,
        TaskState.REBUILDING,
        TaskState.RESIZE_PREP,
        TaskState.RESIZE_MIGRATING,
        TaskState.RESIZE_CONFIRMING,
        TaskState.RESIZE_REVERTING,
        TaskState.MIGRATING,
        TaskState.SHELVING,
        TaskState.SHELVING_OFFLOADING,
        TaskState.DELETING,
    }
)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done to a server.

    ``ends_in`` is the state after success (None: unchanged), ``fails_in`` after failure (None: back where it was).
    ``interrupts`` are the tasks it may take over from: a server busy with anything else refuses it.
    """

    starts_in: frozenset[VmState]
    while_busy: TaskState
    ends_in: VmState | None
    fails_in: VmState | None = None
    interrupts: frozenset[TaskState] = frozenset()


ACTIONS: Mapping[str, Action] = {
    "create": Action(frozenset({VmState.BUILDING}), TaskState.SPAWNING, VmState.ACTIVE, VmState.ERROR),
    "delete": Action(ANY, TaskState.DELETING, VmState.DELETED, VmState.ERROR, frozenset(TaskState)),
    "start": Action(frozenset({VmState.STOPPED}), TaskState.POWERING_ON, VmState.ACTIVE),
    "stop": Action(frozenset({VmState.ACTIVE, VmState.ERROR}), TaskState.POWERING_OFF, VmState.STOPPED),
    "reboot": Action(frozenset({VmState.ACTIVE}), TaskState.REBOOTING, VmState.ACTIVE, VmState.ERROR),
    "reboot-hard": Action(
        frozenset(
            {VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED, VmState.ERROR},
        ),
        TaskState.REBOOTING_HARD,
        VmState.ACTIVE,
        VmState.ERROR,
        frozenset({TaskState.REBOOTING, TaskState.REBOOTING_HARD}),
    ),
    "pause": Action(frozenset({VmState.ACTIVE}), TaskState.PAUSING, VmState.PAUSED),
    "unpause": Action(frozenset({VmState.PAUSED}), TaskState.UNPAUSING, VmState.ACTIVE),
    "suspend": Action(frozenset({VmState.ACTIVE}), TaskState.SUSPENDING, VmState.SUSPENDED),
    "resume": Action(frozenset({VmState.SUSPENDED}), TaskState.RESUMING, VmState.ACTIVE),
    "delete-softly": Action(
        frozenset(
            {
                VmState.ACTIVE,
                VmState.STOPPED,
                VmState.PAUSED,
                VmState.SUSPENDED,
                VmState.RESCUED,
                VmState.SHELVED,
                VmState.ERROR,
                VmState.SOFT_DELETED,
            }
        ),
        TaskState.SOFT_DELETING,
        VmState.SOFT_DELETED,
        VmState.ERROR,
        RESETTABLE | {TaskState.RESTORING},
    ),
    "rescue": Action(frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}), TaskState.RESCUING, VmState.RESCUED),
    "unrescue": Action(frozenset({VmState.RESCUED}), TaskState.UNRESCUING, VmState.ACTIVE),
    # In place. A stopped server stays so; one whose disk is gone and could not be made again is in ERROR.
    "rebuild": Action(_REMADE, TaskState.REBUILDING, VmState.ACTIVE),
    "restore": Action(frozenset({VmState.SOFT_DELETED}), TaskState.RESTORING, VmState.ACTIVE),
    # To another host, another size or both: what is asked for as "migrate" is one, too.
    "resize": Action(frozenset({VmState.ACTIVE, VmState.STOPPED}), TaskState.RESIZE_PREP, VmState.RESIZED),
    "confirm-resize": Action(frozenset({VmState.RESIZED}), TaskState.RESIZE_CONFIRMING, VmState.ACTIVE),
    "revert-resize": Action(frozenset({VmState.RESIZED}), TaskState.RESIZE_REVERTING, VmState.ACTIVE),
    # While its guest goes on; what is asked for as "migrate" is a resize, see above.
    "live-migrate": Action(frozenset({VmState.ACTIVE, VmState.PAUSED}), TaskState.MIGRATING, None),
    "snapshot": Action(_COPIED, TaskState.IMAGE_SNAPSHOT, None),
    "backup": Action(_COPIED, TaskState.IMAGE_BACKUP, None),
    "shelve": Action(_COPIED, TaskState.SHELVING, VmState.SHELVED),
    "shelve-offload": Action(frozenset({VmState.SHELVED}), TaskState.SHELVING_OFFLOADING, VmState.SHELVED_OFFLOADED),
    "unshelve": Action(frozenset({VmState.SHELVED, VmState.SHELVED_OFFLOADED}), TaskState.UNSHELVING, VmState.ACTIVE),
}
#: What is done beside a server at rest, which shows nothing of it: where it may start.
ALONGSIDE: Mapping[str, frozenset[VmState]] = {
    "attach-volume": frozenset(
        {
            VmState.ACTIVE,
            VmState.PAUSED,
            VmState.STOPPED,
            VmState.RESIZED,
            VmState.SOFT_DELETED,
            VmState.SHELVED,
            VmState.SHELVED_OFFLOADED,
        }
    ),
    # Not while it is suspended: the memory that is kept of its guest knows the volume.
    "detach-volume": frozenset(
        {
            VmState.ACTIVE,
            VmState.PAUSED,
            VmState.STOPPED,
            VmState.RESIZED,
            VmState.SOFT_DELETED,
            VmState.SHELVED,
            VmState.SHELVED_OFFLOADED,
        }
    ),
    # Not while a server may go back to another host, which knows the volume by another attachment.
    "swap-volume": frozenset({VmState.ACTIVE, VmState.PAUSED}),
}
#: What a server shows while its disk is copied to be shelved, and that part of shelving.
COPYING_TO_SHELVE = (TaskState.SHELVING_IMAGE_PENDING_UPLOAD, TaskState.SHELVING_IMAGE_UPLOADING)
COPY_TO_SHELVE = "copy-to-shelve"

#: What ``status`` shows for a state at rest, and for tasks that change what is shown.
_STATUS: Mapping[VmState, str] = {
    VmState.ACTIVE: "ACTIVE",
    VmState.BUILDING: "BUILD",
    VmState.PAUSED: "PAUSED",
    VmState.SUSPENDED: "SUSPENDED",
    VmState.STOPPED: "SHUTOFF",
    VmState.RESCUED: "RESCUE",
    VmState.RESIZED: "VERIFY_RESIZE",
    VmState.SOFT_DELETED: "SOFT_DELETED",
    VmState.DELETED: "DELETED",
    VmState.ERROR: "ERROR",
    VmState.SHELVED: "SHELVED",
    VmState.SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
}
_BUSY_STATUS: Mapping[TaskState, str] = {
    TaskState.REBOOTING: "REBOOT",
    TaskState.REBOOTING_HARD: "HARD_REBOOT",
    TaskState.RESIZE_PREP: "RESIZE",
    TaskState.RESIZE_MIGRATING: "RESIZE",
    TaskState.RESIZE_MIGRATED: "RESIZE",
    TaskState.RESIZE_FINISH: "RESIZE",
    TaskState.REBUILDING: "REBUILD",
    TaskState.REBUILD_SPAWNING: "REBUILD",
    TaskState.MIGRATING: "MIGRATING",
}
#: What they show while they are made anew, whatever they were.
_REBUILDING = "REBUILD"
#: What servers show while they move, those too that do not run, and while they are moved back.
_MOVING, _REVERTING, _MIGRATING = "RESIZE", "REVERT_RESIZE", "MIGRATING"
_ALSO = {(VmState.STOPPED, _MOVING), (VmState.PAUSED, _MIGRATING)}


def status(vm_state: VmState, task_state: TaskState | None) -> str:
    """Return the ``status`` a server shows on the wire."""
    busy = None if task_state is None else _BUSY_STATUS.get(task_state)
    if busy == _REBUILDING and vm_state in _REMADE:
        return _REBUILDING
    if busy is not None and (vm_state is VmState.ACTIVE or (vm_state, busy) in _ALSO):
        return busy
    if vm_state is VmState.RESIZED and task_state is TaskState.RESIZE_REVERTING:
        return _REVERTING
    return _STATUS[vm_state]


#: What becomes of a server at rest whose guest stopped, ran on or was paused without us; all else stays as it is.
#: A suspended server's guest is off, as it should be.
_FOUND: Mapping[VmState, Mapping[PowerState, VmState]] = {
    VmState.ACTIVE: {
        PowerState.SHUTDOWN: VmState.STOPPED,
        PowerState.CRASHED: VmState.STOPPED,
        PowerState.PAUSED: VmState.PAUSED,
    },
    VmState.PAUSED: {
        PowerState.SHUTDOWN: VmState.STOPPED,
        PowerState.CRASHED: VmState.STOPPED,
        PowerState.RUNNING: VmState.ACTIVE,
    },
    VmState.SUSPENDED: {PowerState.RUNNING: VmState.ACTIVE, PowerState.PAUSED: VmState.PAUSED},
}


def after_power_report(vm_state: VmState, power_state: PowerState) -> VmState:
    """Return the state of a server at rest whose guest was found in ``power_state``."""
    return _FOUND.get(vm_state, {}).get(power_state, vm_state)


#: Tasks of which starting a guest is a part, and those of which stopping it is what they leave.
_STARTING = (
    TaskState.SPAWNING,
    TaskState.POWERING_ON,
    TaskState.REBOOTING,
    TaskState.REBOOTING_HARD,
    TaskState.RESTORING,
    TaskState.RESIZE_FINISH,
    TaskState.RESIZE_REVERTING,
    TaskState.REBUILD_SPAWNING,
    TaskState.UNSHELVING,
)


def lets_guest_start(task_state: TaskState | None) -> bool:
    """Return whether somebody is starting the guest now: a late or doubled message must not do it on its own."""
    return task_state in _STARTING


def lets_guest_stop(task_state: TaskState | None) -> bool:
    """Return whether somebody is stopping the guest now, and leaves it where it is."""
    return task_state in (TaskState.POWERING_OFF, TaskState.SOFT_DELETING, TaskState.SHELVING, TaskState.REBUILDING)


def is_doing(action: str, task_state: TaskState | None) -> bool:
    """Return whether ``action`` is being done now: a late or doubled message must not do it on its own."""
    if action == COPY_TO_SHELVE:
        return task_state in COPYING_TO_SHELVE
    return action in ACTIONS and task_state is ACTIONS[action].while_busy


def lets_guest_leave(task_state: TaskState | None) -> bool:
    """Return whether somebody is moving the guest away now."""
    return task_state is TaskState.RESIZE_MIGRATING


def refusal(action: str, vm_state: VmState, task_state: TaskState | None) -> str | None:
    """Return which attribute keeps ``action`` from starting (``vm_state`` or ``task_state``), or None when it may."""
    if action in ALONGSIDE:
        return "vm_state" if vm_state not in ALONGSIDE[action] else task_state and "task_state"
    rule = ACTIONS[action]
    if vm_state not in rule.starts_in:
        return "vm_state"
    if task_state is not None and task_state not in rule.interrupts:
        return "task_state"
    return None

"""Boot a server from another image's disk, to repair its own, and back; inside its cell."""

from nova_lite import errors
from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well, hosted
from nova_lite.model.guest import PowerState, RescueDevice
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState


def boot_rescue(work: Work[CellTools]) -> Facts:
    """Have the host boot the guest from a fresh disk of the image asked for."""
    instance, _ = hosted(work)
    told = work.inputs.get("device")
    device = None if told is None else RescueDevice(told["kind"], told["bus"])
    found = work.tools.agents.rescue(instance, work.inputs["image_id"], device=device, timeout_s=work.seconds_left)
    return {"power_state": int(found)}


def boot_own_disk_again(work: Work[CellTools]) -> None:
    """Leave the guest as it was found: from its own disk, and running only if it ran."""
    instance, host = hosted(work)
    try:
        _unrescue(work, instance, host, start=instance.vm_state is VmState.ACTIVE)
    except errors.NotFound:  # no guest, so none from another disk
        return


def boot_own_disk(work: Work[CellTools]) -> Facts:
    """Have the host boot the guest from its own disk."""
    return {"power_state": int(_unrescue(work, *hosted(work), start=True))}


def _unrescue(work: Work[CellTools], instance: Instance, host: str, *, start: bool) -> PowerState:
    return work.tools.agents.unrescue(
        host,
        instance.uuid,
        instance.epoch,
        during=work.workflow.kind,
        start=start,
        timeout_s=max(1.0, work.seconds_left),
    )


RESCUE = Definition(
    "rescue",
    (
        Step("boot rescue disk", boot_rescue, undo=boot_own_disk_again),
        Record("mark rescued", end_well, no_way_back=True),
    ),
    on_failure=Record("end", end_in_error),
    behind=volumes.KINDS,
)

UNRESCUE = Definition(
    "unrescue",
    (
        Step("boot own disk", boot_own_disk),
        Record("mark done", end_well, no_way_back=True),
    ),
    on_failure=Record("end", end_in_error),
    behind=volumes.KINDS,
)

"""Start, stop, reboot, pause and suspend a server, inside its cell."""

from collections.abc import Callable

from nova_lite.cells import volumes
from nova_lite.conductor.saga import Definition, Facts, Record, Step, Work
from nova_lite.conductor.workflows.tools import CellTools, end_in_error, end_well, hosted
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance

Deed = Callable[[Work[CellTools], Instance, str], PowerState]


def _start(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.power_on(
        host, instance.uuid, instance.epoch, instance.volumes, timeout_s=work.seconds_left
    )


def _stop(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.power_off(host, instance.uuid, instance.epoch, timeout_s=work.seconds_left)


def _reboot(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    is_hard = work.workflow.kind == "reboot-hard"
    return work.tools.agents.reboot(
        host,
        instance.uuid,
        instance.epoch,
        instance.volumes if is_hard else (),
        hard=is_hard,
        timeout_s=work.seconds_left,
    )


def _pause(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.pause(host, instance.uuid, instance.epoch, timeout_s=work.seconds_left)


def _unpause(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.unpause(host, instance.uuid, instance.epoch, timeout_s=work.seconds_left)


def _suspend(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.suspend(host, instance.uuid, instance.epoch, timeout_s=work.seconds_left)


def _resume(work: Work[CellTools], instance: Instance, host: str) -> PowerState:
    return work.tools.agents.resume(host, instance.uuid, instance.epoch, timeout_s=work.seconds_left)


def _on_guest(deed: Deed) -> Callable[[Work[CellTools]], Facts]:
    """Return a step's ``do`` that has the instance's host do ``deed``."""

    def do(work: Work[CellTools]) -> Facts:
        return {"power_state": int(deed(work, *hosted(work)))}

    return do


def _power(kind: str, name: str, deed: Deed) -> Definition[CellTools]:
    return Definition(
        kind,
        (
            Step(name, _on_guest(deed)),
            Record("mark done", end_well, no_way_back=True),
        ),
        on_failure=Record("end", end_in_error),
        behind=volumes.KINDS,
    )


START = _power("start", "power on", _start)
STOP = _power("stop", "power off", _stop)
REBOOT = _power("reboot", "reboot", _reboot)
REBOOT_HARD = _power("reboot-hard", "reboot", _reboot)
PAUSE = _power("pause", "pause", _pause)
UNPAUSE = _power("unpause", "unpause", _unpause)
SUSPEND = _power("suspend", "suspend", _suspend)
RESUME = _power("resume", "resume", _resume)
ALL = (START, STOP, REBOOT, REBOOT_HARD, PAUSE, UNPAUSE, SUSPEND, RESUME)

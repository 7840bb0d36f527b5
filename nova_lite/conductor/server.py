"""What a cell's conductor answers on the bus: one short method per message. The client side is ``rpc/conductor.py``."""

from collections.abc import Callable
from typing import Any

import msgspec

from nova_lite import errors
from nova_lite.cells import evacuations as evacuation_records
from nova_lite.cells import host_status, volume_images, volumes
from nova_lite.cells.operations import Requester
from nova_lite.conductor.saga import Runner
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import evacuations, hosts, instances, migrations
from nova_lite.model import notifications, payloads, states
from nova_lite.model.block_device import Phase
from nova_lite.model.conductor import ExpectedGuest, HostReport
from nova_lite.model.guest import Guest, PowerState
from nova_lite.model.notifications import COMPUTE, Who
from nova_lite.model.payloads import Transition
from nova_lite.model.states import VmState
from nova_lite.rpc.notifications import Notifier
from nova_lite.storage import Database, retried

#: Seconds that freeing what evacuated servers had may take before it is told as late; it is tried on.
_CLEANING_S = 600.0
#: Whom work is done for that hosts themselves cause.
_NOBODY = Requester(user_id="", project_id="", request_id="")
_TOLD = Who(user_id="", project_id="", request_id="")


class CellEndpoint:
    """A cell conductor's ear, on its cell's bus: the pen that writes the cell's database for its hosts."""

    def __init__(
        self, runner: Runner[Any], db: Database, notifier: Notifier, *, down_after_s: Callable[[], float]
    ) -> None:
        self._runner = runner
        self._db = db
        self._notifier = notifier
        self._down_after_s = down_after_s

    def wake(self, workflow_uuid: str) -> None:
        self._runner.wake(workflow_uuid)

    @retried
    def heartbeat(self, host: str, binary: str) -> None:
        with self._db.writer() as session:
            hosts.beat(session, host, binary, down_after_s=self._down_after_s())

    def register_host(self, report: dict[str, Any]) -> None:
        begun = self._register(msgspec.convert(report, HostReport))
        if begun is not None:
            self._runner.wake(begun)

    @retried
    def _register(self, report: HostReport) -> str | None:
        """Record a host; return the workflow by which Placement hears whether it is disabled, if it may not know."""
        with self._db.writer() as session:
            is_new = report.node not in hosts.nodes_of(session, report.host)
            hosts.register(session, report, down_after_s=self._down_after_s())
            service = hosts.agent(session, report.host, down_after_s=self._down_after_s())
            if service is None or not (is_new or service.is_disabled):
                return None
            begun = host_status.begin(session, service, _NOBODY)
        if is_new:
            self._notifier.tell("service.create", None, _TOLD, lambda: payloads.service(service), host=report.host)
        return begun

    def knows_host(self, host: str, node: str) -> bool:
        with self._db.reader() as session:
            return node in hosts.nodes_of(session, host)

    def may_run(self, host: str, instance_uuid: str, epoch: int) -> bool:
        with self._db.reader() as session:
            return states.lets_guest_start(instances.task_on(session, instance_uuid, host, epoch))

    def may_stop(self, host: str, instance_uuid: str, epoch: int) -> bool:
        with self._db.reader() as session:
            return states.lets_guest_stop(instances.task_on(session, instance_uuid, host, epoch))

    def may_do(self, action: str, host: str, instance_uuid: str, epoch: int) -> bool:
        with self._db.reader() as session:
            return states.is_doing(action, instances.task_on(session, instance_uuid, host, epoch))

    def may_plug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        with self._db.reader() as session:
            return volumes.is_in_phase(session, host, instance_uuid, epoch, device, Phase.ATTACHING)

    def may_unplug(self, host: str, instance_uuid: str, epoch: int, device: str) -> bool:
        with self._db.reader() as session:
            return volumes.is_in_phase(session, host, instance_uuid, epoch, device, Phase.DETACHING)

    def may_freeze(self, host: str, instance_uuid: str, epoch: int, image_id: str) -> bool:
        with self._db.reader() as session:
            return volume_images.is_made(session, instance_uuid, host, epoch, image_id)

    def may_swap(self, host: str, instance_uuid: str, epoch: int, device: str, back: bool = False) -> bool:
        phase = Phase.SWAPPING_BACK if back else Phase.SWAPPING
        with self._db.reader() as session:
            return volumes.is_in_phase(session, host, instance_uuid, epoch, device, phase)

    def may_leave(self, host: str, instance_uuid: str, epoch: int) -> bool:
        with self._db.reader() as session:
            return states.lets_guest_leave(instances.task_on(session, instance_uuid, host, epoch))

    def volumes_of(self, host: str, instance_uuid: str) -> list[Any]:
        with self._db.reader() as session:
            try:
                instance = instances.get(session, instance_uuid)
            except errors.NotFound:
                return []
        found: list[Any] = msgspec.to_builtins(instance.volumes) if instance.host == host else []
        return found

    @retried
    def uploading(self, host: str, instance_uuid: str, epoch: int) -> None:
        with self._db.writer() as session:
            instances.note_upload(session, instance_uuid, host, epoch)

    def live_status(self, host: str, migration: str) -> str | None:
        with self._db.reader() as session:
            return migrations.live_status(session, host, migration)

    def moved_away(self, host: str) -> list[str]:
        with self._db.reader() as session:
            return migrations.away_from(session, host)

    def expected_guests(self, host: str) -> list[Any]:
        with self._db.reader() as session:
            # In this order: one that becomes the host's own in between is in both, and not in neither.
            arriving = [_arriving(*each) for each in migrations.arriving_live(session, host)]
            expected = instances.expected_on(session, host)
            leaving = [_leaving(uuid) for uuid in evacuations.leaving(session, host)]
        found: list[Any] = msgspec.to_builtins([*arriving, *expected, *leaving])
        return found

    def lives(self, instance_uuid: str) -> bool:
        with self._db.reader() as session:
            return instances.lives(session, instance_uuid)

    def evacuated_from(self, host: str) -> list[str]:
        with self._db.reader() as session:
            return [instance_uuid for _, instance_uuid in evacuations.left_on(session, host)]

    def report_left(self, host: str, instance_uuids: list[str]) -> None:
        for uuid in self._clean(host, instance_uuids):
            self._runner.wake(uuid)

    @retried
    def _clean(self, host: str, instance_uuids: list[str]) -> list[str]:
        with self._db.writer() as session:
            return evacuation_records.clean(session, host, instance_uuids, timeout_s=_CLEANING_S)

    def hypervisor_silent(self, host: str, ip: str, reason: dict[str, Any]) -> None:
        self._notifier.tell(
            "libvirt.connect",
            notifications.ERROR,
            _TOLD,
            lambda: notifications.LIBVIRT_ERROR.filled(ip=ip, reason=reason),
            host=host,
        )

    def report_guests(self, host: str, guests: list[dict[str, Any]]) -> None:
        changed = self._note_power(host, msgspec.convert(guests, list[Guest]))
        if self._notifier.state_changes is not None:
            for uuid, was in changed.items():
                self._tell_found(host, uuid, was)

    @retried
    def _note_power(self, host: str, guests: list[Guest]) -> dict[str, VmState]:
        """Write down how guests are; return what those were whose states that changed."""
        with self._db.writer() as session:
            found = {each.uuid: instances.note_power(session, each.uuid, host, each.power_state) for each in guests}
        return {uuid: was for uuid, was in found.items() if was is not None}

    def _tell_found(self, host: str, uuid: str, was: VmState) -> None:
        """Tell of a server whose state changed without anybody's asking."""
        with self._db.reader() as session:
            now = instances.get(session, uuid, with_deleted=True)
        before, volumes = Transition(was.value, None), self._notifier.lists_volumes
        self._notifier.tell(
            "instance.update",
            None,
            _TOLD,
            lambda: payloads.instance_update(now, _TOLD, before, with_volumes=volumes, now=utcnow()),
            host=host,
            source=COMPUTE,
        )


def _leaving(uuid: str) -> ExpectedGuest:
    """Return how a host is told of a guest that is being evacuated from it: it must not run, and its disks stay."""
    return ExpectedGuest(uuid, 0, PowerState.SHUTDOWN, should_run=False, must_be_off=True, is_settled=True)


def _arriving(uuid: str, epoch: int) -> ExpectedGuest:
    """Return how a host is told of a guest that is being sent to it: nobody touches it until that is settled."""
    return ExpectedGuest(uuid, epoch, PowerState.NOSTATE, should_run=False, must_be_off=False, is_settled=False)

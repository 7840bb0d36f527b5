"""A hypervisor without guests: keeps every promise of the interface, costs microseconds, fails on command.

For tests, for scale (hundreds of hosts in one process) and for trying nova_lite where there is no libvirt.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.compute.virt import console
from nova_lite.compute.virt.driver import no_matter
from nova_lite.compute.virt.fake_consoles import Echo, FakeConsoles
from nova_lite.compute.virt.fake_inside import FakeInside
from nova_lite.compute.virt.fake_moves import FakeLiveMoves, Job
from nova_lite.compute.virt.fake_nodes import Node
from nova_lite.compute.virt.fake_records import Record, path_of, write
from nova_lite.compute.virt.fake_volumes import FakeVolumes
from nova_lite.compute.virt.faults import FaultScript, Gate
from nova_lite.model.guest import BaseImage, Guest, GuestSpec, HostResources, PowerState, RescueDevice
from nova_lite.model.provider import Provider, whole_host

_GIB = 1024**3
_SECTOR = 512
#: What a guest writes at each boot between its first line and its last two, and how many boots its log can hold.
_BOOT_LOG = "".join(f"[{number / 10:8.3f}] fake device {number} is ready\n" for number in range(1, 48))
_LOGGED_BOOTS = console.MAX_BYTES // len(_BOOT_LOG) + 1
#: How the files of guests end that were set aside.
_ASIDE = ".aside"

#: What a fake host can truthfully be scheduled for: it tells of the hardware that a host with libvirt has.
_TRAITS = frozenset(
    {
        "COMPUTE_NODE",
        "COMPUTE_ARCH_X86_64",
        "COMPUTE_IMAGE_TYPE_QCOW2",
        "COMPUTE_IMAGE_TYPE_RAW",
        "COMPUTE_STORAGE_BUS_IDE",
        "COMPUTE_STORAGE_BUS_SATA",
        "COMPUTE_STORAGE_BUS_SCSI",
        "COMPUTE_STORAGE_BUS_VIRTIO",
        "COMPUTE_RESCUE_BFV",
        "COMPUTE_VOLUME_EXTEND",
        "COMPUTE_VOLUME_MULTI_ATTACH",
        "HW_ARCH_X86_64",
    }
)


class FakeDriver(FakeConsoles, FakeVolumes, FakeInside, FakeLiveMoves):
    """Guests that are records. With ``state_dir`` they survive their process, though not the machine (no fsync).

    ``fail``, ``delay`` and ``hold`` script what the named method does next; see ``FaultScript``.
    """

    def __init__(  # noqa: PLR0913 - the facts of a host
        self,
        hostname: str,
        state_dir: Path | None = None,
        *,
        vcpus: int = 64,
        ram_mib: int = 256 * 1024,
        disk_gib: int = 4096,
        needs_image: bool = False,
        host_ip: str = "127.0.0.1",
        nodes: tuple[Node, ...] = (),
    ) -> None:
        self.needs_image = needs_image
        self.on_silence: Callable[[Exception], None] = no_matter
        self.faults = FaultScript()
        self._hostname = hostname
        self._state_dir = state_dir
        self._vcpus, self._ram_mib, self._disk_gib = vcpus, ram_mib, disk_gib
        self._host_ip = host_ip
        self._nodes = nodes
        self._lock = threading.Lock()
        self._echoes: dict[str, dict[str, Echo]] = {}
        self._records: dict[str, Record] = {}
        #: What was set aside of guests that moved away.
        self._aside: dict[str, Record] = {}
        #: Guests that are being sent to other hosts.
        self._jobs: dict[str, Job] = {}
        self.passwords, self.interrupted, self.frozen = {}, [], set()
        self.reached, self.extended = set(), {}

    # -- the script ---------------------------------------------------------------------------------------------

    def fail(self, method: str, error: Exception, *, times: int | None = 1, after: bool = False) -> None:
        """Make the next calls of ``method`` raise ``error``."""
        self.faults.fail(method, error, times=times, after=after)

    def delay(self, method: str, seconds: float) -> None:
        """Make every call of ``method`` take ``seconds`` longer."""
        self.faults.delay(method, seconds)

    def hold(self, method: str, *, after: bool = False) -> Gate:
        """Make every call of ``method`` stop at the returned gate."""
        return self.faults.hold(method, after=after)

    # -- the interface ------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Read the guests that an earlier process left in ``state_dir``."""
        self.faults.play("connect")
        if self._state_dir is None:
            return
        try:
            self._state_dir.mkdir(parents=True, exist_ok=True)
            for half_written in self._state_dir.glob("*.tmp"):
                half_written.unlink(missing_ok=True)
            paths = sorted(self._state_dir.glob("*.json"))
            found = [msgspec.json.decode(path.read_bytes(), type=Record) for path in paths]
            paths = sorted(self._state_dir.glob(f"*{_ASIDE}"))
            aside = [msgspec.json.decode(path.read_bytes(), type=Record) for path in paths]
        except (OSError, msgspec.DecodeError) as error:
            raise errors.Misconfigured(f"Cannot read the fake guests in {self._state_dir}: {error}") from error
        with self._lock:
            self._records.update((record.uuid, record) for record in found)
            self._aside.update((record.uuid, record) for record in aside)

    def close(self) -> None:
        """Let go of nothing but consoles: there is no connection."""
        self.faults.play("close")
        self._end_consoles()

    def resources(self) -> HostResources:
        """Return the resources given to the constructor."""
        self.faults.play("resources")
        return HostResources(
            vcpus=self._vcpus,
            ram_mib=self._ram_mib,
            disk_gib=self._disk_gib,
            hypervisor_type="fake",
            hypervisor_version=1000,
            hypervisor_hostname=self._hostname,
            host_ip=self._host_ip,
            cpu_info={"arch": "x86_64", "model": "fake", "vendor": "fake", "features": []},
            traits=_TRAITS,
            runs=(("x86_64", "fake", "hvm"),),
        )

    def providers(self) -> tuple[Provider, ...]:
        """Return the host and, below it, its nodes."""
        return (whole_host(self.resources()), *(node.below(self._hostname) for node in self._nodes))

    def guests(self) -> list[Guest]:
        """Return every guest of this host."""
        self.faults.play("guests")
        with self._lock:
            records = list(self._records.values())
        return [_shown(record) for record in records]

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or None."""
        self.faults.play("guest")
        record = self._records.get(uuid)
        return None if record is None else _shown(record)

    def spawn(self, spec: GuestSpec, image: BaseImage | None, *, start: bool = True) -> None:
        """Record a guest, running or not."""
        self.faults.play("spawn")
        known = self._records.get(spec.uuid)
        if known is not None and known.epoch > spec.epoch:
            raise errors.Conflict(f"Instance {spec.uuid} is here with epoch {known.epoch}, newer than {spec.epoch}")
        if known is not None and known.epoch == spec.epoch:
            if start:
                self._set_power(known, PowerState.RUNNING)
        else:
            if image is not None and spec.root_gib and image.virtual_size > spec.root_gib * _GIB:
                raise errors.GuestFailed(
                    f"Image {image.image_id} needs {image.virtual_size} bytes; the disk has {spec.root_gib} GiB"
                )
            power_state = PowerState.RUNNING if start else PowerState.SHUTDOWN
            volumes = self._volumes(spec)
            self._store(Record(spec.uuid, spec.name, spec.epoch, power_state, boots=int(start), volumes=volumes))
        self.faults.play("spawn", after=True)

    def destroy(self, uuid: str) -> None:
        """Forget the guest."""
        self.faults.play("destroy")
        with self._lock:
            if self._records.pop(uuid, None) is not None and self._state_dir is not None:
                path_of(self._state_dir, uuid).unlink(missing_ok=True)
        self._forget_awaited(uuid)
        self._end_consoles(uuid)
        self.faults.play("destroy", after=True)

    def power_on(self, uuid: str) -> None:
        """Mark the guest running."""
        self.faults.play("power_on")
        self._set_power(self._known(uuid), PowerState.RUNNING)
        self.faults.play("power_on", after=True)

    def power_off(self, uuid: str, *, timeout_s: float) -> None:
        """Mark the guest shut down; it always obeys at once."""
        self.faults.play("power_off")
        known = self._known(uuid)
        if known.is_saved or known.power_state is not PowerState.SHUTDOWN:
            self._store(replace(known, power_state=PowerState.SHUTDOWN, is_saved=False))
        self.faults.play("power_off", after=True)

    def pause(self, uuid: str) -> None:
        """Mark the guest paused."""
        self.faults.play("pause")
        self._set_power(self._alive(uuid), PowerState.PAUSED)
        self.faults.play("pause", after=True)

    def unpause(self, uuid: str) -> None:
        """Mark the guest running."""
        self.faults.play("unpause")
        self._set_power(self._alive(uuid), PowerState.RUNNING)
        self.faults.play("unpause", after=True)

    def suspend(self, uuid: str) -> None:
        """Mark the guest off, its memory saved."""
        self.faults.play("suspend")
        if not self._known(uuid).is_saved:
            self._store(replace(self._alive(uuid), power_state=PowerState.SHUTDOWN, is_saved=True))
        self.faults.play("suspend", after=True)

    def resume(self, uuid: str) -> None:
        """Mark the guest running."""
        self.faults.play("resume")
        self._set_power(self._known(uuid), PowerState.RUNNING)
        self.faults.play("resume", after=True)

    def reboot(self, uuid: str, *, hard: bool, timeout_s: float) -> None:
        """Count one more boot; it always obeys at once."""
        self.faults.play("reboot")
        known = self._known(uuid)
        self._store(_booted(known))
        self.faults.play("reboot", after=True)

    def snapshot(self, uuid: str, path: Path, *, timeout_s: float) -> str:
        """Write a disk that says whose it is and how often that guest was started."""
        self.faults.play("snapshot")
        known = self._known(uuid)
        try:
            path.write_bytes(f"disk of {known.uuid} after boot {known.boots}\n".encode().ljust(_SECTOR, b"\0"))
        except OSError as error:
            raise errors.Unavailable(f"Cannot copy the disk of {uuid}: {error.strerror}", path=str(path)) from error
        self.faults.play("snapshot", after=True)
        return "raw"

    def disks_at(self, uuid: str) -> str:
        """Return the name of this host: there are no disks."""
        self.faults.play("disks_at")
        self._known(uuid)
        return self._hostname

    def check_reach(self, disks_at: str) -> None:
        """Reach every host."""
        self.faults.play("check_reach")
        self.faults.play("check_reach", after=True)

    def set_aside(self, uuid: str, *, timeout_s: float) -> None:
        """Turn the guest into a record of one."""
        self.faults.play("set_aside")
        known = self._records.get(uuid)
        if known is not None:
            with self._lock:
                aside = replace(known, power_state=PowerState.SHUTDOWN)
                if self._state_dir is not None:
                    write(self._state_dir / f"{uuid}{_ASIDE}", aside)
                    path_of(self._state_dir, uuid).unlink(missing_ok=True)
                self._aside[uuid] = aside
                del self._records[uuid]
            self._end_consoles(uuid)
        elif uuid not in self._aside:
            raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
        self.faults.play("set_aside", after=True)

    def receive(self, spec: GuestSpec, disks_at: str, *, start: bool) -> None:
        """Record a guest, running or not."""
        self.faults.play("receive")
        known = self._records.get(spec.uuid)
        if known is not None and known.epoch > spec.epoch:
            raise errors.Conflict(f"Instance {spec.uuid} is here with epoch {known.epoch}, newer than {spec.epoch}")
        if known is None or known.epoch < spec.epoch:
            volumes = self._volumes(spec)
            known = Record(spec.uuid, spec.name, spec.epoch, PowerState.SHUTDOWN, boots=0, volumes=volumes)
        self._store(_booted(known) if start and known.power_state is not PowerState.RUNNING else known)
        self.faults.play("receive", after=True)

    def bring_back(self, uuid: str, epoch: int, *, start: bool) -> None:
        """Turn the record of a guest into one."""
        self.faults.play("bring_back")
        known = self._records.get(uuid)
        if known is None:
            aside = self._aside.get(uuid)
            if aside is None:
                raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
            known = replace(aside, epoch=epoch)
        if known.epoch > epoch:
            raise errors.Conflict(f"Instance {uuid} is here with epoch {known.epoch}, newer than {epoch}")
        self._store(_booted(known) if start and known.power_state is not PowerState.RUNNING else known)
        self._forget_aside(uuid)
        self.faults.play("bring_back", after=True)

    def keep_disks(self, uuid: str) -> None:
        """Do nothing: hosts see no disks of others."""
        self.faults.play("keep_disks")
        self.faults.play("keep_disks", after=True)

    def sees_disks(self, uuid: str) -> bool:
        """Return False: hosts see no disks of others."""
        self.faults.play("sees_disks")
        self.faults.play("sees_disks", after=True)
        return False

    def clear_attempt(self, uuid: str) -> None:
        """Do nothing: guests are made at once."""
        self.faults.play("clear_attempt")
        self.faults.play("clear_attempt", after=True)

    def drop_aside(self, uuid: str) -> None:
        """Forget the record of a guest."""
        self.faults.play("drop_aside")
        self._forget_aside(uuid)
        self.faults.play("drop_aside", after=True)

    def asides(self) -> list[str]:
        """Return of which guests there is but a record."""
        self.faults.play("asides")
        return list(self._aside)

    def rescue(
        self, spec: GuestSpec, image: BaseImage | None, *, timeout_s: float, device: RescueDevice | None = None
    ) -> None:
        """Count one more boot, from another disk."""
        self.faults.play("rescue")
        known = self._known(spec.uuid)
        if known.is_rescued:
            self._set_power(known, PowerState.RUNNING)
        else:
            self._store(replace(_booted(known), is_rescued=True))
        self.faults.play("rescue", after=True)

    def unrescue(self, uuid: str, *, start: bool) -> None:
        """Forget the other disk."""
        self.faults.play("unrescue")
        known = self._known(uuid)
        if known.is_rescued:
            known = replace(known, power_state=PowerState.SHUTDOWN, is_saved=False, is_rescued=False)
            self._store(known)
        if start:
            self._set_power(known, PowerState.RUNNING)
        self.faults.play("unrescue", after=True)

    def console_output(self, uuid: str, *, lines: int | None) -> bytes:
        """Return what a guest would have written at each of its boots."""
        self.faults.play("console_output")
        known = self._known(uuid)
        kept = range(max(1, known.boots - _LOGGED_BOOTS + 1), known.boots + 1)
        boots = (f"fake boot {boot} of {known.uuid}\n{_BOOT_LOG}\n{known.name} login: \n" for boot in kept)
        return console.tail("".join(boots).encode(), lines)

    # -- records ------------------------------------------------------------------------------------------------

    def _known(self, uuid: str) -> Record:
        record = self._records.get(uuid)
        if record is None:
            raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
        return record

    def _alive(self, uuid: str) -> Record:
        record = self._known(uuid)
        if record.power_state is PowerState.SHUTDOWN:
            raise errors.Conflict(f"The guest of instance {uuid} is not running.")
        return record

    def _forget_aside(self, uuid: str) -> None:
        with self._lock:
            if self._aside.pop(uuid, None) is not None and self._state_dir is not None:
                (self._state_dir / f"{uuid}{_ASIDE}").unlink(missing_ok=True)

    def _set_power(self, record: Record, power_state: PowerState) -> None:
        if record.power_state is power_state:
            return
        boots = record.boots + (record.power_state is PowerState.SHUTDOWN and not record.is_saved)
        self._store(replace(record, power_state=power_state, boots=boots, is_saved=False))

    def _store(self, record: Record) -> None:
        with self._lock:
            if self._state_dir is not None:
                write(path_of(self._state_dir, record.uuid), record)
            self._records[record.uuid] = record
        if record.power_state is PowerState.SHUTDOWN:
            self._end_consoles(record.uuid)


def _booted(record: Record) -> Record:
    return replace(record, power_state=PowerState.RUNNING, boots=record.boots + 1, is_saved=False)


def _shown(record: Record) -> Guest:
    return Guest(uuid=record.uuid, epoch=record.epoch, power_state=record.power_state)

"""How the fake's guests go from one imitated host to another while they run: through the other one's directory.

What is sent is a file there, so hosts may be of one process or of several. It is copied for as long as ``transfer`` is
scripted to take (``FakeDriver.delay``, ``hold``, ``fail``); unscripted, it takes no time at all.
"""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from nova_lite import errors
from nova_lite.compute.virt.fake_records import Plugged, Record, path_of, write
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.model.guest import GuestSpec, PowerState
from nova_lite.model.live_migration import Departure, Landing, Leaving, Stage
from nova_lite.model.migration import Progress

#: How the files of guests end that have been sent here and not been looked at, and of those that are awaited.
_SENT, _AWAITED = ".sent", ".awaited"
_VERSION = 1000
_MIB = 1024**2
_MEMORY = 256 * _MIB


@dataclass
class Job:
    """One guest's leaving, in the process that sends it."""

    landing: Landing
    over: threading.Event = field(default_factory=threading.Event)
    reason: str | None = None


class FakeLiveMoves:
    """The part of ``FakeDriver`` that sends running guests and takes them in."""

    faults: FaultScript
    _hostname: str
    _state_dir: Path | None
    _lock: threading.Lock
    _records: dict[str, Record]
    _jobs: dict[str, Job]

    def _end_consoles(self, uuid: str | None = None) -> None:
        raise NotImplementedError

    def leaving(self, uuid: str) -> Leaving:
        """Tell of the guest; raises Conflict when it does not run."""
        self.faults.play("leaving")
        if self._here(uuid).power_state is PowerState.SHUTDOWN:
            raise errors.Conflict(f"The guest of instance {uuid} is not running.")
        return Leaving(self._hostname, "fake", _VERSION, disks_at=str(self._directory()))

    def check_landing(self, uuid: str, leaving: Leaving, *, copies_disks: bool | None) -> bool:
        """Take every guest of an imitated host; there are no disks to copy, but it may be pretended."""
        self.faults.play("check_landing")
        if leaving.hypervisor_type != "fake":
            raise errors.HostFailed("The host has another kind of hypervisor.")
        self.faults.play("check_landing", after=True)
        return bool(copies_disks)

    def prepare_landing(self, spec: GuestSpec, leaving: Leaving, *, copies_disks: bool) -> Landing:
        """Await the guest."""
        self.faults.play("prepare_landing")
        directory = self._directory()
        if self._take_in(spec.uuid, spec.epoch) is None:
            volumes = self._volumes(spec)
            record = Record(spec.uuid, spec.name, spec.epoch, PowerState.PAUSED, boots=0, volumes=volumes)
            write(directory / f"{spec.uuid}{_AWAITED}", record)
        self.faults.play("prepare_landing", after=True)
        return Landing(str(directory), "", self._hostname, spec.epoch, directory=str(directory))

    def has_landed(self, uuid: str, epoch: int) -> bool:
        """Return whether the guest was sent whole."""
        self.faults.play("has_landed")
        return self._take_in(uuid, epoch) is not None

    def finish_landing(self, uuid: str, epoch: int) -> None:
        """Await nothing any more."""
        self.faults.play("finish_landing")
        if self._take_in(uuid, epoch) is None:
            raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
        self._forget_awaited(uuid)
        self.faults.play("finish_landing", after=True)

    def depart(self, uuid: str, landing: Landing) -> None:
        """Send the guest in the background."""
        self.faults.play("depart")
        with self._lock:
            job = self._jobs.get(uuid)
            begins = uuid in self._records and (job is None or job.over.is_set())
            if begins:
                job = self._jobs[uuid] = Job(landing)
        if begins and job is not None:
            threading.Thread(target=self._transfer, args=(uuid, job), name=f"transfer-{uuid}", daemon=True).start()
        self.faults.play("depart", after=True)

    def departure(self, uuid: str) -> Departure:
        """Return what became of the sending; it is half done while it is held up."""
        self.faults.play("departure")
        job = self._jobs.get(uuid)
        record = self._records.get(uuid)
        if record is not None and record.sent_to is not None and (job is None or job.over.is_set()):
            # Its process died between the last two steps of the sending.
            self._complete(record, Path(record.sent_to))
            record = self._records.get(uuid)
        if record is None:
            return Departure(Stage.GONE, Progress(_MEMORY, _MEMORY, 0))
        if job is None or job.over.is_set():
            return Departure(Stage.HERE, reason=None if job is None else job.reason)
        return Departure(Stage.LEAVING, Progress(_MEMORY, _MEMORY // 2, _MEMORY // 2, 0, 0, 0))

    def stay(self, uuid: str) -> None:
        """Break the sending off, unless it is done."""
        self.faults.play("stay")
        with self._lock:
            job = self._jobs.get(uuid)
            if job is not None and not job.over.is_set():
                job.reason = "The live migration was aborted."
                job.over.set()
        self.faults.play("stay", after=True)

    def hurry(self, uuid: str) -> None:
        """Send the guest at once, whatever holds it up."""
        self.faults.play("hurry")
        job = self._jobs.get(uuid)
        if job is not None:
            self._send(uuid, job)
        self.faults.play("hurry", after=True)

    def _transfer(self, uuid: str, job: Job) -> None:
        try:
            self.faults.play("transfer")
        except errors.NovaLiteError as exc:
            with self._lock:
                job.reason = exc.message
                job.over.set()
            return
        self._send(uuid, job)

    def _send(self, uuid: str, job: Job) -> None:
        """Have the guest stand still here, then run there, then be gone from here."""
        with self._lock:
            record = self._records.get(uuid)
            if job.over.is_set() or record is None:
                job.over.set()
                return
            directory = Path(job.landing.directory)
            if not (directory / f"{uuid}{_AWAITED}").exists():
                job.reason = "The other host does not await the guest."
                job.over.set()
                return
            leaving = replace(record, sent_to=str(directory))
            self._records[uuid] = leaving
            write(path_of(self._directory(), uuid), leaving)
            self._complete_locked(leaving, directory, job.landing.epoch)
            job.over.set()
        self._end_consoles(uuid)

    def _complete(self, record: Record, directory: Path) -> None:
        with self._lock:
            self._complete_locked(record, directory, record.epoch + 1)

    def _complete_locked(self, record: Record, directory: Path, epoch: int) -> None:
        here = self._directory()
        awaited = directory / f"{record.uuid}{_AWAITED}"
        if awaited.exists():
            volumes = msgspec.json.decode(awaited.read_bytes(), type=Record).volumes
            write(directory / f"{record.uuid}{_SENT}", replace(record, sent_to=None, epoch=epoch, volumes=volumes))
        elif not path_of(directory, record.uuid).exists():
            self._records[record.uuid] = stays = replace(record, sent_to=None)
            write(path_of(here, record.uuid), stays)
            return
        self._records.pop(record.uuid, None)
        path_of(here, record.uuid).unlink(missing_ok=True)

    def _take_in(self, uuid: str, epoch: int) -> Record | None:
        """Return the guest if it is here with this epoch or a newer one, taking in what was sent."""
        with self._lock:
            sent = self._directory() / f"{uuid}{_SENT}"
            if sent.exists():
                record = msgspec.json.decode(sent.read_bytes(), type=Record)
                write(path_of(self._directory(), uuid), record)
                self._records[uuid] = record
                sent.unlink(missing_ok=True)
            known = self._records.get(uuid)
        return known if known is not None and known.epoch >= epoch else None

    def _forget_awaited(self, uuid: str) -> None:
        """Take in no guest any more that is sent; what was sent and not taken in goes."""
        if self._state_dir is not None:
            for ending in (_AWAITED, _SENT):
                (self._state_dir / f"{uuid}{ending}").unlink(missing_ok=True)

    def _here(self, uuid: str) -> Record:
        record = self._records.get(uuid)
        if record is None:
            raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
        return record

    def _volumes(self, spec: GuestSpec) -> tuple[Plugged, ...]:
        raise NotImplementedError

    def _directory(self) -> Path:
        if self._state_dir is None:
            raise errors.HostFailed("An imitated host without a directory cannot send guests, nor take them in.")
        return self._state_dir

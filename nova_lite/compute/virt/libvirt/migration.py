"""Live migration between libvirt hosts: the old host's libvirt talks to the new one's, and needs neither agent for it.

Sending is one long call on a thread of its own; what it came to is looked up in the domain and its job, so that an
agent which was restarted meanwhile finds it, too. See ``docs/decisions/0014-live-migration.rst``.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nova_lite import errors
from nova_lite.compute.virt.libvirt import domains, migration_xml
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.live_disks import LiveDisks
from nova_lite.compute.virt.libvirt.migration_xml import LiveDisk
from nova_lite.model.guest import GuestSpec, PowerState
from nova_lite.model.live_migration import Departure, Landing, Leaving, Patience, Stage
from nova_lite.model.migration import Progress

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

#: Seconds that a sending gets to be seen by libvirt before ``depart`` returns, and between two looks for it.
_BEGUN_S, _POLL_S = 10.0, 0.05


@dataclass(frozen=True, slots=True)
class Reach:
    """How other hosts reach this one's libvirt, and what is allowed for guests that leave."""

    address: str
    scheme: str = "tcp"
    patience: Callable[[], Patience] = Patience

    @property
    def uri(self) -> str:
        """Return where other hosts find this one's libvirt."""
        return f"qemu+{self.scheme}://{_in_url(self.address)}/system"


@dataclass
class _Job:
    """One sending by this agent; ``stands_still`` says that the guest was paused to have it arrive."""

    thread: threading.Thread | None = None
    error: str | None = None
    stands_still: bool = False
    is_over: threading.Event = field(default_factory=threading.Event)


class LiveMigrations:
    """The part of the driver that sends running guests and takes them in."""

    def __init__(
        self, hostname: str, connection: Connection, instances_path: Path, virt_type: str, reach: Reach
    ) -> None:
        self._hostname = hostname
        self._connection = connection
        self._virt_type = virt_type
        self._reach = reach
        self.disks = LiveDisks(instances_path, hostname)
        self._jobs: dict[str, _Job] = {}

    # -- where the guest goes -----------------------------------------------------------------------------------

    def check_landing(self, uuid: str, leaving: Leaving, *, copies_disks: bool | None) -> bool:
        """Compare hypervisors and processors, and look for the guest's directory."""
        resources = self._call(lambda connection: (connection.getType(), connection.getVersion()), "asking its version")
        if (leaving.hypervisor_type, leaving.needs.get("virt_type")) != (resources[0], self._virt_type):
            raise errors.HostFailed("The host has another kind of hypervisor.")
        if leaving.hypervisor_version > resources[1]:
            raise errors.HostFailed("The instance requires a newer hypervisor version than has been provided.")
        self._check_cpu(leaving.needs.get("cpu"))
        is_shared = self.disks.sees(uuid, leaving.disks_at, leaving.needs["token"])
        if copies_disks and is_shared:
            raise errors.HostFailed(f"{leaving.disks_at} is on shared storage: its disks cannot be copied.")
        if copies_disks is False and not is_shared:
            raise errors.HostFailed(f"{leaving.disks_at} is not on shared storage: its disks must be copied.")
        return not is_shared

    def _check_cpu(self, cpu: str | None) -> None:
        """Compare processors; those that are emulated are the same everywhere."""
        if cpu is None or self._virt_type != "kvm":
            return
        found = self._call(
            lambda connection: connection.compareHypervisorCPU(None, None, None, "kvm", cpu, 0), "comparing processors"
        )
        if found <= libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
            raise errors.HostFailed("Unacceptable CPU info: the host's processor lacks what the guest uses.")

    def prepare_landing(
        self, spec: GuestSpec, leaving: Leaving, volumes: dict[str, str], *, copies_disks: bool
    ) -> Landing:
        """Make room for the disks, if they are copied; note whose the directory is, if it is shared.

        ``volumes`` are the disks that volumes are here, by their ids.
        """
        directory = str(self.disks.directory(spec.uuid))
        files: dict[str, str] = {}
        disks = _told_disks(leaving)
        if not copies_disks:
            self.disks.leave_to(spec.uuid, leaving.host)
            missing = [disk.below for disk in disks if disk.below is not None and not Path(disk.below).is_file()]
            if missing:
                raise errors.HostFailed(f"The host has no {Path(missing[0]).name}, which the disk is built on.")
        elif not self.has_landed(spec.uuid, spec.epoch):
            files = self.disks.make_room(spec, disks)
        return Landing(
            address=self._reach.uri,
            data_address=f"tcp://{_in_url(self._reach.address)}",
            host=self._hostname,
            epoch=spec.epoch,
            disks=files,
            directory=directory,
            volumes=volumes,
        )

    def has_landed(self, uuid: str, epoch: int) -> bool:
        """Return whether the guest is here, for good, and nothing is under way with it."""

        def look(connection: Any) -> bool:
            domain = domains.find(connection, uuid)
            if domain is None or not domain.isPersistent():
                return False
            mark = domains.mark(domain)
            if mark is None or mark.hostname != self._hostname or mark.epoch < epoch:
                return False
            state, reason = domain.state(0)
            is_torn = state == libvirt.VIR_DOMAIN_PAUSED and reason in _TORN
            return not is_torn and not _is_under_way(domain)

        return self._call(look, f"looking whether instance {uuid} has come")

    def finish_landing(self, uuid: str, epoch: int) -> None:
        """Note that the guest's directory is this host's."""
        if not self.has_landed(uuid, epoch):
            if self._call(lambda connection: domains.find(connection, uuid), "looking for the guest") is None:
                raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
            raise errors.NotYet(f"Instance {uuid} is still on its way.")
        self.disks.take_over(uuid)

    # -- where it is --------------------------------------------------------------------------------------------

    def leaving(self, uuid: str) -> Leaving:
        """Tell of the guest, and put a token into its directory."""

        def ask(domain: Any) -> Leaving:
            domains.alive(domain)
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
            disks = [(disk, domain.blockInfo(disk.path)[0]) for disk in migration_xml.disks(xml)]
            connection = domain.connect()
            needs = {"virt_type": self._virt_type, "disks": msgspec.json.encode(disks).decode()}
            cpu = migration_xml.cpu(xml)
            if cpu is not None:
                needs["cpu"] = cpu
            return Leaving(
                host=self._hostname,
                hypervisor_type=connection.getType(),
                hypervisor_version=connection.getVersion(),
                disks_at=str(self.disks.directory(uuid)),
                needs=needs,
            )

        found: Leaving = self._on_guest(uuid, ask, "looking at")
        return replace(found, needs={**found.needs, "token": self.disks.put_token(uuid)})

    def depart(self, uuid: str, landing: Landing) -> None:
        """Begin to send the guest on a thread of its own, and return when libvirt is at it, or it is over."""
        job = self._jobs.get(uuid)
        if job is not None and not job.is_over.is_set():
            return
        if self._look(uuid)[0] is not Stage.HERE:
            return
        job = self._jobs[uuid] = _Job()
        job.thread = threading.Thread(target=self._send, args=(uuid, landing, job), name=f"send-{uuid}", daemon=True)
        job.thread.start()
        deadline = time.monotonic() + _BEGUN_S
        while not job.is_over.wait(_POLL_S) and time.monotonic() < deadline:
            if self._look(uuid)[0] is not Stage.HERE:
                self._allow_downtime(uuid)
                return

    def departure(self, uuid: str) -> Departure:
        """Look at the domain and its job; while this agent's call lasts, nothing is settled."""
        job = self._jobs.get(uuid)
        is_sending = job is not None and not job.is_over.is_set()
        stage, stats = self._look(uuid)
        if is_sending:
            stage = Stage.LEAVING
        if stage is Stage.HERE and job is not None and job.stands_still:
            self._on_guest(uuid, domains.unpause, "letting go on")
            job.stands_still = False
        elapsed_s = float(stats.get("time_elapsed", 0)) / 1000
        return Departure(stage, _progress(stats), None if job is None else job.error, elapsed_s)

    def stay(self, uuid: str) -> None:
        """Abort the job; let a guest go on that stands still here because nobody knew where it was."""

        def act(domain: Any) -> None:
            if _is_under_way(domain):
                domain.abortJob()
            elif domain.state(0) == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]:
                domain.resume()

        with contextlib.suppress(errors.NotFound):  # it has gone
            self._on_guest(uuid, lambda domain: _unless_over(lambda: act(domain)), "keeping")

    def hurry(self, uuid: str) -> None:
        """Turn to copying after the guest, where that is permitted, else pause it."""
        job = self._jobs.get(uuid)

        def act(domain: Any) -> None:
            if not _is_under_way(domain):
                return
            if self._reach.patience().may_post_copy:
                try:
                    domain.migrateStartPostCopy(0)
                    return
                except libvirt.libvirtError as error:
                    _LOG.warning("Instance %s cannot go on on its new host yet, it is paused: %s", uuid, error)
            if domains.power_state(domain) is PowerState.RUNNING:
                if job is not None:
                    job.stands_still = True
                domain.suspend()

        with contextlib.suppress(errors.NotFound):  # it has gone
            self._on_guest(uuid, lambda domain: _unless_over(lambda: act(domain)), "hurrying")

    def _look(self, uuid: str) -> tuple[Stage, dict[str, Any]]:
        """Return how far the guest is, and what libvirt counts of it."""

        def look(connection: Any) -> tuple[Stage, dict[str, Any]]:
            try:
                domain = domains.find(connection, uuid)
                if domain is None or not domains.is_of(domain, self._hostname):
                    return Stage.GONE, {}
                stats = domain.jobStats(0)
                if stats.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
                    return Stage.LEAVING, stats
                state, reason = domain.state(0)
            except libvirt.libvirtError as error:
                if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                    return Stage.GONE if domains.find(connection, uuid) is None else Stage.HERE, {}
                raise
            if state == libvirt.VIR_DOMAIN_PAUSED and reason in _LOST:
                return Stage.LOST, {}
            if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION:
                return Stage.UNSETTLED, {}
            return Stage.HERE, {}

        return self._call(look, f"looking at instance {uuid}")

    def _send(self, uuid: str, landing: Landing, job: _Job) -> None:
        try:
            self._connection.call_long(lambda connection: self._migrate(connection, uuid, landing), "sending a guest")
        except errors.NovaLiteError as exc:
            job.error = "The hypervisor could not send the guest."
            _LOG.warning("Instance %s was not sent to %s: %s %s", uuid, landing.host, exc, exc.facts)
        except Exception:  # noqa: BLE001 - on a thread of its own
            job.error = "An internal error happened."
            _LOG.exception("Instance %s was not sent to %s", uuid, landing.host)
        finally:
            job.is_over.set()

    def _migrate(self, connection: Any, uuid: str, landing: Landing) -> None:
        domain = connection.lookupByUUIDString(uuid)
        directory = str(self.disks.directory(uuid))
        live, lasting = (
            migration_xml.on_other_host(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | flags), landing, directory)
            for flags in (libvirt.VIR_DOMAIN_XML_MIGRATABLE, libvirt.VIR_DOMAIN_XML_INACTIVE)
        )
        parameters: dict[str, Any] = {
            libvirt.VIR_MIGRATE_PARAM_URI: landing.data_address,
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: live,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: lasting,
        }
        flags = (
            libvirt.VIR_MIGRATE_LIVE
            | libvirt.VIR_MIGRATE_PEER2PEER
            | libvirt.VIR_MIGRATE_PERSIST_DEST
            | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        )
        if landing.disks:
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
            disks = migration_xml.disks(domain.XMLDesc(0))
            parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = [
                disk.target for disk in disks if not disk.is_read_only and disk.path in landing.disks
            ]
        if landing.volumes or not landing.disks:
            # That the disks are the same on both hosts was looked up: libvirt knows it of network file systems only.
            flags |= libvirt.VIR_MIGRATE_UNSAFE
        patience = self._reach.patience()
        if patience.bandwidth_mib_s:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = patience.bandwidth_mib_s
        if patience.may_slow_down:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if patience.may_post_copy:
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
        domain.migrateToURI3(landing.address, parameters, flags)

    def _allow_downtime(self, uuid: str) -> None:
        try:
            self._on_guest(
                uuid, lambda domain: domain.migrateSetMaxDowntime(self._reach.patience().downtime_ms, 0), "hurrying"
            )
        except errors.NovaLiteError as exc:
            _LOG.debug("Instance %s is not to be told how long it may stand still: %s", uuid, exc.facts)

    # -- libvirt ------------------------------------------------------------------------------------------------

    def _call(self, use: Callable[[Any], T], what: str) -> T:
        return self._connection.call(use, what)

    def _on_guest(self, uuid: str, use: Callable[[Any], T], doing: str) -> T:
        def act(connection: Any) -> T:
            return use(domains.of_guest(connection, uuid, self._hostname))

        return self._connection.call(act, f"{doing} instance {uuid}")


if libvirt is None:
    _LOST: tuple[int, ...] = ()
    _TORN: tuple[int, ...] = ()
else:
    #: Why a guest stands still that cannot go on on either host, and that has not come whole.
    _LOST = (libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,)
    _TORN = (*_LOST, libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY)


def _told_disks(leaving: Leaving) -> dict[LiveDisk, int]:
    return dict(msgspec.json.decode(leaving.needs["disks"], type=list[tuple[LiveDisk, int]]))


def _is_under_way(domain: Any) -> bool:
    kinds = (libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)
    try:
        return domain.jobStats(0).get("operation") in kinds
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:  # it is off
            return False
        raise


def _unless_over(act: Callable[[], object]) -> None:
    """Do it, unless what it is about is over, or the guest has gone meanwhile."""
    try:
        act()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise


def _progress(stats: dict[str, Any]) -> Progress:
    names = ("memory_total", "memory_processed", "memory_remaining", "disk_total", "disk_processed", "disk_remaining")
    return Progress(**{name: stats.get(name) for name in names})


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address

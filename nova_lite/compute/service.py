"""The agent of one hypervisor host."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.images import Images
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.vendordata import Teller
from nova_lite.clients.volumes import Volumes
from nova_lite.compute import identity
from nova_lite.compute.actions import snapshot
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.actions.live_migration import LiveMigrator
from nova_lite.compute.actions.move import Mover
from nova_lite.compute.actions.power import Power
from nova_lite.compute.actions.rescue import Rescuer
from nova_lite.compute.actions.snapshot import Snapshotter, Unshelver
from nova_lite.compute.actions.spawn import Spawner
from nova_lite.compute.actions.volume_swaps import VolumeSwapper
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.config_drive import ConfigDrives
from nova_lite.compute.host_reports import HostReporter
from nova_lite.compute.images import ImageCache
from nova_lite.compute.reconcilers import Reconciler
from nova_lite.compute.server import ComputeEndpoint
from nova_lite.compute.virt import fake_nodes
from nova_lite.compute.virt.driver import Driver
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.concurrency import KeyedLocks
from nova_lite.model import payloads
from nova_lite.model.live_migration import Patience
from nova_lite.reloading import ticker
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.compute import TOPIC
from nova_lite.rpc.conductor import ConductorClient

LOG = logging.getLogger(__name__)

BINARY = "nova-compute"
#: Seconds between two tries to introduce the host to its conductor and to Placement.
_RETRY_S = 1.0
#: Seconds between two looks whether an operator has mended what keeps the host from work.
_MENDED_S = 10.0
#: Seconds that an agent which is stopped waits for what it may be asking others.
_LEAVE_S = 1.0
#: What no guest is called; who asks for it learns whether the hypervisor answers.
_NO_GUEST = "00000000-0000-0000-0000-000000000000"


class Agent:
    """One host's agent. ``start`` returns at once; ``ready`` is set when the host takes work.

    ``driver`` replaces the configured one.
    """

    def __init__(self, conf: cfg.ConfigOpts, driver: Driver | None = None) -> None:
        self._conf = conf
        self.driver = driver if driver is not None else make_driver(conf)
        self._bus = Bus(conf)
        self._conductor = ConductorClient(self._bus)
        self.driver.on_silence = self._tell_silence
        self._placement = PlacementClient(conf)
        locks = KeyedLocks()
        volumes = make_plugger(conf, self.driver, self._conductor)
        self._reconciler = Reconciler(
            conf.host,
            self.driver,
            self._conductor,
            volumes,
            locks,
            unowned=lambda: str(conf.running_deleted_instance_action),
        )
        endpoint = make_endpoint(conf, self.driver, Images(conf), self._conductor, locks)
        self._server = self._bus.serve(TOPIC, conf.host, endpoint)
        self._heart = ticker(
            conf,
            lambda: conf.report_interval,
            lambda: self._conductor.heartbeat(conf.host, BINARY),
            "heartbeat",
        )
        self._repairs = ticker(conf, lambda: conf.sync_power_state_interval, self._repair, "reconcile")
        self._looks = ticker(conf, lambda: conf.update_resources_interval, self._look, "resources")
        self._stopping = threading.Event()
        #: Held while the host begins to take work: it does so before it is stopped, or not at all.
        self._beginning = threading.Lock()
        self.ready = threading.Event()
        #: When (``monotonic``) conductor and Placement last knew all of this host; None is never.
        self.reported_at: float | None = None
        self._introduction = threading.Thread(target=self._introduce, name="introduction", daemon=True)

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what an agent that is ready can do, by what it is done with; each raises Unavailable."""
        return {
            "host": self._require_ready,
            "bus": self._bus.ping,
            "conductor": self._require_known,
            "placement": self._placement.newest_version,
            "hypervisor": lambda: self.driver.guest(_NO_GUEST),
        }

    def under_way(self) -> list[str]:
        """Return what it is at work on: messages, by name."""
        return self._server.under_way()

    def _require_ready(self) -> None:
        if not self.ready.is_set():
            raise errors.Unavailable("This host takes no work yet.")

    def _require_known(self) -> None:
        if self.ready.is_set() and not self._conductor.knows_host(self._conf.host, self._node):
            raise errors.Unavailable("The conductor does not know this host.")

    def _tell_silence(self, error: Exception) -> None:
        """Have listeners hear that the hypervisor does not answer; libvirt's words are for our log."""
        reason = payloads.failure(error, "The hypervisor does not answer.")
        self._conductor.hypervisor_silent(self._conf.host, self._conf.my_ip, reason)

    def _report(self) -> None:
        self._reporter.report()
        self.reported_at = time.monotonic()

    def start(self) -> None:
        """Reach the hypervisor (raises Unavailable), then introduce the host and take work.

        Raises Misconfigured when the host is not who it says it is, or cannot run guests.
        """
        self._node = identity.compute_id(Path(self._conf.state_path))
        self.driver.connect()
        snapshot.clean(_snapshots(self._conf))
        self._reporter = HostReporter(self._conf, self._node, self.driver, self._placement, self._conductor)
        self._reporter.check()
        self._introduction.start()

    def stop(self) -> None:
        """Finish what is under way and leave; guests go on running."""
        with self._beginning:
            self._stopping.set()
        # Each may be asking a conductor that has left before: not worth waiting for.
        if self._introduction.ident is not None:
            self._introduction.join(_LEAVE_S)
        if self.ready.is_set():
            self._repairs.stop(wait_s=_LEAVE_S)
            self._looks.stop(wait_s=_LEAVE_S)
            self._heart.stop()
            self._server.stop()
        self._bus.close()
        self.driver.close()

    def _introduce(self) -> None:
        """Tell conductor and Placement of this host, put its guests in order, then listen. Retried until it works."""
        while not self._stopping.is_set():
            try:
                self._report()
                self._reconciler.run(resumes=self._conf.resume_guests_state_on_host_boot)
            except errors.Misconfigured as exc:
                LOG.error("This host takes no work: %s", exc.message)
                self._stopping.wait(_MENDED_S)
            except errors.NovaLiteError as exc:
                LOG.warning("This host cannot take work yet: %s %s", exc, exc.facts)
                self._stopping.wait(_RETRY_S)
            except Exception:
                LOG.exception("This host cannot take work yet")
                self._stopping.wait(_RETRY_S)
            else:
                self._take_work()
                return

    def _take_work(self) -> None:
        with self._beginning:
            if self._stopping.is_set():
                return
            self._server.start()
            self._heart.start()
            self._repairs.start()
            self._looks.start()
            self.ready.set()
        LOG.info("agent of %s (%s) takes work", self._conf.host, self._node)

    def _repair(self) -> None:
        """Put the guests in order again: one may have stopped by itself, or been deleted while the bus was cut.

        Introduce the host again, too, where its service was deleted meanwhile.
        """
        try:
            if not self._conductor.knows_host(self._conf.host, self._node):
                LOG.warning("Host %s is not known any more, and introduces itself again", self._conf.host)
                self._reporter.forget()
                self._report()
            self._reconciler.run()
        except errors.NovaLiteError as exc:
            LOG.warning("Cannot compare the guests with the cell: %s %s", exc, exc.facts)

    def _look(self) -> None:
        """Tell what changed of the host: memory was added, a device came or went."""
        try:
            self._report()
        except errors.NovaLiteError as exc:
            LOG.warning("Cannot tell what this host offers: %s %s", exc, exc.facts)


def make_endpoint(
    conf: cfg.ConfigOpts, driver: Driver, service: Images, conductor: ConductorClient, locks: KeyedLocks
) -> ComputeEndpoint:
    """Return what answers for the host that ``conf`` names; ``service`` is where its images are from."""
    images = ImageCache(Path(conf.image_cache_path), service)
    volumes = make_plugger(conf, driver, conductor)
    drives = ConfigDrives(Teller(conf))

    def grace_s() -> float:
        return float(conf.shutdown_timeout)

    spawner = Spawner(conf.host, driver, images, conductor, volumes, drives)
    return ComputeEndpoint(
        spawner,
        Power(conf.host, driver, conductor, volumes, shutdown_timeout_s=grace_s),
        Mover(conf.host, driver, conductor, volumes, drives, shutdown_timeout_s=grace_s),
        LiveMigrator(conf.host, driver, conductor, volumes, drives, lambda: _patience(conf)),
        Rescuer(conf.host, driver, images, conductor, volumes, drives, shutdown_timeout_s=grace_s),
        Snapshotter(conf.host, driver, service, conductor, _snapshots(conf)),
        Unshelver(spawner, service),
        volumes,
        VolumeSwapper(conf.host, driver, Volumes(conf), volumes, conductor),
        Consoles(conf, driver),
        Reconciler(conf.host, driver, conductor, volumes, locks),
        locks,
    )


def make_plugger(conf: cfg.ConfigOpts, driver: Driver, conductor: ConductorClient) -> VolumePlugger:
    """Return what gives volumes to the host's guests."""
    return VolumePlugger(
        conf.host, driver, Volumes(conf), conductor, patience_s=lambda: float(conf.volume_detach_timeout)
    )


def _patience(conf: cfg.ConfigOpts) -> Patience:
    """Return how guests are copied that are migrated live, as is configured now."""
    wanted = conf.libvirt
    return Patience(
        timeout_s_per_gib=wanted.live_migration_completion_timeout,
        forces=wanted.live_migration_timeout_action == "force_complete",
        bandwidth_mib_s=wanted.live_migration_bandwidth,
        downtime_ms=wanted.live_migration_downtime,
        may_post_copy=wanted.live_migration_permit_post_copy,
        may_slow_down=wanted.live_migration_permit_auto_converge,
    )


def _snapshots(conf: cfg.ConfigOpts) -> Path:
    """Return where the copies of disks are until they are uploaded."""
    return Path(conf.instances_path) / "snapshots"


def make_driver(conf: cfg.ConfigOpts) -> Driver:
    """Return the driver that ``compute_driver`` names."""
    if conf.compute_driver == "fake":
        return FakeDriver(
            conf.host,
            Path(conf.instances_path),
            vcpus=conf.fake.vcpus,
            ram_mib=conf.fake.ram,
            disk_gib=conf.fake.disk,
            host_ip=conf.my_ip,
            nodes=fake_nodes.parse(conf.fake.nodes),
        )
    # Only hosts that run libvirt need its bindings.
    from nova_lite.compute.virt.libvirt import consoles, pci  # noqa: PLC0415
    from nova_lite.compute.virt.libvirt.brick import Brick  # noqa: PLC0415
    from nova_lite.compute.virt.libvirt.driver import LibvirtDriver  # noqa: PLC0415
    from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes  # noqa: PLC0415
    from nova_lite.compute.virt.libvirt.layout import Layout  # noqa: PLC0415
    from nova_lite.compute.virt.libvirt.migration import Reach  # noqa: PLC0415

    state = Path(conf.state_path)
    brick = Brick(
        conf.host,
        conf.my_ip,
        state / "os-brick",
        has_multipath=conf.libvirt.volume_use_multipath,
        needs_multipath=conf.libvirt.volume_enforce_multipath,
        attempts=conf.libvirt.num_volume_scan_tries,
    )
    return LibvirtDriver(
        hostname=conf.host,
        host_volumes=HostVolumes(conf.libvirt.volumes_by_host, state / "connected-volumes", brick),
        uri=conf.libvirt.connection_uri,
        virt_type=conf.libvirt.virt_type,
        instances_path=Path(conf.instances_path),
        host_ip=conf.my_ip,
        images_path=Path(conf.image_cache_path),
        reach=Reach(
            conf.libvirt.live_migration_inbound_addr or conf.my_ip,
            conf.libvirt.live_migration_scheme,
            lambda: _patience(conf),
        ),
        offer=consoles.Offer(
            vnc=conf.vnc.server_listen if conf.vnc.enabled else None,
            spice=conf.spice.server_listen if conf.spice.enabled else None,
            serial=conf.serial_console.proxyclient_address if conf.serial_console.enabled else None,
            serial_ports=consoles.parse_ports(conf.serial_console.port_range),
        ),
        drive_format=conf.config_drive_format,
        layout=Layout(has_cells=conf.libvirt.report_numa_cells, specs=pci.parse(conf.pci.device_spec)),
    )

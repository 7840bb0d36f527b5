"""The hypervisor driver for QEMU guests through libvirt.

What a guest's definition says is in ``domain_xml.py``, its files in ``disks.py``, what the host has in ``host.py``.
Several hosts of one cloud may share a libvirtd: a driver sees only the domains marked with its own host name.
"""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from nova_lite import errors
from nova_lite.compute import config_drive
from nova_lite.compute.virt import console
from nova_lite.compute.virt.driver import no_matter
from nova_lite.compute.virt.libvirt import domain_xml, domains, host, properties, rescue_xml, snapshots, volumes
from nova_lite.compute.virt.libvirt.asides import Asides
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.connection import CALL_TIMEOUT_S, Connection
from nova_lite.compute.virt.libvirt.consoles import ConsoleDriver, Consoles, Offer
from nova_lite.compute.virt.libvirt.disks import Disks, check_size
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.compute.virt.libvirt.inside import InsideDomains
from nova_lite.compute.virt.libvirt.layout import Layout
from nova_lite.compute.virt.libvirt.migration import LiveMigrations, Reach
from nova_lite.compute.virt.libvirt.moved_disks import Finder, Whereabouts
from nova_lite.compute.virt.libvirt.volume_driver import VolumeDriver
from nova_lite.model.guest import BaseImage, Guest, GuestSpec, HostResources, PowerState, RescueDevice
from nova_lite.model.live_migration import Departure, Landing, Leaving
from nova_lite.model.provider import Provider

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_VIRT_TYPES = ("qemu", "kvm")

#: How often a guest that was asked to shut down is looked at, and asked again: one still booting misses the first.
_POLL_S, _ASK_AGAIN_S = 0.2, 5.0


class LibvirtDriver(ConsoleDriver, InsideDomains, VolumeDriver):
    """Real guests. ``virt_type`` is what the operator says it is, never what the machine seems to offer."""

    needs_image = True

    def __init__(  # noqa: PLR0913 - the facts of a host
        self,
        hostname: str,
        uri: str,
        virt_type: str,
        instances_path: Path,
        *,
        host_ip: str = "127.0.0.1",
        call_timeout_s: float = CALL_TIMEOUT_S,
        layout: Layout | None = None,
        reach: Reach | None = None,
        images_path: Path | None = None,
        host_volumes: HostVolumes | None = None,
        offer: Offer | None = None,
        drive_format: str = config_drive.ISO,
    ) -> None:
        if virt_type not in _VIRT_TYPES:
            raise errors.Misconfigured(f"[libvirt] virt_type is {virt_type!r}; one of: {', '.join(_VIRT_TYPES)}")
        self._hostname = hostname
        self._virt_type = virt_type
        self._host_ip = host_ip
        self._layout = layout or Layout()
        self._disks = Disks(instances_path, drive_format)
        self._asides = Asides(instances_path, hostname)
        self._moved = Finder(instances_path, images_path)
        self._reach = reach or Reach(host_ip)
        self._disk_cache = "writeback"
        self.on_silence: Callable[[Exception], None] = no_matter
        self._connection = Connection(uri, call_timeout_s=call_timeout_s, on_silence=self._tell_silence)
        self._consoles = Consoles(self._connection, offer or Offer())
        by_host = host_volumes or HostVolumes.none()
        self._volumes = volumes.Volumes(hostname, host_ip, self._connection, self._disks, self._asides, by_host)
        self._live = LiveMigrations(hostname, self._connection, instances_path, virt_type, self._reach)

    def _tell_silence(self, error: Exception) -> None:
        self.on_silence(error)

    def connect(self) -> None:
        """Reach libvirt and check that it can run guests of the configured type."""
        self._disks.prepare()
        self._disk_cache = self._disks.cache_mode()
        self._connection.open()
        self._on_libvirt(lambda connection: host.check_can_run(connection, self._virt_type), "asking what it can run")
        self._volumes.sweep()

    def close(self) -> None:
        """Close the connection; guests go on running."""
        self._connection.close()

    def resources(self) -> HostResources:
        """Return what this host has in all."""

        def ask(connection: Any) -> HostResources:
            return HostResources(
                vcpus=host.vcpus(connection),
                ram_mib=host.ram_mib(),
                disk_gib=self._disks.total_gib(),
                hypervisor_type=connection.getType(),
                hypervisor_version=connection.getVersion(),
                hypervisor_hostname=self._hostname,
                host_ip=self._host_ip,
                cpu_info=host.cpu_info(connection),
                traits=host.traits(connection, self._virt_type),
                runs=host.runs(self._virt_type),
            )

        return self._on_libvirt(ask, "reading the host's resources")

    def providers(self) -> tuple[Provider, ...]:
        """Return the host and the parts of it that are told of by themselves."""
        return self._layout.providers(self.resources())

    def guests(self) -> list[Guest]:
        """Return every guest of this host, running or not."""

        def ask(connection: Any) -> list[Guest]:
            found = (self._as_guest(domain) for domain in connection.listAllDomains(0))
            return [guest for guest in found if guest is not None]

        return self._on_libvirt(ask, "listing the guests")

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest, or None."""

        def ask(connection: Any) -> Guest | None:
            domain = domains.find(connection, uuid)
            return None if domain is None else self._as_guest(domain)

        return self._on_libvirt(ask, f"looking for instance {uuid}")

    def spawn(self, spec: GuestSpec, image: BaseImage | None, *, start: bool = True) -> None:
        """Make the guest's disks and define it."""
        properties.hardware(spec.image_properties)
        if spec.boots_from_volume:
            image = None
        elif image is None:
            raise errors.GuestFailed("There is no image to boot from")
        else:
            check_size(spec, image)
        domains.check_uuid(spec.uuid)
        if self._is_here_already(spec, start=start):
            return
        with self._volumes.planned(spec.volumes) as plan, ExitStack() as undo:
            self._remove(spec.uuid)
            is_others = self._live.disks.is_others(spec.uuid)
            if is_others:
                disks = self._disks.found(spec, image)
            else:
                disks = self._disks.make(spec, image)
                undo.callback(self._disks.remove, spec.uuid)
                self._live.disks.take_over(spec.uuid)
            self._make(undo, spec, disks, plan, start=start)
            if not is_others:
                self._disks.finish(spec.uuid)
            undo.pop_all()

    def destroy(self, uuid: str) -> None:
        """Stop the guest at once and remove it and everything it left on this host."""
        if domains.is_uuid(uuid) and not self._is_elsewhere(uuid):
            self._remove(uuid)

    def power_on(self, uuid: str) -> None:
        """Start a stopped guest."""
        self._volumes.reconnect(uuid)
        self._on_guest(uuid, domains.start, "starting")

    def power_off(self, uuid: str, *, timeout_s: float) -> None:
        """Ask the guest to shut down and wait, then cut its power."""
        if not self._shut_down(uuid, timeout_s):
            self._on_guest(uuid, domains.cut_power, "stopping")
        self._on_guest(uuid, domains.forget_memory, "stopping")

    def pause(self, uuid: str) -> None:
        """Stop the guest's processors."""
        self._on_guest(uuid, domains.pause, "pausing")

    def unpause(self, uuid: str) -> None:
        """Let a paused guest run on."""
        self._on_guest(uuid, domains.unpause, "unpausing")

    def suspend(self, uuid: str) -> None:
        """Have libvirt save the guest's memory and turn it off; what starts it next lets it run on."""
        self._on_guest(uuid, domains.save_memory, "suspending")

    def resume(self, uuid: str) -> None:
        """Start the guest from its saved memory, should it have one."""
        self._on_guest(uuid, domains.resume, "resuming")

    def reboot(self, uuid: str, *, hard: bool, timeout_s: float) -> None:
        """Stop the guest, softly if it may, and start it anew from its definition."""
        self.power_off(uuid, timeout_s=0 if hard else timeout_s)
        self.power_on(uuid)

    def disks_at(self, uuid: str) -> str:
        """Return the directory that the guest will have when it is set aside, and where this host's libvirt is."""
        self._on_guest(uuid, lambda domain: None, "looking for")
        self._asides.link_image(uuid)
        return str(Whereabouts(self._asides.path(uuid), self._reach.uri))

    def check_reach(self, disks_at: str) -> None:
        """Look for the directory here, else have the other host's libvirt list it."""
        self._moved.check(disks_at)

    def set_aside(self, uuid: str, *, timeout_s: float) -> None:
        """Shut the guest down, keep its definition, and rename its directory."""
        if self.guest(uuid) is not None:
            self.power_off(uuid, timeout_s=timeout_s)
            self._asides.keep_definition(uuid, self._on_guest(uuid, domains.definition, "reading the definition of"))
            self._undefine(uuid, for_good=False)
        if self._asides.has_definition(uuid):
            self._asides.put(uuid)
        elif not self._asides.is_aside(uuid):
            raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")

    def receive(self, spec: GuestSpec, disks_at: str, *, start: bool) -> None:
        """Copy the disks, let them grow, and define the guest."""
        properties.hardware(spec.image_properties)
        domains.check_uuid(spec.uuid)
        if self._has_received(spec, start=start):
            return
        with self._volumes.planned(spec.volumes) as plan, ExitStack() as undo:
            self._remove(spec.uuid)
            disks = self._disks.move_in(spec, self._moved.find(disks_at))
            undo.callback(self._disks.remove, spec.uuid)
            self._live.disks.take_over(spec.uuid)
            self._make(undo, spec, disks, plan, start=start)
            self._disks.finish(spec.uuid)
            undo.pop_all()

    def bring_back(self, uuid: str, epoch: int, *, start: bool) -> None:
        """Rename the guest's directory back, and define it as it was."""
        known = self.guest(uuid)
        if known is not None and known.epoch > epoch:
            raise errors.Conflict(f"Instance {uuid} is here with epoch {known.epoch}, newer than {epoch}")
        if known is None:
            if not (self._asides.is_aside(uuid) or self._asides.has_definition(uuid)):
                raise errors.NotFound(f"Instance {uuid} is not on host {self._hostname}")
            if self._is_elsewhere(uuid):
                raise errors.Unavailable(f"Instance {uuid} is still defined by another host of this libvirt")
            self.clear_attempt(uuid)  # of another host that sees the same directories
            xml = self._consoles.moved_back(uuid, self._asides.fetch(uuid))
            self._define(uuid, domain_xml.with_epoch(xml, epoch), start=start)
        elif start:
            self.power_on(uuid)
        self._asides.forget_definition(uuid)

    def keep_disks(self, uuid: str) -> None:
        """Note in the guest's directory that it is this host's."""
        self._live.disks.take_over(uuid)

    def sees_disks(self, uuid: str) -> bool:
        """Return whether the guest's directory is here, and another host's."""
        return domains.is_uuid(uuid) and self._live.disks.is_others(uuid)

    def clear_attempt(self, uuid: str) -> None:
        """Remove the directory that was not finished, and its domain."""
        if domains.is_uuid(uuid) and self._disks.is_unfinished(uuid) and not self._is_elsewhere(uuid):
            self._remove(uuid)

    def drop_aside(self, uuid: str) -> None:
        """Remove the directory, and the secrets of volumes that nobody here needs any more."""
        self._volumes.forget_aside(uuid, self._asides.definition(uuid))
        self._asides.drop(uuid)

    def asides(self) -> list[str]:
        """Return whose directories are set aside."""
        return self._asides.all()

    def leaving(self, uuid: str) -> Leaving:
        """Tell of the guest."""
        return self._live.leaving(uuid)

    def check_landing(self, uuid: str, leaving: Leaving, *, copies_disks: bool | None) -> bool:
        """Compare the hosts, and look for the guest's directory."""
        return self._live.check_landing(uuid, leaving, copies_disks=copies_disks)

    def prepare_landing(self, spec: GuestSpec, leaving: Leaving, *, copies_disks: bool) -> Landing:
        """Make room for the disks, if they are copied; what an earlier attempt left goes."""
        if not self._live.has_landed(spec.uuid, spec.epoch):
            self._undefine(spec.uuid)
        with self._volumes.planned(spec.volumes) as plan:
            self._volumes.keep_secrets(plan)
            landing = self._live.prepare_landing(spec, leaving, plan.told(), copies_disks=copies_disks)
            return replace(landing, consoles=self._consoles.places(spec.uuid).told())

    def has_landed(self, uuid: str, epoch: int) -> bool:
        """Return whether the guest is here for good."""
        return self._live.has_landed(uuid, epoch)

    def finish_landing(self, uuid: str, epoch: int) -> None:
        """Note that the guest's directory is this host's."""
        self._live.finish_landing(uuid, epoch)

    def depart(self, uuid: str, landing: Landing) -> None:
        """Have libvirt send the guest."""
        self._live.depart(uuid, landing)

    def departure(self, uuid: str) -> Departure:
        """Look at the guest and at what libvirt does with it."""
        return self._live.departure(uuid)

    def stay(self, uuid: str) -> None:
        """Have libvirt break the sending off."""
        self._live.stay(uuid)

    def hurry(self, uuid: str) -> None:
        """Have the guest go on there at once, or stand still."""
        self._live.hurry(uuid)

    def rescue(
        self, spec: GuestSpec, image: BaseImage | None, *, timeout_s: float, device: RescueDevice | None = None
    ) -> None:
        """Keep the guest's definition, and boot it by another one that has one disk more."""
        if image is None:
            raise errors.GuestFailed("There is no image to rescue the server with")
        own = self._on_guest(spec.uuid, domains.definition, "looking at")
        path = self._disks.rescue_path(spec.uuid)
        if not domain_xml.has_disk(own, path):
            check_size(spec, image)
            disk = self._disks.rescue_disk(spec.uuid, image)
            xml = rescue_xml.rescued(own, disk, self._disk_cache, device)
            self._disks.keep_definition(spec.uuid, own)
            self._disks.make_rescue(spec, image)
            self.power_off(spec.uuid, timeout_s=timeout_s)
            self._disks.renew_config_drive(spec)
            self._define(spec.uuid, xml, start=False)
        self.power_on(spec.uuid)

    def unrescue(self, uuid: str, *, start: bool) -> None:
        """Boot the guest by the definition that was kept."""
        self._on_guest(uuid, lambda domain: None, "looking at")
        own = self._disks.kept_definition(uuid)
        if own is not None:
            now = self._on_guest(uuid, domains.definition, "looking at")
            if domain_xml.has_disk(now, self._disks.rescue_path(uuid)):
                self.power_off(uuid, timeout_s=0)
                self._define(uuid, own, start=False)
            self._disks.remove_rescue(uuid)
        if start:
            self.power_on(uuid)

    def snapshot(self, uuid: str, path: Path, *, timeout_s: float) -> str:
        """Copy the root disk: QEMU does that for a guest that runs, ``qemu-img`` for one that is off."""
        path.unlink(missing_ok=True)
        if not snapshots.copy(lambda use: self._on_guest(uuid, use, "copying the disk of"), path, timeout_s=timeout_s):
            self._disks.copy_root(uuid, path, timeout_s=timeout_s)
        return "qcow2"

    def console_output(self, uuid: str, *, lines: int | None) -> bytes:
        """Return the last ``lines`` lines of the serial console's log."""
        self._on_guest(uuid, lambda domain: None, "reading the console of")
        return console.tail(self._disks.console_log(uuid), lines)

    def _has_received(self, spec: GuestSpec, *, start: bool) -> bool:
        """Return whether the guest is here whole with this epoch, and runs if it shall."""
        if self._is_elsewhere(spec.uuid):
            raise errors.Unavailable(f"Instance {spec.uuid} is still defined by another host of this libvirt")
        known = self.guest(spec.uuid)
        if known is not None and known.epoch > spec.epoch:
            raise errors.Conflict(f"Instance {spec.uuid} is here with epoch {known.epoch}, newer than {spec.epoch}")
        if known is None or known.epoch < spec.epoch or self._disks.is_unfinished(spec.uuid):
            return False
        if start:
            self.power_on(spec.uuid)
        return True

    def _setting(self, spec: GuestSpec) -> domain_xml.Setting:
        console_path = self._disks.console_path(spec.uuid)
        listening = self._consoles.places(spec.uuid)
        return domain_xml.Setting(self._hostname, self._virt_type, console_path, self._disk_cache, listening)

    def _make(
        self, undo: ExitStack, spec: GuestSpec, disks: list[domain_xml.Disk], plan: volumes.Plan, *, start: bool
    ) -> None:
        """Define the guest with its disks and volumes."""
        hardware = properties.hardware(spec.image_properties)
        xml = domain_xml.domain(spec, hardware, disks, self._setting(spec), plan.disks)
        undo.callback(self._volumes.forget, plan.needs())
        self._volumes.keep_secrets(plan)
        undo.callback(self._undefine, spec.uuid)
        self._define(spec.uuid, xml, start=start)

    def _define(self, uuid: str, xml: str, *, start: bool) -> None:
        def act(connection: Any) -> None:
            domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            if start:
                domains.start(domain)

        self._on_libvirt(act, f"defining instance {uuid}")

    # -- steps ----------------------------------------------------------------------------------------------------

    def _is_here_already(self, spec: GuestSpec, *, start: bool) -> bool:
        """Return whether the guest is here whole with this epoch; one that is off is started, if it shall run."""
        if self._is_elsewhere(spec.uuid):
            raise errors.Unavailable(f"Instance {spec.uuid} is still defined by another host of this libvirt")
        known = self.guest(spec.uuid)
        if known is None or known.epoch < spec.epoch:
            return False
        if known.epoch > spec.epoch:
            raise errors.Conflict(f"Instance {spec.uuid} is here with epoch {known.epoch}, newer than {spec.epoch}")
        if known.power_state in domains.OFF:
            if self._disks.is_unfinished(spec.uuid):
                return False
            if start:
                self.power_on(spec.uuid)
        self._disks.finish(spec.uuid)
        return True

    def _is_elsewhere(self, uuid: str) -> bool:
        def ask(connection: Any) -> bool:
            domain = domains.find(connection, uuid)
            return domain is not None and not domains.is_of(domain, self._hostname)

        return self._on_libvirt(ask, f"looking for instance {uuid}")

    def _remove(self, uuid: str) -> None:
        self._undefine(uuid)
        self._consoles.forget(uuid)
        if not self._live.disks.is_others(uuid):
            self._disks.remove(uuid)

    def _undefine(self, uuid: str, *, for_good: bool = True) -> None:
        def act(connection: Any) -> volumes.Needs:
            domain = domains.find(connection, uuid)
            if domain is None or not domains.is_of(domain, self._hostname):
                return volumes.Needs()
            needs = volumes.Needs.of(domain)
            domains.remove(domain)
            return needs

        needs = self._on_libvirt(act, f"removing instance {uuid}")
        if for_good:
            self._volumes.forget(needs, but=self._asides.definition(uuid))

    def _shut_down(self, uuid: str, timeout_s: float) -> bool:
        """Ask the guest to shut down; return whether it is off before ``timeout_s`` have gone."""
        deadline = time.monotonic() + timeout_s
        ask_again = 0.0
        while (state := self._on_guest(uuid, domains.power_state, "watching")) not in domains.OFF:
            now = time.monotonic()
            if now >= deadline or state is not PowerState.RUNNING:  # one that is paused hears nothing
                return False
            if now >= ask_again:
                self._on_guest(uuid, domains.press_power_button, "shutting down")
                ask_again = now + _ASK_AGAIN_S
            time.sleep(min(_POLL_S, max(0.0, deadline - now)))
        return True

    # -- libvirt --------------------------------------------------------------------------------------------------

    def _on_libvirt(self, use: Callable[[Any], T], what: str) -> T:
        return self._connection.call(use, what)

    def _on_guest(self, uuid: str, use: Callable[[Any], T], doing: str) -> T:
        def act(connection: Any) -> T:
            return use(domains.of_guest(connection, uuid, self._hostname))

        return self._on_libvirt(act, f"{doing} instance {uuid}")

    def _as_guest(self, domain: Any) -> Guest | None:
        """Return the domain as a guest; None when it is not ours, or went away meanwhile."""
        try:
            mark = domains.mark(domain)
            if mark is None or mark.hostname != self._hostname:
                return None
            return Guest(uuid=domain.UUIDString(), epoch=mark.epoch, power_state=domains.power_state(domain))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

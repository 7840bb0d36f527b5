"""Volumes as disks of libvirt's domains: plugged in and out, running or not, with the secrets that they need.

QEMU reaches most of them itself: a file or device of this host, or a server of its own by rbd, iscsi or nbd. Nothing is
mounted, mapped or logged in to on the host, so that nothing stays when a guest goes but a secret. What the host
connects is in ``host_volumes.py``.
"""

import contextlib
import logging
import os
import platform
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nova_lite import errors
from nova_lite.compute.virt.libvirt import block_copies, domains, volume_xml
from nova_lite.compute.virt.libvirt.asides import Asides
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.block_copies import Stage
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.disks import Disks
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.compute.virt.libvirt.volume_xml import Host, Local, Secret
from nova_lite.model.guest import VolumeDisk

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_INITIATOR = Path("/etc/iscsi/initiatorname.iscsi")

#: Buses on which nothing comes or goes while a guest runs.
_FIXED = ("ide", "sata")

#: Seconds between two looks whether a guest has let a disk go, and after which it is asked again: one that boots does
#: not hear the first time.
_POLL_S, _ASK_AGAIN_S = 0.2, 4.0
#: Seconds between two looks at a volume that is copied, and after which it is asked whether to go on.
_COPY_POLL_S, _ASK_LEAVE_S = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The disks that volumes are to be, in their order, and the secrets that these need."""

    disks: tuple[Element, ...] = ()
    secrets: tuple[Secret, ...] = ()

    def told(self) -> dict[str, str]:
        """Return the disks as text, by their volumes' ids."""
        return {each.findtext("serial") or "": _text(each) for each in self.disks}

    def needs(self) -> "Needs":
        """Return what is given up with the disks."""
        return Needs(frozenset(each.uuid for each in self.secrets), frozenset(volume_xml.devices_of(self.disks)))


@dataclass(frozen=True, slots=True)
class Needs:
    """What disks need of this host: secrets by their UUIDs, and devices by their paths."""

    secrets: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()

    @classmethod
    def of(cls, domain: Any) -> Self:
        """Return what a domain needs, as it is and as it will be."""
        xmls = [xml for xml in _definitions(domain) if xml is not None]
        return cls(
            frozenset(each for xml in xmls for each in volume_xml.secrets_in(xml)),
            frozenset(each for xml in xmls for each in volume_xml.devices_in(xml)),
        )


class Volumes:
    """The part of the driver that gives guests volumes."""

    def __init__(
        self,
        hostname: str,
        host_ip: str,
        connection: Connection,
        disks: Disks,
        asides: Asides,
        by_host: HostVolumes,
        *,
        initiator: Path = _INITIATOR,
    ) -> None:
        self._hostname = hostname
        self._host_ip = host_ip
        self._connection = connection
        self._disks = disks
        self._asides = asides
        self._by_host = by_host
        self._initiator_file = initiator

    def connector(self) -> Mapping[str, object]:
        """Return who this host is."""
        said: dict[str, object] = {
            "multipath": False,
            **self._by_host.properties(),
            "host": self._hostname,
            "ip": self._host_ip,
            "platform": platform.machine(),
            "os_type": platform.system().lower(),
        }
        initiator = self._initiator()
        return said if initiator is None else {**said, "initiator": initiator}

    @contextlib.contextmanager
    def planned(self, volumes: Iterable[VolumeDisk]) -> Iterator[Plan]:
        """Connect volumes that the host connects; yield what all are to be on it, and what has them then keeps them.

        Raises GuestFailed, HostFailed for what cannot be; of what then goes wrong, but for a Timeout, nothing stays.
        """
        wanted = sorted(volumes, key=lambda each: each.boot_index != 0)  # what is booted from comes first
        host = Host(self._hostname, self._initiator())
        try:
            with contextlib.ExitStack() as coming:
                found, kept = [], []
                for each in wanted:
                    is_hosts = self._by_host.takes(each.connection)
                    volume_xml.kind(each.connection, self._by_host.kinds)
                    local = coming.enter_context(self._by_host.coming(each)) if is_hosts else _look_up(each)
                    found.append(volume_xml.disk(each, host, local))
                    kept.append(None if is_hosts else volume_xml.secret(each.connection, host))
                yield Plan(tuple(found), tuple(each for each in kept if each is not None))
        except errors.Timeout:
            raise  # it may come yet
        except errors.NovaLiteError:
            for each in wanted:
                self._by_host.release(each.connection, self._has_device)
            raise

    def sweep(self) -> None:
        """Give up devices that no guest has: whoever wanted them may have been undone while this host was down."""
        self._by_host.sweep(self._has_device)

    def keep_secrets(self, plan: Plan) -> None:
        """Have libvirt know the secrets that disks need."""

        def act(connection: Any) -> None:
            for each in plan.secrets:
                connection.secretDefineXML(each.xml, 0).setValue(each.value, 0)

        if plan.secrets:
            self._connection.call(act, "keeping the secrets of volumes")

    def forget(self, needs: Needs, *, but: str | None = None) -> None:
        """Give up what disks needed, but for what a definition needs; what an operator gave libvirt stays."""
        kept = [] if but is None else volume_xml.secrets_in(but)
        wanted = sorted(uuid for uuid in needs.secrets if uuid not in kept)
        if wanted:
            self._connection.call(lambda connection: _forget(connection, wanted), "forgetting the secrets of volumes")
        for path in sorted(needs.devices):
            self._by_host.release_device(path, self._has_device)

    def forget_aside(self, uuid: str, xml: str | None) -> None:
        """Forget the secrets of a guest that was set aside and goes, but for those that it needs here, too."""
        secrets = set() if xml is None else set(volume_xml.secrets_in(xml))
        if secrets:
            with contextlib.suppress(errors.NotFound):
                secrets -= self._on_guest(uuid, Needs.of, "looking at").secrets
            self.forget(Needs(frozenset(secrets)))

    def reconnect(self, uuid: str) -> None:
        """Connect again what a guest that starts has of devices, should the host have been started anew since."""
        if self._by_host.kinds:
            for path in sorted(self._on_guest(uuid, Needs.of, "looking at").devices):
                self._by_host.reconnect(path)

    def attach(self, uuid: str, volume: VolumeDisk) -> None:
        """Plug a volume into a guest that runs, or write it into the definition of one that does not, or both."""
        self._on_guest(uuid, lambda domain: None, "looking for")
        with self.planned((volume,)) as plan:
            self._give(uuid, volume, plan)

    def _give(self, uuid: str, volume: VolumeDisk, plan: Plan) -> None:
        (wanted,) = plan.disks

        def act(domain: Any) -> None:
            self._require_steady(domain, uuid)
            lasting, live = _definitions(domain)
            if live is not None and volume.bus in _FIXED and volume_xml.of_volume(live, volume.volume_id) is None:
                raise errors.GuestFailed(f"Disks on {volume.bus} cannot be given to servers that run.")
            for xml in (lasting, live):
                reason = None if xml is None else volume_xml.rival(xml, wanted)
                if reason is not None:
                    raise errors.GuestFailed(reason)
            has = volume_xml.of_volume(lasting, volume.volume_id)
            if has is not None and live is None and not volume_xml.is_same_source(has, wanted):
                domain.detachDeviceFlags(_text(has), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
                has = None
            flags = 0 if has is not None else libvirt.VIR_DOMAIN_AFFECT_CONFIG
            if live is not None and volume_xml.of_volume(live, volume.volume_id) is None:
                flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
            if flags:
                _plug(domain, wanted, lasting if live is None else live, flags)

        self.keep_secrets(plan)
        try:
            self._on_guest(uuid, act, "giving a volume to")
        except errors.Timeout:
            raise  # it may come yet
        except errors.NovaLiteError:
            self._forget_unused(uuid, plan)
            raise

    def detach(self, uuid: str, volume_id: str, *, timeout_s: float) -> None:
        """Ask the guest for the disk until it lets go, then take it out of the definition, too."""
        deadline = time.monotonic() + timeout_s
        ask_again = 0.0
        with contextlib.suppress(errors.NotFound):
            needs = self._on_guest(uuid, lambda domain: _needs_for(domain, volume_id), "looking at")
            while not self._on_guest(uuid, lambda domain: self._is_out(domain, uuid, volume_id), "looking at"):
                now = time.monotonic()
                if now >= ask_again:
                    self._on_guest(uuid, lambda domain: _ask_for(domain, volume_id), "taking a volume from")
                    ask_again = time.monotonic() + _ASK_AGAIN_S
                elif now >= deadline:
                    raise errors.Timeout(f"The server has not let go of volume {volume_id} within {timeout_s:.0f} s.")
                else:
                    time.sleep(min(_POLL_S, max(0.0, deadline - now)))
            kept = self._disks.kept_definition(uuid)
            if kept is not None:
                self._disks.keep_definition(uuid, volume_xml.without(kept, volume_id))
            self.forget(needs)

    def swap(self, uuid: str, volume: VolumeDisk, *, timeout_s: float, goes_on: Callable[[], bool]) -> None:
        """Copy a volume below a running guest to another place, then have the guest use that."""
        with self.planned((volume,)) as plan:
            self._on_guest(uuid, lambda domain: self._require_steady(domain, uuid), "looking at")
            self.keep_secrets(plan)
            self._copy(uuid, volume, plan.disks[0], timeout_s=timeout_s, goes_on=goes_on)

    def _copy(
        self, uuid: str, volume: VolumeDisk, wanted: Element, *, timeout_s: float, goes_on: Callable[[], bool]
    ) -> None:
        now = time.monotonic()
        deadline, ask_at, is_begun = now + timeout_s, now + _ASK_LEAVE_S, False
        while (found := self._look(uuid, wanted)).stage is not Stage.THERE:
            if not found.runs:
                raise errors.GuestFailed("The server does not run: its volume cannot be copied from below it.")
            is_whole = found.stage is Stage.WHOLE
            if is_whole or time.monotonic() >= ask_at:
                if not goes_on():
                    raise errors.Conflict(f"Volume {volume.volume_id} is not to be swapped any more.")
                ask_at = time.monotonic() + _ASK_LEAVE_S
            if is_whole:
                self._on_disk(uuid, found.name, block_copies.turn_over)
            elif found.stage is Stage.AWAY and is_begun:
                raise errors.GuestFailed(
                    f"Copying volume {volume.volume_id} broke off: the other one must be as large."
                )
            elif found.stage is Stage.AWAY:
                self._on_disk(uuid, found.name, lambda domain, name: block_copies.begin(domain, name, wanted))
                is_begun = True
            elif found.stage is Stage.ELSEWHERE:
                self._on_disk(uuid, found.name, block_copies.give_up)
            elif time.monotonic() >= deadline:
                raise errors.Timeout(f"Volume {volume.volume_id} was not copied within {timeout_s:.0f} s.")
            else:
                time.sleep(min(_COPY_POLL_S, max(0.0, deadline - time.monotonic())))
        if found.is_copied:
            self._on_disk(uuid, found.name, block_copies.give_up)
        self._on_guest(uuid, lambda domain: block_copies.keep(domain, wanted), "keeping a volume of")

    def _look(self, uuid: str, wanted: Element) -> block_copies.Look:
        return self._on_guest(uuid, lambda domain: block_copies.look_at(domain, wanted), "looking at")

    def _on_disk(self, uuid: str, name: str, do: Callable[[Any, str], None]) -> None:
        self._on_guest(uuid, lambda domain: do(domain, name), "copying a volume of")

    def release(self, connection: Mapping[str, object]) -> None:
        """Forget a volume's secret; give its device up, unless another guest has it."""
        kept = volume_xml.secret(connection, Host(self._hostname))
        if kept is not None:
            self.forget(Needs(frozenset((kept.uuid,))))
        self._by_host.release(connection, self._has_device)

    def of(self, uuid: str) -> list[str]:
        """Return the volumes of a guest: those it has now, and those it would have after a start."""

        def look(domain: Any) -> list[str]:
            found = [each for xml in _definitions(domain) if xml is not None for each in volume_xml.volume_ids(xml)]
            return list(dict.fromkeys(found))

        return self._on_guest(uuid, look, "looking at")

    def extend(self, uuid: str, volume_id: str, size_gib: int) -> None:
        """Have a running guest see that a volume has grown; one that is off sees it when it starts."""

        def act(domain: Any) -> None:
            _, live = _definitions(domain)
            has = None if live is None else volume_xml.of_volume(live, volume_id)
            target = None if has is None else has.find("target")
            if target is not None:
                domain.blockResize(target.get("dev"), size_gib << 30, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

        for path in self._on_guest(uuid, lambda domain: _needs_for(domain, volume_id), "looking at").devices:
            self._by_host.extend(path)
        self._on_guest(uuid, act, "telling of a grown volume")

    def _is_out(self, domain: Any, uuid: str, volume_id: str) -> bool:
        """Return whether the guest has not the disk; the definition is not to have it then, either."""
        lasting, live = _definitions(domain)
        if live is not None and volume_xml.of_volume(live, volume_id) is not None:
            return False
        has = volume_xml.of_volume(lasting, volume_id)
        if has is not None:
            if live is None and domain.hasManagedSaveImage(0):
                raise errors.Conflict(f"Instance {uuid} is suspended: its memory knows the volume.")
            domain.detachDeviceFlags(_text(has), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        return True

    def _require_steady(self, domain: Any, uuid: str) -> None:
        if not domain.isActive() and domain.hasManagedSaveImage(0):
            raise errors.Conflict(f"Instance {uuid} is suspended: its memory would not know the volume.")
        if self._disks.kept_definition(uuid) is not None:
            raise errors.Conflict(f"Instance {uuid} is being rescued.")

    def _forget_unused(self, uuid: str, plan: Plan) -> None:
        """Forget the secrets of a volume that the guest did not get."""
        with contextlib.suppress(errors.NotFound):
            used = self._on_guest(uuid, Needs.of, "looking at").secrets
            self.forget(Needs(plan.needs().secrets - used))

    def _has_device(self, path: str) -> bool:
        """Return whether any guest of this host has a device, be it set aside."""

        def look(connection: Any) -> bool:
            return any(path in Needs.of(domain).devices for domain in connection.listAllDomains(0))

        aside = (self._asides.definition(uuid) for uuid in self._asides.all())
        return any(xml is not None and path in volume_xml.devices_in(xml) for xml in aside) or self._connection.call(
            look, "looking who has a device"
        )

    def _initiator(self) -> str | None:
        try:
            lines = self._initiator_file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        names = (line.partition("=")[2].strip() for line in lines if line.startswith("InitiatorName="))
        return next((name for name in names if name), None)

    def _on_guest(self, uuid: str, use: Callable[[Any], T], doing: str) -> T:
        def act(connection: Any) -> T:
            return use(domains.of_guest(connection, uuid, self._hostname))

        return self._connection.call(act, f"{doing} instance {uuid}")


def _definitions(domain: Any) -> tuple[str, str | None]:
    """Return how a domain will be at its next start, and how it is now, if it runs."""
    lasting = domains.definition(domain)
    return lasting, str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)) if domain.isActive() else None


def _needs_for(domain: Any, volume_id: str) -> Needs:
    found = [volume_xml.of_volume(xml, volume_id) for xml in _definitions(domain) if xml is not None]
    disks = [each for each in found if each is not None]
    return Needs(frozenset(volume_xml.secrets_of(disks)), frozenset(volume_xml.devices_of(disks)))


def _plug(domain: Any, disk: Element, xml: str, flags: int) -> None:
    """Plug a disk in; raises GuestFailed for what this guest's hardware has no place for."""
    try:
        for part in volume_xml.lacking(xml, disk):
            domain.attachDeviceFlags(_text(part), flags)
        domain.attachDeviceFlags(_text(disk), flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NEVER:
            raise errors.GuestFailed("The server has no place for the volume.", cause=str(error)) from error
        raise


def _ask_for(domain: Any, volume_id: str) -> None:
    """Ask a running guest to let a disk go; libvirt waits for it a few seconds."""
    _, live = _definitions(domain)
    has = None if live is None else volume_xml.of_volume(live, volume_id)
    if has is None:
        return
    try:
        domain.detachDeviceFlags(_text(has), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NEVER:
            raise errors.Conflict("The volume cannot be taken from the server while it runs.") from error
        # It was asked already and thinks about it, or has just gone: the next look tells.
        _LOG.debug("asking for volume %s: %s", volume_id, error)


def _forget(connection: Any, uuids: Iterable[str]) -> None:
    for uuid in uuids:
        try:
            secret = connection.secretLookupByUUIDString(uuid)
            if volume_xml.is_ours(secret.usageID()):
                secret.undefine()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                raise


def _look_up(volume: VolumeDisk) -> Local | None:
    """Return what this host has of a volume that is said to lie on it: the very file, through no link."""
    if volume_xml.kind(volume.connection) != "local":
        return None
    told = Path(str(volume.connection.get("device_path") or ""))
    if not told.is_absolute():
        raise errors.GuestFailed(f"The connection of volume {volume.volume_id} does not say its device_path.")
    try:
        path = told.parent.resolve(strict=True) / told.name
        mode = path.lstat().st_mode
    except OSError as error:
        raise errors.HostFailed(f"The host has no volume {volume.volume_id}.", cause=str(error)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise errors.GuestFailed(f"Volume {volume.volume_id} is neither a file nor a device.", path=str(path))
    return Local(str(path), stat.S_ISBLK(mode), _is_direct(path))


def _is_direct(path: Path) -> bool:
    """Return whether a file bears direct I/O, without which a host's memory is between it and a guest."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


if libvirt is None:
    _NEVER: tuple[int, ...] = ()
else:
    #: What another attempt will not mend.
    _NEVER = (
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_XML_ERROR,
        libvirt.VIR_ERR_XML_DETAIL,
    )

"""Looking into a running libvirt domain, and reaching into it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nova_lite import errors
from nova_lite.compute.virt.libvirt import domains
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.compute.virt.libvirt.domain_xml import AGENT_CHANNEL
from nova_lite.model.diagnostics import CpuCounters, Diagnostics, DiskCounters, NicCounters
from nova_lite.model.guest import PowerState

T = TypeVar("T")


class InsideDomains:
    """The part of the driver that looks into running guests."""

    _virt_type: str

    def _on_guest(self, uuid: str, use: Callable[[Any], T], doing: str) -> T:
        raise NotImplementedError

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return how a running guest fares."""
        return self._on_guest(uuid, lambda domain: diagnostics(domain, self._virt_type), "looking into")

    def set_password(self, uuid: str, user: str, password: str) -> None:
        """Have the agent inside the guest set a user's password."""
        self._on_guest(uuid, lambda domain: set_password(domain, user, password), "setting a password of")

    def freeze(self, uuid: str) -> None:
        """Have the agent inside the guest freeze its file systems."""
        self._on_guest(uuid, freeze, "freezing")

    def thaw(self, uuid: str) -> None:
        """Have the agent inside the guest let its file systems go on."""
        self._on_guest(uuid, thaw, "thawing")

    def inject_nmi(self, uuid: str) -> None:
        """Interrupt the guest."""
        self._on_guest(uuid, inject_nmi, "interrupting")


def diagnostics(domain: Any, virt_type: str) -> Diagnostics:
    """Return how a running guest fares; what libvirt cannot tell of a device is left out."""
    _require_running(domain)
    devices = ElementTree.fromstring(domain.XMLDesc(0)).find("devices")  # noqa: S314 - from libvirt
    _, max_kib, used_kib, _, _ = domain.info()
    return Diagnostics(
        driver="libvirt",
        hypervisor=virt_type,
        hypervisor_os="linux",
        memory_max_kib=max_kib,
        memory_used_kib=used_kib,
        cpus=tuple(CpuCounters(number, time_ns) for number, _, time_ns, _ in domain.vcpus()[0]),
        nics=tuple(_nics(domain, devices)),
        disks=tuple(_disks(domain, devices)),
        memory_kib={str(name): int(value) for name, value in domain.memoryStats().items()},
    )


def set_password(domain: Any, user: str, password: str) -> None:
    """Have the guest's agent set a user's password."""
    _require_running(domain)
    if AGENT_CHANNEL not in domain.XMLDesc(0):
        raise errors.Conflict("QEMU guest agent is not enabled for the instance.")
    try:
        domain.setUserPassword(user, password, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_NO_SUPPORT):
            raise errors.Unsupported("No agent answers in the guest.") from error
        # Its words may hold what was to be set.
        raise errors.Conflict(
            "The guest's agent did not set the password.", libvirt_code=error.get_error_code()
        ) from None


def freeze(domain: Any) -> None:
    """Have the guest's agent freeze its file systems; one that did not answer in time is asked to take that back."""
    _require_running(domain)
    if AGENT_CHANNEL not in domain.XMLDesc(0):
        raise errors.Conflict("QEMU guest agent is not enabled for the instance.")
    try:
        domain.fsFreeze(None, 0)
    except libvirt.libvirtError as error:
        with contextlib.suppress(libvirt.libvirtError):
            domain.fsThaw(None, 0)
        raise errors.Unsupported(f"The guest's file systems cannot be frozen: {error.get_error_message()}") from error


def thaw(domain: Any) -> None:
    """Have the guest's agent let its file systems be written to again."""
    if domains.power_state(domain) is PowerState.RUNNING and AGENT_CHANNEL in domain.XMLDesc(0):
        domain.fsThaw(None, 0)


def inject_nmi(domain: Any) -> None:
    """Interrupt the guest."""
    try:
        domain.injectNMI(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            raise errors.Unsupported("The hypervisor cannot interrupt guests.") from error
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            raise errors.Conflict(f"The guest of instance {domain.UUIDString()} is not running.") from error
        raise


def _disks(domain: Any, devices: Element | None) -> Iterator[DiskCounters]:
    for target in () if devices is None else devices.iterfind("disk/target"):
        device = target.get("dev", "")
        try:
            read_requests, read_bytes, write_requests, write_bytes, failed = domain.blockStats(device)
        except libvirt.libvirtError:  # an empty drive, for one
            yield DiskCounters(device)
            continue
        # libvirt says -1 where it does not know.
        yield DiskCounters(device, read_bytes, read_requests, write_bytes, write_requests, max(0, failed))


def _nics(domain: Any, devices: Element | None) -> Iterator[NicCounters]:
    for interface in () if devices is None else devices.iterfind("interface"):
        mac, target = interface.find("mac"), interface.find("target")
        address = "" if mac is None else mac.get("address", "")
        device = "" if target is None else target.get("dev", "")
        try:
            yield NicCounters(device, address, *domain.interfaceStats(device))
        except libvirt.libvirtError:
            yield NicCounters(device, address)


def _require_running(domain: Any) -> None:
    if domains.power_state(domain) is not PowerState.RUNNING:
        raise errors.Conflict(f"The guest of instance {domain.UUIDString()} is not running.")

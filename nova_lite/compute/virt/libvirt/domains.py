"""What is done to one libvirt domain; each is safe to do twice."""

import uuid as uuids
from typing import Any

from nova_lite import errors
from nova_lite.compute.virt.libvirt import domain_xml
from nova_lite.compute.virt.libvirt.bindings import libvirt
from nova_lite.model.guest import PowerState

OFF = (PowerState.SHUTDOWN, PowerState.CRASHED)


def is_uuid(uuid: str) -> bool:
    """Return whether this is a UUID as we write them."""
    try:
        return str(uuids.UUID(uuid)) == uuid
    except ValueError:
        return False


def check_uuid(uuid: str) -> None:
    """Raise Invalid for what is no UUID."""
    if not is_uuid(uuid):
        raise errors.Invalid(f"{uuid!r} is no UUID")


def find(connection: Any, uuid: str) -> Any:
    """Return the domain of a guest, or None."""
    if not is_uuid(uuid):
        return None
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def mark(domain: Any) -> domain_xml.Mark | None:
    """Return what we noted in a domain, or None for one that is not ours."""
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domain_xml.NAMESPACE, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN):
            return None
        raise
    return domain_xml.read_mark(text)


def is_of(domain: Any, hostname: str) -> bool:
    """Return whether a domain is a guest of that host: several may share a libvirtd."""
    found = mark(domain)
    return found is not None and found.hostname == hostname


def of_guest(connection: Any, uuid: str, hostname: str) -> Any:
    """Return the domain of a guest of that host; raises NotFound."""
    domain = find(connection, uuid)
    if domain is None or not is_of(domain, hostname):
        raise errors.NotFound(f"Instance {uuid} is not on host {hostname}")
    return domain


def power_state(domain: Any) -> PowerState:
    """Return what a domain is doing."""
    state, reason = domain.state(0)
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return PowerState.CRASHED
    return {
        libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
        libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
        libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,  # on its way down, and not there yet
        libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
        libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
        libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
        libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SUSPENDED,
    }.get(state, PowerState.NOSTATE)


def definition(domain: Any) -> str:
    """Return how a domain will be at its next start."""
    return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))


def start(domain: Any) -> None:
    """Start a domain that does not run."""
    if not domain.isActive():
        domain.create()


def pause(domain: Any) -> None:
    """Stop a running domain's processors."""
    if alive(domain) is PowerState.RUNNING:
        domain.suspend()


def unpause(domain: Any) -> None:
    """Let a paused domain run on."""
    if alive(domain) is PowerState.PAUSED:
        domain.resume()


def save_memory(domain: Any) -> None:
    """Write a domain's memory to disk and turn it off."""
    if not (power_state(domain) in OFF and domain.hasManagedSaveImage(0)):
        alive(domain)
        domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)


def resume(domain: Any) -> None:
    """Let a saved domain run on."""
    start(domain)
    unpause(domain)


def forget_memory(domain: Any) -> None:
    """Remove what ``save_memory`` wrote."""
    if domain.hasManagedSaveImage(0):
        domain.managedSaveRemove(0)


def alive(domain: Any) -> PowerState:
    """Return what a domain is doing; raises Conflict when it is off."""
    state = power_state(domain)
    if state in OFF:
        raise errors.Conflict(f"The guest of instance {domain.UUIDString()} is not running.")
    return state


def press_power_button(domain: Any) -> None:
    """Ask the guest to shut down."""
    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        # It went down, or is paused and cannot hear; the caller looks again and cuts the power in the end.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def cut_power(domain: Any) -> None:
    """Turn a domain off at once."""
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # it does not run, and that is what is wanted
            raise


def remove(domain: Any) -> None:
    """Turn a domain off and have libvirt forget it; one that was on its way here is forgotten when it is off."""
    try:
        cut_power(domain)
        if domain.isPersistent():
            undefine(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def undefine(domain: Any) -> None:
    """Have libvirt forget a domain that is off, and all it keeps for it."""
    domain.undefineFlags(
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )

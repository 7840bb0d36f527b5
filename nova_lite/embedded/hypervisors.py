"""Which hypervisor driver an embedded cloud uses, and what of the machine each of its hosts gets."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nova_lite import errors
from nova_lite.embedded.settings import CloudSettings, Driver
from nova_lite.embedded.state import Identity

#: MiB left to the machine itself, with all its hosts full.
_MACHINE_MIB = 1024


class NoLibvirt(errors.Misconfigured):
    """libvirt was asked for and does not work here."""


def choose(settings: CloudSettings, identity: Identity | None) -> tuple[Driver, str]:
    """Return the driver to use and a sentence that says why; raises NoLibvirt when it must be libvirt and cannot be.

    What is asked for by name is returned even where the state directory has another: ``state.settled`` refuses that.
    """
    if settings.driver == "fake":
        return "fake", "guests are imitated (--driver fake)"
    if identity is not None and identity.driver == "fake":
        if settings.driver == "auto":
            return "fake", "guests are imitated, as before in this state directory"
        return "libvirt", "guests are real"
    trouble = _trouble(settings)
    if trouble is None:
        return "libvirt", f"guests are real: libvirt at {settings.libvirt_uri}, virt type {settings.virt_type}"
    if settings.driver == "libvirt" or identity is not None:
        raise NoLibvirt(
            f"{trouble} Install libvirt and start it (the source tree has tools/libvirtd), say where it is with "
            "--libvirt-uri, or imitate guests with --driver fake."
        )
    return "fake", f"guests are imitated, for libvirt does not work here: {trouble.removesuffix('.')}"


def share(settings: CloudSettings, driver: Driver) -> Mapping[str, object]:
    """Return what of the machine a host leaves to others, so that all hosts together fit: options of an agent."""
    if driver == "fake":
        return {"reserved_host_memory_mb": 0}
    from nova_lite.compute.virt.libvirt.host import ram_mib  # noqa: PLC0415 - needs libvirt's bindings

    hosts = settings.cells * settings.hosts
    memory = ram_mib()
    disk_mib = shutil.disk_usage(settings.state_dir).total >> 20
    return {
        "reserved_host_memory_mb": memory - max(0, memory - _MACHINE_MIB) // hosts,
        "reserved_host_disk_mb": disk_mib - disk_mib // hosts,
    }


def _trouble(settings: CloudSettings) -> str | None:
    """Return why libvirt cannot run guests here, or None when it can."""
    from nova_lite.compute.virt.libvirt.bindings import libvirt  # noqa: PLC0415 - see share()
    from nova_lite.compute.virt.libvirt.driver import LibvirtDriver  # noqa: PLC0415

    if libvirt is None:
        return "The Python package libvirt-python is not installed."
    with tempfile.TemporaryDirectory(dir=settings.state_dir) as scratch:
        probe = LibvirtDriver(
            hostname="probe",
            uri=settings.libvirt_uri,
            virt_type=settings.virt_type,
            instances_path=Path(scratch),
            call_timeout_s=10.0,
        )
        try:
            probe.connect()
        except errors.NovaLiteError as exc:
            cause = exc.facts.get("cause")
            return f"{exc.message.rstrip('.')}{f' ({cause})' if cause else ''}."
        finally:
            probe.close()
    return None

"""Copies a running guest's root disk: QEMU's own backup job, which shows the disk as it was when the job began."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from nova_lite import errors
from nova_lite.compute.virt.libvirt.bindings import libvirt

NOTHING_TO_COPY = "The server boots from a volume: it has no disk to copy."

#: Seconds between two looks whether a copy is done.
_POLL_S = 0.2


def copy(on_guest: Callable[[Callable[[Any], Any]], Any], path: Path, *, timeout_s: float) -> bool:
    """Copy the root disk into ``path``; False for a guest that is off, whose disk can simply be read.

    ``on_guest`` calls something with the guest's domain. Raises Timeout, Unavailable.
    """
    if not on_guest(lambda domain: _begin(domain, path)):
        return False
    deadline = time.monotonic() + timeout_s
    while on_guest(_is_copying):
        if time.monotonic() >= deadline:
            on_guest(_abort)
            raise errors.Timeout(f"The disk was not copied within {timeout_s:.0f} s")
        time.sleep(_POLL_S)
    on_guest(_require_done)
    return True


def _begin(domain: Any, path: Path) -> bool:
    """Begin to copy, unless the guest is off; what is left of an earlier attempt is ended first."""
    if not domain.isActive():
        return False
    if _is_copying(domain):
        _abort(domain)
    backup = ElementTree.Element("domainbackup", mode="push")
    disks = ElementTree.SubElement(backup, "disks")
    root = ElementTree.SubElement(disks, "disk", name=_root_of(domain), type="file")
    ElementTree.SubElement(root, "target", file=str(path))
    ElementTree.SubElement(root, "driver", type="qcow2")
    domain.backupBegin(ElementTree.tostring(backup, encoding="unicode"), None, 0)
    return True


def _is_copying(domain: Any) -> bool:
    """Return whether a copy is under way."""
    return bool(domain.jobStats(0).get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP)


def _require_done(domain: Any) -> None:
    """Raise Unavailable unless the last copy ended well."""
    ended = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if ended.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP or not ended.get("success", True):
        raise errors.Unavailable("The copy of the disk did not end well", cause=ended.get("errmsg", str(ended)))


def _abort(domain: Any) -> None:
    """End a copy that is under way, if one is."""
    try:
        domain.abortJob()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _root_of(domain: Any) -> str:
    """Return the name of the first disk; that of a guest that boots from a volume is not ours to copy."""
    disk = ElementTree.fromstring(domain.XMLDesc(0)).find("devices/disk[@device='disk']")  # noqa: S314 - from libvirt
    target = None if disk is None else disk.find("target")
    if disk is None or target is None or disk.findtext("serial"):
        raise errors.Conflict(NOTHING_TO_COPY)
    return target.get("dev", "")

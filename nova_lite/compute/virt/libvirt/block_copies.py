"""Copying a running guest's volume to another place, and turning the guest over to that: libvirt's block jobs.

What is begun lives in QEMU: an agent that is started anew finds it in the guest's definition and goes on with it.
"""

import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nova_lite import errors
from nova_lite.compute.virt.libvirt import domains, volume_xml
from nova_lite.compute.virt.libvirt.bindings import libvirt

_LOG = logging.getLogger(__name__)


class Stage(Enum):
    """How far a volume is to its other place."""

    AWAY = "away"
    ELSEWHERE = "elsewhere"  # being copied, but to a third place
    COPYING = "copying"
    WHOLE = "whole"
    THERE = "there"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found of a volume; ``name`` is the disk's (``vdb``), ``is_copied`` whether it is being copied away."""

    stage: Stage
    name: str
    runs: bool
    is_copied: bool = False


def look(lasting: str, live: str | None, wanted: Element) -> Look:
    """Return how far the volume that ``wanted`` is, is to being there, by a guest's two definitions: pure.

    Raises GuestFailed when the guest has no such volume.
    """
    volume_id = wanted.findtext("serial") or ""
    has = volume_xml.of_volume(lasting if live is None else live, volume_id)
    if has is None:
        raise errors.GuestFailed(f"The server has no volume {volume_id}.")
    target, copy = has.find("target"), has.find("mirror")
    name = "" if target is None else target.get("dev", "")
    if volume_xml.is_same_source(has, wanted):
        return Look(Stage.THERE, name, live is not None, is_copied=copy is not None)
    if copy is None:
        return Look(Stage.AWAY, name, live is not None)
    if not volume_xml.is_same_source(copy, wanted):
        return Look(Stage.ELSEWHERE, name, live is not None, is_copied=True)
    stage = Stage.WHOLE if copy.get("ready") == "yes" else Stage.COPYING
    return Look(stage, name, live is not None, is_copied=True)


def look_at(domain: Any, wanted: Element) -> Look:
    """Return how far a guest's volume is."""
    live = str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)) if domain.isActive() else None
    return look(domains.definition(domain), live, wanted)


def begin(domain: Any, name: str, wanted: Element) -> None:
    """Begin to copy a disk to another place, which is there already; raises GuestFailed when QEMU cannot."""
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    try:
        domain.blockCopy(name, _text(wanted), flags=flags)
    except libvirt.libvirtError as error:
        raise errors.GuestFailed("The volume cannot be copied from below the server.", cause=str(error)) from error


def give_up(domain: Any, name: str) -> None:
    """End the copying of a disk, which stays where it is."""
    domain.blockJobAbort(name, 0)


def turn_over(domain: Any, name: str) -> None:
    """Have the guest use what its disk was copied to. What comes of it tells the next look."""
    try:
        domain.blockJobAbort(name, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    except libvirt.libvirtError as error:
        _LOG.warning("Disk %s did not go over to its copy: %s", name, error)


def keep(domain: Any, wanted: Element) -> None:
    """Have the guest's definition say where the volume is, for its next start."""
    has = volume_xml.of_volume(domains.definition(domain), wanted.findtext("serial") or "")
    if has is None or not volume_xml.is_same_source(has, wanted):
        domain.updateDeviceFlags(_text(wanted), libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")

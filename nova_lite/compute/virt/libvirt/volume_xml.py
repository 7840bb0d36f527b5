"""How a volume is a disk of a domain, by what the block storage service says of the connection: pure.

A volume's disk has the volume's id as its serial, which no other disk of ours has: by that it is found again. What a
connection has of secrets goes into libvirt's own store, never into a definition.
"""

import re
import uuid as uuids
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nova_lite.errors import GuestFailed
from nova_lite.model.guest import VolumeDisk

#: What kinds of connection QEMU makes itself.
KINDS = ("local", "rbd", "iscsi", "nbd")

#: How the usages of our secrets begin, and the space their names are made in.
_OURS = "nova-lite/"
_SECRETS = uuids.UUID("6f0cf1b5-0a8f-4f7c-9c0e-2f6f2a1c7a10")

_NAME = re.compile("(?:vd|sd|hd|xvd)[a-z]{1,2}")

#: The parts of a disk's source that say where its data is.
_PLACES = ("source", "host")

#: Limits as the service names them, which libvirt names alike.
_LIMITS = frozenset(
    f"{what}_{unit}{most}"
    for what in ("total", "read", "write")
    for unit in ("bytes_sec", "iops_sec")
    for most in ("", "_max")
)


@dataclass(frozen=True, slots=True)
class Secret:
    """What libvirt is to know and to tell nobody but QEMU."""

    uuid: str
    usage: str
    value: bytes = field(repr=False)

    @property
    def xml(self) -> str:
        """Return its definition, which has not the value in it."""
        root = Element("secret", ephemeral="no", private="yes")
        SubElement(root, "uuid").text = self.uuid
        usage = SubElement(root, "usage", type="iscsi")
        SubElement(usage, "target").text = self.usage
        return ElementTree.tostring(root, encoding="unicode")


@dataclass(frozen=True, slots=True)
class Host:
    """Who asks for volumes: its name, and what it is called among iSCSI's initiators, if anything."""

    name: str
    initiator: str | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """A file or device of this host as it was found: where it is in truth, and whether it bears direct I/O."""

    path: str
    is_device: bool = False
    is_direct: bool = True


def kind(connection: Mapping[str, Any], by_host: Sequence[str] = ()) -> str:
    """Return of what kind a connection is; raises GuestFailed for one that nothing here can use.

    ``by_host`` are the kinds that the host connects itself.
    """
    found = str(connection.get("driver_volume_type") or "")
    known = dict.fromkeys((*KINDS, *by_host))
    if found not in known:
        raise GuestFailed(
            f"Volumes connected by {found or 'nothing'!r} cannot be used here; by {', '.join(known)} can."
        )
    if connection.get("encrypted"):
        raise GuestFailed("Encrypted volumes cannot be used here.")
    return found


def secret(connection: Mapping[str, Any], host: Host) -> Secret | None:
    """Return what libvirt must keep for a connection; None where it has no secret of its own."""
    password = connection.get("auth_password")
    if connection.get("driver_volume_type") != "iscsi" or not password:
        return None
    whose = connection.get("attachment_id") or _target(connection)
    usage = f"{_OURS}{host.name}/{whose}"
    return Secret(str(uuids.uuid5(_SECRETS, usage)), usage, str(password).encode())


def disk(volume: VolumeDisk, host: Host, local: Local | None = None) -> Element:
    """Return the disk that a volume is; ``local`` is what was found of one that lies on this host.

    Raises GuestFailed for a connection or a name that cannot be.
    """
    connection = volume.connection
    name = volume.device_name.removeprefix("/dev/")
    if not _NAME.fullmatch(name):
        raise GuestFailed(f"{volume.device_name!r} is no name of a disk.")
    by = kind(connection, () if local is None else (str(connection.get("driver_volume_type")),))
    is_direct = local is None or local.is_direct
    what = "network" if local is None else "block" if local.is_device else "file"
    element = Element("disk", type=what, device="disk")
    driver = SubElement(element, "driver", name="qemu", type="raw", cache="none" if is_direct else "writeback")
    if local is not None:
        SubElement(element, "source", {"dev" if local.is_device else "file": local.path})
    else:
        element.append(_NETWORK[by](connection, host))
    if by == "local" or connection.get("discard"):
        driver.set("discard", "unmap")
    SubElement(element, "backingStore")
    SubElement(element, "target", dev=name, bus=volume.bus)
    if connection.get("access_mode") == "ro":
        SubElement(element, "readonly")
    if volume.is_shareable:
        SubElement(element, "shareable")
    _add_limits(element, connection)
    SubElement(element, "serial").text = volume.volume_id
    return element


def of_volume(xml: str, volume_id: str) -> Element | None:
    """Return the disk of a definition that a volume is."""
    return next((each for each in _disks(xml) if each.findtext("serial") == volume_id), None)


def volume_ids(xml: str) -> list[str]:
    """Return the volumes a definition has."""
    return [found for each in _disks(xml) if (found := each.findtext("serial"))]


def rival(xml: str, wanted: Element) -> str | None:
    """Return what keeps a new disk out of a definition: another one has its name, or its source."""
    name, source = _name(wanted), _source(wanted, _PLACES)
    for each in _disks(xml):
        if each.findtext("serial") == wanted.findtext("serial"):
            continue
        if _name(each) == name:
            return f"The server has another disk at /dev/{name}."
        if _source(each, _PLACES) == source:
            return f"What volume {wanted.findtext('serial')} is said to be is the server's disk /dev/{_name(each)}."
    return None


def lacking(xml: str, wanted: Element) -> list[Element]:
    """Return what must be plugged into a guest before a disk: the controller of a bus it has not."""
    target = wanted.find("target")
    is_scsi = target is not None and target.get("bus") == "scsi"
    if not is_scsi or _parsed(xml).find("devices/controller[@type='scsi']") is not None:
        return []
    return [Element("controller", type="scsi", index="0", model="virtio-scsi")]


def is_same_source(one: Element, other: Element) -> bool:
    """Return whether two disks have the same behind them."""
    return _source(one, (*_PLACES, "secret")) == _source(other, (*_PLACES, "secret"))


def without(xml: str, volume_id: str) -> str:
    """Return a definition without a volume."""
    root = _parsed(xml)
    devices = root.find("devices")
    for each in [] if devices is None else devices.findall("disk"):
        if devices is not None and each.findtext("serial") == volume_id:
            devices.remove(each)
    return ElementTree.tostring(root, encoding="unicode")


def secrets_of(elements: Iterable[Element]) -> list[str]:
    """Return the UUIDs of the secrets that disks need."""
    return [uuid for each in elements for found in each.iter("secret") if (uuid := found.get("uuid"))]


def secrets_in(xml: str) -> list[str]:
    """Return the UUIDs of the secrets that a definition's disks need."""
    return secrets_of(_disks(xml))


def devices_of(elements: Iterable[Element]) -> list[str]:
    """Return the paths of the devices that disks are, or are being copied to."""
    return [path for each in elements for found in each.iter("source") if (path := found.get("dev"))]


def devices_in(xml: str) -> list[str]:
    """Return the paths of the devices that a definition's disks are."""
    return devices_of(_disks(xml))


def is_ours(usage: str) -> bool:
    """Return whether a secret of this usage is one of ours, and not an operator's."""
    return usage.startswith(_OURS)


def replace_sources(root: Element, volumes: Mapping[str, str]) -> None:
    """Give the volumes of a definition the sources they have on another host: volume id → disk there."""
    for each in root.iterfind("devices/disk"):
        there = volumes.get(each.findtext("serial") or "")
        if there is None:
            continue
        wanted = _parsed(there)
        source, new = each.find("source"), wanted.find("source")
        if source is None or new is None:
            continue
        place = list(each).index(source)
        each.remove(source)
        each.insert(place, new)
        each.set("type", wanted.get("type", ""))
        for auth in each.findall("auth"):
            each.remove(auth)


def _rbd(connection: Mapping[str, Any], host: Host) -> Element:
    source = Element("source", protocol="rbd", name=_told(connection, "name"))
    hosts, ports = connection.get("hosts") or [], connection.get("ports") or []
    for number, name in enumerate(hosts):
        port = ports[number] if number < len(ports) else None
        SubElement(source, "host", _address(str(name), port))
    if connection.get("auth_enabled") or connection.get("secret_uuid"):
        auth = SubElement(source, "auth", username=_told(connection, "auth_username"))
        SubElement(auth, "secret", type="ceph", uuid=_told(connection, "secret_uuid"))
    return source


def _iscsi(connection: Mapping[str, Any], host: Host) -> Element:
    source = Element("source", protocol="iscsi", name=_target(connection))
    address, _, port = _told(connection, "target_portal").rpartition(":")
    SubElement(source, "host", _address(address, port))
    if host.initiator is not None:
        SubElement(SubElement(source, "initiator"), "iqn", name=host.initiator)
    kept = secret(connection, host)
    if kept is not None:
        auth = SubElement(source, "auth", username=_told(connection, "auth_username"))
        SubElement(auth, "secret", type="iscsi", uuid=kept.uuid)
    return source


def _nbd(connection: Mapping[str, Any], host: Host) -> Element:
    source = Element("source", protocol="nbd")
    if connection.get("export"):
        source.set("name", str(connection["export"]))
    SubElement(source, "host", _address(_told(connection, "host"), _told(connection, "port")))
    return source


_NETWORK = {"rbd": _rbd, "iscsi": _iscsi, "nbd": _nbd}


def _target(connection: Mapping[str, Any]) -> str:
    return f"{_told(connection, 'target_iqn')}/{connection.get('target_lun') or 0}"


def _address(host: str, port: object) -> dict[str, str]:
    name = host.removeprefix("[").removesuffix("]")
    return {"name": name, "port": str(port)} if port else {"name": name}


def _told(connection: Mapping[str, Any], name: str) -> str:
    value = connection.get(name)
    if value in (None, ""):
        raise GuestFailed(f"The volume's connection ({connection.get('driver_volume_type')}) does not say its {name}.")
    return str(value)


def _add_limits(element: Element, connection: Mapping[str, Any]) -> None:
    specs = connection.get("qos_specs")
    wanted = specs.items() if isinstance(specs, Mapping) else ()
    limits = {name: str(value) for name, value in wanted if name in _LIMITS and str(value).isdecimal()}
    if limits:
        tune = SubElement(element, "iotune")
        for name in sorted(limits):
            SubElement(tune, name).text = limits[name]


def _name(element: Element) -> str:
    target = element.find("target")
    return "" if target is None else target.get("dev", "")


def _source(element: Element, parts: tuple[str, ...]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what is behind a disk, without what libvirt adds."""
    source = element.find("source")
    found = () if source is None else (part for part in source.iter() if part.tag in parts)
    return [(part.tag, sorted(item for item in part.attrib.items() if item[0] != "index")) for part in found]


def _disks(xml: str) -> list[Element]:
    return _parsed(xml).findall("devices/disk")


def _parsed(xml: str) -> Element:
    return ElementTree.fromstring(xml)  # noqa: S314 - from libvirt, or of our own making

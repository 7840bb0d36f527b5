"""PCI devices that a host offers to guests: which ones, by ``[pci] device_spec``, and what they are, from sysfs.

A device is one unit of its class in a provider of its own. The virtual functions of one physical function are units of
that function's provider, and the function itself is then not offered: it is in use as soon as one of them is.
"""

import fnmatch
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import os_resource_classes
import os_traits

from nova_lite.errors import Misconfigured
from nova_lite.model.provider import Inventory, Provider

LOG = logging.getLogger(__name__)

#: The base class of network controllers, in sysfs.
_NETWORK = 0x02
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}")
_CLASSES = frozenset(os_resource_classes.STANDARDS)
_TRAITS = frozenset(os_traits.get_traits())


class DeviceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices to offer. ``address`` may have ``*`` in it; what is not said matches any device."""

    vendor_id: str = "*"
    product_id: str = "*"
    address: str = "*"
    resource_class: str | None = None
    traits: tuple[str, ...] = ()

    def matches(self, device: "Device") -> bool:
        """Return whether the device, or the function it is a part of, is meant."""
        ids = zip((self.vendor_id.lower(), self.product_id.lower()), (device.vendor, device.product), strict=True)
        return all(wanted in ("*", found) for wanted, found in ids) and fnmatch.fnmatchcase(
            device.address, self.address.lower()
        )


@dataclass(frozen=True, slots=True)
class Device:
    """One device. ``physical`` is the address of the function that a virtual one belongs to."""

    address: str
    vendor: str
    product: str
    is_network: bool
    physical: str | None = None


def parse(texts: Iterable[str]) -> tuple[DeviceSpec, ...]:
    """Return the specs that JSON objects describe; raises Misconfigured."""
    return tuple(_spec(text) for text in texts)


def _spec(text: str) -> DeviceSpec:
    try:
        spec = msgspec.json.decode(text, type=DeviceSpec)
    except msgspec.DecodeError as exc:
        raise Misconfigured(f"[pci] device_spec: {text!r}: {exc}") from exc
    for name, value in (("vendor_id", spec.vendor_id), ("product_id", spec.product_id)):
        if not re.fullmatch(r"\*|[0-9A-Fa-f]{4}", value):
            raise Misconfigured(f"[pci] device_spec: {text!r}: {name} is not four hexadecimal digits")
    if spec == DeviceSpec(resource_class=spec.resource_class, traits=spec.traits):
        raise Misconfigured(f"[pci] device_spec: {text!r} means every device; say vendor_id, product_id or address")
    if spec.resource_class is not None and spec.resource_class not in _CLASSES | _custom([spec.resource_class]):
        raise Misconfigured(f"[pci] device_spec: {text!r}: {spec.resource_class} is no resource class")
    if unknown := set(spec.traits) - _TRAITS - _custom(spec.traits):
        raise Misconfigured(f"[pci] device_spec: {text!r}: {', '.join(sorted(unknown))}: no such trait")
    return spec


def _custom(names: Iterable[str]) -> set[str]:
    return {name for name in names if _CUSTOM.fullmatch(name)}


def devices(sysfs: Path) -> list[Device]:
    """Return the machine's PCI devices; one that goes away meanwhile is left out."""
    folder = sysfs / "bus" / "pci" / "devices"
    if not folder.is_dir():
        return []
    found = (_device(path) for path in sorted(folder.iterdir()))
    return [device for device in found if device is not None]


def _device(path: Path) -> Device | None:
    try:
        vendor, product, kind = (int((path / name).read_text(), 16) for name in ("vendor", "device", "class"))
        physical = path / "physfn"
        return Device(
            address=path.name.lower(),
            vendor=f"{vendor:04x}",
            product=f"{product:04x}",
            is_network=kind >> 16 == _NETWORK,
            physical=physical.readlink().name.lower() if physical.is_symlink() else None,
        )
    except (OSError, ValueError) as exc:
        LOG.debug("PCI device %s cannot be read: %s", path.name, exc)
        return None


def providers(host: str, found: Sequence[Device], specs: Sequence[DeviceSpec]) -> tuple[Provider, ...]:
    """Return a provider for each device that ``specs`` mean, below the one of ``host``: pure.

    The first spec that means a device decides its class and traits. One that means a function means its virtual ones.
    """
    by_address = {device.address: device for device in found}
    divided = {device.physical for device in found if device.physical is not None}
    units: dict[str, Counter[str]] = {}
    traits: dict[str, set[str]] = {}
    for device in found:
        physical = None if device.physical is None else by_address.get(device.physical)
        meant = [one for one in specs if one.matches(device) or (physical is not None and one.matches(physical))]
        if not meant or device.address in divided:
            continue
        home = device.physical or device.address
        units.setdefault(home, Counter())[_class(device, meant[0])] += 1
        traits.setdefault(home, {os_traits.COMPUTE_MANAGED_PCI_DEVICE}).update(meant[0].traits)
        if device.physical is not None and device.is_network:
            traits[home].add(os_traits.HW_NIC_SRIOV)
    return tuple(
        Provider(
            name=f"{host}_{home.upper()}",
            parent=host,
            inventories={name: Inventory(total, allocation_ratio=1.0) for name, total in sorted(counted.items())},
            traits=frozenset(traits[home]),
        )
        for home, counted in sorted(units.items())
    )


def _class(device: Device, spec: DeviceSpec) -> str:
    if spec.resource_class is not None:
        return spec.resource_class
    if device.physical is not None and device.is_network:
        return str(os_resource_classes.SRIOV_NET_VF)
    return f"CUSTOM_PCI_{device.vendor}_{device.product}".upper()


def idle(found: Sequence[Device], specs: Sequence[DeviceSpec]) -> list[DeviceSpec]:
    """Return the specs that mean no device of this machine."""
    return [spec for spec in specs if not any(spec.matches(device) for device in found)]

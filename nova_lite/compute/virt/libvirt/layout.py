"""Which parts of a machine are providers of their own: NUMA cells and PCI devices, as the kernel's sysfs has them."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import os_traits

from nova_lite.compute.virt.libvirt import pci
from nova_lite.model.guest import HostResources
from nova_lite.model.provider import Inventory, Provider, whole_host

LOG = logging.getLogger(__name__)

#: What belongs to a cell where cells are told of.
_OF_CELLS = ("VCPU", "MEMORY_MB")


@dataclass(frozen=True, slots=True)
class Cell:
    """A NUMA cell: its number, its processors online, its memory."""

    number: int
    vcpus: int
    ram_mib: int


class Layout:
    """How a host is told of: as a whole, or with ``has_cells`` by cell; and the PCI devices ``specs`` mean."""

    def __init__(
        self, sysfs: Path = Path("/sys"), *, has_cells: bool = False, specs: Sequence[pci.DeviceSpec] = ()
    ) -> None:
        self._sysfs = sysfs
        self._has_cells = has_cells
        self._specs = specs
        self._is_first = True

    def providers(self, resources: HostResources) -> tuple[Provider, ...]:
        """Return the providers of a host with these resources, itself first."""
        host = whole_host(resources)
        found = cells(self._sysfs) if self._has_cells else []
        parts = tuple(_provider(host.name, cell) for cell in found)
        if parts:
            rest = {name: one for name, one in host.inventories.items() if name not in _OF_CELLS}
            host = replace(host, inventories=rest)
        if self._specs:
            devices = pci.devices(self._sysfs)
            for spec in pci.idle(devices, self._specs) if self._is_first else ():
                LOG.warning("[pci] device_spec: this machine has no such device: %s", spec)
            parts += pci.providers(host.name, devices, self._specs)
        self._is_first = False
        return (host, *parts)


def cells(sysfs: Path) -> list[Cell]:
    """Return the machine's NUMA cells that have processors and memory."""
    folder = sysfs / "devices" / "system" / "node"
    found = []
    for path in sorted(folder.glob("node[0-9]*"), key=lambda path: int(path.name.removeprefix("node"))):
        total = re.search(r"MemTotal:\s+(\d+) kB", (path / "meminfo").read_text())
        cell = Cell(
            number=int(path.name.removeprefix("node")),
            vcpus=_count((path / "cpulist").read_text()),
            ram_mib=int(total.group(1)) // 1024 if total else 0,
        )
        if cell.vcpus and cell.ram_mib:
            found.append(cell)
    return found


def _count(cpulist: str) -> int:
    """Return how many processors a list like ``0-3,8`` names."""
    ranges = [part.partition("-") for part in cpulist.strip().split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def _provider(host: str, cell: Cell) -> Provider:
    return Provider(
        name=f"{host}_numa{cell.number}",
        parent=host,
        inventories={"VCPU": Inventory(cell.vcpus), "MEMORY_MB": Inventory(cell.ram_mib)},
        traits=frozenset({os_traits.HW_NUMA_ROOT}),
    )

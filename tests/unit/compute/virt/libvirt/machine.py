"""A machine's sysfs, made of files."""

from pathlib import Path


class Machine:
    """Writes what a kernel would show below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._devices = root / "bus" / "pci" / "devices"
        self._devices.mkdir(parents=True)

    def device(self, address: str, ids: str = "8086:1572", kind: str = "0x020000", physical: str | None = None) -> None:
        """Add a PCI device; ``physical`` makes it a virtual function of that one."""
        path = self._devices / address
        path.mkdir()
        vendor, _, product = ids.partition(":")
        for name, value in (("vendor", f"0x{vendor}"), ("device", f"0x{product}"), ("class", kind)):
            (path / name).write_text(f"{value}\n")
        if physical is not None:
            (path / "physfn").symlink_to(f"../{physical}")

    def remove(self, address: str) -> None:
        """Pull a device out."""
        path = self._devices / address
        for file in path.iterdir():
            file.unlink()
        path.rmdir()

    def cell(self, number: int, cpulist: str, ram_kib: int) -> None:
        """Add a NUMA cell."""
        path = self.root / "devices" / "system" / "node" / f"node{number}"
        path.mkdir(parents=True)
        (path / "cpulist").write_text(f"{cpulist}\n")
        (path / "meminfo").write_text(f"Node {number} MemTotal:       {ram_kib} kB\nNode {number} MemFree: 1 kB\n")

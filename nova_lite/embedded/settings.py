"""What an embedded cloud is asked to be, and where in its state directory each thing lives. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Driver = Literal["auto", "libvirt", "fake"]

#: Where the Compute API listens by default; the others take the next ports, as ``CloudSettings.port`` says.
DEFAULT_PORT_BASE = 8774
#: The greatest that leaves room for them.
MAX_PORT_BASE = 65535 - 6
DEFAULT_LIBVIRT_URI = "qemu:///system"


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """One embedded cloud. ``port_base`` 0 takes free ports.

    ``images`` are name → file; ``options`` are group → option → value, set in every process's configuration.
    """

    state_dir: Path
    driver: Driver = "auto"
    cells: int = 2
    hosts: int = 2
    port_base: int = DEFAULT_PORT_BASE
    libvirt_uri: str = DEFAULT_LIBVIRT_URI
    virt_type: str = "qemu"
    images: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def cell_names(self) -> list[str]:
        return [f"cell{number}" for number in range(1, self.cells + 1)]

    def host_names(self, cell: str) -> list[str]:
        """Return the hosts of a cell."""
        return [f"{cell}-host{number}" for number in range(1, self.hosts + 1)]

    def port(self, place: int) -> int:
        """Return a port: 0 compute, 1 placement, 2 images, 3 identity, 4 volumes, 5 metadata, 6 consoles."""
        return self.port_base + place if self.port_base else 0

    # -- the state directory --------------------------------------------------------------------------------------

    @property
    def identity_file(self) -> Path:
        return self.state_dir / "cloud.json"

    @property
    def lock_file(self) -> Path:
        return self.state_dir / "lock"

    @property
    def log_file(self) -> Path:
        return self.state_dir / "cloud.log"

    @property
    def clouds_file(self) -> Path:
        return self.state_dir / "clouds.yaml"

    @property
    def image_dir(self) -> Path:
        return self.state_dir / "images"

    @property
    def volume_dir(self) -> Path:
        return self.state_dir / "volumes"

    @property
    def image_cache(self) -> Path:
        return self.state_dir / "image_cache"

    def host_dir(self, host: str) -> Path:
        """Return the directory of one host: its identity and its guests' disks."""
        return self.state_dir / "hosts" / host

    def config_file(self, name: str) -> Path:
        """Return the configuration file of one process."""
        return self.state_dir / "etc" / f"{name}.conf"

    def database(self, name: str) -> str:
        """Return the connection URL of one database: ``api``, ``placement``, ``cell0``, ``cell1`` …"""
        return f"sqlite:///{self.state_dir}/db/{name}.sqlite"

"""What a cloud that is measured looks like: its hosts, its processes, its databases. Ours and the real one alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

#: The one server that is booted, over and over: 1 vCPU, 512 MiB, 1 GiB.
RAM_MIB = 512
#: A host as the real Nova's fake driver offers it: room for all servers of any case that is not about full hosts.
WIDE_VCPUS, WIDE_RAM_MIB, WIDE_DISK_GIB = 1000, 800_000, 600_000
#: Who asks.
USER = "admin"


@dataclass(frozen=True, slots=True)
class Fleet:
    """The imitated hosts of a cloud.

    ``processes`` is how many processes carry them; None is one process a host, as shipped. ``slots`` is how many
    servers fit on each; None is as many as the real Nova's fake driver takes. ``packs`` has the scheduler choose
    the fullest hosts, not the emptiest. ``report_s`` is the interval between two heartbeats of a host.
    """

    hosts: int
    processes: int | None = None
    slots: int | None = None
    packs: bool = False
    report_s: int = 10

    @property
    def names(self) -> list[str]:
        return [f"host-{number:05}" for number in range(1, self.hosts + 1)]

    @property
    def room(self) -> tuple[int, int, int]:
        """Return vCPUs, MiB and GiB of one host."""
        if self.slots is None:
            return WIDE_VCPUS, WIDE_RAM_MIB, WIDE_DISK_GIB
        return WIDE_VCPUS, self.slots * RAM_MIB, WIDE_DISK_GIB

    @property
    def shares(self) -> list[list[str]]:
        """Return the names of the hosts in each process that carries some; neighbours in number are apart."""
        count = min(self.hosts, self.processes or self.hosts)
        return [self.names[start::count] for start in range(count)]

    @property
    def weights(self) -> Mapping[str, float]:
        """Return the scheduler's multipliers of free memory, CPU and disk."""
        sign = -1.0 if self.packs else 1.0
        return {f"{name}_weight_multiplier": sign for name in ("ram", "cpu", "disk")}


@dataclass(frozen=True, slots=True)
class Where:
    """The database server, and the names of the databases that say how servers do."""

    url: str
    cell: str
    cell0: str

    def engine(self) -> sa.Engine:
        """Return an engine that sees each time what is there by then."""
        return sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)


#: Group → option → value of a configuration file.
Options = Mapping[str, Mapping[str, object]]


def ini(*parts: Options) -> str:
    """Return the text of a configuration file; what comes later holds."""
    merged: dict[str, dict[str, object]] = {}
    for part in parts:
        for group, options in part.items():
            merged.setdefault(group, {}).update(options)
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for group, options in merged.items()
    )


class Cloud(Protocol):
    """A running cloud with its hosts mapped, as the cases see it."""

    kind: str
    name: str
    fleet: Fleet
    port: int

    def start(self) -> None:
        """Make its databases, start its processes, return when every host takes work."""
        ...

    def stop(self) -> None:
        """End its processes, hosts first."""
        ...

    @property
    def where(self) -> Where: ...

    @property
    def programs(self) -> Sequence[str]:
        """Return the names of its processes, the agents' last."""
        ...

    @property
    def agents(self) -> Sequence[str]:
        """Return the names of the processes that carry hosts."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What clouds share: where images are, and the directory that images lie in."""

    image_url: str
    image_id: str
    repository: Path

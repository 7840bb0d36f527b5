"""The servers that are listed, described: who has them, where they are, how they do. Pure, the same in every run.

Both seeders read this, also the one that runs in the real Nova's environment: nothing but the standard library here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

#: The project whose administrator asks; it has all but every twentieth server.
PROJECT = "5e1fc0ffee5e1fc0ffee5e1fc0ffee00"
USER = "admin"
#: The others share the rest.
OTHERS = tuple(f"{number:032x}" for number in range(1, 5))
#: Every so many-th server is ...
_OF_OTHERS = 20
_ERROR = 25
_STOPPED = 10
_DELETED = 33
#: Hosts in each cell.
HOSTS = 10
_ROLES = ("web", "db", "worker", "cache")
#: A second apart, so that there is one order only; the first is the oldest.
_BEGAN = datetime.fromisoformat("2025-01-01T00:00:00")
CREATED = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Size:
    """A flavor."""

    number: int
    name: str
    vcpus: int
    ram_mib: int
    root_gib: int
    extra_specs: Mapping[str, str] = field(default_factory=dict)

    @property
    def flavor_id(self) -> str:
        return uuid_of(f"flavor-{self.name}")


SIZES = (
    Size(1, "small", 1, 2048, 20),
    Size(2, "medium", 2, 4096, 40, {"hw:cpu_policy": "shared"}),
    Size(3, "large", 4, 8192, 80, {"hw:cpu_policy": "shared", "trait:HW_CPU_X86_AVX2": "required"}),
    Size(4, "huge", 8, 16384, 160, {"hw:mem_page_size": "large", "hw:numa_nodes": "2"}),
)
#: What the images' properties are.
IMAGE_PROPERTIES = {"hw_disk_bus": "virtio", "hw_machine_type": "q35", "os_distro": "debian", "os_type": "linux"}
_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Server:
    """One server; ``cell`` counts from 0."""

    number: int
    uuid: str
    cell: int
    name: str
    project_id: str
    user_id: str
    host: str
    size: Size
    image_id: str
    state: str
    created_at: datetime
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    is_deleted: bool

    @property
    def is_shown(self) -> bool:
        """Whether ``PROJECT`` sees the server in its list."""
        return self.project_id == PROJECT and not self.is_deleted


def uuid_of(name: str) -> str:
    """Return the UUID of whatever has that name in a measured cloud."""
    return str(uuid5(NAMESPACE_URL, f"listing:{name}"))


def host_name(cell: int, number: int) -> str:
    """Return the name of a host."""
    return f"compute-{cell}-{number}"


def servers(count: int, cells: int) -> Iterator[Server]:
    """Yield ``count`` servers, oldest first, dealt to ``cells`` in no regular order."""
    for number in range(count):
        yield _server(number, cells)


def _server(number: int, cells: int) -> Server:
    # A fixed number that looks like chance, the same everywhere.
    chance = int(uuid_of(f"server-{number}").replace("-", "")[:8], 16)
    cell = chance % cells
    is_error = number % _ERROR == 0
    is_stopped = not is_error and number % _STOPPED == 3
    keys = (chance >> 8) % 4
    tags = ("backup", "monitored")[: (chance >> 12) % 3] if number % 5 == 0 else ()
    return Server(
        number=number,
        uuid=uuid_of(f"server-{number}"),
        cell=cell,
        name=f"{_ROLES[chance % len(_ROLES)]}-{number:06}",
        project_id=OTHERS[number // _OF_OTHERS % len(OTHERS)] if number % _OF_OTHERS == 7 else PROJECT,
        user_id=uuid_of(f"user-{number % 7}").replace("-", ""),
        host=host_name(cell, (chance >> 16) % HOSTS),
        size=SIZES[(chance >> 4) % len(SIZES)],
        image_id=uuid_of(f"image-{chance % _IMAGES}"),
        state="error" if is_error else "stopped" if is_stopped else "active",
        created_at=_BEGAN + number * CREATED,
        metadata={f"key-{key}": f"value-{chance % 1000}-{key}" for key in range(keys)},
        tags=tags,
        is_deleted=number % _DELETED == 5,
    )


def shown(count: int, cells: int) -> list[Server]:
    """Return what ``PROJECT`` sees, newest first: the order of lists."""
    return [server for server in servers(count, cells) if server.is_shown][::-1]

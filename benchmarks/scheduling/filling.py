"""Claims put into Placement without servers, to fill a large cloud in seconds; and what Placement holds in the end."""

import itertools
import uuid
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from benchmarks.placement import wire
from benchmarks.placement.wire import Step, ask, drive
from benchmarks.scheduling.cloud import RAM_MIB, USER
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.place import Place

_CLIENTS = 8
#: The claims themselves are added up, not the counters beside them.
_HELD = sa.text("""
SELECT p.uuid, (SELECT COALESCE(SUM(a.used), 0) FROM allocations a WHERE a.provider_id = i.provider_id
                AND a.class_id = i.class_id), i.total - i.reserved
FROM resource_providers p JOIN inventories i ON i.provider_id = p.id
JOIN resource_classes c ON c.id = i.class_id WHERE c.name = 'MEMORY_MB' ORDER BY p.id
""")


def shares(slots: int, held: list[int], part: float) -> list[int]:
    """Return how many more slots each host must give so that ``part`` of all are held, the emptiest giving first.

    ``held`` is how many each host has given. Pure.
    """
    left = int(slots * len(held) * part) - sum(held)
    given = [0] * len(held)
    for level in range(slots):
        for number, before in enumerate(held):
            if left > 0 and before + given[number] == level:
                given[number] += 1
                left -= 1
    return given


def fill(place: Place, cloud: OurCloud, part: float) -> int:
    """Claim slots until ``part`` of them are held; return how many that are."""
    slots = cloud.fleet.slots or 0
    hosts = _held(place, cloud)
    wanted = shares(slots, [held // RAM_MIB for _, held, _ in hosts], part)
    claims = [node for (node, _, _), count in zip(hosts, wanted, strict=True) for node in itertools.repeat(node, count)]

    def steps() -> Iterator[Step]:
        for node in claims:
            resources = {"VCPU": 1, "MEMORY_MB": RAM_MIB, "DISK_GB": 1}
            body = {
                "allocations": {node: {"resources": resources}},
                "project_id": USER,
                "user_id": USER,
                "consumer_generation": None,
                "consumer_type": "INSTANCE",
            }
            yield ask(wire.request("PUT", f"/allocations/{uuid.uuid4()}", body))

    driven = drive(cloud.placement_port, steps(), clients=_CLIENTS, budget_s=3600.0)
    if set(driven.statuses) - {204}:
        raise wire.BadAnswer(f"claims were answered {driven.statuses}")
    return sum(held // RAM_MIB for _, held, _ in _held(place, cloud))


def release(cloud: OurCloud, servers: Sequence[str]) -> None:
    """Give back what servers hold."""
    steps = [ask(wire.request("DELETE", f"/allocations/{server}")) for server in servers]
    drive(cloud.placement_port, steps, clients=_CLIENTS, budget_s=3600.0)


def truth(place: Place, cloud: OurCloud) -> tuple[int, int]:
    """Return how many hosts are over capacity, and how many slots are held."""
    hosts = _held(place, cloud)
    return sum(held > total for _, held, total in hosts), sum(held // RAM_MIB for _, held, _ in hosts)


def _held(place: Place, cloud: OurCloud) -> list[tuple[str, int, int]]:
    """Return each host's provider, the memory held of it, and the memory it has, from the claims themselves."""
    engine = place.where(cloud.placement_database, cloud.placement_database).engine()
    with engine.connect() as connection:
        rows = connection.execute(_HELD)
        return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]

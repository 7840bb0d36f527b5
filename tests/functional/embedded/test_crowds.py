"""More servers than there is room for, all at once: as many live as fit, and nothing is left of the others."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa

from nova_lite.embedded.cloud import Cloud
from nova_lite.placement.tables import AllocationRow, InventoryRow
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser

#: Four hosts with room for so many servers of the smallest flavor, by memory, each; and how many are asked for.
_SLOTS = (12, 13, 12, 13)
_ASKED = 200
_RAM_MIB = 96
#: Seconds that all of it may take on a machine that does other things as well.
_PATIENCE_S = 480.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    options = {
        "quota": {"instances": "-1", "cores": "-1", "ram": "-1"},
        "fake": {"ram": str(13 * _RAM_MIB), "vcpus": "64"},
        "DEFAULT": {"reserved_host_memory_mb": "0"},
    }
    with clouds.running(tmp_path_factory.mktemp("cloud"), options=options) as running:
        yield running


@contextmanager
def _never_too_full(cloud: Cloud) -> Iterator[None]:
    """Look all the while whether more is claimed of a provider than it has, amid all that goes on."""
    is_over = threading.Event()
    too_full: list[object] = []
    claimed = sa.func.coalesce(sa.func.sum(AllocationRow.used), 0)
    capacity = (InventoryRow.total - InventoryRow.reserved) * InventoryRow.allocation_ratio
    of_it = sa.and_(
        AllocationRow.provider_id == InventoryRow.provider_id, AllocationRow.class_id == InventoryRow.class_id
    )
    statement = (
        sa.select(InventoryRow.provider_id, InventoryRow.class_id, capacity, claimed, InventoryRow.used)
        .outerjoin(AllocationRow, of_it)
        .group_by(InventoryRow.provider_id, InventoryRow.class_id)
        .having(sa.or_(claimed > capacity, claimed != InventoryRow.used))
    )

    def look() -> int:
        looks = 0
        with closing(clouds.database(cloud, "placement")) as database:
            while not is_over.wait(0.02):
                looks += 1
                with database.reader() as session:
                    too_full.extend(tuple(row) for row in session.execute(statement))
        return looks

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield
        finally:
            is_over.set()
    assert looking.result() > 0
    assert too_full == []


def _boot(cloud: Cloud, name: str, image: str) -> str:
    """Ask for a server over a connection of its own; nobody is told to come again."""
    user = ComputeUser(cloud.compute_url)
    try:
        return user.boot(name, image)
    finally:
        user.close()


def _settled(user: ComputeUser) -> dict[str, str]:
    """Return server → status once none is being built."""

    def look() -> dict[str, str] | None:
        listed = user.ask("GET", "/servers/detail?limit=1000").json["servers"]
        found = {server["id"]: server["status"] for server in listed}
        return found if len(found) == _ASKED and "BUILD" not in found.values() else None

    return clouds.eventually(look, "every server built or refused", _PATIENCE_S)


def test_the_last_slots_are_filled_exactly(cloud: Cloud, user: ComputeUser, image: str) -> None:
    # Some slots are gone before, so that hosts differ.
    for number, slots in enumerate(_SLOTS):
        host = sorted(cloud.agents)[number]
        for _ in range(13 - slots):
            user.wait(user.boot("before", image, availability_zone=f"nova:{host}"), "ACTIVE")
    before = {server["id"] for server in user.ask("GET", "/servers").json["servers"]}

    with _never_too_full(cloud):
        with ThreadPoolExecutor(16) as pool:
            asked = list(pool.map(lambda number: _boot(cloud, f"one-{number}", image), range(_ASKED - len(before))))
        found = _settled(user)

    assert len(set(asked)) == _ASKED - len(before)
    active = [uuid for uuid, status in found.items() if status == "ACTIVE"]
    assert len(active) == sum(_SLOTS) + len(before)
    assert Counter(found.values()) == {"ACTIVE": len(active), "ERROR": _ASKED - len(active)}
    with Watch(cloud) as watch:
        clouds.eventually(lambda: watch.audit() == [] or None, "an empty audit")

    gone = random.Random(7).sample(active, 20)
    for uuid in gone:
        assert user.ask("DELETE", f"/servers/{uuid}").status == 204
    for uuid in gone:
        user.wait_gone(uuid)
    again = [user.boot("again", image) for _ in gone]
    for uuid in again:
        user.wait(uuid, "ACTIVE")
    with Watch(cloud) as watch:
        clouds.eventually(lambda: watch.audit() == [] or None, "an empty audit")

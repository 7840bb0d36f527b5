"""How many statements each write and read takes: no more with more classes, consumers or providers."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.placement.model import ANY_GENERATION, Claim, Inventory
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import sync
from nova_lite.placement.services.allocations import AllocationService
from nova_lite.placement.services.resource_providers import ResourceProviderService
from nova_lite.placement.tables import Base
from nova_lite.storage import Database

CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "PCPU", "VGPU", "SRIOV_NET_VF")
STOCK = {name: Inventory(1000) for name in CLASSES}


class Cloud:
    """Placement's services on a file, and the statements they send."""

    def __init__(self, database: Database) -> None:
        Base.metadata.create_all(database.engine)
        sync.standard_names(database)
        reader = Reader(database)
        self.providers = ResourceProviderService(database, reader)
        self.allocations = AllocationService(database, reader)
        self.sent: list[str] = []
        sa.event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, connection: sa.Connection, cursor: object, statement: str, *_: object) -> None:
        self.sent.append(statement)

    def count(self) -> int:
        """Return how many statements were sent since the last call; BEGIN is one."""
        count = len(self.sent)
        self.sent.clear()
        return count

    def host(self) -> str:
        chosen = self.providers.create(f"host-{uuid.uuid4()}", None, None)[0].uuid
        self.providers.set_inventories(chosen, STOCK, 0)
        self.sent.clear()
        return chosen

    def claim(self, *claims: Claim) -> int:
        self.allocations.replace(claims)
        return self.count()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    database = Database(f"sqlite:///{tmp_path / 'placement.db'}")
    yield Cloud(database)
    database.close()


def new_uuid() -> str:
    return str(uuid.uuid4())


def claim(consumer: str, hosts: list[str], classes: int, generation: int | None = None, project: str = "p") -> Claim:
    resources = dict.fromkeys(CLASSES[:classes], 2)
    return Claim(consumer, dict.fromkeys(hosts, resources), project, "u", generation, "INSTANCE", type_told=True)


def test_loading_a_provider(cloud: Cloud) -> None:
    host = cloud.providers.create("host", None, None)[0].uuid
    assert cloud.count() == 5  # begin, the time, insert, be one's own root, log
    cloud.providers.create("child", None, host)
    assert cloud.count() == 7  # begin, where the parent is, its root, itself, the time, insert, log
    cloud.providers.set_inventories(host, {"VCPU": Inventory(4)}, 0)
    assert cloud.count() == 7  # begin, lock, what is there, class ids, insert, generation, log
    cloud.providers.set_inventories(host, STOCK, 1)
    assert cloud.count() == 8  # and what was there is stamped
    cloud.providers.set_inventories(host, {name: Inventory(7) for name in STOCK}, 2)
    assert cloud.count() == 7  # what changed goes, and comes again
    cloud.providers.set_traits(host, ["HW_CPU_X86_AVX", "COMPUTE_NODE"], 3)
    assert cloud.count() == 7
    cloud.providers.set_traits(host, ["HW_CPU_X86_AVX", "COMPUTE_NODE"], 4)
    assert cloud.count() == 3  # nothing to change: begin, lock, what is there
    cloud.providers.set_aggregates(host, [new_uuid() for _ in range(5)], 4)
    assert cloud.count() == 6


@pytest.mark.parametrize("classes", [1, 3, 6])
def test_a_claim_takes_as_many_for_one_class_as_for_six(cloud: Cloud, classes: int) -> None:
    host, consumer = cloud.host(), new_uuid()
    # begin, ids, consumer, generation of the provider, counters, allocations, log
    assert cloud.claim(claim(consumer, [host], classes)) == 7
    # and: lock the consumer instead of making it, what it holds, take that away, its generation
    assert cloud.claim(claim(consumer, [host], classes, generation=1)) == 10
    assert cloud.claim(claim(consumer, [host], classes, generation=2, project="other")) == 11
    cloud.allocations.remove(consumer)
    assert cloud.count() == 8


def test_claims_of_many_consumers_on_many_providers(cloud: Cloud) -> None:
    hosts, consumers = [cloud.host() for _ in range(10)], [new_uuid() for _ in range(300)]
    fresh = [claim(consumer, [hosts[number % 10], hosts[0]], 3) for number, consumer in enumerate(consumers)]
    assert cloud.claim(*fresh) == 13  # 1,710 allocations in four pieces
    gone = [Claim(consumer, {}, "p", "u", ANY_GENERATION) for consumer in consumers]
    assert cloud.claim(*gone) == 10


def test_a_refused_claim_says_why_after_four_more(cloud: Cloud) -> None:
    host = cloud.host()
    too_much = Claim(new_uuid(), {host: {"VCPU": 1, "DISK_GB": 1001}}, "p", "u", None)
    with pytest.raises(errors.Conflict, match=r"DISK_GB.*1001 asked"):
        cloud.claim(too_much)
    assert cloud.count() == 9


def test_reads(cloud: Cloud) -> None:
    host, consumer = cloud.host(), new_uuid()
    cloud.claim(claim(consumer, [host], 3))
    with cloud.providers.shown(host):
        pass
    cloud.count()
    with cloud.allocations.holding(consumer) as (found, _):
        assert found is not None
    assert cloud.count() == 2  # the log, and what is held
    cloud.allocations.holders(host)
    assert cloud.count() == 2
    assert cloud.allocations.usages("p", "u") != []
    assert cloud.count() == 2
    with cloud.providers.shown(host):
        pass
    assert cloud.count() == 1  # the log

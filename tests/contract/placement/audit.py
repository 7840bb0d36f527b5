"""What the audit of Placement's books promises, on any database. Subclass and give it a fixture ``placement_db``."""

import threading
import uuid as uuids

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.placement import audit
from nova_lite.placement.audit import Kind
from nova_lite.placement.model import Claim, Inventory
from nova_lite.placement.repositories import belongings, changes, claims, providers
from nova_lite.placement.tables import (
    AllocationRow,
    ConsumerRow,
    InventoryRow,
    ProviderRow,
    ResourceClassRow,
)
from nova_lite.storage import Database, retried


def add_provider(database: Database, name: str, parent: str | None = None, **inventories: Inventory) -> str:
    """Make a provider with inventories and return its UUID."""
    uuid = str(uuids.uuid4())
    with database.writer() as session:
        providers.create(session, uuid, name, parent)
    with database.writer() as session:
        belongings.set_inventories(session, uuid, inventories, 0, only=True)
    return uuid


@retried
def claim(database: Database, consumer: str, allocations: dict[str, dict[str, int]], generation: int | None) -> None:
    """Make a consumer hold exactly ``allocations``."""
    with database.writer() as session:
        claims.replace(session, [Claim(consumer, allocations, "p", "u", generation)])


def corrupt(database: Database, *statements: sa.Executable) -> None:
    """Write what no program of ours would."""
    with database.writer() as session:
        for statement in statements:
            session.execute(statement)


def ids(database: Database, *names: str) -> dict[str, int]:
    """Return the ids of providers by their names."""
    with database.reader() as session:
        return dict(
            session.execute(sa.select(ProviderRow.name, ProviderRow.id).where(ProviderRow.name.in_(names))).all()
        )


def kinds(database: Database, **options: object) -> list[tuple[Kind, str | None]]:
    """Return what the audit finds, by kind and provider."""
    return [(found.kind, found.provider) for found in audit.check(database, **options)]  # type: ignore[arg-type]


class AuditSuite:
    """The books of Placement, checked and mended."""

    def test_books_in_order_have_no_findings(self, placement_db: Database) -> None:
        assert kinds(placement_db) == []
        root = add_provider(placement_db, "root", VCPU=Inventory(4), MEMORY_MB=Inventory(64, allocation_ratio=1.5))
        child = add_provider(placement_db, "child", root, SRIOV_NET_VF=Inventory(2))
        add_provider(placement_db, "grandchild", child)
        for _ in range(3):
            claim(placement_db, str(uuids.uuid4()), {root: {"VCPU": 1, "MEMORY_MB": 32}}, None)
        claim(placement_db, str(uuids.uuid4()), {root: {"VCPU": 1}, child: {"SRIOV_NET_VF": 2}}, None)
        for batch in (1, 2, 3, 1000):
            assert kinds(placement_db, batch=batch) == []
        assert kinds(placement_db, provider=child) == []

    def test_a_wrong_counter_is_found_and_recounted_once(self, placement_db: Database) -> None:
        good, bad = (add_provider(placement_db, name, VCPU=Inventory(8)) for name in ("good", "bad"))
        for host in (good, bad):
            claim(placement_db, str(uuids.uuid4()), {host: {"VCPU": 3}}, None)
        row_id = ids(placement_db, "bad")["bad"]
        corrupt(placement_db, sa.update(InventoryRow).where(InventoryRow.provider_id == row_id).values(used=7))

        [found] = audit.check(placement_db)
        assert (found.kind, found.provider, found.resource_class) == (Kind.USED, bad, "VCPU")
        assert found.text == "7 counted as used, 3 allocated"
        assert kinds(placement_db, provider=good) == []
        assert kinds(placement_db, provider=bad) == [(Kind.USED, bad)]

        with placement_db.reader() as session:
            [last, *_] = changes.recent(session, 1)
        assert audit.mend(placement_db, found)
        assert not audit.mend(placement_db, found), "there is nothing left to mend"
        assert kinds(placement_db) == []
        with placement_db.reader() as session:
            noted = [entry for entry in changes.since(session, last, (), 10) if entry[0] > last]
            assert [(provider_id, kind) for _, provider_id, kind in noted] == [(row_id, changes.Kind.USAGE)]
            assert providers.get(session, bad).inventories["VCPU"].used == 3

    def test_a_counter_without_any_allocation_is_found(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8))
        corrupt(placement_db, sa.update(InventoryRow).values(used=1))
        [found] = audit.check(placement_db)
        assert (found.provider, found.text) == (host, "1 counted as used, 0 allocated")

    def test_inventory_shrunk_below_its_use_is_told_and_no_contradiction(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8, allocation_ratio=2.0))
        claim(placement_db, str(uuids.uuid4()), {host: {"VCPU": 12}}, None)
        with placement_db.writer() as session:
            belongings.set_inventories(session, host, {"VCPU": Inventory(8)}, None, only=True)
        [found] = audit.check(placement_db)
        assert (found.kind, found.text) == (Kind.OVER, "12 in use of 8")
        assert not found.is_wrong
        assert not audit.mend(placement_db, found)

    def test_allocations_without_inventory_are_found(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8), DISK_GB=Inventory(8))
        for _ in range(2):
            claim(placement_db, str(uuids.uuid4()), {host: {"VCPU": 1, "DISK_GB": 2}}, None)
        disk = sa.select(ResourceClassRow.id).where(ResourceClassRow.name == "DISK_GB").scalar_subquery()
        corrupt(placement_db, sa.delete(InventoryRow).where(InventoryRow.class_id == disk))
        [found] = audit.check(placement_db)
        assert (found.kind, found.provider, found.resource_class) == (Kind.NO_INVENTORY, host, "DISK_GB")
        assert found.text == "4 allocated, and no inventory of it"

    def test_a_consumer_that_holds_nothing_is_found_and_dropped(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8))
        empty, full = str(uuids.uuid4()), str(uuids.uuid4())
        claim(placement_db, full, {host: {"VCPU": 1}}, None)
        values = {"uuid": empty, "generation": 1, "project_id": "p", "user_id": "u", "updated_at": 0.0}
        corrupt(placement_db, sa.insert(ConsumerRow).values(**values))
        [found] = audit.check(placement_db, batch=1)
        assert (found.kind, found.consumer) == (Kind.CONSUMER, empty)
        assert audit.mend(placement_db, found)
        assert not audit.mend(placement_db, found)
        assert kinds(placement_db) == []
        with placement_db.reader() as session:
            assert list(session.scalars(sa.select(ConsumerRow.uuid))) == [full]

    def test_a_consumer_that_holds_something_by_now_is_left_alone(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8))
        consumer = str(uuids.uuid4())
        values = {"uuid": consumer, "generation": 1, "project_id": "p", "user_id": "u", "updated_at": 0.0}
        corrupt(placement_db, sa.insert(ConsumerRow).values(**values))
        [found] = audit.check(placement_db)
        claim(placement_db, consumer, {host: {"VCPU": 1}}, 1)
        assert not audit.mend(placement_db, found)
        assert kinds(placement_db) == []

    def test_an_allocation_of_nothing_is_found(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "host", VCPU=Inventory(8))
        consumer = str(uuids.uuid4())
        claim(placement_db, consumer, {host: {"VCPU": 1}}, None)
        corrupt(placement_db, sa.update(AllocationRow).values(used=0), sa.update(InventoryRow).values(used=0))
        [found] = audit.check(placement_db)
        assert (found.kind, found.provider, found.consumer) == (Kind.ALLOCATION, host, consumer)

    def test_another_root_than_the_parents_is_found_and_put_right(self, placement_db: Database) -> None:
        root = add_provider(placement_db, "root")
        child = add_provider(placement_db, "child", root)
        grandchild = add_provider(placement_db, "grandchild", child)
        add_provider(placement_db, "other")
        by_name = ids(placement_db, "child", "other")
        corrupt(
            placement_db,
            sa.update(ProviderRow).where(ProviderRow.id == by_name["child"]).values(root_id=by_name["other"]),
        )
        found = {finding.provider: finding for finding in audit.check(placement_db)}
        assert set(found) == {child, grandchild}
        assert found[child].text == "has another root than its parent"
        assert audit.mend(placement_db, found[child])
        assert not audit.mend(placement_db, found[grandchild]), "it went with its parent"
        assert kinds(placement_db) == []

    def test_a_root_that_is_not_its_own_is_found_and_put_right(self, placement_db: Database) -> None:
        root, other = add_provider(placement_db, "root"), add_provider(placement_db, "other")
        by_name = ids(placement_db, "root", "other")
        corrupt(
            placement_db,
            sa.update(ProviderRow).where(ProviderRow.id == by_name["root"]).values(root_id=by_name["other"]),
            sa.update(ProviderRow).where(ProviderRow.id == by_name["other"]).values(root_id=None),
        )
        text = "has no parent, yet is not its own root"
        found = list(audit.check(placement_db))
        assert [(finding.provider, finding.text) for finding in found] == [(root, text), (other, text)]
        assert [audit.mend(placement_db, finding) for finding in found] == [True, True]
        assert kinds(placement_db) == []

    def test_a_loop_of_parents_is_found(self, placement_db: Database) -> None:
        root = add_provider(placement_db, "root")
        a = add_provider(placement_db, "a", root)
        b = add_provider(placement_db, "b", a)
        below = add_provider(placement_db, "below", b)
        by_name = ids(placement_db, "a", "b")
        corrupt(
            placement_db, sa.update(ProviderRow).where(ProviderRow.id == by_name["a"]).values(parent_id=by_name["b"])
        )
        loop = {(Kind.TREE, uuid) for uuid in (a, b, below)}
        assert set(kinds(placement_db)) == loop
        assert not any(finding.can_be_mended for finding in audit.check(placement_db)), (
            "nobody knows which parent is wrong"
        )
        assert set(kinds(placement_db, provider=root)) == loop

    def test_an_unknown_provider_is_not_found(self, placement_db: Database) -> None:
        with pytest.raises(errors.NotFound):
            kinds(placement_db, provider=str(uuids.uuid4()))

    def test_there_is_no_false_alarm_while_claims_race(self, placement_db: Database) -> None:
        hosts = [add_provider(placement_db, f"h{number}", VCPU=Inventory(40)) for number in range(4)]
        over = threading.Event()
        done = [0] * 4

        def load(number: int) -> None:
            while not over.is_set():
                consumer = str(uuids.uuid4())
                two = {hosts[number]: {"VCPU": 1}, hosts[number - 1]: {"VCPU": 2}}
                claim(placement_db, consumer, two, None)
                claim(placement_db, consumer, {hosts[number]: {"VCPU": 3}}, 1)
                claim(placement_db, consumer, {}, 2)
                done[number] += 1

        threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for run in range(20):
                assert kinds(placement_db, batch=2) == [], f"in run {run}"
        finally:
            over.set()
            for thread in threads:
                thread.join(480)
        assert all(done)
        assert kinds(placement_db) == []

    def test_a_recount_beside_claims_ends_with_the_truth(self, placement_db: Database) -> None:
        host = add_provider(placement_db, "hot", VCPU=Inventory(1000))
        corrupt(placement_db, sa.update(InventoryRow).values(used=17))
        [found] = audit.check(placement_db)
        consumers = [str(uuids.uuid4()) for _ in range(24)]

        def some(number: int) -> None:
            for consumer in consumers[number::4]:
                claim(placement_db, consumer, {host: {"VCPU": 2}}, None)

        threads = [threading.Thread(target=some, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert audit.mend(placement_db, found)
        for thread in threads:
            thread.join(480)
        assert kinds(placement_db) == []
        with placement_db.reader() as session:
            assert providers.get(session, host).inventories["VCPU"].used == 2 * len(consumers)

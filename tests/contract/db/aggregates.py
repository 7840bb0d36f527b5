"""What aggregates and usage promise, on any database. Subclass and give fixtures ``api_db`` and ``cell_db``."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import aggregates, host_occupancy, hosts, instances, mappings, usages, zones
from nova_lite.db.repositories.aggregates import Aggregate
from nova_lite.db.repositories.usages import ServerTime, Window
from nova_lite.model.conductor import HostReport
from nova_lite.model.host import Cell
from nova_lite.storage import Database, retried
from tests.contract.db.factories import NOON, make_instance, make_resources, new_uuid

_HOUR = timedelta(hours=1)


class AggregateSuite:
    """Groups of hosts, and the zones they make."""

    def test_one_made_comes_back_changed_and_goes(self, api_db: Database) -> None:
        made = self._make(api_db, "one", "east")
        with api_db.reader() as session:
            assert aggregates.get(session, made.id) == made
            assert aggregates.all_of_them(session) == [made]
        with api_db.writer() as session:
            changed = aggregates.change(session, made.id, name="two", metadata={"availability_zone": "west", "a": "€"})
        assert (changed.uuid, changed.name, changed.availability_zone) == (made.uuid, "two", "west")
        assert changed.updated_at is not None
        with api_db.reader() as session:
            assert aggregates.get(session, made.id) == changed
        with api_db.writer() as session:
            aggregates.remove(session, made.id)
        for gone in (aggregates.remove, aggregates.get, aggregates.lock):
            with pytest.raises(errors.NotFound), api_db.writer() as session:
                gone(session, made.id)

    def test_a_name_is_taken_once(self, api_db: Database) -> None:
        one, other = self._make(api_db, "one"), self._make(api_db, "other")
        with pytest.raises(errors.Conflict):
            self._make(api_db, "one")
        with pytest.raises(errors.Conflict), api_db.writer() as session:
            aggregates.change(session, other.id, name="one", metadata={})
        with api_db.writer() as session:
            assert aggregates.change(session, one.id, name="one", metadata={"a": "b"}).metadata == {"a": "b"}

    def test_hosts_come_and_go_and_make_zones(self, api_db: Database) -> None:
        east, also_east, plain = (
            self._make(api_db, name, zone) for name, zone in (("a", "east"), ("b", "east"), ("c", None))
        )
        with api_db.writer() as session:
            for aggregate in (east, also_east, plain):
                assert aggregates.add_host(session, aggregate.id, "h1").hosts == ("h1",)
            assert aggregates.add_host(session, east.id, "h0").hosts == ("h0", "h1")
        with pytest.raises(errors.Conflict), api_db.writer() as session:
            aggregates.add_host(session, east.id, "h1")
        with api_db.reader() as session:
            assert zones.of_hosts(session) == {"h0": "east", "h1": "east"}
            assert aggregates.other_zones(session, ["h0", "h1"], besides=east.id) == {"east"}
            assert aggregates.other_zones(session, ["h0"], besides=east.id) == set()
            assert aggregates.has_host(session, plain.uuid, "h1")
            assert not aggregates.has_host(session, plain.uuid, "h0")
        with api_db.writer() as session:
            assert aggregates.remove_host(session, east.id, "h0").hosts == ("h1",)
        with pytest.raises(errors.NotFound), api_db.writer() as session:
            aggregates.remove_host(session, east.id, "h0")

    def test_one_host_is_put_into_one_of_two_zones_at_once(self, api_db: Database) -> None:
        with api_db.writer() as session:
            cell = Cell(new_uuid(), "c", "none:///", "sqlite://")
            mappings.add_cell(session, cell)
            mappings.add_host(session, "h1", cell.uuid)
        both = [self._make(api_db, name, name) for name in ("east", "west")]
        start = threading.Barrier(2)
        refused: list[str] = []

        @retried
        def add(aggregate: Aggregate) -> None:
            with api_db.writer() as session:
                aggregates.lock(session, aggregate.id, more_hosts=["h1"])
                if aggregates.other_zones(session, ["h1"], besides=aggregate.id):
                    refused.append(aggregate.name)
                else:
                    aggregates.add_host(session, aggregate.id, "h1")

        def begin(aggregate: Aggregate) -> None:
            start.wait(480)
            add(aggregate)

        threads = [threading.Thread(target=begin, args=(aggregate,)) for aggregate in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(480)
        assert len(refused) == 1
        with api_db.reader() as session:
            assert zones.of_hosts(session) == {"h1": "west" if refused == ["east"] else "east"}

    @staticmethod
    def _make(api_db: Database, name: str, zone: str | None = None) -> Aggregate:
        with api_db.writer() as session:
            return aggregates.add(session, name, {} if zone is None else {"availability_zone": zone})


class UsageSuite:
    """What was there within a window, and what is on hosts."""

    def test_what_ran_within_a_window(self, cell_db: Database) -> None:
        early = self._add(cell_db, "p", NOON - 3 * _HOUR, NOON)
        ended = self._add(cell_db, "p", NOON - _HOUR, NOON + timedelta(microseconds=1))
        running = self._add(cell_db, "Q", NOON + _HOUR)
        late = self._add(cell_db, "p", NOON + 2 * _HOUR)
        never = self._add(cell_db, "p", None)
        window = Window(NOON, NOON + 2 * _HOUR)
        with cell_db.reader() as session:
            found = usages.batch(session, window, after=0, limit=10)
            assert [server.uuid for server in found] == [ended, running]
            assert {early, late, never}.isdisjoint(server.uuid for server in found)
            first = found[0]
            assert (first.flavor_name, first.vcpus, first.ram_mib, first.disk_gib) == ("m1.tiny", 2, 512, 7)
            assert (first.launched_at, first.terminated_at) == (NOON - _HOUR, NOON + timedelta(microseconds=1))
            assert found[1].terminated_at is None
            assert usages.batch(session, window, after=first.number, limit=10) == [found[1]]
            assert usages.batch(session, window, after=0, limit=1) == [first]
            assert usages.batch(session, window, after=0, limit=9, project_id="Q") == [found[1]]
            # Pages go by code point: capitals first, whatever the database's own order.
            assert usages.page(session, window, after=None, limit=10) == [found[1], first]
            assert usages.page(session, window, after=found[1].key, limit=10) == [first]
            assert usages.page(session, window, after=None, limit=1) == [found[1]]
            assert usages.page(session, window, after=first.key, limit=None) == []

    def test_pages_of_one_project_go_by_uuid(self, cell_db: Database) -> None:
        uuids = sorted(self._add(cell_db, "p", NOON) for _ in range(5))
        window, seen = Window(NOON, NOON + _HOUR), list[ServerTime]()
        with cell_db.reader() as session:
            while page := usages.page(session, window, after=seen[-1].key if seen else None, limit=2, project_id="p"):
                seen += page
        assert [server.uuid for server in seen] == uuids

    def test_what_is_on_hosts(self, cell_db: Database) -> None:
        node = new_uuid()
        with cell_db.writer() as session:
            hosts.register(session, HostReport("h1", node, make_resources()))
            for host in ("h1", "h1", "h2"):
                instances.add(session, make_instance(host=host))
            gone = make_instance(host="h1")
            instances.add(session, gone)
            instances.mark_deleted(session, gone.uuid)
        with cell_db.reader() as session:
            found = host_occupancy.of_hosts(session, ["h1", "h2", "h3"])
        assert {host: (one.nodes, one.servers) for host, one in found.items()} == {"h1": ((node,), 2), "h2": ((), 1)}

    @staticmethod
    def _add(cell_db: Database, project: str, launched: object, terminated: object = None) -> str:
        instance = make_instance(project_id=project, launched_at=launched)
        with cell_db.writer() as session:
            instances.add(session, instance)
            if terminated is not None:
                instances.mark_deleted(session, instance.uuid)
                session.execute(sa.update(InstanceRow).filter_by(uuid=instance.uuid).values(terminated_at=terminated))
        return instance.uuid

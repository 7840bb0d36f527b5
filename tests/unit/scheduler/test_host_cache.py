"""What is remembered of hosts is always what would have been read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nova_lite import concurrency, config
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase, ComputeNodeRow, ServiceRow
from nova_lite.db.repositories import aggregates, build_failures, host_changes, hosts, mappings, zones
from nova_lite.model.conductor import HostReport
from nova_lite.model.host import CELL0_UUID, Cell, HostState
from nova_lite.scheduler import host_cache
from nova_lite.scheduler.host_cache import HostCache
from nova_lite.storage import Database
from tests.contract.db.factories import make_resources

CELL = Cell("22222222-2222-4222-8222-222222222222", "one", "rabbit://", "sqlite://")
HOSTS = ("h1", "h2", "h3")
DOWN_AFTER_S = 60.0


class Site:
    """A cell, the API database and two schedulers' caches; time can be made to pass."""

    def __init__(self, folder: Path, clock: pytest.MonkeyPatch) -> None:
        self.api = Database(f"sqlite:///{folder / 'api.sqlite'}")
        self.db = Database(f"sqlite:///{folder / 'cell.sqlite'}")
        ApiBase.metadata.create_all(self.api.engine)
        CellBase.metadata.create_all(self.db.engine)
        self.cell = OpenCell(CELL, self.db, cast(Any, None))
        conf = config.load(files=[])
        conf.set_override("timeout", 60.0, "cells")
        conf.set_override("service_down_time", DOWN_AFTER_S)
        with self.api.writer() as session:
            mappings.add_cell(session, Cell(CELL0_UUID, "cell0", "none:///", "sqlite://"))
        self.caches = [HostCache(conf, self.api, Cells(conf, self.api)) for _ in range(2)]
        self.ahead_s = 0.0
        now = concurrency.monotonic
        clock.setattr(concurrency, "monotonic", lambda: now() + self.ahead_s)
        # Not to be corrected by time where a change was missed.
        clock.setattr(host_cache, "_KEPT_S", 1e9)

    def pass_time(self, seconds: float) -> None:
        """Let everything have happened earlier; nobody is told."""
        self.ahead_s += seconds
        with self.db.writer() as session:
            session.execute(sa.update(ServiceRow).values(last_seen=ServiceRow.last_seen - seconds))
            since = ComputeNodeRow.last_failed_build - seconds
            session.execute(sa.update(ComputeNodeRow).values(last_failed_build=since))

    def do(self, what: str, host: str) -> None:
        """Make one change in the cell; one that cannot be made is none."""
        node = f"{HOSTS.index(host):0>36}"
        with self.db.writer() as session:
            service = next((one for one in hosts.services(session, down_after_s=60) if one.host == host), None)
            if what == "beat":
                hosts.beat(session, host, hosts.AGENT, down_after_s=DOWN_AFTER_S)
            elif what.startswith("register"):
                resources = make_resources(vcpus=len(what), hypervisor_hostname=host)
                hosts.register(session, HostReport(host, node, resources), down_after_s=DOWN_AFTER_S)
            elif what == "fail":
                build_failures.add(session, node, at_most=3)
            elif what == "work":
                build_failures.forget(session, node)
            elif service is not None and what == "remove":
                hosts.remove_service(session, service)
            elif service is not None and what in ("disabled", "forced_down"):
                is_set = {"disabled": service.is_disabled, "forced_down": service.is_forced_down}[what]
                hosts.change_service(session, service.uuid, **{what: not is_set})

    def read(self) -> list[HostState]:
        with self.db.reader() as session:
            return hosts.states(session, CELL.uuid, down_after_s=DOWN_AFTER_S)

    def close(self) -> None:
        self.api.close()
        self.db.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, monkeypatch)
    yield made
    made.close()


CHANGES = st.one_of(
    st.tuples(
        st.sampled_from(["beat", "register", "register anew", "fail", "work", "remove", "disabled", "forced_down"]),
        st.sampled_from(HOSTS),
    ),
    # No sum of a few of them is when a heartbeat grows too old, or failed builds are forgotten.
    st.sampled_from([7.3, 23.9, 61.7, 3601.3]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(CHANGES, st.booleans()), min_size=8, max_size=16))
def test_what_is_remembered_is_what_would_be_read(
    site: Site, changes: list[tuple[tuple[str, str] | float, bool]]
) -> None:
    """Each round goes on where the last one ended; h1 is unknown at first."""
    for host in HOSTS[1:]:
        site.do("register", host)
    for change, is_looked_at in [*changes, (0.0, True)]:
        if isinstance(change, tuple):
            site.do(*change)
        else:
            site.pass_time(change)
        for cache in site.caches[: 2 if is_looked_at else 1]:
            before = site.read()
            seen = cache.of_cell(site.cell).states
            # A moment passes while they are read.
            assert seen in (before, site.read())


def test_heartbeats_do_not_make_it_read_again(site: Site) -> None:
    cache = site.caches[0]
    for host in HOSTS:
        site.do("register", host)
    seen = cache.of_cell(site.cell)
    for _ in range(5):
        site.pass_time(10.0)
        for host in HOSTS:
            site.do("beat", host)
    assert cache.of_cell(site.cell) is seen
    site.pass_time(15.0)
    again = cache.of_cell(site.cell)
    assert again is not seen
    assert [state.is_up for state in again.states] == [True, True, True]


def test_a_host_that_falls_silent_is_down_and_back_at_once(site: Site) -> None:
    cache = site.caches[0]
    for host in HOSTS:
        site.do("register", host)
    site.pass_time(30.0)
    for host in HOSTS[1:]:
        site.do("beat", host)
    assert [state.is_up for state in cache.of_cell(site.cell).states] == [True, True, True]
    site.pass_time(31.0)
    assert [state.is_up for state in cache.of_cell(site.cell).states] == [False, True, True]
    site.do("beat", "h1")
    assert [state.is_up for state in cache.of_cell(site.cell).states] == [True, True, True]


def test_another_database_is_read_anew(site: Site, tmp_path: Path) -> None:
    site.do("register", "h1")
    cache = site.caches[0]
    assert len(cache.of_cell(site.cell).states) == 1
    other = Database(f"sqlite:///{tmp_path / 'other.sqlite'}")
    CellBase.metadata.create_all(other.engine)
    with other.writer() as session:
        for _ in range(9):
            host_changes.bump(session)
    assert cache.of_cell(OpenCell(CELL, other, cast(Any, None))).states == []
    other.close()


def test_requests_at_once_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.do("register", "h1")
    reads: list[int] = []
    read, gate = hosts.states, threading.Barrier(6)

    def slowly(*args: Any, **values: Any) -> list[HostState]:
        reads.append(1)
        return read(*args, **values)

    def ask(_: int) -> int:
        gate.wait(480)
        return len(site.caches[0].of_cell(site.cell).states)

    monkeypatch.setattr(hosts, "states", slowly)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [1] * 6
    assert len(reads) == 1


def test_aggregates_and_mappings_are_read_again_when_they_change(site: Site) -> None:
    one, other = site.caches
    with site.api.writer() as session:
        mappings.add_cell(session, CELL)
    assert (one.above().cell_of, one.above().metadata) == ({}, {})
    assert one.above() is one.above()
    with site.api.writer() as session:
        mappings.add_host(session, "h1", CELL.uuid)
        racks = aggregates.add(session, "racks", {"availability_zone": "east"})
        aggregates.add_host(session, racks.id, "h1")
    for cache in (one, other):
        assert cache.above().cell_of == {"h1": CELL.uuid}
        assert zones.zone_of(cache.above().metadata["h1"]) == "east"
    with site.api.writer() as session:
        aggregates.change(session, racks.id, name="racks", metadata={"availability_zone": "west"})
    assert zones.zone_of(one.above().metadata["h1"]) == "west"
    with site.api.writer() as session:
        mappings.remove_host(session, "h1")
    for cache in (one, other):
        assert (cache.above().cell_of, cache.above().metadata) == ({}, {})

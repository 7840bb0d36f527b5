"""What is promised of the numbers that count changes of hosts, on any database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import ComputeNodeRow, ServiceRow
from nova_lite.db.repositories import aggregates, build_failures, host_changes, hosts, mapping_changes, mappings
from nova_lite.model.conductor import HostReport
from nova_lite.model.host import Cell
from nova_lite.storage import Database, epoch_now, retried
from tests.contract.db.factories import make_resources, new_uuid

NODE = "11111111-1111-4111-8111-111111111111"
CELL = Cell("22222222-2222-4222-8222-222222222222", "one", "rabbit://", "sqlite://")
Change = Callable[[Session], object]


def _service_uuid(session: Session) -> str:
    return hosts.services(session, down_after_s=60)[0].uuid


def _report(**values: object) -> HostReport:
    return HostReport("host1", NODE, make_resources(**values))


#: What is done to a cell with host1, and whether a scheduler must know.
IN_CELL: dict[str, tuple[Change, bool]] = {
    "a heartbeat": (lambda session: hosts.beat(session, "host1", hosts.AGENT), False),
    "a new agent": (lambda session: hosts.beat(session, "host2", hosts.AGENT), True),
    "a conductor": (lambda session: hosts.beat(session, "control", hosts.CONDUCTOR), False),
    "the same report": (lambda session: hosts.register(session, _report()), False),
    "another report": (lambda session: hosts.register(session, _report(vcpus=77)), True),
    "disabled": (lambda session: hosts.change_service(session, _service_uuid(session), disabled=True), True),
    "removed": (lambda session: hosts.remove_service(session, hosts.services(session, down_after_s=60)[0]), True),
    "a failed build": (lambda session: build_failures.add(session, NODE, at_most=3), True),
    "no failed build to forget": (lambda session: build_failures.forget(session, NODE), False),
}
ABOVE: dict[str, tuple[Change, bool]] = {
    "a cell": (lambda session: mappings.add_cell(session, replace(CELL, uuid=new_uuid())), True),
    "a disabled cell": (lambda session: mappings.change_cell(session, replace(CELL, is_disabled=True)), True),
    "a cell that goes": (lambda session: mappings.remove_cell(session, CELL.uuid), True),
    "a host": (lambda session: mappings.add_host(session, "host2", CELL.uuid), True),
    "a host that goes": (lambda session: mappings.remove_host(session, "host1"), True),
    "an aggregate": (lambda session: aggregates.add(session, "more", {}), True),
    "metadata": (lambda session: aggregates.change(session, 1, name="racks", metadata={"a": "b"}), True),
    "a host in an aggregate": (lambda session: aggregates.add_host(session, 1, "host1"), True),
    "a read": (lambda session: aggregates.get(session, 1), False),
}


class HostChangesSuite:
    """The number of a cell, and that of the API database."""

    @pytest.fixture
    def cell(self, cell_db: Database) -> Database:
        with cell_db.writer() as session:
            hosts.register(session, _report())
        return cell_db

    @pytest.fixture
    def above(self, api_db: Database) -> Database:
        with api_db.writer() as session:
            mappings.add_cell(session, CELL)
            mappings.add_host(session, "host1", CELL.uuid)
            assert aggregates.add(session, "racks", {}).id == 1
        return api_db

    @pytest.mark.parametrize("what", IN_CELL)
    def test_what_changes_hosts_counts(self, cell: Database, what: str) -> None:
        change, counts = IN_CELL[what]
        before = _number(cell)
        with cell.writer() as session:
            change(session)
        assert (_number(cell) > before) is counts

    @pytest.mark.parametrize("what", ABOVE)
    def test_what_changes_mappings_and_aggregates_counts(self, above: Database, what: str) -> None:
        change, counts = ABOVE[what]
        with above.reader() as session:
            before = mapping_changes.number(session)
        with above.writer() as session:
            change(session)
        with above.reader() as session:
            assert (mapping_changes.number(session) > before) is counts

    def test_an_agent_that_comes_back_counts(self, cell: Database) -> None:
        before = _number(cell)
        for silent_s, counts in ((30, False), (61, True)):
            with cell.writer() as session:
                session.execute(sa.update(ServiceRow).values(last_seen=epoch_now() - silent_s))
                hosts.beat(session, "host1", hosts.AGENT, down_after_s=60)
            assert (_number(cell) > before) is counts

    def test_failed_builds_that_are_forgotten_count(self, cell: Database) -> None:
        with cell.writer() as session:
            build_failures.add(session, NODE, at_most=3)
        before = _number(cell)
        with cell.writer() as session:
            build_failures.forget(session, NODE)
        assert _number(cell) == before + 1

    def test_a_change_that_is_undone_does_not_count(self, cell: Database) -> None:
        before = _number(cell)
        with cell.writer() as session:
            build_failures.add(session, NODE, at_most=3)
            session.rollback()
        assert _number(cell) == before

    def test_no_change_is_lost_among_many_at_once(self, cell: Database) -> None:
        before = _number(cell)

        @retried
        def fail(_: int) -> None:
            with cell.writer() as session:
                build_failures.add(session, NODE, at_most=3)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fail, range(20)))
        assert _number(cell) == before + 20

    def test_what_changes_by_time_alone_is_foreseen(self, cell: Database) -> None:
        with cell.writer() as session:
            session.execute(sa.update(ServiceRow).values(last_seen=epoch_now() - 20))
            assert hosts.states_last_s(session, down_after_s=60) == pytest.approx(40, abs=20)
            session.execute(sa.update(ServiceRow).values(last_seen=epoch_now() - 100))
            assert hosts.states_last_s(session, down_after_s=60) is None
            build_failures.add(session, NODE, at_most=3)
            session.execute(sa.update(ComputeNodeRow).values(last_failed_build=epoch_now() - 3500))
            assert hosts.states_last_s(session, down_after_s=60) == pytest.approx(100, abs=50)
            session.execute(sa.update(ComputeNodeRow).values(last_failed_build=epoch_now() - 3700))
            assert hosts.states_last_s(session, down_after_s=60) is None


def _number(cell: Database) -> int:
    with cell.reader() as session:
        return host_changes.number(session)

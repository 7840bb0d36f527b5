"""The three databases on real servers: histories, races and values behave the same on each."""

import contextlib
import threading
import time
import uuid as uuids
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

from nova_lite import errors, storage
from nova_lite.db import migrate
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase, CellWorkflowRow
from nova_lite.db.migrate import History
from nova_lite.db.repositories import hosts, instances, mappings, quotas, workflows
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status, Workflow
from nova_lite.placement.model import ANY_GENERATION, Claim, Inventory
from nova_lite.placement.repositories import belongings, claims, holdings, providers
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.placement.tables import Base as PlacementBase
from nova_lite.storage import Database, retried
from tests.contract.db.aggregates import AggregateSuite, UsageSuite
from tests.contract.db.api import BuildRequestSuite, MappingSuite
from tests.contract.db.builds import BuildSuite
from tests.contract.db.cell import ActionSuite, HostSuite, InstanceSuite
from tests.contract.db.host_changes import HostChangesSuite
from tests.contract.db.migrations import MigrationSuite
from tests.contract.db.quotas import FailedDeleteSuite, GroupPlacesSuite, QuotaSuite, ServerGroupSuite
from tests.contract.db.workflows import WorkflowSuite
from tests.integration.stack.stock import Stock

BASES: dict[History, type[DeclarativeBase]] = {"api": ApiBase, "cell": CellBase, "placement": PlacementBase}
PROJECT = "p" * 32

MakeDatabase = Callable[[], Database]


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDatabase]:
    """A function that opens a new, empty database on one kind of server; all are dropped afterwards."""
    opened: list[Database] = []
    names: list[str] = []
    server = None if request.param == "sqlite" else request.getfixturevalue(request.param)

    def make_one() -> Database:
        name = f"nl_{uuids.uuid4().hex[:12]}"
        if server is None:
            database = Database(f"sqlite:///{tmp_path}/{name}.db")
        else:
            server.create([name])
            names.append(name)
            database = Database(server.url(name), pool_size=40)
        opened.append(database)
        return database

    yield make_one
    for database in opened:
        database.close()
    if server is not None:
        server.drop(names)


@pytest.fixture
def filled(make: MakeDatabase, stock: Stock, request: pytest.FixtureRequest) -> Iterator[Callable[[History], Database]]:
    """A function that opens a database with the tables of a history, on the kind of server that ``make`` uses."""
    kind = request.node.callspec.params["make"]
    with contextlib.ExitStack() as stack:

        def fill(history: History) -> Database:
            if kind == "sqlite":
                database = make()
                migrate.sync(database, history)
                return database
            url = stack.enter_context(stock.lent(request.getfixturevalue(kind), history))
            return stack.enter_context(contextlib.closing(Database(url, pool_size=40)))

        yield fill


@pytest.fixture
def api_db(filled: Callable[[History], Database]) -> Database:
    return filled("api")


@pytest.fixture
def cell_db(filled: Callable[[History], Database]) -> Database:
    return filled("cell")


@pytest.fixture
def placement_db(filled: Callable[[History], Database]) -> Database:
    database = filled("placement")
    standard_names(database)
    return database


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Run ``work(0)`` to ``work(count - 1)`` in threads that begin together; return what each returned or raised."""
    gate = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(number: int) -> None:
        gate.wait(timeout=480)
        try:
            results[number] = work(number)
        except Exception as exc:  # noqa: BLE001 - what each worker raised is the result that tests look at
            results[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=480)
    assert not any(thread.is_alive() for thread in threads), "a worker hangs"
    return results


# -- histories --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", list(BASES))
def test_a_synced_database_has_exactly_the_tables_of_the_models(make: MakeDatabase, history: History) -> None:
    database = make()
    assert migrate.version(database, history) is None
    with pytest.raises(errors.Misconfigured, match="nova-lite-manage"):
        migrate.require(database, history)

    done = migrate.sync(database, history)

    assert done.is_changed
    assert migrate.version(database, history) == done.after == migrate.newest(history)
    migrate.require(database, history)
    with database.engine.connect() as connection:
        options = {"compare_type": True, "include_object": _is_no_version_table}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, BASES[history].metadata) == []


def _is_no_version_table(_: object, name: str | None, kind: str, *others: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith("alembic_version"))


@pytest.mark.parametrize("history", list(BASES))
def test_of_many_syncs_at_once_one_does_the_work(make: MakeDatabase, history: History) -> None:
    database = make()
    results = at_once(6, lambda _: migrate.sync(database, history))
    assert all(isinstance(result, migrate.Synced) for result in results), results
    assert [result.is_changed for result in results if isinstance(result, migrate.Synced)].count(True) == 1
    assert not migrate.sync(database, history).is_changed


def test_a_database_is_not_taken_for_another_one(api_db: Database) -> None:
    with pytest.raises(errors.Conflict, match="API database"):
        migrate.sync(api_db, "cell")
    with pytest.raises(errors.Conflict):
        migrate.sync(api_db, "placement")
    assert migrate.version(api_db, "cell") is None


# -- storage ----------------------------------------------------------------------------------------------------------


def test_the_databases_clock_runs(make: MakeDatabase) -> None:
    database = make()
    before = time.time()
    first, second = database.ping(), database.ping()
    assert before - 1 < first <= second < time.time() + 1
    assert first != int(first), "the clock has fractions"


def test_a_lock_cycle_is_resolved_without_an_error(api_db: Database) -> None:
    """Two transactions that want each other's rows: one is rolled back by the server and runs again."""
    with api_db.writer() as session:
        quotas.lock(session, "left")
        quotas.lock(session, "right")
    both_hold_one = threading.Barrier(2)
    tried = [0, 0]

    @retried
    def lock_both(number: int) -> str:
        first, second = ("left", "right") if number == 0 else ("right", "left")
        tried[number] += 1
        with api_db.writer() as session:
            quotas.lock(session, first)
            if tried[number] == 1 and not api_db.is_sqlite:
                both_hold_one.wait(timeout=480)
            quotas.lock(session, second)
        return "done"

    assert at_once(2, lock_both) == ["done", "done"]
    if not api_db.is_sqlite:  # there one writer waits for the other from its beginning
        assert sum(tried) == 3


@pytest.mark.parametrize(("kind", "sleep"), [("mariadb", "SELECT SLEEP(60)"), ("postgresql", "SELECT pg_sleep(60)")])
def test_a_server_that_is_silent_for_too_long_is_given_up(
    kind: str, sleep: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_SILENT_S", 2)
    server, name = request.getfixturevalue(kind), f"nl_{uuids.uuid4().hex[:12]}"
    server.create([name])
    with (
        contextlib.closing(Database(server.url(name))) as database,
        pytest.raises(errors.Unavailable),
        database.reader() as session,
    ):
        session.execute(text(sleep))
    server.drop([name])


@pytest.mark.parametrize("driver", ["mysql+pymysql", "postgresql+psycopg"])
def test_a_server_that_is_not_there_is_unavailable(driver: str) -> None:
    database = Database(f"{driver}://nobody:nothing@127.0.0.1:1/nowhere", connect_timeout_s=2)
    with pytest.raises(errors.Unavailable):
        database.ping()
    database.close()


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["SELECT nothing FROM services", "SELECT * FROM no_such_table"])
def test_a_database_of_another_release_does_not_answer(cell_db: Database, statement: str) -> None:
    """A cell that was not migrated yet is a cell that is down, whatever its database calls that."""
    with pytest.raises(errors.Unavailable), cell_db.reader() as session:
        session.execute(text(statement))


def test_an_instance_comes_back_as_it_was_written(cell_db: Database) -> None:
    instance = an_instance()
    with cell_db.writer() as session:
        instances.add(session, instance)
        instances.add(session, instance)
    with cell_db.reader() as session:
        assert instances.get(session, instance.uuid) == instance


def test_an_instance_is_changed_only_by_who_knows_its_task(cell_db: Database) -> None:
    instance = an_instance()
    with cell_db.writer() as session:
        instances.add(session, instance)

    def stop(_: int) -> None:
        with cell_db.writer() as session:
            instances.change(session, instance.uuid, expect_task=None, task_state=TaskState.POWERING_OFF)

    with cell_db.writer() as session:
        instances.change(session, instance.uuid, expect_task=instance.task_state, task_state=None)
    results = at_once(8, stop)
    assert results.count(None) == 1
    assert sum(isinstance(result, errors.Conflict) for result in results) == 7


def an_instance() -> Instance:
    """Return an instance with something in every field that a database could lose or change."""
    now = datetime(2026, 2, 28, 23, 59, 59, 123456)  # noqa: DTZ001 - the model's times are naive UTC
    return Instance(
        uuid=str(uuids.uuid4()),
        project_id=PROJECT,
        user_id="u" * 32,
        display_name="Zürich 🙂 " + "n" * 240,
        hostname="zuerich",
        vm_state=VmState.BUILDING,
        task_state=TaskState.SPAWNING,
        flavor=Flavor(flavor_id="1", name="m1.tiny", vcpus=1, ram_mib=128, root_gib=1),
        image_id=str(uuids.uuid4()),
        created_at=now,
        updated_at=now,
        power_state=PowerState.NOSTATE,
        metadata={"ключ": "значение", "empty": "", "quote": 'it\'s \\ "so" %s :x'},
        image_properties={"hw_machine_type": "q35"},
        description="line one\nline two\t\u2028end",
        user_data="A" * 87380,
        has_config_drive=True,
        scheduling={"refused": [{"host": "h1", "why": "128 MiB free, 256 MiB asked"}], "ratio": 1.5},
        tags=("a", "b"),
        launched_at=now,
        fault=Fault(500, "No valid host 🙁", now, "details " * 20000),
    )


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_project_never_gets_more_than_its_quota(api_db: Database) -> None:
    quota = 10

    @retried
    def boot(number: int) -> bool:
        with api_db.writer() as session:
            quotas.lock(session, PROJECT)
            if mappings.usage(session, PROJECT)[0] >= quota:
                return False
            uuid = str(uuids.uuid4())
            mappings.add_instance(session, uuid, project_id=PROJECT, user_id="u", vcpus=2, ram_mib=512)
        return True

    results = at_once(30, boot)
    assert (results.count(True), results.count(False)) == (10, 20), results
    with api_db.reader() as session:
        assert mappings.usage(session, PROJECT) == (10, 20, 5120)


def test_a_service_that_reports_from_two_threads_is_one_service(cell_db: Database) -> None:
    @retried
    def beat(_: int) -> None:
        with cell_db.writer() as session:
            hosts.beat(session, "host1", "nova-compute")

    beat(0)
    assert at_once(8, beat) == [None] * 8
    with cell_db.reader() as session:
        found = hosts.services(session, down_after_s=60)
    assert [(service.host, service.is_up) for service in found] == [("host1", True)]


def test_one_conductor_gets_a_workflow_and_another_takes_it_over(cell_db: Database) -> None:
    workflow = Workflow(
        uuid=str(uuids.uuid4()),
        kind="build",
        subject=str(uuids.uuid4()),
        project_id=PROJECT,
        user_id="u",
        request_id="req-1",
        inputs={"alternates": ["h1", "h2"]},
        deadline=0.0,
    )
    with cell_db.writer() as session:
        workflows.add(session, CellWorkflowRow, workflow, timeout_s=60)

    def claim(number: int, lease_s: float) -> bool:
        with cell_db.writer() as session:
            return (
                workflows.claim(session, CellWorkflowRow, workflow.uuid, owner=f"c{number}", lease_s=lease_s)
                is not None
            )

    won = at_once(12, retried(lambda number: claim(number, 60)))
    assert won.count(True) == 1, won
    winner = f"c{won.index(True)}"
    with cell_db.writer() as session:
        workflows.renew(session, CellWorkflowRow, winner, [workflow.uuid], lease_s=0.1)

    deadline = time.monotonic() + 480
    while not claim(99, 60):
        assert time.monotonic() < deadline, "the lease never ran out"
        time.sleep(0.02)

    with cell_db.writer() as session:
        assert not workflows.record(session, CellWorkflowRow, workflow.uuid, winner, expect_step=0, step=5)
        assert workflows.record(
            session, CellWorkflowRow, workflow.uuid, "c99", expect_step=0, status=Status.DONE, step=1
        )
    with cell_db.reader() as session:
        found = workflows.get(session, CellWorkflowRow, workflow.uuid)
    assert found is not None
    assert (found.status, found.step, found.attempt, found.inputs) == (Status.DONE, 1, 2, {"alternates": ["h1", "h2"]})


# -- repositories: what ``tests/unit/db`` proves on files --------------------------------------------------------------

on_servers = pytest.mark.parametrize("make", ["mariadb", "postgresql"], indirect=True)


@on_servers
class TestWorkflows(WorkflowSuite):
    pass


@on_servers
class TestInstances(InstanceSuite):
    pass


@on_servers
class TestActions(ActionSuite):
    pass


@on_servers
class TestMigrations(MigrationSuite):
    pass


@on_servers
class TestHosts(HostSuite):
    pass


@on_servers
class TestHostChanges(HostChangesSuite):
    pass


@on_servers
class TestMappings(MappingSuite):
    pass


@on_servers
class TestBuildRequests(BuildRequestSuite):
    pass


@on_servers
class TestQuotas(QuotaSuite):
    pass


@on_servers
class TestAggregates(AggregateSuite):
    pass


@on_servers
class TestUsages(UsageSuite):
    pass


@on_servers
class TestServerGroups(ServerGroupSuite):
    pass


@on_servers
class TestGroupPlaces(GroupPlacesSuite):
    pass


@on_servers
class TestBuilds(BuildSuite):
    pass


@on_servers
class TestFailedDeletes(FailedDeleteSuite):
    pass


# -- Placement --------------------------------------------------------------------------------------------------------


def add_provider(database: Database, name: str, **inventories: Inventory) -> str:
    """Make a provider with inventories and return its UUID."""
    uuid = str(uuids.uuid4())
    with database.writer() as session:
        providers.create(session, uuid, name, None)
    with database.writer() as session:
        belongings.set_inventories(session, uuid, inventories, 0, only=True)
    return uuid


def used(database: Database, uuid: str) -> dict[str, int]:
    """Return what is used of each class of a provider."""
    with database.reader() as session:
        return {name: inventory.used for name, inventory in providers.get(session, uuid).inventories.items()}


def claimer(database: Database, allocations: Callable[[int], dict[str, dict[str, int]]]) -> Callable[[int], str]:
    """Return a function that claims for a new consumer, again when the database rolled it back."""

    @retried
    def claim(number: int) -> str:
        consumer = str(uuids.uuid4())
        with database.writer() as session:
            claims.replace(session, [Claim(consumer, allocations(number), PROJECT, "u", None)])
        return consumer

    return claim


def test_many_claimers_of_one_provider_fill_it_exactly(placement_db: Database) -> None:
    host = add_provider(placement_db, "hot", VCPU=Inventory(50), MEMORY_MB=Inventory(100 * 64))
    claim = claimer(placement_db, lambda _: {host: {"VCPU": 2, "MEMORY_MB": 64}})

    results = at_once(40, claim)

    assert sum(isinstance(result, str) for result in results) == 25, results
    refused = [result for result in results if isinstance(result, errors.Conflict)]
    assert len(refused) == 15
    assert all("exceed the capacity" in str(refusal) for refusal in refused)
    assert used(placement_db, host) == {"VCPU": 50, "MEMORY_MB": 25 * 64}


def test_claims_over_several_providers_do_not_lock_each_other_out(placement_db: Database) -> None:
    hosts_ = [add_provider(placement_db, f"h{number}", VCPU=Inventory(1000)) for number in range(4)]

    def allocations(number: int) -> dict[str, dict[str, int]]:
        order = hosts_ if number % 2 else hosts_[::-1]
        return {uuid: {"VCPU": 1} for uuid in order}

    results = at_once(24, claimer(placement_db, allocations))

    assert all(isinstance(result, str) for result in results), results
    assert [used(placement_db, uuid) for uuid in hosts_] == [{"VCPU": 24}] * 4
    for consumer in results:
        with placement_db.writer() as session:
            claims.remove(session, str(consumer))
    assert [used(placement_db, uuid) for uuid in hosts_] == [{"VCPU": 0}] * 4


def test_a_refused_claim_of_two_consumers_changes_neither(placement_db: Database) -> None:
    """Handing a claim over and claiming anew are one: when the new one finds no room, the old one stays."""
    source = add_provider(placement_db, "source", VCPU=Inventory(4))
    full = add_provider(placement_db, "full", VCPU=Inventory(1))
    instance = claimer(placement_db, lambda _: {source: {"VCPU": 2}})(0)
    migration = str(uuids.uuid4())

    handed = Claim(migration, {source: {"VCPU": 2}}, PROJECT, "u", ANY_GENERATION)
    moved = Claim(instance, {full: {"VCPU": 2}}, PROJECT, "u", ANY_GENERATION)
    with pytest.raises(errors.Conflict), placement_db.writer() as session:
        claims.replace(session, [handed, moved])

    assert (used(placement_db, source), used(placement_db, full)) == ({"VCPU": 2}, {"VCPU": 0})
    with placement_db.reader() as session:
        assert holdings.holding(session, migration) is None
        held = holdings.holding(session, instance)
    assert held is not None
    assert held.allocations == {source: {"VCPU": 2}}


def test_provider_names_differ_by_case(placement_db: Database) -> None:
    add_provider(placement_db, "Host", VCPU=Inventory(1))
    add_provider(placement_db, "host", VCPU=Inventory(1))
    with pytest.raises(errors.Conflict):
        add_provider(placement_db, "host", VCPU=Inventory(1))

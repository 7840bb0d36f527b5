"""The three databases on real servers: histories, storage and values behave the same on each."""

import contextlib
import threading
import time
import uuid as uuids

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

from nova_lite import errors, storage
from nova_lite.db import migrate
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase
from nova_lite.db.migrate import History
from nova_lite.db.repositories import instances, quotas
from nova_lite.placement.tables import Base as PlacementBase
from nova_lite.storage import Database, retried
from tests.integration.databases import (
    MakeDatabase,
    an_instance,
    api_db,
    at_once,
    cell_db,
    filled,
    make,
    placement_db,
)

__all__ = ["api_db", "cell_db", "filled", "make", "placement_db"]


BASES: dict[History, type[DeclarativeBase]] = {"api": ApiBase, "cell": CellBase, "placement": PlacementBase}


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

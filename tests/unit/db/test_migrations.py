"""Every history makes what its models say; a sync is safe to repeat and refuses what it must not touch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db import migrate
from nova_lite.db.migrate import History
from nova_lite.storage import Database
from tests.contract import schema

HISTORIES: tuple[History, ...] = ("api", "cell", "placement")


@pytest.fixture
def new_database(tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    opened: list[Database] = []

    def make(name: str) -> Database:
        opened.append(Database(f"sqlite:///{tmp_path / name}.db"))
        return opened[-1]

    yield make
    for database in opened:
        database.close()


@pytest.mark.parametrize("history", HISTORIES)
def test_migrations_make_the_models(new_database: Callable[[str], Database], history: History) -> None:
    schema.check_migrations_make_the_models(new_database("migrated"), new_database("modelled"), history)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_second_sync_changes_nothing(new_database: Callable[[str], Database], history: History) -> None:
    schema.check_a_second_sync_changes_nothing(new_database("one"), history)


@pytest.mark.parametrize("history", HISTORIES)
def test_syncs_at_once_make_one(new_database: Callable[[str], Database], history: History) -> None:
    schema.check_syncs_at_once_make_one(new_database("one"), history)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_sync_that_was_cut_off_is_taken_up(new_database: Callable[[str], Database], history: History) -> None:
    schema.check_a_sync_that_was_cut_off_is_taken_up(new_database("one"), new_database("modelled"), history)


def test_leftovers_of_a_cut_off_sync_are_cleared_only_while_empty(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")
    with database.writer() as session:
        session.execute(sa.text("CREATE TABLE alembic_version_api (version_num VARCHAR(32) NOT NULL)"))
        session.execute(sa.text("CREATE TABLE cell_mappings (uuid VARCHAR(36))"))
        session.execute(sa.text("INSERT INTO cell_mappings VALUES ('precious')"))
    with pytest.raises(errors.Conflict, match="holds tables but no version"):
        migrate.sync(database, "api")
    with database.writer() as session:
        assert session.scalar(sa.text("SELECT uuid FROM cell_mappings")) == "precious"
        session.execute(sa.text("DELETE FROM cell_mappings"))
    migrate.sync(database, "api")
    migrate.require(database, "api")


def test_the_contract_sees_a_missing_constraint(new_database: Callable[[str], Database]) -> None:
    migrated, modelled = new_database("migrated"), new_database("modelled")
    migrate.sync(migrated, "api")
    schema.METADATA["api"].create_all(modelled.engine)
    with modelled.writer() as session:
        session.execute(sa.text("DROP INDEX instance_mappings_cell_idx"))
    assert schema.catalogue(migrated, "api") != schema.catalogue(modelled, "api")


def test_a_database_of_another_history_is_refused(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")
    migrate.sync(database, "api")
    before = schema.catalogue(database, "api")
    with pytest.raises(errors.Conflict, match="This database is the API database already"):
        migrate.sync(database, "cell")
    assert schema.catalogue(database, "api") == before


def test_a_database_with_tables_but_no_version_is_refused(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")
    with database.writer() as session:
        session.execute(sa.text("CREATE TABLE instances (id INTEGER)"))
    with pytest.raises(errors.Conflict, match="an earlier sync was cut off"):
        migrate.sync(database, "cell")
    assert migrate.version(database, "cell") is None


def test_an_unknown_version_is_refused(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")
    with pytest.raises(errors.Invalid, match="There is no version 9999; known are: 0001"):
        migrate.sync(database, "cell", "9999")
    assert migrate.version(database, "cell") is None


def test_a_database_of_a_newer_release_is_refused(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")
    migrate.sync(database, "cell")
    with database.writer() as session:
        session.execute(sa.text("UPDATE alembic_version_cell SET version_num = '9999'"))
    with pytest.raises(errors.Invalid, match="which a newer release made"):
        migrate.sync(database, "cell")
    with pytest.raises(
        errors.Misconfigured, match=r"is at version 9999, this release needs .* nova-lite-manage db sync"
    ):
        migrate.require(database, "cell")


def test_a_failed_sync_leaves_nothing_behind(new_database: Callable[[str], Database]) -> None:
    database = new_database("one")

    def fail(*_: object) -> None:
        raise RuntimeError("cut off")

    sa.event.listen(database.engine, "commit", fail)
    with pytest.raises(RuntimeError, match="cut off"):
        migrate.sync(database, "api")
    sa.event.remove(database.engine, "commit", fail)
    assert sa.inspect(database.engine).get_table_names() == []
    migrate.sync(database, "api")
    migrate.require(database, "api")


def test_an_unsynced_database_is_told_what_to_run(new_database: Callable[[str], Database]) -> None:
    with pytest.raises(errors.Misconfigured, match="has no tables yet; run: nova-lite-manage api_db sync"):
        migrate.require(new_database("one"), "api")


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/missing/one.db")
    with pytest.raises(errors.Unavailable):
        migrate.sync(database, "api")

"""What every database must show of our histories: migrations make what the models say, once, however often they run.

The unit tests run this on SQLite, the integration tests on the servers. ``migrated`` and ``modelled`` are two empty
databases of one kind.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from nova_lite.db import migrate
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase
from nova_lite.db.migrate import History
from nova_lite.placement.tables import Base as PlacementBase
from nova_lite.storage import Database

METADATA: dict[History, sa.MetaData] = {
    "api": ApiBase.metadata,
    "cell": CellBase.metadata,
    "placement": PlacementBase.metadata,
}


def check_migrations_make_the_models(migrated: Database, modelled: Database, history: History) -> None:
    """Compare a database made by migrations with one made from the models, and with the models themselves.

    The databases' own catalogues are compared, because a comparison with the models alone does not see all: unnamed
    constraints on SQLite, or that JSON columns on MariaDB are LONGTEXT with a check.
    """
    migrate.sync(migrated, history)
    METADATA[history].create_all(modelled.engine)
    assert catalogue(migrated, history) == catalogue(modelled, history)
    assert _differences(migrated, history) == []


def check_a_second_sync_changes_nothing(database: Database, history: History) -> None:
    """Sync twice; the second finds the first's version."""
    first = migrate.sync(database, history)
    assert (first.before, first.after) == (None, migrate.newest(history))
    again = migrate.sync(database, history)
    assert (again.before, again.after) == (first.after, first.after)
    assert migrate.version(database, history) == first.after
    migrate.require(database, history)


def check_a_sync_that_was_cut_off_is_taken_up(database: Database, modelled: Database, history: History) -> None:
    """Cut the first sync off between two tables; the next one makes all of them."""
    METADATA[history].create_all(modelled.engine)
    made: list[str] = []

    def cut_off(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().startswith("CREATE TABLE"):
            made.append(statement)
            if len(made) == 4:
                raise KeyboardInterrupt

    sa.event.listen(database.engine, "before_cursor_execute", cut_off)
    try:
        migrate.sync(database, history)
    except KeyboardInterrupt:
        pass
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", cut_off)
    assert len(made) == 4
    assert migrate.version(database, history) is None
    assert migrate.sync(database, history).before is None
    assert catalogue(database, history) == catalogue(modelled, history)


def check_syncs_at_once_make_one(database: Database, history: History, processes: int = 4) -> None:
    """Sync from several connections at the same moment: one finds the database empty, all leave it at the newest."""
    others = [Database(database.url.render_as_string(hide_password=False)) for _ in range(processes)]
    start = Barrier(processes)

    def sync(one: Database) -> migrate.Synced:
        try:
            start.wait(timeout=480)
            return migrate.sync(one, history)
        finally:
            one.close()

    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(sync, others))
    newest = migrate.newest(history)
    assert sorted((str(one.before), one.after) for one in done) == sorted(
        [("None", newest), *[(newest, newest)] * (processes - 1)]
    )


def catalogue(database: Database, history: History) -> dict[str, Any]:
    """Return all the database knows of its tables, in comparable form."""
    inspector = sa.inspect(database.engine)
    tables = set(inspector.get_table_names()) - {f"alembic_version_{history}"}
    return {table: _table(inspector, table) for table in sorted(tables)}


def _table(inspector: sa.Inspector, table: str) -> dict[str, Any]:
    return {
        # Their order means nothing: a later revision adds its columns behind all others.
        "columns": {
            column["name"]: (repr(column["type"]), column["nullable"], column["default"], column.get("autoincrement"))
            for column in inspector.get_columns(table)
        },
        "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
        "foreign keys": sorted(
            (key["constrained_columns"], key["referred_table"], key["referred_columns"], sorted(key["options"].items()))
            for key in inspector.get_foreign_keys(table)
        ),
        "unique": sorted((str(one["name"]), one["column_names"]) for one in inspector.get_unique_constraints(table)),
        "indexes": sorted(
            (str(one["name"]), [str(name) for name in one["column_names"]], bool(one["unique"]))
            for one in inspector.get_indexes(table)
        ),
        "checks": sorted(one["sqltext"] for one in inspector.get_check_constraints(table)),
    }


def _differences(database: Database, history: History) -> list[Any]:
    """Return what alembic would write into the next migration."""
    with database.reader() as session:
        options = {"compare_type": True, "compare_server_default": True, "include_name": _is_ours}
        context = MigrationContext.configure(session.connection(), opts=options)
        found: list[Any] = compare_metadata(context, METADATA[history])
    return found


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    return not (kind == "table" and (name or "").startswith("alembic_version_"))

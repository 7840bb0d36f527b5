"""Databases with the tables of the models: in SQLite as copies of one that was made before, for they are many."""

import contextlib
import functools
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from nova_lite.db import migrate
from nova_lite.db.migrate import History
from nova_lite.storage import Database


def make_tables(database: Database, metadata: sa.MetaData) -> None:
    """Make the tables of ``metadata``, and no rows, in an empty database."""
    url = database.engine.url
    if url.get_backend_name() != "sqlite":
        metadata.create_all(database.engine)
        return
    database.close()
    assert url.database is not None
    Path(url.database).write_bytes(_made(metadata))


@functools.cache
def _made(metadata: sa.MetaData) -> bytes:
    """Return the file of a SQLite database with these tables."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "made.sqlite"
        made = Database(f"sqlite:///{path}")
        metadata.create_all(made.engine)
        made.close()
        return path.read_bytes()


def remember_histories(patch: pytest.MonkeyPatch) -> None:
    """Have an empty SQLite database get by one script what its whole history made of the first such database.

    That takes a twentieth of the time. Histories themselves are tried in ``tests/unit/db`` and ``tests/integration``.
    """
    upgrade = migrate._upgrade

    @functools.cache
    def script_of(history: History) -> tuple[str, ...]:
        with tempfile.TemporaryDirectory() as directory:
            made = Database(f"sqlite:///{directory}/made.sqlite")
            with contextlib.closing(made):
                with made.writer() as session:
                    upgrade(session.connection(), migrate._script(history), history, migrate.newest(history))
                with made.engine.connect() as connection:
                    lines = list(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
        return tuple(line for line in lines if line not in ("BEGIN TRANSACTION;", "COMMIT;"))

    def upgrade_or_copy(connection: sa.Connection, script: ScriptDirectory, history: History, target: str) -> None:
        is_empty = connection.dialect.name == "sqlite" and not sa.inspect(connection).get_table_names()
        if not is_empty or target != migrate.newest(history):
            upgrade(connection, script, history, target)
            return
        for line in script_of(history):
            connection.exec_driver_sql(line)

    patch.setattr(migrate, "_upgrade", upgrade_or_copy)

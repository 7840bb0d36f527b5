"""Databases that have the tables of a history, emptied and lent again: making the tables takes a second each time."""

import contextlib
import uuid as uuids
from collections.abc import Iterator

import sqlalchemy as sa

from nova_lite.db import migrate
from nova_lite.db.migrate import History
from nova_lite.storage import Database
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.postgresql import PostgreSQL

Server = MariaDB | PostgreSQL

#: No statement waits long for what a test left open.
_PATIENCE = {
    "mysql": ("SET foreign_key_checks = 0", "SET lock_wait_timeout = 5"),
    "postgresql": ("SET lock_timeout = '5s'",),
}


class Stock:
    """The databases of one session that are not lent, by server and history."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, History], list[str]] = {}

    @contextlib.contextmanager
    def lent(self, server: Server, history: History) -> Iterator[str]:
        """Yield the URL of a database as a first sync leaves it; nobody else has it meanwhile."""
        free = self._free.setdefault((server.driver, history), [])
        name = free.pop() if free else _made(server, history)
        try:
            yield server.url(name)
        finally:
            if _emptied(server.url(name)):
                free.append(name)
            else:
                server.drop([name])


def _made(server: Server, history: History) -> str:
    name = f"nl_{uuids.uuid4().hex[:12]}"
    server.create([name])
    with contextlib.closing(Database(server.url(name))) as database:
        migrate.sync(database, history)
    return name


def _emptied(url: str) -> bool:
    """Empty the tables but the version's, so that nothing tells them from new ones; return whether that went well."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            for statement in _PATIENCE[engine.name]:
                connection.exec_driver_sql(statement)
            names = sa.inspect(connection).get_table_names()
            tables = [name for name in names if not name.startswith("alembic_version")]
            looks = " UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in tables)
            filled = list(connection.exec_driver_sql(looks).scalars())
            if engine.name == "postgresql" and filled:
                connection.exec_driver_sql(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
            if engine.name == "mysql":
                for name in filled:
                    connection.exec_driver_sql(f"TRUNCATE {name}")
    except sa.exc.SQLAlchemyError:
        return False
    finally:
        engine.dispose()
    return True

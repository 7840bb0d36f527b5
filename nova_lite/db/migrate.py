"""Brings a database to a version of its history: ``api``, ``cell`` or ``placement``, under ``migrations/``.

A sync may be started by any number of processes at once: one does the work, the others wait for it and find it done.
"""

import contextlib
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.storage import Database

History = Literal["api", "cell", "placement"]

#: How operators call the database of each history, and the command that syncs it.
TITLES: dict[str, str] = {"api": "API database", "cell": "cell database", "placement": "Placement database"}
COMMANDS: dict[str, str] = {"api": "api_db sync", "cell": "db sync", "placement": "placement_db sync"}

#: Each history keeps its version in a table of its own name, so that a database cannot be taken for another's.
_VERSION_TABLE = "alembic_version_"
#: Seconds to wait for another sync; below the database driver's own patience.
_LOCK_TIMEOUT_S = 50
#: alembic keeps the migration under way in a module: one at a time in a process.
_ALEMBIC = threading.Lock()


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync did: the version found (None: an empty database) and the version it is now."""

    before: str | None
    after: str

    @property
    def is_changed(self) -> bool:
        return self.before != self.after


def sync(database: Database, history: History, version: str | None = None) -> Synced:
    """Bring ``database`` to ``version`` of ``history``, by default the newest; done twice is done once.

    Raises Invalid for a version that is unknown or older than the database's, Conflict when the database belongs to
    another history or was left half-made, Unavailable when it does not answer.
    """
    script = _script(history)
    target = _checked_version(script, version)
    with database.writer() as session, _locked(session, history):
        connection = session.connection()
        before = _current(connection, history)
        if before is None:
            _clear_cut_off(connection, history)
            _refuse_strangers(connection, history)
        else:
            _refuse_going_back(script, before, target)
        if before != target:
            _upgrade(connection, script, history, target)
        session.commit()
    return Synced(before, target)


def version(database: Database, history: History) -> str | None:
    """Return the version ``database`` is at; None when it was never synced."""
    with database.reader() as session:
        return _current(session.connection(), history)


def newest(history: History) -> str:
    """Return the newest version this release knows."""
    head = _script(history).get_current_head()
    if head is None:
        raise errors.Misconfigured(f"The {history} history holds no version; the installation is incomplete.")
    return head


def require(database: Database, history: History) -> None:
    """Raise Misconfigured, saying what to run, unless ``database`` is at the newest version."""
    found = version(database, history)
    if found != newest(history):
        state = "has no tables yet" if found is None else f"is at version {found}, this release needs {newest(history)}"
        raise errors.Misconfigured(f"The {TITLES[history]} {state}; run: nova-lite-manage {COMMANDS[history]}")


def _script(history: History) -> ScriptDirectory:
    folder = resources.files("nova_lite") / "migrations" / history
    return ScriptDirectory(str(folder))


def _checked_version(script: ScriptDirectory, wanted: str | None) -> str:
    known = [revision.revision for revision in script.walk_revisions()]
    target = wanted or next(iter(known), None)
    if target not in known:
        raise errors.Invalid(f"There is no version {wanted}; known are: {', '.join(reversed(known))}")
    return target


def _current(connection: sa.Connection, history: History) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": _VERSION_TABLE + history})
    return context.get_current_revision()


def _clear_cut_off(connection: sa.Connection, history: History) -> None:
    """Drop what a first sync that was cut off left behind, where creating a table cannot be rolled back (MySQL).

    Its mark is our version table without a version. A table with rows is no such leftover: then nothing is dropped.
    """
    found = sa.MetaData()
    found.reflect(connection)
    if _VERSION_TABLE + history not in found.tables:
        return
    if all(
        connection.execute(sa.select(1).select_from(table).limit(1)).first() is None for table in found.sorted_tables
    ):
        found.drop_all(connection)


def _refuse_strangers(connection: sa.Connection, history: History) -> None:
    """Raise Conflict when an unversioned database is not empty of what a history makes."""
    tables = set(sa.inspect(connection).get_table_names())
    for other, title in TITLES.items():
        if _VERSION_TABLE + other in tables and other != history:
            raise errors.Conflict(
                f"This database is the {title} already; the {TITLES[history]} needs one of its own. "
                "Check the connection in the configuration."
            )
    if tables - {_VERSION_TABLE + history}:
        raise errors.Conflict(
            f"This database holds tables but no version of the {TITLES[history]}: an earlier sync was cut off, or they "
            "belong to something else. Make it empty, or name another database in the configuration."
        )


def _refuse_going_back(script: ScriptDirectory, before: str, target: str) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    if before not in known:
        raise errors.Invalid(f"The database is at version {before}, which a newer release made.")
    older = {revision.revision for revision in script.iterate_revisions(before, "base")} - {before}
    if target in older:
        raise errors.Invalid(f"The database is at version {before} already; it cannot go back to {target}.")


def _upgrade(connection: sa.Connection, script: ScriptDirectory, history: History, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", script.dir.replace("%", "%%"))
    config.attributes["connection"] = connection

    def steps(current: object, context: MigrationContext) -> list[object]:
        return list(script._upgrade_revs(target, current))  # type: ignore[arg-type]

    with _ALEMBIC, EnvironmentContext(config, script, fn=steps, version_table=_VERSION_TABLE + history):
        script.run_env()


@contextlib.contextmanager
def _locked(session: Session, history: History) -> Iterator[None]:
    """Let one sync of this database run at a time. SQLite's writer holds its lock already."""
    backend = session.get_bind().dialect.name
    if backend == "postgresql":
        session.execute(sa.text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
        session.execute(sa.text("SET LOCAL statement_timeout = 0"))  # a new index of a large table takes its time
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(zlib.crc32(f"nova_lite {history}".encode()))))
        yield
    elif backend in ("mysql", "mariadb"):
        name = sa.func.concat(sa.func.left(sa.func.database(), 40), f" nova_lite {history}")
        # The lock is its connection's, and the session gives its own back to the pool when it commits.
        with session.get_bind().engine.connect() as keeper:
            if keeper.scalar(sa.select(sa.func.get_lock(name, _LOCK_TIMEOUT_S))) != 1:
                raise errors.Unavailable("Another sync of this database does not end.")
            try:
                yield
            finally:
                keeper.scalar(sa.select(sa.func.release_lock(name)))
    else:
        yield

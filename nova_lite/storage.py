"""Databases: engines, ``reader()`` and ``writer()``, retry on deadlock, the database's own clock.

What the rows mean lives in ``db/`` and ``placement/``. An engine is made on first use, never at import,
so that a WSGI server may fork after loading the application.
"""

import contextlib
import functools
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from nova_lite import errors

P = ParamSpec("P")
T = TypeVar("T")

#: Driver error numbers that mean "run the transaction again": MySQL deadlock and lock wait timeout.
_MYSQL_RETRY = {1205, 1213, 1020}
#: PostgreSQL SQLSTATEs: serialization failure, deadlock detected.
_POSTGRESQL_RETRY = {"40001", "40P01"}
#: Attempts at one transaction before the conflict is reported.
_MAX_ATTEMPTS = 12
#: Attempts at switching a new SQLite file to its write-ahead log, a hundredth of a second apart.
_MAX_SWITCHES = 500


class epoch_now(  # noqa: N801 - it reads as the SQL function it is.
    FunctionElement[float]
):
    """SQL expression: the database server's clock as seconds since 1970, with fractions.

    Leases and heartbeats are compared by this one clock, so that hosts with skewed clocks agree.
    """

    type = sa.Double()
    inherit_cache = True


@compiles(epoch_now, "sqlite")
def _epoch_sqlite(element: epoch_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(epoch_now, "mysql")
@compiles(epoch_now, "mariadb")
def _epoch_mysql(element: epoch_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "(UNIX_TIMESTAMP(NOW(6)) + 0e0)"


@compiles(epoch_now, "postgresql")
def _epoch_postgresql(element: epoch_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


def checked_url(connection: str) -> URL:
    """Return ``connection`` parsed; raises Misconfigured when it is no database URL."""
    try:
        url = make_url(connection)
        url.get_dialect().import_dbapi()
    except (NoSuchModuleError, ImportError) as exc:
        raise errors.Misconfigured(f"The driver a database connection URL names is not installed: {exc}") from exc
    except (ArgumentError, ValueError) as exc:
        raise errors.Misconfigured("This is no database URL (dialect+driver://user:password@host/name).") from exc
    return url


class Database:
    """One database: opens its engine on first use, again after a fork, and hands out transactions.

    ``reader()`` and ``writer()`` yield a Session whose block is one transaction. A lost connection, a deadlock or
    a refused connect surfaces as Unavailable; ``retried`` runs a whole function again for those that pass at once.
    """

    def __init__(self, connection: str, *, pool_size: int = 10, connect_timeout_s: float = 5.0) -> None:
        self.url = checked_url(connection)
        self._pool_size = pool_size
        self._connect_timeout_s = connect_timeout_s
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pid = 0

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def engine(self) -> Engine:
        if self._engine is None or self._pid != os.getpid():
            with self._lock:
                if self._engine is None or self._pid != os.getpid():
                    self._engine = self._new_engine()
                    self._pid = os.getpid()
        return self._engine

    def _new_engine(self) -> Engine:
        if self.is_sqlite:
            engine = sa.create_engine(
                self.url,
                hide_parameters=True,  # rows hold secrets, and errors are logged
                connect_args={"timeout": 30, "check_same_thread": False},
                pool_size=self._pool_size,
                max_overflow=40,
            )
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        args: dict[str, object] = {"connect_timeout": max(1, int(self._connect_timeout_s))}
        options: dict[str, Any] = {}
        if self.url.get_backend_name() in ("mysql", "mariadb"):
            args |= {"charset": "utf8mb4", "read_timeout": 60, "write_timeout": 60}
            # Writers lock the rows they count on; under REPEATABLE READ each would see its first snapshot instead.
            options["isolation_level"] = "READ COMMITTED"
        return sa.create_engine(
            self.url,
            hide_parameters=True,
            connect_args=args,
            pool_size=self._pool_size,
            max_overflow=40,
            pool_timeout=10,
            pool_recycle=1800,
            pool_pre_ping=True,
            **options,
        )

    @contextlib.contextmanager
    def reader(self) -> Iterator[Session]:
        """Yield a Session for reads; nothing it does is kept."""
        with _translated(), Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextlib.contextmanager
    def writer(self) -> Iterator[Session]:
        """Yield a Session inside one transaction, committed when the block ends well, else rolled back."""
        with _translated(), Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"nova_lite_write": True})
            yield session
            session.commit()

    def ping(self) -> float:
        """Return the database's clock in seconds since 1970; raises Unavailable when it does not answer."""
        with self.reader() as session:
            return float(session.execute(sa.select(epoch_now())).scalar_one())

    def close(self) -> None:
        """Close every pooled connection."""
        with self._lock:
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()
            self._engine = None


def _tune_sqlite(connection: Any, record: object) -> None:
    """Prepare a fresh SQLite connection: write-ahead log, foreign keys, our own BEGIN."""
    connection.isolation_level = None
    cursor = connection.cursor()
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA case_sensitive_like=ON")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Switch to the write-ahead log. On a new file SQLite refuses a second connection that does so, without waiting."""
    for _ in range(_MAX_SWITCHES):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as exc:
            if "database is locked" not in str(exc):
                raise
            time.sleep(0.01)
    raise sqlite3.OperationalError("database is locked")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin writers with the write lock in hand: SQLite cannot upgrade a read transaction safely."""
    is_writer = connection.get_execution_options().get("nova_lite_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn driver errors that pass (lost connection, deadlock, pool exhausted) into Unavailable."""
    try:
        yield
    except (OperationalError, InterfaceError) as exc:
        raise errors.Unavailable("The database does not answer.", cause=str(exc.orig)) from exc
    except sa.exc.TimeoutError as exc:
        raise errors.Unavailable("The database has no connection left.", cause=str(exc)) from exc
    except DBAPIError as exc:
        if exc.connection_invalidated or is_retryable(exc):
            raise errors.Unavailable("The database does not answer.", cause=str(exc.orig)) from exc
        raise


def is_retryable(exc: BaseException) -> bool:
    """Return whether ``exc`` is a deadlock, a serialization failure or a busy SQLite file."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, DBAPIError):
            orig: Any = cause.orig
            if getattr(orig, "sqlstate", None) in _POSTGRESQL_RETRY:
                return True
            args = getattr(orig, "args", ())
            if args and args[0] in _MYSQL_RETRY:
                return True
            if "database is locked" in str(orig):
                return True
        cause = cause.__cause__
    return False


def retried(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that is one whole transaction: run it again when it fell victim to a deadlock.

    Only what the transaction itself undoes may happen inside. Bounded; the last failure is raised as it is.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, _MAX_ATTEMPTS):
            try:
                return function(*args, **kwargs)
            except errors.Unavailable as exc:
                if not is_retryable(exc):
                    raise
                time.sleep(random.uniform(0, 0.004 * 2 ** min(attempt, 6)))
        return function(*args, **kwargs)

    return run

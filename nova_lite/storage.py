"""Databases: engines, ``reader()`` and ``writer()``, retry on deadlock, the database's own clock.

What the rows mean lives in ``db/`` and ``placement/``. An engine is made on first use, never at import,
so that a WSGI server may fork after loading the application.

Connections are in the driver's autocommit mode: whoever writes begins a transaction, whoever only reads needs none,
and so a read costs one message there and back.
"""

import contextlib
import functools
import json
import os
import random
import select
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import orjson
import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    StatementError,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from nova_lite import errors

P = ParamSpec("P")
T = TypeVar("T")
#: What repositories execute their statements on.
Handle = sa.Connection | Session

#: Driver error numbers that mean "run the transaction again": MySQL deadlock, lock wait timeout, row changed since.
_MYSQL_RETRY = {1205, 1213, 1020}
#: PostgreSQL SQLSTATEs: serialization failure, deadlock detected, lock wait timeout.
_POSTGRESQL_RETRY = {"40001", "40P01", "55P03"}
#: Where it is no OperationalError that there is no such table or column: SQLSTATEs of PostgreSQL, MySQL's error.
_UNKNOWN = frozenset({"42P01", "42703", 1146})
#: MySQL's errors that no other time will mend, though drivers take them for operational ones: a row too large for its
#: table, text that is not in the column's character set or cannot be made so, invalid JSON.
_MYSQL_REFUSED = frozenset({1118, 1366, 3140, 3988})
#: Attempts at one transaction before the conflict is reported.
_MAX_ATTEMPTS = 25
#: No attempt begins later than this after the first.
_PATIENCE_S = 30.0
#: How long a statement waits for a row that another transaction has locked.
_LOCK_WAIT_S = 10
#: How long a server may say nothing to a statement, because it works on it, hangs or is gone without a word.
_SILENT_S = 60
#: What libpq has for that: questions whether the other side is there, and milliseconds without its word.
_SILENCE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
#: A pooled connection that was used this short a time ago is not asked whether it still lives.
_TRUSTED_S = 5.0
#: Execution option of statements whose answer nobody looks at.
_UNANSWERED = "nova_lite_unanswered"
#: Execution option: what a connection is for. READ and GLANCE read by single statements (SQLite: READ at one moment),
#: STILL reads at one moment everywhere; ANY is whatever its user begins.
_PURPOSE = "nova_lite_purpose"
_READ, _GLANCE, _STILL, _WRITE, _ANY = "read", "glance", "still", "write", ""
#: In what is noted about a pooled connection: the statements by which its transactions begin until it is returned.
_BEGIN = "nova_lite_begin"
#: How a transaction that sees one moment begins on each server.
_BEGIN_STILL = {
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
}
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


#: Made once, for it is asked often.
_NOW = sa.select(epoch_now())


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


class TryAgain(errors.Unavailable):
    """What a transaction had found was changed under its feet: it is undone, and may well succeed when run again."""


class LostCommit(errors.Unavailable):
    """The connection died while committing: the transaction may have happened or not."""


class Database:
    """One database: opens its engine on first use, again after a fork, and hands out transactions.

    ``reader()`` and ``writer()`` yield a Session, ``reading()`` and ``writing()`` a plain Connection, which is cheaper.
    A block that writes is one transaction. A lost connection, a deadlock or a refused connect surfaces as Unavailable;
    ``retried`` runs a whole function again for those that pass at once.
    """

    def __init__(self, connection: str, *, pool_size: int = 10, connect_timeout_s: float = 5.0) -> None:
        self.url = checked_url(connection)
        self._pool_size = pool_size
        self._connect_timeout_s = connect_timeout_s
        self._lock = threading.Lock()
        #: Purpose → engine; all share one pool, and differ in how their connections begin.
        self._engines: dict[str, Engine] = {}
        self._pid = 0
        #: How many times transactions were run again.
        self.retries = 0

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def engine(self) -> Engine:
        return self._engine_to(_ANY)

    def _engine_to(self, purpose: str) -> Engine:
        if not self._engines or self._pid != os.getpid():
            with self._lock:
                if not self._engines or self._pid != os.getpid():
                    engine = self._new_engine()
                    chosen = (_READ, _GLANCE, _STILL, _WRITE)
                    purposes = {name: engine.execution_options(**{_PURPOSE: name}) for name in chosen}
                    # Of all engines this one alone: who listens to one makes each of its statements dearer.
                    if not self.is_sqlite:
                        event.listen(purposes[_READ], "begin", _begin_nothing)
                    self._engines = {_ANY: engine, **purposes}
                    self._pid = os.getpid()
        return self._engines[purpose]

    def _new_engine(self) -> Engine:
        options: dict[str, Any] = {
            "hide_parameters": True,  # rows hold secrets, and errors are logged
            "pool_size": self._pool_size,
            "max_overflow": 40,
            "json_serializer": _to_json,
            "json_deserializer": orjson.loads,
        }
        if self.is_sqlite:
            args: dict[str, object] = {"timeout": 30, "check_same_thread": False}
            engine = sa.create_engine(self.url, connect_args=args, **options)
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        args = {"autocommit": True, "connect_timeout": max(1, int(self._connect_timeout_s))}
        if self.url.get_backend_name() in ("mysql", "mariadb"):
            args |= {"charset": "utf8mb4", "read_timeout": _SILENT_S, "write_timeout": _SILENT_S}
        else:
            args |= _SILENCE
        engine = sa.create_engine(self.url, connect_args=args, pool_timeout=10, pool_recycle=1800, **options)
        if engine.driver == "pymysql":
            from nova_lite import mysql_driver  # noqa: PLC0415 - loads PyMySQL, which may not be there

            mysql_driver.adapt(engine, unanswered=_UNANSWERED)
        event.listen(engine, "connect", _tune_mysql if "read_timeout" in args else _tune_postgresql)
        event.listen(engine, "checkout", _PulseCheck(engine))
        event.listen(engine, "checkin", _note_return)
        _begin_by_driver(engine)
        return engine

    @contextlib.contextmanager
    def reader(self) -> Iterator[Session]:
        """Yield a Session for reads; nothing it does is kept."""
        with _translated(), Session(self._engine_to(_READ), expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a Connection for reads of which each sees its own moment."""
        with _translated(), self._engine_to(_GLANCE).connect() as connection:
            connection.connection.info[_BEGIN] = ()
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Yield a Connection for reads that all see one moment: that of the first."""
        with _translated(), self._engine_to(_STILL).connect() as connection:
            kind = "postgresql" if connection.dialect.name == "postgresql" else "mysql"
            connection.connection.info[_BEGIN] = _BEGIN_STILL[kind]  # SQLite looks at what is above
            yield connection

    @contextlib.contextmanager
    def writer(self) -> Iterator[Session]:
        """Yield a Session inside one transaction, committed when the block ends well, else rolled back."""
        with _translated(), Session(self._engine_to(_WRITE), expire_on_commit=False) as session:
            session.connection()
            yield session
            _commit(session)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a Connection inside one transaction, committed when the block ends well, else rolled back."""
        with _translated(), self._engine_to(_WRITE).connect() as connection:
            connection.begin()
            yield connection
            _commit(connection)

    def write_one(self, statement: sa.Update, values: Mapping[str, object]) -> int:
        """Run one statement that is a transaction by itself, return how many rows it changed.

        That is a third of the messages of a ``writing`` block. Raises LostCommit when the connection dies meanwhile.
        """
        with self.reading() as connection:
            try:
                return connection.execute(statement, values).rowcount
            except DBAPIError as exc:
                if exc.connection_invalidated:
                    raise LostCommit("The database does not answer.", cause=str(exc.orig)) from exc
                raise

    def ping(self) -> float:
        """Return the database's clock in seconds since 1970; raises Unavailable when it does not answer."""
        with self.reading() as connection:
            return float(connection.execute(_NOW).scalar_one())

    def note_retries(self, number: int) -> None:
        """Count transactions that were run again."""
        with self._lock:
            self.retries += number

    def close(self) -> None:
        """Close every pooled connection."""
        with self._lock:
            if self._engines and self._pid == os.getpid():
                self._engines[_ANY].dispose()
            self._engines = {}


def unanswered(statement: sa.Insert) -> sa.Insert:
    """Return ``statement`` as one whose answer nobody looks at: what is wrong with it may be raised by a later one.

    With MySQL it is sent with the next statement of its transaction, or with the commit.
    """
    return statement.execution_options(**{_UNANSWERED: True})


# -- connections


def configured(conf: cfg.ConfigOpts, group: str) -> Database:
    """Return the database that the options in ``[group]`` name; raises Misconfigured when they name none."""
    settings = conf[group]
    if not settings.connection:
        raise errors.Misconfigured(f"[{group}] connection: missing")
    return Database(settings.connection, pool_size=settings.max_pool_size)


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
    purpose = connection.get_execution_options().get(_PURPOSE)
    if purpose != _GLANCE:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if purpose == _WRITE else "BEGIN")


def _tune_mysql(connection: Any, record: object) -> None:
    """Prepare a fresh MySQL or MariaDB connection.

    Writers lock the rows they count on; under REPEATABLE READ each would see its first snapshot instead.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # MySQL would cut collected strings (sa.aggregate_strings) at 1024 bytes.
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_WAIT_S}, group_concat_max_len = 16777216")


def _tune_postgresql(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION lock_timeout = '{_LOCK_WAIT_S}s'")
        cursor.execute(f"SET SESSION statement_timeout = '{_SILENT_S}s'")


def _begin_nothing(connection: sa.Connection) -> None:
    """Have what a session only reads be no transaction: each statement is one by itself."""
    connection.connection.info[_BEGIN] = ()


def _begin_by_driver(engine: Engine) -> None:
    """Begin transactions by the driver alone: as statements of SQLAlchemy's that would cost thrice as much.

    Where the driver can, a transaction begins with its first statement, by the same message.
    """

    def begin(connection: Any) -> None:
        statements = connection.info.get(_BEGIN, ("BEGIN",))
        if hasattr(connection, "later"):
            for statement in statements:
                connection.later(statement)
        elif statements:
            with contextlib.closing(connection.cursor()) as cursor:
                for statement in statements:
                    cursor.execute(statement)

    engine.dialect.do_begin = begin  # type: ignore[assignment, method-assign]


def _to_json(value: object) -> str:
    """Return ``value`` as JSON, quickly; what only the standard library knows how to write it writes, or refuses."""
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        return json.dumps(value)


class _PulseCheck:
    """Sees to it that a pooled connection lives before it is used again, without a message where that can be told.

    A server that was stopped or killed has closed its side, which the kernel knows; it also says so where a server
    has sent a last word. Only then, or after a longer rest, is the server asked.
    """

    def __init__(self, engine: Engine) -> None:
        self._dialect = engine.dialect

    def __call__(self, connection: Any, record: Any, proxy: object) -> None:
        returned_at = record.info.get("returned_at")
        if returned_at is None or (time.monotonic() - returned_at < _TRUSTED_S and not _has_news(connection)):
            return
        try:
            self._dialect.do_ping(connection)
        except self._dialect.loaded_dbapi.Error as exc:
            raise sa.exc.InvalidatePoolError from exc


def _note_return(connection: object, record: Any) -> None:
    record.info["returned_at"] = time.monotonic()
    record.info.pop(_BEGIN, None)


def _has_news(connection: Any) -> bool:
    """Return whether the server has closed an idle connection or sent something on it; True where nobody can tell."""
    channel = getattr(connection, "_sock", connection)
    if not hasattr(select, "poll") or not hasattr(channel, "fileno"):  # eventlet takes poll away
        return True
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    return bool(poll.poll(0))


# -- errors


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn driver errors that pass (lost connection, deadlock, pool exhausted) into Unavailable."""
    try:
        yield
    except (OperationalError, InterfaceError) as exc:
        if _MYSQL_REFUSED & set(getattr(exc.orig, "args", ())[:1]):
            raise
        raise errors.Unavailable("The database does not answer.", cause=str(exc.orig)) from exc
    except sa.exc.TimeoutError as exc:
        raise errors.Unavailable("The database has no connection left.", cause=str(exc)) from exc
    except DBAPIError as exc:
        if exc.connection_invalidated or is_retryable(exc):
            raise errors.Unavailable("The database does not answer.", cause=str(exc.orig)) from exc
        if _UNKNOWN & {getattr(exc.orig, "sqlstate", None), *getattr(exc.orig, "args", ())[:1]}:
            raise errors.Unavailable("The database has other tables than this release.", cause=str(exc.orig)) from exc
        raise


def _commit(handle: Handle) -> None:
    """Commit; raises LostCommit when the connection dies meanwhile. None whose commit failed is used again."""
    try:
        handle.commit()
    except DBAPIError as exc:
        handle.invalidate()
        if exc.connection_invalidated:
            raise LostCommit("The database does not answer.", cause=str(exc.orig)) from exc
        raise


def is_retryable(exc: BaseException) -> bool:
    """Return whether a transaction that ended in ``exc`` may be run again: nothing of it was kept.

    So it is after a deadlock, a serialization failure, a busy SQLite file, TryAgain, and when the connection died
    before the commit was sent: there may be another.
    """
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, LostCommit):
            return False
        if isinstance(cause, TryAgain) or getattr(cause, "connection_invalidated", False):
            return True
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


def refusal(exc: BaseException) -> str | None:
    """Return in the database's words why it refused a statement for good; None for what is no such error.

    Nothing of that transaction was kept, and no other try will be.
    """
    if not isinstance(exc, StatementError) or is_retryable(exc):
        return None
    lines = str(exc.orig or exc).splitlines()  # further lines may quote the row
    return lines[0] if lines else type(exc).__name__


def retried(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that is one whole transaction: run it again when it fell victim to a deadlock.

    Only what the transaction itself undoes may happen inside. Bounded; the last failure is raised as it is.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.monotonic()
        for attempt in range(1, _MAX_ATTEMPTS):
            try:
                return function(*args, **kwargs)
            except errors.Unavailable as exc:
                if not is_retryable(exc) or time.monotonic() - began > _PATIENCE_S:
                    raise
                time.sleep(random.uniform(0, 0.004 * 2 ** min(attempt, 6)))
        return function(*args, **kwargs)

    return run

"""Databases: transactions, the errors that pass, the clock, forks. Real servers: ``tests/integration``."""

import json
import os
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pymysql import converters  # type: ignore[import-untyped]
from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]
from pymysql.protocol import FieldDescriptorPacket  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, OperationalError

from nova_lite import errors, mysql_driver, storage
from nova_lite.storage import Database, checked_url, is_retryable, retried

TABLE = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String(9)))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'notes.sqlite'}")
    TABLE.metadata.create_all(database.engine)
    yield database
    database.close()


def _texts(db: Database) -> list[str]:
    with db.reader() as session:
        return list(session.scalars(sa.select(TABLE.c.text).order_by(TABLE.c.id)))


def _add(db: Database, text: str) -> None:
    with db.writer() as session:
        session.execute(sa.insert(TABLE).values(text=text))


def test_a_writer_keeps_all_or_nothing(db: Database) -> None:
    _add(db, "kept")

    def fail() -> None:
        with db.writer() as session:
            session.execute(sa.insert(TABLE).values(text="lost"))
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fail()
    assert _texts(db) == ["kept"]


def test_a_reader_keeps_nothing_and_sees_one_moment(db: Database) -> None:
    with db.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0
        _add(db, "later")
        assert session.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0
    assert _texts(db) == ["later"]


def test_writers_wait_for_each_other(db: Database) -> None:
    """Each counts and inserts: without the lock in hand from the beginning two would count the same."""

    def count_and_add() -> None:
        with db.writer() as session:
            count = session.scalar(sa.select(sa.func.count()).select_from(TABLE))
            time.sleep(0.001)
            session.execute(sa.insert(TABLE).values(text=str(count)))

    threads = [threading.Thread(target=count_and_add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(480)
    assert _texts(db) == [str(number) for number in range(8)]


def test_plain_connections_keep_the_same_promises(db: Database) -> None:
    with db.writing() as connection:
        connection.execute(sa.insert(TABLE).values(text="kept"))

    def fail() -> None:
        with db.writing() as connection:
            connection.execute(sa.insert(TABLE).values(text="lost"))
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fail()
    with db.reading() as connection:
        assert connection.scalars(sa.select(TABLE.c.text)).all() == ["kept"]
        _add(db, "later")
        assert connection.scalars(sa.select(TABLE.c.text)).all() == ["kept", "later"]


def test_a_snapshot_sees_one_moment(db: Database) -> None:
    with db.snapshot() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0
        _add(db, "later")
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0


def test_a_writer_that_was_rolled_back_inside_keeps_nothing(db: Database) -> None:
    def fail() -> None:
        with db.writing() as connection:
            connection.execute(sa.insert(TABLE).values(text="lost"))
            connection.rollback()
            assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0
            raise errors.Conflict("no")

    with pytest.raises(errors.Conflict):
        fail()
    assert _texts(db) == []


def test_a_table_that_is_not_there_is_a_database_that_does_not_answer(db: Database) -> None:
    with pytest.raises(errors.Unavailable), db.reader() as session:
        session.execute(sa.text("SELECT * FROM nowhere"))


def test_a_broken_rule_is_our_own_bug_and_no_outage(db: Database) -> None:
    def add_twice() -> None:
        with db.writer() as session:
            session.execute(sa.insert(TABLE).values([{"id": 1, "text": "a"}, {"id": 1, "text": "b"}]))

    with pytest.raises(sa.exc.IntegrityError):
        add_twice()


def test_the_clock_has_fractions_and_runs(db: Database) -> None:
    readings = [db.ping() for _ in range(20)]
    assert readings == sorted(readings)
    assert abs(readings[-1] - time.time()) < 60
    assert any(reading != int(reading) for reading in readings)


def test_a_closed_database_opens_again(db: Database) -> None:
    _add(db, "a")
    db.close()
    assert _texts(db) == ["a"]


def test_a_forked_child_gets_connections_of_its_own(db: Database, tmp_path: Path) -> None:
    _add(db, "parent")
    before = db.engine
    child = os.fork()
    if child == 0:  # pragma: no cover - the child
        try:
            assert db.engine is not before
            _add(db, "child")
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert db.engine is before
    assert _texts(db) == ["parent", "child"]


@pytest.mark.parametrize("url", ["", "nonsense", "no-such-dialect://host/db", "mysql+nosuchdriver://host/db"])
def test_bad_urls_are_told_without_repeating_them(url: str) -> None:
    with pytest.raises(errors.Misconfigured) as told:
        checked_url(url)
    assert "host/db" not in told.value.message


class _Driver(Exception):
    """A driver's own error, with what we look at."""

    def __init__(self, *args: object, sqlstate: str | None = None) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("orig", "may_retry"),
    [
        pytest.param(_Driver(1213, "Deadlock found"), True, id="MySQL deadlock"),
        pytest.param(_Driver(1205, "Lock wait timeout"), True, id="MySQL lock wait"),
        pytest.param(_Driver(1062, "Duplicate entry"), False, id="MySQL duplicate"),
        pytest.param(_Driver("x", sqlstate="40P01"), True, id="PostgreSQL deadlock"),
        pytest.param(_Driver("x", sqlstate="40001"), True, id="PostgreSQL serialization"),
        pytest.param(_Driver("x", sqlstate="23505"), False, id="PostgreSQL duplicate"),
        pytest.param(_Driver("database is locked"), True, id="SQLite busy"),
        pytest.param(_Driver(2006, "server has gone away"), False, id="MySQL gone"),
    ],
)
def test_what_is_tried_again_at_once(orig: Exception, may_retry: bool) -> None:
    assert is_retryable(DBAPIError("statement", None, orig)) is may_retry
    outer = errors.Unavailable("The database does not answer.")
    outer.__cause__ = DBAPIError("statement", None, orig)
    assert is_retryable(outer) is may_retry


def test_what_died_before_its_commit_runs_again_but_not_what_died_in_it() -> None:
    gone = OperationalError("statement", None, _Driver(2006, "server has gone away"), connection_invalidated=True)
    died = errors.Unavailable("The database does not answer.")
    died.__cause__ = gone
    assert is_retryable(died)
    unknown = storage.LostCommit("The database does not answer.")
    unknown.__cause__ = gone
    assert not is_retryable(unknown)
    assert is_retryable(storage.TryAgain("A row was deleted."))


def test_a_commit_that_fails_with_its_connection_is_a_lost_one(db: Database) -> None:
    """Here the connection's fate is told by the error; real servers: ``tests/integration/test_placement_writes.py``."""

    def die(connection: sa.Connection) -> None:
        raise OperationalError("COMMIT", None, _Driver(2013, "Lost connection"), connection_invalidated=True)

    def write() -> None:
        with db.writing() as connection:
            connection.execute(sa.insert(TABLE).values(text="lost"))

    sa.event.listen(db.engine, "commit", die)
    with pytest.raises(storage.LostCommit):
        write()
    sa.event.remove(db.engine, "commit", die)
    assert _texts(db) == []


def test_one_statement_is_a_transaction_by_itself(db: Database) -> None:
    with db.writing() as connection:
        connection.execute(sa.insert(TABLE), [{"text": "one"}, {"text": "two"}])
    renaming = sa.update(TABLE).where(TABLE.c.text == sa.bindparam("old"))
    assert db.write_one(renaming, {"old": "one", "text": "three"}) == 1
    assert db.write_one(renaming, {"old": "one", "text": "four"}) == 0
    assert sorted(_texts(db)) == ["three", "two"]


def test_one_statement_that_fails_with_its_connection_is_a_lost_commit(db: Database) -> None:
    def die(*args: object) -> None:
        raise OperationalError("UPDATE", None, _Driver(2013, "Lost connection"), connection_invalidated=True)

    sa.event.listen(db.engine, "before_cursor_execute", die)
    with pytest.raises(storage.LostCommit):
        db.write_one(sa.update(TABLE), {"text": "lost"})
    sa.event.remove(db.engine, "before_cursor_execute", die)


def _victim(times: int, orig: Exception) -> tuple[list[int], object]:
    """Return the list of calls, and a retried function that fails ``times`` times."""
    calls: list[int] = []

    @retried
    def run() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            with storage._translated():
                raise OperationalError("statement", None, orig)
        return "done"

    return calls, run


def test_a_victim_of_a_deadlock_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    calls, run = _victim(3, _Driver(1213, "Deadlock found"))
    assert run() == "done"  # type: ignore[operator]
    assert len(calls) == 4


def test_retries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    calls, run = _victim(1000, _Driver(1213, "Deadlock found"))
    with pytest.raises(errors.Unavailable):
        run()  # type: ignore[operator]
    assert len(calls) == storage._MAX_ATTEMPTS


def test_an_outage_is_not_tried_again_here() -> None:
    calls, run = _victim(1000, _Driver(2006, "server has gone away"))
    with pytest.raises(errors.Unavailable):
        run()  # type: ignore[operator]
    assert len(calls) == 1


def test_values_of_a_failed_statement_are_not_in_its_error(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(sa.exc.OperationalError) as caught, database.engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:value)"), {"value": "a secret"})
    database.close()
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-11-21 09:10:11.000012", id="microseconds"),
        pytest.param("2026-11-21 09:10:11", id="seconds"),
        pytest.param("2026-11-21 09:10:11.5", id="tenths"),
        pytest.param("0000-00-00 00:00:00", id="no time at all"),
    ],
)
def test_times_of_mysql_are_read_as_its_driver_reads_them(text: str) -> None:
    quicker = mysql_driver._conversions()
    for kind in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        assert quicker[kind](text) == converters.conversions[kind](text)
    assert quicker.keys() == converters.conversions.keys()


def test_connections_to_mysql_share_one_tls_context_without_certificates() -> None:
    """PyMySQL would read all that the system trusts for each, to check nobody by it."""
    one, other = (mysql_driver._Connection(host="nowhere", defer_connect=True) for _ in range(2))
    assert one.ctx is other.ctx
    assert (one.ssl, one._ssl_required) == (True, False)
    assert (one.ctx.verify_mode, one.ctx.check_hostname) == (ssl.CERT_NONE, False)
    assert one.ctx.cert_store_stats()["x509"] == 0


def test_servers_of_mysql_are_checked_where_an_operator_wants_it() -> None:
    found = mysql_driver._Connection(host="nowhere", defer_connect=True, ssl_verify_cert=True)
    assert found._ssl_required
    assert found.ctx.verify_mode == ssl.CERT_REQUIRED
    assert found.ctx.cert_store_stats() == ssl.create_default_context().cert_store_stats()


def _column(database: bytes, name: bytes, kind: int = FIELD_TYPE.VAR_STRING) -> bytes:
    """Return what a server tells of a column."""
    texts = (b"def", database, b"servers", b"instances", name, b"display_name")
    size = 70_000 if kind == FIELD_TYPE.VAR_STRING else 8
    numbers = struct.pack("<BHIBHBxx", 12, 45, size, kind, 1, 3)
    return b"".join(bytes([len(text)]) + text for text in texts) + numbers


def test_columns_are_what_the_driver_of_mysql_says_and_read_once() -> None:
    for data in (_column(b"cell1", b"name"), _column(b"cell1", b"id", FIELD_TYPE.LONG), _column(b"", b"name")):
        found, expected = mysql_driver._column(data, "utf8"), FieldDescriptorPacket(data, "utf8")
        assert found.description() == expected.description()
        for attribute in ("name", "type_code", "charsetnr", "length", "flags", "scale", "table_name", "org_name"):
            assert getattr(found, attribute) == getattr(expected, attribute)
        assert not found.is_error_packet()
    # The columns of another cell's database are the same ones.
    here, there = (mysql_driver._column(_column(cell, b"host"), "utf8") for cell in (b"cell1", b"cell22"))
    assert here is there
    assert mysql_driver._column(_column(b"cell1", b"node"), "utf8") is not here


def test_columns_of_a_shape_unheard_of_are_left_to_the_driver_of_mysql() -> None:
    data = _column(b"cell1", b"name").replace(b"def", b"abc", 1)
    found = mysql_driver._column(data, "utf8")
    assert type(found) is FieldDescriptorPacket
    assert (found.catalog, found.name) == (b"abc", "name")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": [1, 2.5, None, True], "ü": "😀"}, id="plain"),
        pytest.param({"many": 2**70}, id="a number of more than 64 bits"),
        pytest.param({"half": "\ud83d"}, id="half a character"),
    ],
)
def test_json_comes_back_as_it_was(db: Database, value: object) -> None:
    table = sa.Table("papers", sa.MetaData(), sa.Column("paper", sa.JSON))
    table.create(db.engine)
    with db.writer() as session:
        session.execute(sa.insert(table), {"paper": value})
    with db.reading() as connection:
        stored = connection.scalar(sa.select(sa.cast(table.c.paper, sa.Text)))
    assert json.loads(str(stored)) == value


def test_what_is_no_json_is_refused(db: Database) -> None:
    table = sa.Table("papers", sa.MetaData(), sa.Column("paper", sa.JSON))
    table.create(db.engine)
    with pytest.raises(sa.exc.StatementError), db.writer() as session:
        session.execute(sa.insert(table), {"paper": {"when": datetime.now(UTC)}})

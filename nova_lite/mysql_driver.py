"""What PyMySQL does slowly, at length, or one by one, done otherwise. Loaded only where that driver is used."""

import functools
import ssl
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pymysql import connections, converters, cursors, protocol  # type: ignore[import-untyped]
from pymysql.constants import CLIENT, COMMAND, FIELD_TYPE, SERVER_STATUS  # type: ignore[import-untyped]

#: Bytes of statements that wait, at most: servers take messages of 16 MiB and more.
_MOST_WAITING = 1 << 20


def adapt(engine: sa.Engine, *, unanswered: str) -> None:
    """Have ``engine``'s connections be such as below; statements with the option ``unanswered`` wait for the next."""

    def connect(*args: Any, **options: Any) -> connections.Connection:
        flags = options.get("client_flag", 0) | CLIENT.MULTI_STATEMENTS
        return _Connection(*args, **{"conv": _conversions(), "cursorclass": _Cursor, **options, "client_flag": flags})

    execute = engine.dialect.do_execute

    def execute_or_wait(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        may_wait = context is not None and context.execution_options.get(unanswered, False)
        if may_wait and cursor.connection.is_in_transaction:
            cursor.connection.later(cursor.mogrify(statement, parameters))
        else:
            execute(cursor, statement, parameters, context)

    # By an event it would be one look for listeners more at each statement.
    engine.dialect.connect = connect  # type: ignore[method-assign]
    engine.dialect.do_execute = execute_or_wait  # type: ignore[method-assign]


class _Cursor(cursors.Cursor):  # type: ignore[misc]
    """Says of a statement that waits that it made no row."""

    lastrowid = 0


class _Connection(connections.Connection):  # type: ignore[misc]
    """Speaks TLS where the server does, as PyMySQL by itself, without a certificate store of its own.

    Nobody's certificate is checked unless an operator names an authority; yet PyMySQL would read all that the system
    trusts for each connection: 35 ms of CPU and 0.8 MB, for as long as it lives.

    What the server tells of each column before the rows is the same at each run of a statement, and is read once.

    A statement whose answer nobody looks at, BEGIN above all, waits for the next one and is sent with it, by one
    message. The server runs them in order and leaves off at the first that fails: that error is the next one's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._waiting: list[bytes] = []
        super().__init__(*args, **options)

    @property
    def _is_open(self) -> bool:
        return bool(self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, or waits to be."""
        return self._is_open or bool(self._waiting)

    def later(self, statement: str) -> None:
        """Have ``statement`` wait for the next one."""
        self._waiting.append(statement.encode(self.encoding))
        if sum(map(len, self._waiting)) > _MOST_WAITING:
            self.query(self._waiting.pop())

    def query(self, sql: str | bytes, unbuffered: bool = False) -> Any:
        """Run what waits and ``sql``, and return how many rows that changed or found."""
        if not self._waiting:
            return super().query(sql, unbuffered=unbuffered)
        before, self._waiting = self._waiting, []
        last = sql.encode(self.encoding) if isinstance(sql, str) else sql
        self._execute_command(COMMAND.COM_QUERY, b";".join((*before, last)))
        for _ in before:
            self._read_query_result()
        return self.next_result(unbuffered=unbuffered)

    def commit(self) -> None:
        """Run what waits, and commit: by one message, but in a transaction of which the server knows nothing yet.

        Who loses the connection to a commit cannot tell whether it happened; that one is dead the first message finds.
        """
        if self._waiting and not self._is_open:
            self.query(self._waiting.pop())
        if self._waiting:
            self.query("COMMIT")
        else:
            super().commit()

    def rollback(self) -> None:
        """Forget what waits, and roll back if a transaction is open: else the server need not be told."""
        self._waiting.clear()
        if self._is_open:
            super().rollback()

    def _read_packet(self, packet_type: Any = protocol.MysqlPacket) -> Any:
        return super()._read_packet(_column if packet_type is protocol.FieldDescriptorPacket else packet_type)

    def _create_ssl_ctx(self, wanted: Any) -> ssl.SSLContext:
        found: ssl.SSLContext = super()._create_ssl_ctx(wanted) if wanted else _unchecked()
        return found


class _Column(protocol.FieldDescriptorPacket):  # type: ignore[misc]
    """A column of an answer. Its database is not told: those of all cells have the same columns."""

    def __init__(self, data: bytes, encoding: str) -> None:
        super().__init__(data, encoding)
        self._described: tuple[object, ...] = super().description()

    def description(self) -> tuple[object, ...]:
        return self._described


#: Columns that are remembered: those of all statements a process runs are some hundreds.
_remembered = functools.lru_cache(maxsize=4096)(_Column)
#: How a column begins, before the name of its database.
_CATALOG = b"\x03def"
#: A longer name says its length in more than one byte.
_MOST = 250


def _column(data: bytes, encoding: str) -> Any:
    """Return what ``data`` tells of a column, or another packet if it is none."""
    place = len(_CATALOG)
    if not data.startswith(_CATALOG) or data[place] > _MOST:
        return protocol.FieldDescriptorPacket(data, encoding)
    return _remembered(_CATALOG + b"\x00" + data[place + 1 + data[place] :], encoding)


@functools.cache
def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.cache
def _conversions() -> dict[Any, Any]:
    """Return how values are made of what the server sends, with times made without regular expressions."""
    return {**converters.conversions, FIELD_TYPE.DATETIME: _moment, FIELD_TYPE.TIMESTAMP: _moment}


def _moment(text: str) -> object:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # such as 0000-00-00
        return converters.convert_datetime(text)

"""What PyMySQL does slowly or at length, done otherwise. Loaded only where that driver is used."""

import functools
import ssl
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pymysql import connections, converters, protocol  # type: ignore[import-untyped]
from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]
from sqlalchemy import event


def adapt(engine: sa.Engine) -> None:
    """Have ``engine``'s connections be such as below."""

    def connect(dialect: object, record: object, args: Any, options: Any) -> connections.Connection:
        return _Connection(*args, **{"conv": _conversions(), **options})

    event.listen(engine, "do_connect", connect)


class _Connection(connections.Connection):  # type: ignore[misc]
    """Speaks TLS where the server does, as PyMySQL by itself, without a certificate store of its own.

    Nobody's certificate is checked unless an operator names an authority; yet PyMySQL would read all that the system
    trusts for each connection: 35 ms of CPU and 0.8 MB, for as long as it lives.

    What the server tells of each column before the rows is the same at each run of a statement, and is read once.
    """

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

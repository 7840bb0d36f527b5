"""How statements whose answer nobody looks at travel to MySQL: with the next one, in order, all or nothing.

That a server takes them so is tested in ``tests/integration/test_databases.py``.
"""

import io
import struct
from typing import Any

import pytest
from pymysql import err  # type: ignore[import-untyped]

from nova_lite import mysql_driver

_MORE, _IN_TRANSACTION = 8, 1
_DUPLICATE = b"\xff" + struct.pack("<H", 1062) + b"#23000Duplicate entry"


class _Server:
    """In the place of a socket: keeps what was asked, and says what a test wants."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.connection: Any = mysql_driver._Connection(host="nowhere", defer_connect=True)
        self.connection._sock = self
        self.connection._current_timeout = None
        self.connection.server_status = 0

    def sendall(self, data: bytes) -> None:
        self.asked.append(data[5:].decode())

    def settimeout(self, seconds: float | None) -> None:
        pass

    def answers(self, *payloads: bytes) -> None:
        framed = (struct.pack("<I", len(each) | (number << 24)) + each for number, each in enumerate(payloads, 1))
        self.connection._rfile = io.BytesIO(b"".join(framed))


def _ok(status: int = _IN_TRANSACTION, rows: int = 0) -> bytes:
    return b"\x00" + bytes([rows, 0]) + struct.pack("<HH", status, 0)


@pytest.fixture
def server() -> _Server:
    return _Server()


def test_what_waits_goes_with_the_next_statement_and_its_answer_is_that_statements(server: _Server) -> None:
    server.connection.later("BEGIN")
    assert server.asked == []
    assert server.connection.is_in_transaction
    server.answers(_ok(_IN_TRANSACTION | _MORE), _ok(rows=7))
    assert server.connection.query("UPDATE a") == 7
    server.connection.later("INSERT b")
    server.answers(_ok(_IN_TRANSACTION | _MORE), _ok(0))
    server.connection.commit()
    assert server.asked == ["BEGIN;UPDATE a", "INSERT b;COMMIT"]
    assert not server.connection.is_in_transaction
    server.answers(_ok(0))
    server.connection.query("SELECT c")
    assert server.asked[2:] == ["SELECT c"]


def test_a_statement_that_fails_fails_the_next_one_and_is_not_sent_again(server: _Server) -> None:
    server.connection.server_status = _IN_TRANSACTION
    for name in "abc":
        server.connection.later(f"INSERT {name}")
    server.answers(_ok(_IN_TRANSACTION | _MORE), _DUPLICATE)
    with pytest.raises(err.IntegrityError):
        server.connection.commit()
    server.answers(_ok(0))
    server.connection.rollback()
    assert server.asked == ["INSERT a;INSERT b;INSERT c;COMMIT", "ROLLBACK"]


def test_a_commit_is_not_in_the_first_message_of_a_transaction(server: _Server) -> None:
    server.connection.later("BEGIN")
    server.connection.later("INSERT a")
    replies = iter([(_ok(_IN_TRANSACTION | _MORE), _ok()), (_ok(0),)])
    send = server.sendall

    def answer(data: bytes) -> None:
        send(data)
        server.answers(*next(replies))

    server.sendall = answer  # type: ignore[method-assign]
    server.connection.commit()
    assert server.asked == ["BEGIN;INSERT a", "COMMIT"]


def test_what_is_rolled_back_before_the_server_knew_of_it_is_never_sent(server: _Server) -> None:
    server.connection.later("BEGIN")
    server.connection.later("INSERT a")
    server.connection.rollback()
    assert server.asked == []
    assert not server.connection.is_in_transaction


def test_what_waits_does_not_grow_past_what_a_message_may_hold(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_driver, "_MOST_WAITING", 20)
    server.connection.later("BEGIN")
    server.connection.later("INSERT a")
    server.answers(*[_ok(_IN_TRANSACTION | _MORE)] * 2, _ok())
    server.connection.later("INSERT b")
    assert server.asked == ["BEGIN;INSERT a;INSERT b"]
    server.connection.later("INSERT c")
    assert len(server.asked) == 1

"""The Placement client against our own Placement application, over HTTP."""

import contextlib
import socket
import threading
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import config, errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.embedded.http import HttpServer
from nova_lite.placement import app
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from tests.contract.clients.placement import PlacementSuite, client_of


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PlacementClient]:
    conf = config.load(files=[])
    conf.set_override("auth_strategy", "noauth2", group="api")
    conf.set_override("connection", f"sqlite:///{tmp_path / 'placement.sqlite'}", group="placement_database")
    database = Database(conf.placement_database.connection)
    Base.metadata.create_all(database.engine)
    server = HttpServer(0, "placement")
    server.start(app.build(conf, database))
    yield client_of(server.url)
    server.stop()
    database.close()


class TestOurs(PlacementSuite):
    """Our own."""


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(errors.Unavailable):
        client_of("http://127.0.0.1:1").allocations(str(uuids.uuid4()))


def test_without_credentials_it_says_that() -> None:
    with pytest.raises(errors.Unavailable, match=r"\[placement\] has no credentials"):
        PlacementClient(config.load(files=[])).allocations(str(uuids.uuid4()))


def test_a_broken_placement_is_unavailable() -> None:
    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"oops"]

    server = HttpServer(0, "broken")
    server.start(broken)
    try:
        with pytest.raises(errors.Unavailable):
            client_of(server.url).release(str(uuids.uuid4()))
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("refusals", "is_claimed"), [pytest.param(2, True, id="it passes"), pytest.param(100, None, id="it does not pass")]
)
def test_a_claim_among_too_many_others_is_tried_again(refusals: int, is_claimed: bool | None) -> None:
    asked: list[str] = []

    def contended(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ["REQUEST_METHOD"])
        kind = [("Content-Type", "application/json")]
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", kind)
            return [b'{"allocations": {}}']
        if asked.count("PUT") > refusals:
            start_response("204 No Content", [])
            return []
        start_response("409 Conflict", kind)
        return [b'{"errors": [{"detail": "others do so, too", "code": "placement.concurrent_update"}]}']

    server = HttpServer(0, "contended")
    server.start(contended)
    claim = {str(uuids.uuid4()): {"VCPU": 1}}
    try:
        client = client_of(server.url)
        if is_claimed is None:
            with pytest.raises(errors.Unavailable):
                client.claim(str(uuids.uuid4()), claim, project_id="p", user_id="u")
        else:
            assert client.claim(str(uuids.uuid4()), claim, project_id="p", user_id="u") is is_claimed
            assert asked == ["PUT", "GET"] * refusals + ["PUT"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"allocation_requests": []', id="no whole document"),
        pytest.param(b"<html>", id="something else"),
        pytest.param(b'{"allocation_requests": [{"allocations": 7}], "provider_summaries": {}}', id="other shapes"),
    ],
)
def test_candidates_that_make_no_sense_are_no_answer(body: bytes) -> None:
    def odd(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    server = HttpServer(0, "odd")
    server.start(odd)
    try:
        with pytest.raises(errors.Unavailable):
            client_of(server.url).candidates({"resources": "VCPU:1"})
    finally:
        server.stop()


def test_an_answer_that_is_cut_short_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def answer_in_part() -> None:
            for _ in range(2):
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"allocation_requests": [')

        thread = threading.Thread(target=answer_in_part, daemon=True)
        thread.start()
        with pytest.raises(errors.Unavailable):
            client_of(f"http://127.0.0.1:{listener.getsockname()[1]}").candidates({"resources": "VCPU:1"})
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(480)

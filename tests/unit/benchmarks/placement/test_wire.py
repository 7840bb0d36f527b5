"""The load generator, against a small server of its own."""

import itertools
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.placement import wire
from benchmarks.placement.wire import BadAnswer, Client


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent; keeps the connection for paths below /kept."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404 if self.path == "/absent" else 200)
        self.send_header("Content-Length", str(len(body)))
        if not self.path.startswith("/kept"):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/kept", "/closed"])
def test_answers_arrive_whole_on_kept_and_on_closed_connections(port: int, path: str) -> None:
    client = Client(port)
    for size in (0, 10, 1_000_000):
        assert client.send(wire.request("PUT", path, "x" * size)).json() == "x" * size
    client.close()


def test_failures_are_not_taken_for_answers(port: int) -> None:
    client = Client(port)
    answer = client.send(wire.request("PUT", "/absent", {}))
    assert answer.status == 404
    with pytest.raises(BadAnswer, match="404"):
        answer.json()
    client.close()


def test_an_answer_cut_short_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            peer, _ = server.accept()
            peer.recv(1000)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            peer.close()

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(BadAnswer):
            Client(server.getsockname()[1], timeout_s=5).send(b"GET / HTTP/1.1\r\n\r\n")
        thread.join()


def test_every_step_is_taken_once(port: int) -> None:
    steps = [wire.ask(wire.request("PUT", f"/{number}", number)) for number in range(50)]
    driven = wire.drive(port, steps, clients=4, budget_s=60.0)
    assert (len(driven.waits_s), driven.statuses) == (50, {200: 50})


def test_no_more_steps_are_taken_than_there_is_time_for(port: int) -> None:
    steps = itertools.repeat(wire.ask(wire.request("PUT", "/x", 1)))
    assert len(wire.drive(port, steps, clients=2, budget_s=0.0, at_least=5).waits_s) == 5


def test_the_first_failure_ends_the_run(port: int) -> None:
    def fail(_client: Client) -> tuple[float, int]:
        raise BadAnswer("no")

    with pytest.raises(BadAnswer, match="no"):
        wire.drive(port, itertools.repeat(fail), clients=3, budget_s=60.0)


def test_an_answer_that_does_not_come_is_given_up(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        steps = [wire.ask_at_most(b"GET / HTTP/1.1\r\n\r\n", 0.05)]
        assert wire.drive(silent.getsockname()[1], steps, clients=1, budget_s=60.0).statuses == {0: 1}
    assert wire.drive(
        port, [wire.ask_at_most(wire.request("PUT", "/x", 1), 60.0)], clients=1, budget_s=60.0
    ).statuses == {200: 1}

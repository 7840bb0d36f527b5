"""The load generator: requests made beforehand, plain sockets, answers not looked into while the clock runs."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_HEADERS = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.39"}
_PIECE = 1 << 18


class BadAnswer(Exception):
    """A server said something that no case can be measured with."""


def request(method: str, path: str, body: object = None) -> bytes:
    """Return one request to Placement as it goes over the wire."""
    return encoded(method, path, _HEADERS, body)


def encoded(method: str, path: str, headers: Mapping[str, str], body: object = None) -> bytes:
    """Return one request as it goes over the wire, ``body`` as JSON."""
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join((*lines, "", "")).encode() + text


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the body, and how long the client waited for its last byte."""

    status: int
    body: bytes
    wait_s: float

    def json(self) -> Any:
        """Return the body; raises BadAnswer unless the status is that of success."""
        if self.status >= 300:
            raise BadAnswer(f"{self.status} {self.body[:500]!r}")
        return json.loads(self.body)


class Client:
    """One client, one request at a time. A connection is used again where the server lets it."""

    def __init__(self, port: int, timeout_s: float = 300.0) -> None:
        self.port = port
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> Answer:
        """Send one request made by ``request`` and wait for the whole answer."""
        began = time.perf_counter()
        reused = self._socket is not None
        try:
            head, body = self._exchange(data)
        except (ConnectionError, BadAnswer) as exc:
            self.close()
            if not reused or isinstance(exc, BadAnswer):
                raise
            # The server closed a connection that it had not said it would.
            head, body = self._exchange(data)
        took = time.perf_counter() - began
        if b"connection: close" in head.lower():
            self.close()
        return Answer(int(head[9:12]), body, took)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, data: bytes) -> tuple[bytes, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)
        received = self._socket.recv(_PIECE)
        if not received:
            raise ConnectionResetError
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, first = received.partition(b"\r\n\r\n")
        length = _content_length(head)
        pieces, have = [first], len(first)
        while have < length:
            pieces.append(self._receive())
            have += len(pieces[-1])
        return head, b"".join(pieces)

    def _receive(self) -> bytes:
        assert self._socket is not None  # noqa: S101 - told to the type checker
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise BadAnswer("the connection ended within an answer")
        return piece


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


#: Something a client does once: returns how long it waited, and the status that counts.
Step = Callable[[Client], tuple[float, int]]


def ask(data: bytes) -> Step:
    """Return the step that sends one request."""

    def step(client: Client) -> tuple[float, int]:
        answer = client.send(data)
        return answer.wait_s, answer.status

    return step


def ask_at_most(data: bytes, timeout_s: float) -> Step:
    """Return the step that sends one request and gives up, with status 0, when there is no answer in time."""

    def step(client: Client) -> tuple[float, int]:
        patient = Client(client.port, timeout_s)
        try:
            answer = patient.send(data)
        except TimeoutError:
            return timeout_s, 0
        finally:
            patient.close()
        return answer.wait_s, answer.status

    return step


@dataclass(frozen=True, slots=True)
class Driven:
    """What a run of steps saw."""

    waits_s: list[float]
    statuses: dict[int, int]
    took_s: float


def drive(port: int, steps: Iterable[Step], *, clients: int, budget_s: float, at_least: int = 1) -> Driven:
    """Let ``clients`` at once take one step after the other until there is none left or the time is over.

    ``at_least`` steps are taken however long they last. The first failure of a client ends the run and is raised.
    """
    waiting = iter(steps)
    lock = threading.Lock()
    waits: list[float] = []
    statuses: Counter[int] = Counter()
    failures: list[BaseException] = []
    taken = 0
    began = time.perf_counter()

    def following() -> Step | None:
        nonlocal taken
        with lock:
            if failures or (taken >= at_least and time.perf_counter() - began > budget_s):
                return None
            taken += 1
            return next(waiting, None)

    def client_life() -> None:
        client = Client(port)
        try:
            while (step := following()) is not None:
                wait_s, status = step(client)
                waits.append(wait_s)
                statuses[status] += 1
        except Exception as exc:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(exc)
        finally:
            client.close()

    threads = [threading.Thread(target=client_life, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        failures.append(KeyboardInterrupt())
        raise
    took = time.perf_counter() - began
    if failures:
        raise failures[0]
    return Driven(waits, dict(statuses), took)

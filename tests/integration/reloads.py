"""Requests beside what is done to a server: a reload or a stop may lose none of them."""

import contextlib
import http.client
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.integration.stack.processes import wait_until
from tests.integration.stack.site import ADDRESS


class Heard:
    """What clients have heard so far: the status of each answer, and what came instead of one."""

    def __init__(self) -> None:
        self.answered: list[int] = []
        self.failed: list[Exception] = []

    def wait_for(self, count: int) -> None:
        """Wait until there are ``count`` more answers or failures than now."""
        before = len(self.answered) + len(self.failed)
        wait_until(
            lambda: len(self.answered) + len(self.failed) >= before + count, f"{count} more answers", timeout_s=120
        )


@contextlib.contextmanager
def asking(ask: Callable[[], int], *, clients: int = 4) -> Iterator[Heard]:
    """Have that many clients call ``ask``, which returns a status, over and over until the block ends."""
    heard, done = Heard(), threading.Event()

    def go_on_asking() -> None:
        while not done.is_set():
            try:
                heard.answered.append(ask())
            except (OSError, http.client.HTTPException) as exc:
                heard.failed.append(exc)

    threads = [threading.Thread(target=go_on_asking) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        done.set()
        for thread in threads:
            thread.join()


def lose_nothing(
    reload: Callable[[], None], *, ask: Callable[[], int], workers: Callable[[], set[int]], log: Callable[[], str]
) -> None:
    """Call ``reload`` beside four clients: two new ``workers`` come for the old ones, and every answer is a 200."""
    before = workers()
    with asking(ask) as heard:
        reload()
        wait_until(lambda: len(workers() - before) == 2, "two new workers", timeout_s=120)
        heard.wait_for(20)
    assert heard.failed == [], log()[-4000:]
    assert set(heard.answered) == {200}
    assert not workers() & before


@contextlib.contextmanager
def half_sent(port: int, ask: Callable[[], int]) -> Iterator[None]:
    """Have half of a request at a worker while the block runs; then send the rest, and see that it is answered well.

    ``ask`` asks for anything and returns the status.
    """
    body = b'{"keypair": {"name": "%s"}}' % uuid.uuid4().hex.encode()
    request = (
        b"POST /v2.1/os-keypairs HTTP/1.1\r\nHost: a\r\nX-Auth-Token: alice:demo\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    with socket.create_connection((ADDRESS, port), timeout=120) as connection:
        connection.sendall(request[:-5])
        # One who comes later is answered, so the slow one is at a worker by now.
        assert ask() == 200
        yield
        connection.sendall(request[-5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def touch(file: Path) -> None:
    """Give a file a newer time: servers compare those in whole seconds."""
    before = int(file.stat().st_mtime)

    def is_newer() -> bool:
        file.touch()
        return int(file.stat().st_mtime) > before

    wait_until(is_newer, f"a newer time of {file}", timeout_s=30)

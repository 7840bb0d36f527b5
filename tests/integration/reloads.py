"""Clients that go on asking a server beside what is done to it, and a reload that may lose none of their requests."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator

from tests.integration.stack.processes import wait_until


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

"""Checks with a deadline, remembered for a moment."""

import threading
import time

from nova_lite import errors
from nova_lite.web.health import Health


def test_a_check_that_hangs_is_waited_for_once() -> None:
    let_go, begun = threading.Event(), []

    def hanging() -> None:
        begun.append(1)
        let_go.wait(480)

    def failing() -> None:
        raise errors.Unavailable("gone", secret="password")

    health = Health({"slow": hanging, "broken": failing, "good": lambda: None}, patience_s=3.0, keep_s=0.0)
    start = time.monotonic()
    for _ in range(2):
        assert health.complaints() == {"slow": "no answer within 3 s", "broken": "gone"}
    assert time.monotonic() - start < 400
    assert len(begun) == 1
    let_go.set()
    deadline = time.monotonic() + 480
    while "slow" in health.complaints() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert health.complaints() == {"broken": "gone"}


def test_health_is_remembered_a_moment() -> None:
    asked: list[int] = []
    health = Health({"database": lambda: asked.append(1)}, keep_s=60.0)
    assert [health.complaints() for _ in range(5)] == [{}] * 5
    assert len(asked) == 1


def test_a_check_that_breaks_is_told_without_its_words() -> None:
    def broken() -> None:
        raise errors.Misconfigured("wrong", password="secret")

    assert Health({"database": broken}).complaints() == {"database": "wrong"}

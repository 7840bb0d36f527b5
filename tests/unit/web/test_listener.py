"""What watches a daemon asks of it."""

import http.client
import json
from collections.abc import Iterator

import pytest

from nova_lite import errors
from nova_lite.web.health import Health
from nova_lite.web.listener import Listener
from nova_lite.web.metrics import Metrics


class Watched:
    """A daemon that may be unwell, and counts how often its numbers are looked at."""

    def __init__(self, address: str) -> None:
        self.complaint: str | None = None
        metrics = Metrics("test")
        looks = metrics.counter("looks", "Looks.")
        self.listener = Listener(address, Health({"database": self._check}, keep_s=0.0), metrics, looks.inc)

    def _check(self) -> None:
        if self.complaint is not None:
            raise errors.Unavailable(self.complaint, host="secret.example")

    def ask(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(host, self.listener.port, timeout=480)
        connection.request(method, path)
        answer = connection.getresponse()
        told = answer.status, dict(answer.headers), answer.read()
        connection.close()
        return told


@pytest.fixture
def watched() -> Iterator[Watched]:
    daemon = Watched("127.0.0.1:0")
    daemon.listener.start()
    yield daemon
    daemon.listener.stop()


def test_one_that_is_well_is_live_and_ready(watched: Watched) -> None:
    assert watched.ask("/live")[::2] == (200, b'{"alive":true}')
    status, headers, body = watched.ask("/ready")
    assert (status, json.loads(body)) == (200, {"healthy": True, "reasons": {}})
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Server"].strip() == "nova-lite"


def test_one_that_is_unwell_is_live_and_says_why_it_is_not_ready(watched: Watched) -> None:
    watched.complaint = "The database does not answer."
    assert watched.ask("/live")[0] == 200
    status, _, body = watched.ask("/ready?verbose")
    assert (status, json.loads(body)) == (503, {"healthy": False, "reasons": {"database": watched.complaint}})
    assert watched.ask("/ready", "HEAD")[::2] == (503, b"")
    watched.complaint = None
    assert watched.ask("/ready", "HEAD")[::2] == (200, b"")


def test_numbers_are_brought_up_to_date_first(watched: Watched) -> None:
    assert b"nova_lite_looks_total 1.0" in watched.ask("/metrics")[2]
    status, headers, body = watched.ask("/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert b"nova_lite_looks_total 2.0" in body
    assert b'nova_lite_build_info{service="test"' in body


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/live", 501)])
def test_there_is_nothing_else(watched: Watched, method: str, path: str, status: int) -> None:
    assert watched.ask(path, method)[0] == status


def test_what_breaks_is_told_without_its_words() -> None:
    def breaking() -> None:
        raise RuntimeError("secret")

    listener = Listener("127.0.0.1:0", Health({}), Metrics("test"), breaking)
    listener.start()
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=480)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert (answer.status, b"secret" in answer.read()) == (500, False)
    connection.close()
    listener.stop()


@pytest.mark.parametrize("address", ["9780", "127.0.0.1", ":9780", "127.0.0.1:x", "127.0.0.1:70000"])
def test_a_bad_address_is_a_mistake_of_the_configuration(address: str) -> None:
    with pytest.raises(errors.Misconfigured, match="HOST:PORT"):
        Watched(address)


def test_so_is_one_that_somebody_else_has(watched: Watched) -> None:
    with pytest.raises(errors.Misconfigured, match="cannot be had"):
        Watched(f"127.0.0.1:{watched.listener.port}")

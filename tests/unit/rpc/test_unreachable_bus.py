"""A bus that cannot be reached is said to be so, soon; and its password is never said."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import config, errors
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.compute import ComputeClient


@contextlib.contextmanager
def _closed_port() -> Iterator[int]:
    """Yield a port at which nobody listens, nor can anybody else begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_call_that_hung_for_ever_while_the_broker_was_away() -> None:
    with _closed_port() as port:
        bus = Bus(config.load([], []), f"rabbit://user:hidden@127.0.0.1:{port}/")
        try:
            with pytest.raises(errors.Unavailable) as caught:
                ComputeClient(bus).console_output("host", "uuid", None)
        finally:
            bus.close()
    assert "hidden" not in f"{caught.value} {caught.value.facts}"


def test_a_url_that_cannot_be_used_is_not_repeated() -> None:
    bus = Bus(config.load([], []), "nosuch://user:hidden@127.0.0.1/")
    with pytest.raises(errors.Misconfigured) as caught:
        bus.call("topic", "method")
    assert caught.value.__cause__ is None
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "wait_s"),
    [
        pytest.param("", 2, id="ours"),
        pytest.param("[oslo_messaging_rabbit]\nrabbit_interval_max = 11\n", 11, id="the operator's"),
    ],
)
def test_a_broker_that_returned_was_found_half_a_minute_later(tmp_path: Path, file: str, wait_s: int) -> None:
    written = tmp_path / "nova-lite.conf"
    written.write_text(file)
    conf = config.load([], [str(written)])
    bus = Bus(conf, "rabbit://user:hidden@127.0.0.1/")
    bus.serve("topic", "server", object())  # joins the bus, which connects only when it must
    bus.close()
    assert conf.oslo_messaging_rabbit.rabbit_interval_max == wait_s

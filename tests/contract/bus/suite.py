"""What the message bus promises, whatever carries it. Subclass and give it a ``url`` fixture."""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from nova_lite import config, errors
from nova_lite.rpc.bus import Bus, Server

_topics = itertools.count()


@dataclasses.dataclass
class Echo:
    """An endpoint that answers, fails in known and in unknown ways, and tells what it heard."""

    name: str = "echo"
    heard: list[str] = dataclasses.field(default_factory=list)
    was_told: threading.Event = dataclasses.field(default_factory=threading.Event)
    may_answer: threading.Event = dataclasses.field(default_factory=threading.Event)

    def say(self, word: str) -> str:
        return f"{self.name} {word}"

    def refuse(self) -> None:
        raise errors.GuestFailed("no such disk", code="x.y")

    def break_down(self) -> None:
        raise ValueError("a bug with secrets")

    def tell(self, word: str) -> None:
        self.heard.append(word)
        self.was_told.set()

    def slow(self) -> str:
        assert self.may_answer.wait(480)
        return "done"


Serve = Callable[..., str]


class BusContract:
    """Calls, casts, errors and silence."""

    @pytest.fixture
    def bus(self, url: str) -> Iterator[Bus]:
        conf = config.load([], [])
        conf.set_override("call_monitor_timeout", 3, group="rpc")
        opened = Bus(conf, url)
        yield opened
        opened.close()

    @pytest.fixture
    def serve(self, bus: Bus) -> Iterator[Serve]:
        servers: list[Server] = []
        topic = f"contract-{next(_topics)}"

        def start(endpoint: object, server: str = "one") -> str:
            servers.append(bus.serve(topic, server, endpoint))
            servers[-1].start()
            return topic

        yield start
        for server in servers:
            server.stop()

    def test_a_call_brings_the_answer(self, bus: Bus, serve: Serve) -> None:
        topic = serve(Echo())
        assert bus.call(topic, "say", word="hello") == "echo hello"

    def test_a_call_to_a_named_server_reaches_that_one(self, bus: Bus, serve: Serve) -> None:
        serve(Echo("a"), "host-a")
        topic = serve(Echo("b"), "host-b")
        assert {bus.call(topic, "say", server=f"host-{name}", word=".") for name in "ab"} == {"a .", "b ."}

    def test_our_errors_arrive_as_themselves(self, bus: Bus, serve: Serve) -> None:
        topic = serve(Echo())
        with pytest.raises(errors.GuestFailed, match="no such disk") as caught:
            bus.call(topic, "refuse")
        assert caught.value.code == "x.y"

    def test_a_bug_on_the_other_side_shows_no_secrets(self, bus: Bus, serve: Serve) -> None:
        topic = serve(Echo())
        with pytest.raises(errors.NovaLiteError) as caught:
            bus.call(topic, "break_down")
        assert caught.value.message == "An internal error happened."

    def test_a_cast_arrives(self, bus: Bus, serve: Serve) -> None:
        endpoint = Echo()
        topic = serve(endpoint)
        bus.cast(topic, "tell", word="hello")
        assert endpoint.was_told.wait(480)

    def test_a_nudge_arrives(self, bus: Bus, serve: Serve) -> None:
        endpoint = Echo()
        topic = serve(endpoint)
        bus.nudge(topic, "tell", word="hello")
        assert endpoint.was_told.wait(480)

    def test_a_long_call_outlasts_the_watch_while_the_other_side_lives(self, bus: Bus, serve: Serve) -> None:
        endpoint = Echo()
        topic = serve(endpoint)
        threading.Timer(5.0, endpoint.may_answer.set).start()
        assert bus.call(topic, "slow", long_s=30) == "done"

    def test_a_long_call_to_nobody_fails_soon(self, bus: Bus, serve: Serve) -> None:
        topic = serve(Echo())
        with pytest.raises(errors.Timeout):
            bus.call(topic, "say", server="nobody", long_s=60, word="hello")

    def test_private_names_are_not_messages(self, bus: Bus, serve: Serve) -> None:
        topic = serve(Echo())
        with pytest.raises(errors.NovaLiteError):
            bus.call(topic, "__init__", name="x")

"""The in-memory bus keeps the contract of the bus, keeps its virtual hosts apart, and sleeps when idle."""

import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.utils.scheduling import FairCycle

from nova_lite import config, errors
from nova_lite.rpc import memory
from nova_lite.rpc.bus import Bus
from tests.contract.bus.suite import BusContract, Echo


class TestMemoryBus(BusContract):
    @pytest.fixture
    def url(self) -> str:
        return f"kombu+memory:///{uuid.uuid4()}"


def test_virtual_hosts_do_not_hear_each_other() -> None:
    conf = config.load([], [])
    buses = {name: Bus(conf, f"kombu+memory:///{name}-{uuid.uuid4()}") for name in ("one", "two")}
    servers = [bus.serve("topic", "host", Echo(name)) for name, bus in buses.items()]
    for server in servers:
        server.start()
    try:
        answers = [bus.call("topic", "say", word="") for bus in buses.values() for _ in range(4)]
    finally:
        for server in servers:
            server.stop()
        for bus in buses.values():
            bus.close()
    assert answers == ["one "] * 4 + ["two "] * 4


def test_threads_that_wait_for_work_sleep_until_it_comes() -> None:
    """Those of oslo.messaging's own pool wake each second, and end as late when they are told to."""
    bus = Bus(config.load([], []), f"kombu+memory:///{uuid.uuid4()}")
    server = bus.serve("topic", "host", Echo("one"))
    server.start()
    try:
        assert isinstance(server._server._work_executor, ThreadPoolExecutor)
    finally:
        server.stop()
        bus.close()


def test_who_listens_sleeps_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners that wake to see whether they are stopped, 20 times a second each, cost more than their messages."""
    monkeypatch.setattr("nova_lite.rpc.bus._LISTEN_MIN_S", 3600.0)
    monkeypatch.setattr("oslo_messaging._drivers.amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MAX", 3600.0)
    monkeypatch.setattr(memory, "_SLEEP_S", 3600.0)
    bus = Bus(config.load([], []), f"kombu+memory:///{uuid.uuid4()}")
    server = bus.serve("topic", "host", Echo("one"))
    server.start()
    assert bus.call("topic", "say", word="") == "one "

    def leave() -> None:
        server.stop()
        bus.close()

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(timeout=480)
    assert not thread.is_alive()


def test_a_listener_that_is_stopped_before_it_sleeps_does_not() -> None:
    connection = _connected()
    connection.transport.bell.end()
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=3600)
    connection.release()


class _Silent:
    """Hears a question, and answers when it may."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def say(self, word: str) -> str:
        self.asked.set()
        self.may_answer.wait(300)
        return word


def test_who_waits_for_an_answer_hears_that_its_bus_is_left() -> None:
    """Not once its patience is over: that may be minutes away."""
    conf, url = config.load([], []), f"kombu+memory:///{uuid.uuid4()}"
    asked, asking = Bus(conf, url), Bus(conf, url)
    silent = _Silent()
    server = asked.serve("topic", "host", silent)
    server.start()
    heard: list[str] = []

    def ask() -> None:
        try:
            asking.call("topic", "say", long_s=3600.0, word="")
        except errors.Unavailable as exc:
            heard.append(exc.message)

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    try:
        assert silent.asked.wait(300)
        asking.close()
        asker.join(300)
        assert heard == ["The message bus was left."]
    finally:
        silent.may_answer.set()
        server.stop()
        asked.close()


class _TakenAway:
    """A client of oslo.messaging whose connection goes in the midst of a message, if that ``goes``."""

    def __init__(self, bus: Bus, goes: bool) -> None:
        self._bus = bus
        self._goes = goes

    def prepare(self, **_options: Any) -> "_TakenAway":
        return self

    def call(self, *_args: object, **_payload: object) -> None:
        if self._goes:
            self._bus.close()
        raise AttributeError("'NoneType' object has no attribute 'unlisten'")

    cast = call


@pytest.mark.parametrize("send", ["call", "cast"])
def test_whatever_comes_of_a_bus_that_is_left_it_is_unavailable(send: str) -> None:
    bus = Bus(config.load([], []), f"kombu+memory:///{uuid.uuid4()}")
    bus._clients["topic"] = _TakenAway(bus, goes=True)
    with pytest.raises(errors.Unavailable, match="was left"):
        getattr(bus, send)("topic", "say")
    bus._clients["topic"] = _TakenAway(bus, goes=False)
    with pytest.raises(AttributeError):  # a mistake of ours
        getattr(bus, send)("topic", "say")
    bus.close()


def test_an_idle_listener_does_not_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = FairCycle.get

    def counted(cycle: FairCycle, *args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(cycle, *args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(FairCycle, "get", counted)
    bus = Bus(config.load([], []), f"kombu+memory:///{uuid.uuid4()}")
    server = bus.serve("topic", "host", Echo())
    server.start()
    try:
        assert bus.call("topic", "say", word="") == "echo "
        before = looks
        threading.Event().wait(1.0)  # what is counted is what happens while nothing does
        assert looks - before < 1000  # a polling listener looks tens of thousands of times
    finally:
        server.stop()
        bus.close()


def test_a_connection_collected_as_rubbish_froze_every_bus_of_the_process() -> None:
    """Its finalizer ran in the midst of a delivery, in the thread that held what it needed."""
    bus = Bus(config.load([], []), f"kombu+memory:///{uuid.uuid4()}")
    server = bus.serve("topic", "host", Echo())
    server.start()
    try:

        def collected() -> None:
            with memory._Channel._guard:
                bus.cast("topic", "say", word="from a finalizer")

        thread = threading.Thread(target=collected, daemon=True)
        thread.start()
        thread.join(timeout=480)
        assert not thread.is_alive()
    finally:
        server.stop()
        bus.close()


def _connected() -> Any:
    memory.install()
    return Connection("memory://localhost")  # type: ignore[no-untyped-call]


@pytest.fixture
def hurry() -> Iterator[None]:
    """Have threads give way to each other as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurry")
def test_threads_that_made_a_queue_or_an_exchange_at_once_lost_messages() -> None:
    connections = [_connected() for _ in range(4)]
    channels = [connection.channel() for connection in connections]
    for _ in range(300):
        name, together = uuid.uuid4().hex, threading.Barrier(len(channels))

        def make(number: int, name: str = name, together: threading.Barrier = together) -> None:
            channel, queue = channels[number], f"{name}-{number}"
            together.wait(timeout=480)
            channel.exchange_declare(name, "direct")
            channel.queue_declare(queue)
            channel.queue_bind(queue, name, queue)
            channel._put(name, number)

        threads = [threading.Thread(target=make, args=(number,), daemon=True) for number in range(len(channels))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=480)
        assert {queue for _, _, queue in channels[0].get_table(name)} == {f"{name}-{n}" for n in range(len(channels))}
        assert channels[0]._size(name) == len(channels)
    for connection in connections:
        connection.release()


def test_who_closed_a_connection_in_the_midst_of_a_queue_waited_for_ever() -> None:
    """As does the collector of rubbish, which runs in any thread, at any moment."""
    connection = _connected()
    channel = connection.channel()
    name = uuid.uuid4().hex
    channel.queue_declare(name)

    def close() -> None:
        with channel._queue_for(name).mutex:
            connection.release()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(timeout=480)
    assert not thread.is_alive()

"""The in-memory bus keeps the contract of the bus, keeps its virtual hosts apart, and sleeps when idle."""

import threading
import uuid
from typing import Any

import pytest
from kombu.utils.scheduling import FairCycle

from nova_lite import config
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
        thread.join(timeout=120)
        assert not thread.is_alive()
    finally:
        server.stop()
        bus.close()

"""Messages lost, doubled and late; processes that die between taking a message and answering it."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from nova_lite import errors
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Killed, Place
from tests.functional.workflows.site import Site

#: What a server goes through in a whole life, with what it shows after each.
LIFE = (
    ("os-stop", None, "SHUTOFF"),
    ("os-start", None, "ACTIVE"),
    ("reboot", {"type": "SOFT"}, "ACTIVE"),
    ("reboot", {"type": "HARD"}, "ACTIVE"),
    ("pause", None, "PAUSED"),
    ("unpause", None, "ACTIVE"),
    ("suspend", None, "SUSPENDED"),
    ("resume", None, "ACTIVE"),
    ("soft delete", None, "SOFT_DELETED"),
    ("restore", None, "ACTIVE"),
    ("resize", {"flavorRef": "2"}, "VERIFY_RESIZE"),
    ("revertResize", None, "ACTIVE"),
    ("migrate", None, "VERIFY_RESIZE"),
    ("confirmResize", None, "ACTIVE"),
)


def live(site: Site, after_each: Callable[[], object] = lambda: None) -> None:
    """Take a server through its whole life, looking at each stage that it shows what it should."""
    (server,) = site.boot()
    site.rest()
    after_each()
    site.rest()
    assert site.status(server) == "ACTIVE"
    for action, details, status in LIFE:
        if action == "soft delete":
            site.soft_delete(server)
        else:
            site.act(server, action, details)
        site.rest()
        after_each()
        site.rest()
        assert site.status(server) == status, action
    assert site.delete(server) == 204
    site.rest()
    after_each()
    site.rest()
    assert site.status(server) == "GONE"


class Recorder:
    """Notes every call that waits for an answer, to send it again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Bus, str, str, dict[str, Any]]] = []
        self._call = Bus.call

        def noted(bus: Bus, topic: str, method: str, **options: Any) -> Any:
            if topic in ("compute", "scheduler"):
                self.calls.append((bus, topic, method, options))
            return self._call(bus, topic, method, **options)

        monkeypatch.setattr(Bus, "call", noted)

    def repeat(self) -> None:
        """Send every call again, in the order they were first sent; nobody cares for the answers."""
        for bus, topic, method, options in list(self.calls):
            try:
                self._call(bus, topic, method, **options)
            except errors.NovaLiteError:
                continue


def test_all_nudges_are_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConductorClient, "wake", lambda conductor, uuid: None)
    live(site)


def test_all_nudges_come_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wake = ConductorClient.wake

    def twice(conductor: ConductorClient, workflow_uuid: str) -> None:
        wake(conductor, workflow_uuid)
        wake(conductor, workflow_uuid)

    monkeypatch.setattr(ConductorClient, "wake", twice)
    live(site)


def test_every_message_comes_again_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    live(site, after_each=recorder.repeat)
    assert {method for _, _, method, _ in recorder.calls} >= {
        *("place", "build", "power_off", "power_on", "destroy"),
        *("choose", "set_aside", "receive", "bring_back", "discard", "drop_aside"),
    }


def test_every_message_comes_twice_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Bus.call
    twins: list[threading.Thread] = []

    def doubled(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        if topic in ("compute", "scheduler"):
            twin = threading.Thread(target=_careless, args=(call, bus, topic, method, options))
            twins.append(twin)
            twin.start()
        return call(bus, topic, method, **options)

    def join() -> None:
        for twin in twins:
            twin.join(timeout=120)
            assert not twin.is_alive()
        twins.clear()

    monkeypatch.setattr(Bus, "call", doubled)
    live(site, after_each=join)


def _careless(call: Callable[..., Any], bus: Bus, topic: str, method: str, options: dict[str, Any]) -> None:
    try:
        call(bus, topic, method, **options)
    except errors.NovaLiteError:
        return


@pytest.mark.parametrize("count", [1, 3])
def test_the_scheduler_dies_with_its_claim_made(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    place = SchedulerEndpoint.place
    deaths = [Killed()]

    def dying(endpoint: SchedulerEndpoint, spec: dict[str, Any], instance_uuids: list[str]) -> dict[str, Any]:
        answer = place(endpoint, spec, instance_uuids)
        if deaths:
            raise deaths.pop()
        return answer

    monkeypatch.setattr(SchedulerEndpoint, "place", dying)
    servers = site.boot(count)
    site.rest()
    assert [site.status(server) for server in servers] == ["ACTIVE"] * count
    assert not deaths


def test_a_late_pass_of_the_scheduler_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that claims after its request has ended, badly, gives back what it claimed."""
    recorder = Recorder(monkeypatch)
    site.saboteur.plan(Place("super", "schedule", "choose hosts", "middle"), errors.NoValidHost("It was made to fail."))
    (server,) = site.boot()
    site.rest()
    assert site.status(server) == "ERROR"
    recorder.repeat()
    assert site.watch.audit() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_agent_dies_while_it_builds(site: Site, after: bool) -> None:
    host = next(iter(site.cloud.agents))
    faults = clouds.fake_driver(site.cloud, host).faults
    spawned = faults.calls("spawn")
    faults.fail("spawn", cast("Exception", Killed()), after=after)
    (server,) = site.boot(availability_zone=f"nova:{host}")
    eventually(lambda: faults.calls("spawn") > spawned, "a spawn")
    site.restart(host)
    site.rest()
    assert site.status(server) == "ACTIVE"


def test_hosts_that_stay_down_end_the_build_with_a_reason(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Bus.call

    def unanswered(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        if topic == "compute":
            raise errors.Timeout("No answer from compute in time.")
        return call(bus, topic, method, **options)

    monkeypatch.setattr(Bus, "call", unanswered)
    monkeypatch.setattr("nova_lite.conductor.workflows.build.host_is_down", lambda tools, host: True)
    (server,) = site.boot()
    site.rest()
    assert site.status(server) == "ERROR"
    assert site.reason(server) == (
        "Exceeded maximum number of retries: 2 hosts were tried. "
        "The last failure: The host that was to start the server does not answer."
    )


def test_a_guest_left_to_a_host_that_was_cut_off_is_destroyed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (server,) = site.boot()
    site.rest()
    call = Bus.call

    def unanswered(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        if topic == "compute":
            raise errors.Timeout("No answer from compute in time.")
        return call(bus, topic, method, **options)

    monkeypatch.setattr(Bus, "call", unanswered)
    monkeypatch.setattr("nova_lite.conductor.workflows.delete.host_is_down", lambda tools, host: True)
    assert site.delete(server) == 204
    site.rest()  # the guest goes when its agent next compares
    assert site.status(server) == "GONE"


class TestApiWorkerDies:
    """The worker dies after its commit, before anybody hears of it."""

    def test_while_it_accepts_a_server(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        known = site.watch.servers()
        with monkeypatch.context() as patch:
            patch.setattr(ConductorClient, "wake", _die)
            with pytest.raises(Killed):
                site.boot()
        (server,) = site.watch.servers() - known
        site.used.append(server)
        site.rest()
        assert site.status(server) == "ACTIVE"

    @pytest.mark.parametrize("place", ["the cell's begin", "wake"])
    def test_while_it_accepts_a_delete(self, site: Site, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        (server,) = site.boot()
        site.rest()
        with monkeypatch.context() as patch:
            if place == "wake":
                patch.setattr(ConductorClient, "wake", _die)
            else:
                patch.setattr("nova_lite.cells.operations.begin_delete", _die)
            with pytest.raises(Killed):
                site.delete(server)
        site.rest()
        assert site.status(server) == "GONE"

    def test_while_it_accepts_an_action(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        (server,) = site.boot()
        site.rest()
        with monkeypatch.context() as patch:
            patch.setattr(ConductorClient, "wake", _die)
            with pytest.raises(Killed):
                site.act(server, "os-stop")
        site.rest()
        assert site.status(server) == "SHUTOFF"


def _die(*args: object, **kwargs: object) -> None:
    raise Killed

"""Messages lost, doubled and late; processes that die between taking a message and answering it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from nova_lite import errors
from nova_lite.clients.volume_calls import VolumeService
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Killed, Place
from tests.functional.workflows.site import Site


@dataclass(frozen=True)
class Deed:
    """Something done to a server, and what that shows afterwards."""

    name: str
    do: Callable[[Site, str], object]
    status: str


def _action(name: str, details: object, status: str) -> Deed:
    return Deed(name, lambda site, server: site.act(server, name, details), status)


def _evacuation(site: Site, server: str) -> None:
    site.evacuate(server)
    site.rest(is_end=False)
    site.raise_hosts()


#: What a server goes through in a whole life, once on its host for the most part and once between hosts.
LIVES: Mapping[str, tuple[Deed, ...]] = {
    "in place": (
        _action("os-stop", None, "SHUTOFF"),
        _action("os-start", None, "ACTIVE"),
        _action("reboot", {"type": "SOFT"}, "ACTIVE"),
        _action("reboot", {"type": "HARD"}, "ACTIVE"),
        _action("pause", None, "PAUSED"),
        _action("unpause", None, "ACTIVE"),
        _action("suspend", None, "SUSPENDED"),
        _action("resume", None, "ACTIVE"),
        Deed("soft delete", lambda site, server: site.soft_delete(server), "SOFT_DELETED"),
        _action("restore", None, "ACTIVE"),
        Deed("rescue", lambda site, server: site.rescue(server), "RESCUE"),
        _action("unrescue", None, "ACTIVE"),
        Deed("rebuild", lambda site, server: site.rebuild(server), "ACTIVE"),
        Deed("rebuild of another image", lambda site, server: site.rebuild(server, new_image=True), "ACTIVE"),
        _action("createImage", {"name": "snap"}, "ACTIVE"),
        Deed("shelve in place", lambda site, server: site.shelve(server, stays_on_host=True), "SHELVED"),
        _action("unshelve", None, "ACTIVE"),
    ),
    "between hosts": (
        _action("resize", {"flavorRef": "2"}, "VERIFY_RESIZE"),
        _action("revertResize", None, "ACTIVE"),
        _action("migrate", None, "VERIFY_RESIZE"),
        _action("confirmResize", None, "ACTIVE"),
        Deed("live migration", lambda site, server: site.migrate_live(server), "ACTIVE"),
        Deed("shelve", lambda site, server: site.shelve(server), "SHELVED_OFFLOADED"),
        _action("unshelve", None, "ACTIVE"),
        Deed("shelve in place", lambda site, server: site.shelve(server, stays_on_host=True), "SHELVED"),
        _action("shelveOffload", None, "SHELVED_OFFLOADED"),
        _action("unshelve", None, "ACTIVE"),
        Deed("evacuate", _evacuation, "SHUTOFF"),
        _action("os-start", None, "ACTIVE"),
    ),
}
#: For how many deeds a message may be on its way.
_DEEDS_LATE = 3
every_life = pytest.mark.parametrize("life", LIVES)
#: What is asked of hosts and of the scheduler in each.
ASKED: Mapping[str, set[str]] = {
    "in place": {
        *("place", "build", "power_off", "power_on", "reboot", "pause", "unpause", "suspend", "resume"),
        *("rescue", "unrescue", "rebuild", "refusal_to_stay", "snapshot", "destroy"),
    },
    "between hosts": {
        *("place", "build", "choose", "set_aside", "receive", "bring_back", "discard", "drop_aside"),
        *("leaving", "check_landing", "prepare_landing", "depart", "finish_landing", "clear_departed"),
        *("snapshot", "unshelve", "destroy"),
    },
}


def live(site: Site, life: str, after_each: Callable[[], object] | None = None) -> None:
    """Take a server through a whole life, looking at each stage that it shows what it should."""

    def rest() -> None:
        site.rest()
        if after_each is not None:
            after_each()
            site.rest()

    (server,) = site.boot()
    rest()
    assert site.status(server) == "ACTIVE"
    for deed in LIVES[life]:
        deed.do(site, server)
        rest()
        assert site.status(server) == deed.status, deed.name
    assert site.delete(server) == 204
    rest()
    assert site.status(server) == "GONE"


@every_life
def test_servers_without_volumes_ask_no_block_storage(site: Site, life: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they live where there is none."""
    asked = []

    def none_configured(service: VolumeService) -> None:
        asked.append(service)
        raise errors.Misconfigured("There is no block storage service.")

    monkeypatch.setattr(VolumeService, "version", none_configured)
    live(site, life)
    assert asked == []


class Recorder:
    """Notes every call that waits for an answer, to send it again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Bus, str, str, dict[str, Any]]] = []
        self._repeated: list[int] = [0] * _DEEDS_LATE
        self._call = Bus.call

        def noted(bus: Bus, topic: str, method: str, **options: Any) -> Any:
            if topic in ("compute", "scheduler"):
                self.calls.append((bus, topic, method, options))
            return self._call(bus, topic, method, **options)

        monkeypatch.setattr(Bus, "call", noted)

    def repeat(self) -> None:
        """Send the calls of the last deeds again, in the order they were first sent; nobody cares for the answers."""
        first = self._repeated.pop(0)
        self._repeated.append(len(self.calls))
        for bus, topic, method, options in self.calls[first:]:
            _careless(self._call, bus, topic, method, options)

    def repeat_all(self) -> None:
        """Send every call of the story again."""
        self._repeated = [0] * _DEEDS_LATE
        self.repeat()


@every_life
def test_all_nudges_are_lost(site: Site, monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    monkeypatch.setattr(ConductorClient, "wake", lambda conductor, uuid: None)
    live(site, life)


@every_life
def test_all_nudges_come_twice(site: Site, monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    wake = ConductorClient.wake

    def twice(conductor: ConductorClient, workflow_uuid: str) -> None:
        wake(conductor, workflow_uuid)
        wake(conductor, workflow_uuid)

    monkeypatch.setattr(ConductorClient, "wake", twice)
    live(site, life)


@every_life
def test_every_message_comes_again_later(site: Site, monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    recorder = Recorder(monkeypatch)
    live(site, life, after_each=recorder.repeat)
    recorder.repeat_all()
    site.rest()
    assert {method for _, _, method, _ in recorder.calls} >= ASKED[life]


@every_life
def test_every_message_comes_twice_at_once(site: Site, monkeypatch: pytest.MonkeyPatch, life: str) -> None:
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
            twin.join(timeout=480)
            assert not twin.is_alive()
        twins.clear()

    monkeypatch.setattr(Bus, "call", doubled)
    live(site, life, after_each=join)


@every_life
@pytest.mark.parametrize("arrives", ["late", "but not its answer"])
def test_every_message_is_lost_once(site: Site, monkeypatch: pytest.MonkeyPatch, life: str, arrives: str) -> None:
    """The first of each kind after each deed; one that is ``late`` arrives when what it was about has ended."""
    call = Bus.call
    lost: list[tuple[Bus, str, str, dict[str, Any]]] = []
    guard, known, ever = threading.Lock(), set[str](), set[str]()

    def losing(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        with guard:
            is_lost = topic in ("compute", "scheduler") and method not in known
            known.add(method)
        if not is_lost:
            return call(bus, topic, method, **options)
        if arrives == "late":
            lost.append((bus, topic, method, options))
        else:
            call(bus, topic, method, **options)
        raise errors.Timeout("No answer in time.", method=method)

    def deliver() -> None:
        while lost:
            _careless(call, *lost.pop(0))
        with guard:
            ever.update(known)
            known.clear()

    monkeypatch.setattr(Bus, "call", losing)
    live(site, life, after_each=deliver)
    assert ever >= ASKED[life]


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
    recorder.repeat_all()
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

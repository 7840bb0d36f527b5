"""A build that fails on its host goes on to the next one in the cell; how far, and what is left behind: nothing.

Each story ends by comparing the three truths: one claim, one guest, one host in the row, or none of them.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, cast

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.db.cell_tables import ComputeNodeRow, ServiceRow
from nova_lite.db.repositories import build_failures
from nova_lite.rpc.bus import Bus
from nova_lite.storage import epoch_now
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.one_cell import CELL, chosen, failed_builds, host_of, shown
from tests.functional.workflows.sabotage import Killed, Place, is_aside, places
from tests.functional.workflows.site import Site, opened
from tests.functional.workflows.test_messages import Recorder

HOSTS = 4
#: As ``[scheduler] max_attempts`` has it when nothing is configured.
MAX_ATTEMPTS = 3
BROKEN = "The host could not start the server: The disk broke"


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("cell")
    with opened(directory, cells=1, hosts_per_cell=HOSTS) as site:
        yield site


@pytest.fixture
def site(one_cell: Site) -> Iterator[Site]:
    one_cell.saboteur.clear()
    yield one_cell
    one_cell.clean()
    with closing(clouds.database(one_cell.cloud, CELL)) as database, database.writer() as session:
        session.execute(sa.update(ComputeNodeRow).values(failed_builds=0, last_failed_build=None))


@pytest.mark.parametrize("broken", range(MAX_ATTEMPTS))
def test_the_first_host_that_works_gets_the_server(site: Site, broken: int) -> None:
    site.break_hosts(broken)
    (server,) = site.boot()
    site.rest()
    named = [each["host"] for each in chosen(site, server)]
    assert len(named) == MAX_ATTEMPTS
    found = shown(site, server)
    assert (found["status"], found["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", named[broken])
    assert "fault" not in found
    expected = [("Error", host) for host in named[:broken]] + [("Success", named[broken])]
    assert site.events(server) == expected
    assert failed_builds(site) == dict.fromkeys(named[:broken], 1)


def test_no_more_hosts_are_tried_than_allowed(site: Site) -> None:
    script = site.break_hosts(MAX_ATTEMPTS)
    (server,) = site.boot()
    site.rest()
    named = [each["host"] for each in chosen(site, server)]
    found = shown(site, server)
    assert (found["status"], found["OS-EXT-SRV-ATTR:host"]) == ("ERROR", None)
    assert found["fault"]["message"] == (
        f"Exceeded maximum number of retries: {MAX_ATTEMPTS} hosts were tried. The last failure: {BROKEN}"
    )
    assert found["fault"]["details"] == "\n".join(f"{host}: {BROKEN}" for host in named)
    assert site.events(server) == [("Error", host) for host in named]
    assert script.calls("spawn") == MAX_ATTEMPTS


def test_a_host_asked_for_is_the_only_one_tried(site: Site) -> None:
    script = site.break_hosts(1)
    (server,) = site.boot(availability_zone="nova:cell1-host2")
    site.rest()
    found = shown(site, server)
    assert (found["status"], found["fault"]["message"]) == ("ERROR", BROKEN)
    assert script.calls("spawn") == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(errors.GuestFailed("The image is bad."), "The image is bad.", id="bad image"),
        pytest.param(errors.Invalid("The config drive is too big."), "The config drive is too big.", id="bad request"),
        pytest.param(errors.NotFound("No such image."), "No such image.", id="no image"),
    ],
)
def test_what_the_user_must_change_is_tried_once(site: Site, error: Exception, reason: str) -> None:
    script = site.break_hosts(1, error)
    (server,) = site.boot()
    site.rest()
    found = shown(site, server)
    assert (found["status"], found["fault"]["message"]) == ("ERROR", reason)
    assert script.calls("spawn") == 1
    assert [result for result, _ in site.events(server)] == ["Error"]
    assert failed_builds(site) == {}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(errors.Misconfigured("The program mkisofs is missing"), id="misconfigured"),
        pytest.param(ValueError("secret"), id="bug"),
        pytest.param(errors.Timeout("libvirt did not answer"), id="silent hypervisor"),
    ],
)
def test_whatever_is_the_hosts_fault_goes_on(site: Site, error: Exception) -> None:
    site.break_hosts(1, error)
    (server,) = site.boot()
    site.rest()
    assert site.status(server) == "ACTIVE"
    assert [result for result, _ in site.events(server)] == ["Error", "Success"]


def test_a_bug_of_a_driver_keeps_its_words_to_itself(site: Site) -> None:
    site.break_hosts(MAX_ATTEMPTS, ValueError("secret"))
    (server,) = site.boot()
    site.rest()
    assert "an internal error happened" in site.reason(server)
    assert "secret" not in str(shown(site, server))
    told = [event["traceback"] for event in site.told_events(server)]
    assert len(told) == MAX_ATTEMPTS
    assert all("conductor.workflows.build" in way and "secret" not in way for way in told)


def test_an_alternate_that_is_full_meanwhile_is_passed_over(site: Site) -> None:
    gate = site.break_hosts(1).hold("spawn")
    (server,) = site.boot()
    assert gate.reached.wait(480)
    named = chosen(site, server)
    placement = PlacementClient(site.cloud.agents[named[1]["host"]]._conf)
    (provider,) = named[1]["allocations"]
    squatter = "5c3a1f1e-0000-4000-8000-000000000001"
    room = {provider: {"MEMORY_MB": _free(placement, provider, "MEMORY_MB")}}
    assert placement.claim(squatter, room, project_id="p", user_id="u")
    gate.open()
    eventually(lambda: site.status(server) == "ACTIVE", "active")
    placement.release(squatter)
    site.rest()
    assert host_of(site, server) == named[2]["host"]
    assert site.events(server) == [("Error", named[0]["host"]), ("Success", named[2]["host"])]
    assert failed_builds(site) == {named[0]["host"]: 1}


def test_when_all_alternates_are_full_the_fault_says_so(site: Site) -> None:
    gate = site.break_hosts(1).hold("spawn")
    (server,) = site.boot()
    assert gate.reached.wait(480)
    named = chosen(site, server)
    placement = PlacementClient(next(iter(site.cloud.agents.values()))._conf)
    squatters: list[str] = []
    for each in named[1:]:
        (provider,) = each["allocations"]
        squatters.append(f"5c3a1f1e-0000-4000-8000-00000000000{len(squatters)}")
        room = {provider: {"MEMORY_MB": _free(placement, provider, "MEMORY_MB")}}
        assert placement.claim(squatters[-1], room, project_id="p", user_id="u")
    gate.open()
    eventually(lambda: site.status(server) == "ERROR", "error")
    for squatter in squatters:
        placement.release(squatter)
    site.rest()
    fault = shown(site, server)["fault"]
    assert fault["message"].startswith("Exceeded maximum number of retries: 3 hosts were tried.")
    assert fault["details"].splitlines() == [
        f"{named[0]['host']}: {BROKEN}",
        *(f"{each['host']}: It has no room any more." for each in named[1:]),
    ]


def _free(placement: PlacementClient, provider: str, name: str) -> int:
    inventory = placement.inventories(provider)[0][name]
    return int((inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"])


def test_a_host_that_dies_while_it_builds(site: Site) -> None:
    """Its agent is gone with the guest made; the server lives elsewhere, and the guest goes when the host is back."""
    script = site.faults()
    script.fail("spawn", cast("Exception", Killed()), after=True)
    (server,) = site.boot()
    eventually(lambda: script.calls("spawn"), "a spawn")
    dead = chosen(site, server)[0]["host"]
    site.cloud.agents[dead].stop()
    with closing(clouds.database(site.cloud, CELL)) as database, database.writer() as session:
        session.execute(sa.update(ServiceRow).filter_by(host=dead).values(last_seen=0.0))
    eventually(lambda: site.status(server) == "ACTIVE", "active")
    assert [guest.uuid for guest in site.cloud.agents[dead].driver.guests()] == [server]
    site.restart(dead)
    site.rest()
    assert host_of(site, server) == chosen(site, server)[1]["host"]
    assert site.events(server)[0] == ("Error", dead)


def test_a_host_that_reports_and_does_not_listen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Bus.call
    asked: list[str] = []

    def deaf(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        if topic == "compute":
            asked.append(options["server"])
            if options["server"] == asked[0]:
                raise errors.Timeout("No answer from compute in time.")
        return call(bus, topic, method, **options)

    monkeypatch.setattr(Bus, "call", deaf)
    (server,) = site.boot()
    site.rest()
    assert site.events(server) == [("Error", asked[0]), ("Success", chosen(site, server)[1]["host"])]
    # With nowhere else to go it is waited for.
    asked[1:] = []
    (server,) = site.boot(availability_zone=f"nova:{asked[0]}")
    eventually(lambda: len(asked) > 20, "many tries")
    assert site.status(server) == "BUILD"
    monkeypatch.undo()
    site.rest()
    assert site.status(server) == "ACTIVE"


def test_a_hypervisor_that_cannot_even_remove_the_guest_keeps_nobody_waiting(site: Site) -> None:
    script = site.break_hosts(1)
    script.fail("destroy", errors.Unavailable("The disk broke"), times=4)
    (server,) = site.boot()
    site.rest()  # its reconciler removes the guest when it can
    assert site.status(server) == "ACTIVE"
    assert host_of(site, server) == chosen(site, server)[1]["host"]


def test_hypervisors_that_cannot_remove_guests_leave_the_server_in_error_at_once(site: Site) -> None:
    script = site.break_hosts(MAX_ATTEMPTS)
    script.fail("destroy", errors.Unavailable("The disk broke"), times=4 * MAX_ATTEMPTS)
    (server,) = site.boot()
    eventually(lambda: site.status(server) == "ERROR", "error")
    site.rest()
    assert "Exceeded maximum number of retries" in site.reason(server)


def test_servers_of_one_request_share_alternates(site: Site) -> None:
    site.break_hosts(4)
    servers = site.boot(3)
    site.rest()
    assert [site.status(server) for server in servers] == ["ACTIVE"] * 3
    failures = [event for server in servers for event in site.events(server) if event[0] == "Error"]
    assert len(failures) == 4


def test_an_alternate_that_placement_has_forgotten_is_passed_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = PlacementClient.hold
    asked: list[Any] = []

    def forgetful(client: PlacementClient, consumer: str, allocations: Any, *args: Any, **more: Any) -> None:
        asked.append(allocations)
        known = allocations if len(asked) > 1 else {str(uuid.uuid4()): {"VCPU": 1}}
        hold(client, consumer, known, *args, **more)

    gate = site.break_hosts(1).hold("spawn")
    (server,) = site.boot()
    assert gate.reached.wait(480)
    # Not before: the scheduler's claim is one, too.
    monkeypatch.setattr(PlacementClient, "hold", forgetful)
    gate.open()
    site.rest()
    named = chosen(site, server)
    assert asked == [each["allocations"] for each in named[1:]]
    assert (site.status(server), host_of(site, server)) == ("ACTIVE", named[2]["host"])


def test_an_alternate_that_is_down_comes_last(site: Site) -> None:
    gate = site.break_hosts(1).hold("spawn")
    (server,) = site.boot()
    assert gate.reached.wait(480)
    named = [each["host"] for each in chosen(site, server)]
    assert site.ask("PUT", f"/os-services/{_agent(site, named[1])}", {"forced_down": True})[0] == 200
    gate.open()
    site.rest()
    assert site.ask("PUT", f"/os-services/{_agent(site, named[1])}", {"forced_down": False})[0] == 200
    assert (site.status(server), host_of(site, server)) == ("ACTIVE", named[2])
    assert site.events(server) == [("Error", named[0]), ("Success", named[2])]


def test_an_alternate_that_was_disabled_is_passed_over(site: Site) -> None:
    gate = site.break_hosts(1).hold("spawn")
    (server,) = site.boot()
    assert gate.reached.wait(480)
    named = [each["host"] for each in chosen(site, server)]
    assert site.ask("PUT", f"/os-services/{_agent(site, named[1])}", {"status": "disabled"})[0] == 200
    gate.open()
    site.rest()
    assert site.ask("PUT", f"/os-services/{_agent(site, named[1])}", {"status": "enabled"})[0] == 200
    assert (site.status(server), host_of(site, server)) == ("ACTIVE", named[2])
    _, body = site.ask("GET", f"/servers/{server}/scheduling")
    assert body["scheduling"]["explanation"]["failed"] == [
        {"host": named[0], "reason": BROKEN},
        {"host": named[1], "reason": "It has been disabled."},
    ]


def _agent(site: Site, host: str) -> str:
    _, body = site.ask("GET", f"/os-services?host={host}&binary=nova-compute")
    (service,) = body["services"]
    return str(service["id"])


def test_the_zone_follows_the_host(site: Site) -> None:
    for host in site.cloud.agents:
        body = {"aggregate": {"name": host, "availability_zone": f"zone of {host}"}}
        _, made = site.ask("POST", "/os-aggregates", body)
        status, _ = site.ask("POST", f"/os-aggregates/{made['aggregate']['id']}/action", {"add_host": {"host": host}})
        assert status == 200
    try:
        site.break_hosts(2)
        (server,) = site.boot()
        site.rest()
        found = shown(site, server)
        assert found["OS-EXT-AZ:availability_zone"] == f"zone of {found['OS-EXT-SRV-ATTR:host']}"
        assert found["OS-EXT-SRV-ATTR:host"] == chosen(site, server)[2]["host"]
        assert site.delete(server) == 204
        site.rest()
    finally:
        for aggregate in site.ask("GET", "/os-aggregates")[1]["aggregates"]:
            for host in aggregate["hosts"]:
                site.ask("POST", f"/os-aggregates/{aggregate['id']}/action", {"remove_host": {"host": host}})
            assert site.ask("DELETE", f"/os-aggregates/{aggregate['id']}")[0] == 200


class TestClaim:
    """Moving the claim against those who take it away."""

    def test_a_delete_that_is_over_before_it(self, site: Site) -> None:
        site.break_hosts(1)
        servers: list[str] = []

        def delete() -> None:
            assert site.delete(servers[0]) == 204
            eventually(lambda: site.status(servers[0]) == "GONE", "deleted")

        gate = self._held(site, delete)
        servers += site.boot()
        gate()
        site.rest()
        assert site.status(servers[0]) == "GONE"

    def test_a_delete_between_the_look_and_the_move(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        hold = PlacementClient.hold
        servers: list[str] = []

        def overtaken(client: PlacementClient, consumer: str, *args: Any, **more: Any) -> None:
            monkeypatch.undo()
            assert site.delete(consumer) == 204
            eventually(lambda: site.status(consumer) == "GONE", "deleted")
            hold(client, consumer, *args, **more)

        monkeypatch.setattr(PlacementClient, "hold", overtaken)
        site.break_hosts(1)
        servers += site.boot()
        eventually(lambda: site.status(servers[0]) == "GONE", "deleted")
        site.rest()

    def test_an_operator_who_deletes_it(self, site: Site) -> None:
        site.break_hosts(1)
        servers: list[str] = []
        placement = PlacementClient(next(iter(site.cloud.agents.values()))._conf)
        gate = self._held(site, lambda: placement.release(servers[0]))
        servers += site.boot()
        gate()
        site.rest()
        assert site.status(servers[0]) == "ERROR"
        assert site.reason(servers[0]) == "What the server holds in Placement is gone."

    def _held(self, site: Site, deed: Callable[[], None]) -> Callable[[], None]:
        """Plan a deed for just before the claim is moved; return what lets it begin."""
        known = FaultScript().hold("claim")

        def when_ready() -> None:
            known.pass_through()
            deed()

        site.saboteur.plan(Place("cell", "create", "claim next host", "before"), when_ready)
        return known.open


def of_create(found: list[Place]) -> list[Place]:
    """Return the places of a build that it may come to twice: all but those before its detour."""
    return [place for place in found if place.kind == "create" and place.step != "await volumes"]


@pytest.mark.parametrize(
    ("place", "is_deleted"),
    [
        *((place, False) for place in of_create(places("before", "middle", "after"))),
        *((place, True) for place in of_create(places("before", "middle", "after", records=False))),
    ],
    ids=str,
)
def test_the_second_time_round(site: Site, place: Place, is_deleted: bool) -> None:
    """As the stories of every step, with one host that failed behind it already; or two, where that comes first."""
    broken = 2 if is_aside(place) else 1
    site.break_hosts(broken)
    known = site.watch.servers()

    def delete() -> None:
        assert site.delete(min(site.watch.servers() - known)) == 204

    turned = Place("cell", "create", "move to next host", "after")
    deed = delete if is_deleted else Killed()
    site.saboteur.plan(turned, lambda: site.saboteur.plan(place, deed))
    (server,) = site.boot()
    site.rest()
    assert site.saboteur.happened == [turned, place]
    if is_deleted:
        assert site.status(server) == "GONE"
    else:
        assert (site.status(server), host_of(site, server)) == ("ACTIVE", chosen(site, server)[broken]["host"])


def test_every_message_of_a_failed_host_comes_again_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    site.break_hosts(2)
    (server,) = site.boot()
    site.rest()
    host = host_of(site, server)
    recorder.repeat()
    site.rest()
    assert (site.status(server), host_of(site, server)) == ("ACTIVE", host)
    assert site.delete(server) == 204
    site.rest()
    recorder.repeat()
    site.rest()


@pytest.mark.parametrize("seed", [1, 2])
def test_many_builds_with_hosts_and_conductors_failing_at_random(site: Site, seed: int) -> None:
    dice = random.Random(seed)

    class Unlucky(FaultScript):
        def play(self, method: str, *, after: bool = False) -> None:
            super().play(method, after=after)
            if method in ("spawn", "destroy") and dice.random() < 0.15:
                raise errors.Unavailable("The disk broke")

    site.faults(Unlucky())
    deaths_left = 40

    def dies_here(place: Place) -> bool:
        nonlocal deaths_left
        deaths_left -= (is_fatal := deaths_left > 0 and dice.random() < 0.05)
        return is_fatal

    site.saboteur.anywhere = dies_here
    with ThreadPoolExecutor(4) as clients:
        servers = [made[0] for made in clients.map(lambda _: site.boot(), range(20))]
        deleted = set(servers[::5])
        assert set(clients.map(site.delete, deleted)) == {204}
    site.rest()
    for server in servers:
        status = site.status(server)
        assert status == "GONE" if server in deleted else status in ("ACTIVE", "ERROR")
        if status == "ERROR":
            assert "Exceeded maximum number of retries" in site.reason(server)


class TestFailedBuilds:
    """What is remembered of a host that fails."""

    def test_they_add_up_and_one_that_works_makes_them_forgotten(self, site: Site) -> None:
        host = "cell1-host3"
        for count in (1, 2):
            site.break_hosts(1)
            site.boot(availability_zone=f"nova:{host}")
            site.rest()
            assert failed_builds(site) == {host: count}
        (server,) = site.boot(availability_zone=f"nova:{host}")
        site.rest()
        assert site.status(server) == "ACTIVE"
        assert failed_builds(site) == {}

    def test_they_are_forgotten_after_a_while(self, site: Site) -> None:
        host = "cell1-host3"
        site.break_hosts(1)
        site.boot(availability_zone=f"nova:{host}")
        site.rest()
        with closing(clouds.database(site.cloud, CELL)) as database, database.writer() as session:
            old = epoch_now() - build_failures.FORGOTTEN_AFTER_S - 1
            session.execute(sa.update(ComputeNodeRow).values(last_failed_build=old))
        assert failed_builds(site) == {}
        site.break_hosts(1)
        site.boot(availability_zone=f"nova:{host}")
        site.rest()
        assert failed_builds(site) == {host: 1}

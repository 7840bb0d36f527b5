"""Hosts that die, are cut off, and come back: what was evacuated from them never runs twice, nothing of it stays."""

import pytest

from nova_lite import errors
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.model.guest import PowerState
from nova_lite.rpc.compute import ComputeClient
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site
from tests.functional.workflows.test_moves import booted, host_of, migrations


def running_on(site: Site, server: str) -> list[str]:
    """Return the hosts on which the server's guest runs, those too whose agents have stopped."""
    found = []
    for host in site.cloud.agents:
        guest = clouds.fake_driver(site.cloud, host).guest(server)
        if guest is not None and guest.power_state is PowerState.RUNNING:
            found.append(host)
    return found


def booted_on(site: Site, host: str) -> str:
    server = booted(site, availability_zone=f"nova:{host}")
    assert host_of(site, server) == host
    return server


def await_status(site: Site, server: str, status: str) -> None:
    def look() -> bool:
        site.saboteur.pass_time()
        return site.status(server) == status and not site.watch.open_work()

    eventually(look, f"server {server} in {status}")


def evacuate(site: Site, server: str, version: str = "2.94") -> None:
    """Ask for an evacuation that keeps a running server running."""
    answer = site.client.simulate_post(
        f"/v2.1/servers/{server}/action", json={"evacuate": {}}, headers={"OpenStack-API-Version": f"compute {version}"}
    )
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_host_dies_and_comes_back(site: Site) -> None:
    """One of its servers was evacuated, one deleted, one left alone."""
    host = next(iter(site.cloud.agents))
    evacuated, deleted, left = (booted_on(site, host) for _ in range(3))
    site.cloud.agents[host].stop()
    site.force_down(host)
    evacuate(site, evacuated)
    assert site.delete(deleted) == 204
    await_status(site, evacuated, "ACTIVE")
    await_status(site, deleted, "GONE")
    there = host_of(site, evacuated)
    assert there != host
    assert migrations(site, evacuated) == ["done"]
    # What the dead host's guests are, its power says: here they have run on, unseen.
    assert sorted(running_on(site, evacuated)) == sorted([host, there])
    site.restart(host)
    assert running_on(site, evacuated) == [there]
    driver = clouds.fake_driver(site.cloud, host)
    assert [guest.uuid for guest in driver.guests()] == [left]
    site.rest()
    assert migrations(site, evacuated) == ["completed"]
    assert (site.status(left), host_of(site, left)) == ("ACTIVE", host)


def test_an_agent_that_is_cut_off_starts_nothing_and_cleans_up_when_it_hears(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = next(iter(site.cloud.agents))
    server = booted_on(site, host)
    silent = site.cloud.agents[host]._reconciler._conductor
    agents = next(runner.tools.agents for runner in site.saboteur.runners if isinstance(runner.tools, CellTools))

    def cut(*args: object, **more: object) -> None:
        raise errors.Timeout("No answer from conductor in time.")

    with monkeypatch.context() as wire:
        for question in ("expected_guests", "evacuated_from"):
            wire.setattr(silent, question, cut)
        wire.setattr(ComputeClient, "put_in_order", cut)
        site.force_down(host)
        evacuate(site, server)
        await_status(site, server, "ACTIVE")
        there = host_of(site, server)
        assert there != host
        # It cannot be told to stop its guest, which may run on: see the decision. But nothing starts one.
        clouds.fake_driver(site.cloud, host).power_off(server, timeout_s=0)
        with pytest.raises(errors.Conflict):
            agents.power_on(host, server, 1, timeout_s=30)
        assert running_on(site, server) == [there]
        assert migrations(site, server) == ["done"]
    site.rest()
    assert running_on(site, server) == [there]
    assert clouds.fake_driver(site.cloud, host).guest(server) is None
    assert migrations(site, server) == ["completed"]


def test_a_host_that_hears_turns_its_guest_off_before_the_other_starts_it(site: Site) -> None:
    server = booted(site)
    host = host_of(site, server)
    seen: list[list[str]] = []
    site.saboteur.plan(
        Place("cell", "evacuate", "start guest", "before"), lambda: seen.append(running_on(site, server))
    )
    site.evacuate(server)
    site.rest()
    assert seen == [[]]
    assert (site.status(server), migrations(site, server)) == ("SHUTOFF", ["completed"])
    assert host_of(site, server) != host


def test_an_evacuation_that_fails_keeps_what_the_dead_host_has(site: Site) -> None:
    host = next(iter(site.cloud.agents))
    server = booted_on(site, host)
    site.cloud.agents[host].stop()
    site.force_down(host)
    for _ in range(2):
        site.break_hosts(1, errors.GuestFailed("It does not work."))
        evacuate(site, server)
        await_status(site, server, "ACTIVE")
        assert host_of(site, server) == host
    assert migrations(site, server) == ["failed", "failed"]
    site.faults()
    site.restart(host)
    site.rest()
    assert running_on(site, server) == [host]
    site.raise_hosts()
    site.act(server, "os-stop")
    site.rest()
    assert site.status(server) == "SHUTOFF"


@pytest.mark.parametrize(("claimed", "sees", "moves"), [(True, True, True), (True, False, False), (False, True, False)])
def test_disks_are_found_where_they_are_said_to_be(
    site: Site, monkeypatch: pytest.MonkeyPatch, claimed: bool, sees: bool, moves: bool
) -> None:
    monkeypatch.setattr(FakeDriver, "sees_disks", lambda self, uuid: sees)
    host = next(iter(site.cloud.agents))
    server = booted_on(site, host)
    site.cloud.agents[host].stop()
    site.force_down(host)
    answer = site.client.simulate_post(
        f"/v2.1/servers/{server}/action", json={"evacuate": {"onSharedStorage": claimed}}
    )
    assert answer.status_code == 200
    await_status(site, server, "ACTIVE")
    assert (host_of(site, server) != host) is moves
    assert migrations(site, server) == (["done"] if moves else ["failed"])
    site.restart(host)
    site.rest()


def test_many_servers_leave_at_once(site: Site) -> None:
    host = next(iter(site.cloud.agents))
    servers = [booted_on(site, host) for _ in range(3)]
    site.cloud.agents[host].stop()
    site.force_down(host)
    for server in servers:
        evacuate(site, server, "2.96")
    for server in servers:
        await_status(site, server, "SHUTOFF")
    assert host not in {host_of(site, server) for server in servers}
    site.restart(host)
    assert clouds.fake_driver(site.cloud, host).guests() == []


def test_a_server_is_deleted_whose_old_host_has_not_cleaned_up(site: Site) -> None:
    host = next(iter(site.cloud.agents))
    server = booted_on(site, host)
    site.cloud.agents[host].stop()
    site.force_down(host)
    evacuate(site, server)
    await_status(site, server, "ACTIVE")
    assert site.delete(server) == 204
    await_status(site, server, "GONE")
    site.restart(host)
    site.rest()
    assert clouds.fake_driver(site.cloud, host).guest(server) is None

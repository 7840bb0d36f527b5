"""Live migrations in a running cloud: where guests run on, how one is ended early, and what becomes of failed ones."""

from contextlib import closing
from typing import Any, cast

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.compute.virt.faults import Gate
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.model.guest import PowerState
from nova_lite.rpc.bus import Bus
from nova_lite.storage import epoch_now
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site


def booted(site: Site, **more: Any) -> str:
    (server,) = site.boot(**more)
    site.rest()
    return server


def host_of(site: Site, server: str) -> str:
    _, body = site.ask("GET", f"/servers/{server}")
    return str(body["server"]["OS-EXT-SRV-ATTR:host"])


def status_of(site: Site, server: str) -> str:
    """Return the status of the server's newest migration."""
    _, body = site.ask("GET", f"/os-migrations?instance_uuid={server}")
    return str(body["migrations"][0]["status"])


def under_way(site: Site, server: str) -> dict[str, Any]:
    _, body = site.ask("GET", f"/servers/{server}/migrations")
    (found,) = body["migrations"]
    return dict(found)


def held(site: Site, server: str) -> Gate:
    """Migrate the server, and return the gate at which its guest is held up on its way."""
    gate = site.faults().hold("transfer")
    site.migrate_live(server)
    eventually(lambda: status_of(site, server) == "running", "the guest on its way")
    return gate


def wish(site: Site, server: str, wish: str) -> None:
    url = f"/servers/{server}/migrations/{under_way(site, server)['id']}"
    code, body = site.ask("DELETE", url) if wish == "abort" else site.ask("POST", f"{url}/action", {wish: None})
    assert code == 202, body


def boots(site: Site, server: str) -> int:
    driver = clouds.fake_driver(site.cloud, host_of(site, server))
    return driver.console_output(server, lines=None).count(b"login")


def slept(site: Site, server: str) -> bool:
    """Have the cell's workflow about a server look again in an hour, unless it is looking just now."""
    ours = CellWorkflowRow.subject == server, CellWorkflowRow.lease_owner == "parked"
    slept = 0
    for name in site.cloud.settings.cell_names:
        with closing(clouds.database(site.cloud, name)) as database, database.writer() as session:
            done = session.execute(sa.update(CellWorkflowRow).where(*ours).values(lease_until=epoch_now() + 3600))
            slept += cast("sa.CursorResult[Any]", done).rowcount
    return slept == 1


@pytest.mark.parametrize("is_paused", [False, True], ids=["running", "paused"])
def test_the_guest_goes_on_elsewhere(site: Site, is_paused: bool) -> None:
    server = booted(site)
    if is_paused:
        site.act(server, "pause")
        site.rest()
    here = host_of(site, server)
    site.migrate_live(server)
    site.rest()
    there = host_of(site, server)
    assert (status_of(site, server), there != here, there[:5]) == ("completed", True, here[:5])
    assert site.status(server) == ("PAUSED" if is_paused else "ACTIVE")
    guest = clouds.fake_driver(site.cloud, there).guest(server)
    assert guest is not None
    assert guest.power_state is (PowerState.PAUSED if is_paused else PowerState.RUNNING)
    assert boots(site, server) == 1
    site.migrate_live(server, here)
    site.rest()
    assert host_of(site, server) == here


@pytest.mark.parametrize("own", [False, True], ids=["too far", "its own"])
def test_without_a_host_the_server_stays(site: Site, own: bool) -> None:
    server = booted(site)
    here = host_of(site, server)
    if own:
        site.migrate_live(server, here)
    else:
        site.faults().fail("check_landing", errors.HostFailed("Its processor is too old."), times=None)
        site.migrate_live(server)
    site.rest()
    assert (site.status(server), host_of(site, server), status_of(site, server)) == ("ACTIVE", here, "error")
    assert ("No valid host" if own else "too old") in str(site.last_error(server))


def test_its_progress_is_told(site: Site) -> None:
    server = booted(site)
    gate = held(site, server)
    eventually(lambda: under_way(site, server)["memory_total_bytes"] is not None, "progress")
    found = under_way(site, server)
    assert found["memory_processed_bytes"] + found["memory_remaining_bytes"] == found["memory_total_bytes"]
    assert (found["source_compute"], found["status"]) == (host_of(site, server), "running")
    assert site.status(server) == "MIGRATING"
    gate.open()
    site.rest()
    assert (status_of(site, server), site.status(server)) == ("completed", "ACTIVE")


@pytest.mark.parametrize(("asked", "status"), [("abort", "cancelled"), ("force_complete", "completed")])
def test_one_under_way_is_ended(site: Site, asked: str, status: str) -> None:
    server = booted(site)
    here = host_of(site, server)
    gate = held(site, server)
    wish(site, server, asked)
    site.rest()
    assert (status_of(site, server), site.status(server)) == (status, "ACTIVE")
    assert (host_of(site, server) == here) is (asked == "abort")
    gate.open()
    site.rest()
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    assert len(body["instanceActions"]) == 3
    site.migrate_live(server)
    site.rest()
    assert status_of(site, server) == "completed"


def test_others_wait_for_their_turn_and_may_be_aborted(site: Site) -> None:
    first = booted(site)
    second = booted(site, availability_zone=f"nova:{host_of(site, first)}")
    gate = held(site, first)
    site.migrate_live(second)
    eventually(lambda: status_of(site, second) == "queued", "the second one waiting")
    wish(site, second, "abort")
    eventually(lambda: status_of(site, second) == "cancelled", "the second one aborted")
    site.migrate_live(second)
    eventually(lambda: status_of(site, second) == "queued", "the second one waiting again")
    eventually(lambda: slept(site, second), "the second one parked for an hour")
    gate.open()
    site.rest()
    assert [status_of(site, server) for server in (first, second)] == ["completed", "completed"]


@pytest.mark.parametrize("method", ["prepare_landing", "transfer", "depart", "leaving"])
def test_what_fails_leaves_the_guest_where_it_was(site: Site, method: str) -> None:
    server = booted(site)
    here = host_of(site, server)
    site.faults().fail(method, errors.GuestFailed("It does not work."), times=None)
    site.migrate_live(server)
    site.rest()
    assert (site.status(server), host_of(site, server), boots(site, server)) == ("ACTIVE", here, 1)
    assert status_of(site, server) == ("failed" if method in ("transfer", "depart") else "error")
    assert site.last_error(server) == "It does not work."


def test_an_agent_that_dies_while_its_guest_leaves_keeps_it(site: Site) -> None:
    server = booted(site)
    here = host_of(site, server)
    gate = held(site, server)
    site.restart(here)
    site.rest()
    assert (site.status(server), host_of(site, server), status_of(site, server)) == ("ACTIVE", here, "failed")
    gate.open()
    site.rest()


@pytest.mark.parametrize("has_come", [True, False])
def test_a_source_that_is_lost_leaves_it_to_the_other_host(
    site: Site, has_come: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the guest has come is the other host's to say."""
    server = booted(site)
    here = host_of(site, server)
    call = Bus.call
    lost: list[bool] = []

    def unanswered(bus: Bus, topic: str, method: str, **options: Any) -> Any:
        if lost and topic == "compute" and options.get("server") == here:
            raise errors.Timeout("No answer from compute in time.")
        return call(bus, topic, method, **options)

    def is_down(tools: CellTools, host: str) -> bool:
        return bool(lost) and host == here

    monkeypatch.setattr(Bus, "call", unanswered)
    monkeypatch.setattr("nova_lite.conductor.workflows.live_migrate.host_is_down", is_down)
    gate = None if has_come else site.faults().hold("transfer")
    place = Place("cell", "live-migrate", "send guest", "after")
    if has_come:
        driver = clouds.fake_driver(site.cloud, here)
        site.saboteur.plan(place, lambda: _lose(lost, lambda: driver.guest(server) is None))
    else:
        site.saboteur.plan(place, lambda: _lose(lost, lambda: True))
    site.migrate_live(server)
    eventually(lambda: status_of(site, server) in ("completed", "failed"), "the end")
    lost.clear()
    if gate is not None:
        gate.open()
    site.rest()
    assert status_of(site, server) == ("completed" if has_come else "failed")
    assert (host_of(site, server) != here) is has_come


def _lose(lost: list[bool], when: Any) -> None:
    eventually(when, "the moment")
    lost.append(True)

"""Moves of servers in a running cloud: where they go, what they count for, and what becomes of what they leave."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.spanning.automatic_confirms import AutomaticConfirms
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.repositories import claimants
from nova_lite.model.guest import PowerState
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site


def host_of(site: Site, server: str) -> str:
    _, body = site.ask("GET", f"/servers/{server}")
    return str(body["server"]["OS-EXT-SRV-ATTR:host"])


def flavor_of(site: Site, server: str) -> str:
    _, body = site.ask("GET", f"/servers/{server}")
    return str(body["server"]["flavor"]["original_name"])


def assert_accepted(status: int) -> None:
    assert status == 204


@contextlib.contextmanager
def database(site: Site, name: str) -> Iterator[Database]:
    with contextlib.closing(clouds.database(site.cloud, name)) as found:
        yield found


def counted(site: Site, server: str) -> tuple[int, int]:
    with database(site, "api") as api_db, api_db.reader() as session:
        row = session.get(InstanceMappingRow, server)
        assert row is not None
        return row.vcpus, row.ram_mib


def migrations(site: Site, server: str) -> list[str]:
    _, body = site.ask("GET", f"/os-migrations?instance_uuid={server}")
    return [migration["status"] for migration in body["migrations"]]


def last_message(site: Site, server: str) -> str:
    """Return what the last event of the last action on a server says."""
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    request = body["instanceActions"][0]["request_id"]
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions/{request}")
    return str(body["instanceAction"]["events"][-1]["details"])


def booted(site: Site, **more: Any) -> str:
    (server,) = site.boot(**more)
    site.rest()
    return server


def test_a_server_grows_and_shrinks_again(site: Site) -> None:
    server = booted(site)
    assert counted(site, server) == (1, 96)
    site.act(server, "resize", {"flavorRef": "4"})
    site.rest()
    assert (site.status(server), flavor_of(site, server)) == ("VERIFY_RESIZE", "m1.medium")
    assert counted(site, server) == (2, 512)
    site.act(server, "revertResize")
    site.rest()
    assert (site.status(server), flavor_of(site, server)) == ("ACTIVE", "m1.nano")
    assert counted(site, server) == (1, 96)
    assert migrations(site, server) == ["reverted"]
    site.act(server, "resize", {"flavorRef": "2"})
    site.rest()
    site.act(server, "confirmResize")
    site.rest()
    assert (site.status(server), flavor_of(site, server)) == ("ACTIVE", "m1.tiny")
    site.act(server, "resize", {"flavorRef": "1"})
    site.rest()
    assert counted(site, server) == (1, 128)  # so that going back stays possible
    site.act(server, "confirmResize")
    site.rest()
    assert counted(site, server) == (1, 96)


def test_a_stopped_server_moves_stopped(site: Site) -> None:
    server = booted(site)
    site.act(server, "os-stop")
    site.rest()
    before = host_of(site, server)
    for last, status in (("revertResize", before), ("confirmResize", None)):
        site.act(server, "migrate")
        site.rest()
        assert site.status(server) == "VERIFY_RESIZE"
        guest = clouds.fake_driver(site.cloud, host_of(site, server)).guest(server)
        assert guest is not None
        assert guest.power_state is PowerState.SHUTDOWN
        site.act(server, last)
        site.rest()
        assert site.status(server) == "SHUTOFF"
        assert (host_of(site, server) == before) is (status == before)


def test_a_server_goes_to_the_host_asked_for(site: Site) -> None:
    server = booted(site)
    here = host_of(site, server)
    there = next(host for host in site.cloud.agents if host != here and host[:5] == here[:5])
    site.act(server, "migrate", {"host": there})
    site.rest()
    assert (site.status(server), host_of(site, server)) == ("VERIFY_RESIZE", there)


def test_without_a_host_the_server_stays_as_it_was(site: Site) -> None:
    server = booted(site)
    here = host_of(site, server)
    with database(site, "api") as api_db, api_db.writer() as session:
        session.execute(
            sa.text(
                "INSERT INTO flavors (flavorid, name, vcpus, memory_mb, root_gb, ephemeral_gb, swap, rxtx_factor,"
                " is_public, disabled, extra_specs, created_at) VALUES ('huge', 'huge', 999, 96, 1, 0, 0, 1, 1, 0,"
                " '{}', '2026-01-01 00:00:00')"
            )
        )
    try:
        site.act(server, "resize", {"flavorRef": "huge"})
        site.rest()
    finally:
        assert site.ask("DELETE", "/flavors/huge")[0] == 202
    assert (site.status(server), host_of(site, server), flavor_of(site, server)) == ("ACTIVE", here, "m1.nano")
    assert "No valid host was found" in str(site.last_error(server))
    assert counted(site, server) == (1, 96)
    assert migrations(site, server) == ["error"]


@contextlib.contextmanager
def forced_down(site: Site, host: str) -> Iterator[None]:
    """Have a host count as down."""
    _, body = site.ask("GET", f"/os-services?host={host}&binary=nova-compute")
    (service,) = body["services"]
    url = f"/os-services/{service['id']}"
    assert site.ask("PUT", url, {"forced_down": True})[0] == 200
    try:
        yield
    finally:
        assert site.ask("PUT", url, {"forced_down": False})[0] == 200


def test_a_server_does_not_go_back_to_a_host_that_is_down(site: Site) -> None:
    server = booted(site)
    before = host_of(site, server)
    site.act(server, "migrate")
    site.rest()
    with forced_down(site, before):
        site.act(server, "revertResize")
        site.rest()
        assert last_message(site, server) == "The host that the server moved away from is down."
        assert (site.status(server), migrations(site, server)) == ("VERIFY_RESIZE", ["finished"])
    site.act(server, "revertResize")
    site.rest()
    assert (site.status(server), host_of(site, server), migrations(site, server)) == ("ACTIVE", before, ["reverted"])


def test_a_server_whose_move_failed_shows_that_it_runs(site: Site) -> None:
    server = booted(site)
    site.break_hosts(1, errors.GuestFailed("It does not work."), method="receive")
    site.resize(server)
    site.rest()
    _, body = site.ask("GET", f"/servers/{server}")
    assert body["server"]["OS-EXT-STS:power_state"] == PowerState.RUNNING


@pytest.mark.parametrize("method", ["set_aside", "receive"])
def test_a_host_that_fails_leaves_the_server_where_it_was(site: Site, method: str) -> None:
    server = booted(site)
    here = host_of(site, server)
    site.break_hosts(1, errors.GuestFailed("It does not work."), method=method)
    site.resize(server)
    site.rest()
    assert (site.status(server), host_of(site, server), flavor_of(site, server)) == ("ACTIVE", here, "m1.nano")
    assert migrations(site, server) == ["error"]
    assert counted(site, server) == (1, 96)


@pytest.mark.parametrize("last", ["confirmResize", "revertResize"])
def test_a_server_is_deleted_as_it_waits_to_be_confirmed(site: Site, last: str) -> None:
    server = booted(site)
    site.resize(server)
    site.rest()
    if last == "revertResize":
        place = Place("cell", "revert-resize", "bring guest back", "before")
        site.saboteur.plan(place, lambda: assert_accepted(site.delete(server)))
        site.act(server, last)
    else:
        assert site.delete(server) == 204
    site.rest()
    assert site.status(server) == "GONE"


def test_operators_do_not_take_an_open_move_for_an_orphan(site: Site) -> None:
    server = booted(site)
    site.resize(server)
    site.rest()
    (move,) = moves_of(site, server)
    assert living(site, move)
    site.act(server, "confirmResize")
    site.rest()
    assert not living(site, move)


def moves_of(site: Site, server: str) -> list[str]:
    _, body = site.ask("GET", f"/os-migrations?instance_uuid={server}")
    return [str(migration["uuid"]) for migration in body["migrations"]]


def living(site: Site, consumer: str) -> bool:
    found: set[str] = set()
    for name in site.cloud.settings.cell_names:
        with database(site, name) as cell_db, cell_db.reader() as session:
            found |= claimants.living(session, [consumer])
    return bool(found)


def test_nobody_needs_to_confirm_where_operators_want_that(site: Site) -> None:
    server = booted(site)
    site.resize(server)
    site.rest()
    tools = next(runner.tools for runner in site.saboteur.runners if isinstance(runner.tools, SuperTools))
    tools.conf.set_override("resize_confirm_window", 1)
    try:
        looker = AutomaticConfirms(tools.conf, tools.api_db, tools.cells)

        def look() -> bool:
            looker.look()
            return migrations(site, server) == ["confirmed"]

        eventually(look, "the move confirmed")
    finally:
        tools.conf.clear_override("resize_confirm_window")
    site.rest()
    assert site.status(server) == "ACTIVE"


def test_a_server_keeps_away_from_its_group_wherever_it_moves(site: Site) -> None:
    """With both hosts of its cell taken by its group, it cannot even be resized but where it is."""
    status, body = site.ask("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "anti-affinity"}})
    assert status == 200, body
    group = body["server_group"]["id"]
    servers = []
    for _ in range(3):
        server = {"name": "g", "flavorRef": "1", "imageRef": site.image, "networks": "none"}
        status, body = site.ask("POST", "/servers", {"server": server, "os:scheduler_hints": {"group": group}})
        assert status == 202, body
        servers.append(str(body["server"]["id"]))
    site.used += servers
    site.rest()
    hosts = [host_of(site, server) for server in servers]
    assert len(set(hosts)) == 3
    cell = next(host[:5] for host in hosts if sum(other[:5] == host[:5] for other in hosts) == 2)
    full = [server for server, host in zip(servers, hosts, strict=True) if host[:5] == cell]
    (alone,) = (server for server in servers if server not in full)
    site.act(full[0], "migrate")
    site.act(alone, "migrate")
    site.rest()
    assert [site.status(server) for server in (full[0], alone)] == ["ACTIVE", "VERIFY_RESIZE"]
    assert "server group" in str(site.last_error(full[0]))
    assert len({host_of(site, server) for server in servers}) == 3
    site.act(alone, "revertResize")
    site.act(full[1], "resize", {"flavorRef": "2"})
    site.rest()
    assert [host_of(site, server) for server in servers] == hosts
    assert site.ask("DELETE", f"/os-server-groups/{group}")[0] == 204

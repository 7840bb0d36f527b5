"""Shelved servers in a running cloud: their images, claims, places and zones, and what comes in between."""

from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.conductor.spanning.automatic_offloads import AutomaticOffloads
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.model.guest import PowerState
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site
from tests.functional.workflows.test_group_places import Group


def shown(site: Site, server: str) -> dict[str, Any]:
    _, body = site.ask("GET", f"/servers/{server}")
    found: dict[str, Any] = body["server"]
    return found


def host_of(site: Site, server: str) -> str | None:
    host: str | None = shown(site, server)["OS-EXT-SRV-ATTR:host"]
    return host


def images_of(site: Site, server: str) -> list[dict[str, Any]]:
    url = f"{site.cloud.image_url}/v2/images"
    found: list[dict[str, Any]] = requests.get(url, params={"instance_uuid": server}, timeout=480).json()["images"]
    return found


def booted(site: Site, **more: Any) -> str:
    (server,) = site.boot(**more)
    site.rest()
    return server


def shelved(site: Site, server: str, *, stays_on_host: bool = False) -> str:
    site.shelve(server, stays_on_host=stays_on_host)
    site.rest()
    assert site.status(server) == ("SHELVED" if stays_on_host else "SHELVED_OFFLOADED")
    return server


def test_a_server_goes_and_comes_back(site: Site) -> None:
    server = booted(site, name="db")
    states = []
    for step in ("turn off", "take snapshot", "destroy guest"):
        place = Place("cell", "shelve", step, "before")
        site.saboteur.plan(place, lambda: states.append(shown(site, server)["OS-EXT-STS:task_state"]))
    shelved(site, server)
    assert states == ["shelving", "shelving_image_pending_upload", "shelving_offloading"]
    found = shown(site, server)
    assert (found["OS-EXT-SRV-ATTR:host"], found["OS-EXT-STS:power_state"]) == (None, PowerState.SHUTDOWN)
    (image,) = images_of(site, server)
    assert (image["name"], image["status"]) == ("db-shelved", "active")
    _, body = site.ask("GET", "/limits")
    assert body["limits"]["absolute"]["totalInstancesUsed"] == 1  # it counts all the same
    states.clear()
    place = Place("cell", "unshelve", "spawn guest", "before")
    site.saboteur.plan(place, lambda: states.append(shown(site, server)["OS-EXT-STS:task_state"]))
    site.act(server, "unshelve")
    site.rest()
    assert (site.status(server), states, images_of(site, server)) == ("ACTIVE", ["spawning"], [])
    assert shown(site, server)["image"]["id"] == site.image


def test_one_that_is_still_on_its_host_starts_there(site: Site) -> None:
    server = booted(site)
    here = host_of(site, server)
    shelved(site, server, stays_on_host=True)
    guest = clouds.fake_driver(site.cloud, str(here)).guest(server)
    assert guest is not None
    assert guest.power_state is PowerState.SHUTDOWN
    site.act(server, "unshelve")
    site.rest()
    assert (site.status(server), host_of(site, server), images_of(site, server)) == ("ACTIVE", here, [])


@pytest.mark.parametrize(("action", "status"), [("os-stop", "SHUTOFF"), ("pause", "PAUSED"), ("suspend", "SUSPENDED")])
def test_whatever_it_was_it_runs_again(site: Site, action: str, status: str) -> None:
    server = booted(site)
    site.act(server, action)
    site.rest()
    assert site.status(server) == status
    shelved(site, server)
    site.act(server, "unshelve")
    site.rest()
    assert site.status(server) == "ACTIVE"


@pytest.mark.parametrize(("action", "status"), [("os-stop", "SHUTOFF"), ("pause", "SHUTOFF"), ("suspend", "SUSPENDED")])
def test_one_that_cannot_be_shelved_is_as_it_was_but_for_its_memory(site: Site, action: str, status: str) -> None:
    server = booted(site)
    site.act(server, action)
    site.rest()
    site.break_hosts(1, errors.GuestFailed("It does not work."), method="snapshot")
    site.shelve(server)
    site.rest()
    assert (site.status(server), images_of(site, server)) == (status, [])
    assert site.last_error(server) == "It does not work."


def test_without_its_image_a_server_stays_where_it_is(site: Site) -> None:
    server = shelved(site, booted(site))
    (image,) = images_of(site, server)
    requests.delete(f"{site.cloud.image_url}/v2/images/{image['id']}", timeout=480).raise_for_status()
    site.act(server, "unshelve")
    site.rest()
    assert (site.status(server), host_of(site, server)) == ("SHELVED_OFFLOADED", None)
    assert f"image {image['id']} cannot be found" in str(site.last_error(server))


def test_a_host_that_fails_is_passed_over(site: Site) -> None:
    server = shelved(site, booted(site))
    site.break_hosts(1)
    site.act(server, "unshelve")
    site.rest()
    assert site.status(server) == "ACTIVE"
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    request = body["instanceActions"][0]["request_id"]
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions/{request}")
    events = sorted(body["instanceAction"]["events"], key=lambda event: str(event["start_time"]))
    assert [(event["event"], event["result"]) for event in events] == [
        ("schedule_instances", "Success"),
        ("compute_unshelve_instance", "Error"),
        ("compute_unshelve_instance", "Success"),
    ]


def test_it_comes_to_the_host_and_the_zone_asked_for(site: Site) -> None:
    server = booted(site)
    here = str(host_of(site, server))
    there = next(host for host in site.cloud.agents if host != here and host[:5] == here[:5])
    _, body = site.ask("POST", "/os-aggregates", {"aggregate": {"name": "zone", "availability_zone": "z"}})
    aggregate = f"/os-aggregates/{body['aggregate']['id']}"
    assert site.ask("POST", f"{aggregate}/action", {"add_host": {"host": there}})[0] == 200
    shelved(site, server)
    site.act(server, "unshelve", {"host": there, "availability_zone": "z"})
    site.rest()
    found = shown(site, server)
    assert (found["OS-EXT-SRV-ATTR:host"], found["OS-EXT-AZ:availability_zone"]) == (there, "z")
    assert found["pinned_availability_zone"] == "z"
    shelved(site, server)
    code, body = site.ask("POST", f"/servers/{server}/action", {"unshelve": {"host": here}})
    assert code == 409, body
    site.act(server, "unshelve", {"host": here, "availability_zone": None})
    site.rest()
    found = shown(site, server)
    assert (found["OS-EXT-SRV-ATTR:host"], found["pinned_availability_zone"]) == (here, None)
    assert site.ask("POST", f"{aggregate}/action", {"remove_host": {"host": there}})[0] == 200
    assert site.ask("DELETE", aggregate)[0] == 200


def test_its_place_in_a_group_is_free_until_it_comes_back(site: Site) -> None:
    group = Group(site, "affinity")
    (first,) = group.boot()
    site.rest()
    here = host_of(site, first)
    shelved(site, first)
    clouds_of_others = [host for host in site.cloud.agents if host != here]
    second = _booted_on(site, group, clouds_of_others[0])
    site.act(first, "unshelve")
    site.rest()
    is_in_its_cell = clouds_of_others[0][:5] == str(here)[:5]
    assert (site.status(first), host_of(site, first)) == (
        ("ACTIVE", host_of(site, second)) if is_in_its_cell else ("SHELVED_OFFLOADED", None)
    )


def _booted_on(site: Site, group: Group, host: str) -> str:
    (server,) = group.boot(host=host)
    site.rest()
    assert host_of(site, server) == host
    return server


def test_one_that_stays_on_its_host_keeps_its_place(site: Site) -> None:
    group = Group(site, "affinity")
    (first,) = group.boot()
    site.rest()
    shelved(site, first, stays_on_host=True)
    (second,) = group.boot()
    site.rest()
    assert host_of(site, second) == host_of(site, first)


@pytest.mark.parametrize("stays_on_host", [True, False])
def test_a_server_is_deleted_on_the_shelf(site: Site, stays_on_host: bool) -> None:
    server = shelved(site, booted(site), stays_on_host=stays_on_host)
    assert site.delete(server) == 204
    site.rest()
    assert (site.status(server), images_of(site, server)) == ("GONE", [])


def test_one_that_is_deleted_softly_has_no_image_any_more(site: Site) -> None:
    server = shelved(site, booted(site), stays_on_host=True)
    assert site.soft_delete(server) == 204
    site.rest()
    assert (site.status(server), images_of(site, server)) == ("SOFT_DELETED", [])
    site.act(server, "restore")
    site.rest()
    assert site.status(server) == "ACTIVE"


def test_what_was_taken_off_by_hand_leaves_no_image(site: Site) -> None:
    server = shelved(site, booted(site), stays_on_host=True)
    site.act(server, "os-resetState", {"state": "active"})
    eventually(lambda: site.status(server) == "SHUTOFF", "the guest seen to be off")
    (stale,) = images_of(site, server)
    shelved(site, server)
    (image,) = images_of(site, server)
    assert image["id"] != stale["id"]


def test_operators_want_it_off_its_host_after_a_while(site: Site) -> None:
    server = shelved(site, booted(site), stays_on_host=True)
    tools = next(runner.tools for runner in site.saboteur.runners if isinstance(runner.tools, SuperTools))
    tools.conf.set_override("shelved_offload_time", 1)
    try:
        looker = AutomaticOffloads(tools.conf, tools.api_db, tools.cells)

        def look() -> bool:
            looker.look()
            return site.status(server) == "SHELVED_OFFLOADED"

        eventually(look, "the server offloaded")
    finally:
        tools.conf.clear_override("shelved_offload_time")
    site.rest()
    assert host_of(site, server) is None

"""Several servers of one request, and many requests with conductors dying at random."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from nova_lite import errors
from tests.functional.workflows.sabotage import Killed, Place, may_fail_at, places, undo_places
from tests.functional.workflows.site import Site
from tests.functional.workflows.stories import tell

REASON = "It was made to fail."
COUNT = 3


def _of_schedule(found: list[Place]) -> list[Place]:
    return [place for place in found if place.kind == "schedule"]


@pytest.mark.parametrize("place", _of_schedule(places("before", "middle", "after")), ids=str)
def test_a_conductor_dies_placing_three(site: Site, place: Place) -> None:
    servers = tell(site, "super", "schedule", lambda server: site.saboteur.plan(place, Killed()), COUNT)
    assert site.saboteur.happened == [place]
    assert [site.status(server) for server in servers] == ["ACTIVE"] * COUNT


@pytest.mark.parametrize("place", _of_schedule(places("middle")), ids=str)
def test_all_of_a_request_fail_or_none(site: Site, place: Place) -> None:
    error = errors.NoValidHost(REASON)
    servers = tell(site, "super", "schedule", lambda server: site.saboteur.plan(place, error), COUNT)
    assert site.saboteur.happened == [place]
    if not may_fail_at(place):
        assert [site.status(server) for server in servers] == ["ACTIVE"] * COUNT
        return
    assert [site.status(server) for server in servers] == ["ERROR"] * COUNT
    assert [site.reason(server) for server in servers] == [REASON] * COUNT


@pytest.mark.parametrize(("error", "death"), [pair for pair in undo_places() if pair[0].kind == "schedule"], ids=str)
def test_a_conductor_dies_giving_three_up(site: Site, error: Place, death: Place) -> None:
    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(error, errors.NoValidHost(REASON))
        site.saboteur.plan(death, Killed())

    servers = tell(site, "super", "schedule", sabotage, COUNT)
    assert [site.status(server) for server in servers] == ["ERROR"] * COUNT


@pytest.mark.parametrize("place", _of_schedule(places("before", "middle", "after", records=False)), ids=str)
def test_one_of_three_is_deleted_meanwhile(site: Site, place: Place) -> None:
    def sabotage(server: Callable[[], str]) -> None:
        def delete() -> None:
            deleted.append(server())
            assert site.delete(deleted[0]) == 204

        site.saboteur.plan(place, delete)

    deleted: list[str] = []
    servers = tell(site, "super", "schedule", sabotage, COUNT)
    shown = {server: site.status(server) for server in servers}
    assert shown == {server: "GONE" if server in deleted else "ACTIVE" for server in servers}


def test_more_than_there_is_room_for(site: Site) -> None:
    """All are refused, with the reason; the room those placed first had taken is free again."""
    servers = site.boot(COUNT, availability_zone="nova:cell1-host1", flavorRef=_giant(site))
    site.rest()
    assert [site.status(server) for server in servers] == ["ERROR"] * COUNT
    assert "room for 2 of 3" in site.reason(servers[0])


def _giant(site: Site) -> str:
    """Make a flavor of which two fit on a host; return its id."""
    body = {"flavor": {"name": "giant", "id": "giant", "ram": 110 * 1024, "vcpus": 1, "disk": 1}}
    status, answer = site.ask("POST", "/flavors", body)
    assert status in (200, 409), answer
    return "giant"


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_boots_with_conductors_dying_at_random(site: Site, seed: int) -> None:
    dice = random.Random(seed)
    deaths_left = 60

    def dies_here(place: Place) -> bool:
        nonlocal deaths_left
        if deaths_left and dice.random() < 0.08:
            deaths_left -= 1
            return True
        return False

    site.saboteur.anywhere = dies_here
    with ThreadPoolExecutor(4) as clients:
        servers = [made[0] for made in clients.map(lambda _: site.boot(), range(25))]
        site.rest()
        for server in servers:
            assert site.status(server) == "ACTIVE"
        assert set(clients.map(site.delete, servers)) == {204}
    site.rest()
    assert {site.status(server) for server in servers} == {"GONE"}
    assert len(site.saboteur.happened) > 10

"""Servers of groups that move: until that is confirmed or reverted, the host they left is as taken as the new one."""

from collections.abc import Iterator

import pytest

from nova_lite import errors
from tests.functional.workflows.sabotage import Killed, Place
from tests.functional.workflows.site import Site, opened
from tests.functional.workflows.test_group_places import Group

HOSTS = 3


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    options = {"allow_resize_to_same_host": "True"}
    with opened(tmp_path_factory.mktemp("cell"), cells=1, hosts_per_cell=HOSTS, **options) as site:
        yield site


@pytest.fixture
def site(one_cell: Site) -> Iterator[Site]:
    one_cell.saboteur.clear()
    yield one_cell
    one_cell.clean()
    for group in one_cell.ask("GET", "/os-server-groups")[1]["server_groups"]:
        assert one_cell.ask("DELETE", f"/os-server-groups/{group['id']}")[0] == 204


def host_of(site: Site, server: str) -> str:
    _, body = site.ask("GET", f"/servers/{server}")
    return str(body["server"]["OS-EXT-SRV-ATTR:host"])


def booted(site: Site, group: Group) -> str:
    (server,) = group.boot()
    site.rest()
    return server


def moved(site: Site, server: str) -> tuple[str, str]:
    """Migrate a server; return the host it left and the one it is on, which is to be confirmed."""
    before = host_of(site, server)
    site.act(server, "migrate")
    site.rest()
    assert site.status(server) == "VERIFY_RESIZE"
    assert host_of(site, server) != before
    return before, host_of(site, server)


def ended(site: Site, server: str, how: str) -> None:
    site.act(server, how)
    site.rest()
    assert site.status(server) == "ACTIVE"


def assert_refused(site: Site, server: str) -> None:
    """Check that a new server found no place, because of its group."""
    assert site.status(server) == "ERROR"
    assert "server group" in site.reason(server)


def test_who_reverts_finds_the_old_host_free_of_the_group(site: Site) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    old, new = moved(site, first)
    second, third = booted(site, group), booted(site, group)
    assert host_of(site, second) not in (old, new)
    assert_refused(site, third)
    site.act(second, "migrate")
    site.rest()
    assert site.status(second) == "ACTIVE"
    assert "server group" in str(site.last_error(second))
    ended(site, first, "revertResize")
    assert host_of(site, first) == old
    assert moved(site, second)[1] == new


def test_who_confirms_leaves_the_old_host_to_the_group(site: Site) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    old, new = moved(site, first)
    second = booted(site, group)
    ended(site, first, "confirmResize")
    assert host_of(site, first) == new
    assert host_of(site, booted(site, group)) == old
    assert host_of(site, second) not in (old, new)


def test_who_is_deleted_instead_leaves_both_hosts(site: Site) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    moved(site, first)
    assert site.delete(first) == 204
    site.rest()
    others = [booted(site, group) for _ in range(HOSTS)]
    assert len({host_of(site, server) for server in others}) == HOSTS


def test_a_move_that_fails_leaves_the_new_host_to_the_group(site: Site) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    site.break_hosts(1, errors.GuestFailed("It does not work."), method="receive")
    site.act(first, "migrate")
    site.rest()
    assert site.status(first) == "ACTIVE"
    others = [booted(site, group) for _ in range(HOSTS - 1)]
    assert len({host_of(site, server) for server in (first, *others)}) == HOSTS


PLACES = [
    Place("super", "move", "choose host", "before"),
    Place("super", "move", "choose host", "middle"),
    Place("super", "move", "choose host", "after"),
    Place("super", "move", "hand to cell", "middle"),
    Place("super", "move", "account", "middle"),
]
ENDS = {"confirm-resize": "confirmResize", "revert-resize": "revertResize"}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_others_that_come_during_a_move_stay_clear_of_both_hosts(site: Site, place: Place) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    others: list[str] = []
    site.saboteur.plan(place, lambda: others.extend(group.boot()))
    site.act(first, "migrate")
    site.rest()
    (second,) = others
    assert [site.status(first), site.status(second)] == ["VERIFY_RESIZE", "ACTIVE"]
    ended(site, first, "revertResize")
    third = booted(site, group)
    assert len({host_of(site, server) for server in (first, second, third)}) == HOSTS


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_conductor_dies_as_it_leads_a_move(site: Site, place: Place) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    site.saboteur.plan(place, Killed())
    old, new = moved(site, first)
    assert host_of(site, booted(site, group)) not in (old, new)
    assert_refused(site, booted(site, group))


@pytest.mark.parametrize("kind", ENDS)
def test_a_conductor_dies_as_it_counts_the_end(site: Site, kind: str) -> None:
    group = Group(site, "anti-affinity")
    first = booted(site, group)
    moved(site, first)
    site.saboteur.plan(Place("super", kind, "account", "middle"), Killed())
    ended(site, first, ENDS[kind])
    others = [booted(site, group) for _ in range(HOSTS - 1)]
    assert len({host_of(site, server) for server in (first, *others)}) == HOSTS


@pytest.mark.parametrize("how", ENDS.values())
def test_nobody_can_join_a_group_to_be_kept_together_that_may_go_back(site: Site, how: str) -> None:
    group = Group(site, "affinity")
    first = booted(site, group)
    moved(site, first)
    assert_refused(site, booted(site, group))
    ended(site, first, how)
    assert host_of(site, booted(site, group)) == host_of(site, first)


def test_a_server_cannot_leave_those_it_is_kept_together_with(site: Site) -> None:
    group = Group(site, "affinity")
    first = booted(site, group)
    second = booted(site, group)
    here = host_of(site, first)
    site.act(first, "migrate")
    site.rest()
    assert (site.status(first), host_of(site, first)) == ("ACTIVE", here)
    site.resize(second)
    site.rest()
    assert (site.status(second), host_of(site, second)) == ("VERIFY_RESIZE", here)
    assert host_of(site, booted(site, group)) == here  # a resize where it is keeps nobody off


@pytest.mark.parametrize("policy", ["soft-affinity", "soft-anti-affinity"])
def test_a_soft_policy_forbids_nothing(site: Site, policy: str) -> None:
    group = Group(site, policy)
    first = booted(site, group)
    old, new = moved(site, first)
    second, third = booted(site, group), booted(site, group)
    assert [site.status(server) for server in (second, third)] == ["ACTIVE", "ACTIVE"]
    assert (host_of(site, second) in (old, new)) is (policy == "soft-affinity")

"""Servers with volumes that move: whatever dies or fails, a volume is its server's alone, and never free in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from nova_lite import errors
from nova_lite.testing.block_storage import Fault
from tests.functional.workflows.block_site import Blocks, opened_with_volumes
from tests.functional.workflows.sabotage import Killed, Place, may_fail_at, places
from tests.functional.workflows.site import Site


@dataclass(frozen=True)
class Journey:
    """Something that happens to a server with volumes: what comes before, how it begins, and where it may go wrong."""

    kind: str
    begin: Callable[[Site, str], object]
    steps: tuple[str, ...]
    before: Callable[[Site, str], object] = lambda site, server: None


JOURNEYS = {
    journey.kind: journey
    for journey in (
        Journey("move", Site.resize, ("ask hosts", "hand over", "start guest", "await confirmation")),
        Journey(
            "confirm-resize",
            lambda site, server: site.act(server, "confirmResize"),
            ("drop leftovers", "free old claim", "confirm"),
            Site.resize,
        ),
        Journey(
            "revert-resize",
            lambda site, server: site.act(server, "revertResize"),
            ("ask old host", "turn back", "remove guest", "bring guest back", "give claim back"),
            Site.resize,
        ),
    )
}
PLACES = [Place("cell", journey.kind, step, "middle") for journey in JOURNEYS.values() for step in journey.steps]
#: Where what fails is undone, and where others write meanwhile: a record holds the database.
FAILING = [place for place in PLACES if may_fail_at(place)]
OUTSIDE = [place for place in PLACES if place in places("middle", records=False)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocks]:
    with opened_with_volumes(tmp_path_factory.mktemp("site"), cells=1, hosts_per_cell=2) as blocks:
        yield blocks


@pytest.fixture
def blocks(shared: Blocks) -> Iterator[Blocks]:
    shared.site.saboteur.clear()
    yield shared
    shared.faults.clear()
    shared.site.clean()


def departing(blocks: Blocks, journey: Journey) -> tuple[str, list[str]]:
    """Return a server with two volumes to which a journey is to happen, and these."""
    server, volumes = blocks.server()
    journey.before(blocks.site, server)
    blocks.site.rest(is_end=False)
    return server, volumes


@pytest.mark.parametrize("kind", JOURNEYS)
def test_volumes_go_with_their_server(blocks: Blocks, kind: str) -> None:
    server, volumes = departing(blocks, JOURNEYS[kind])
    JOURNEYS[kind].begin(blocks.site, server)
    blocks.site.rest()
    blocks.assert_whole(server, volumes)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_conductor_dies(blocks: Blocks, place: Place) -> None:
    server, volumes = departing(blocks, JOURNEYS[place.kind])
    blocks.site.saboteur.plan(place, Killed())
    JOURNEYS[place.kind].begin(blocks.site, server)
    blocks.site.rest()
    assert blocks.site.saboteur.happened == [place]
    blocks.assert_whole(server, volumes)


@pytest.mark.parametrize("place", FAILING, ids=str)
def test_a_step_fails(blocks: Blocks, place: Place) -> None:
    server, volumes = departing(blocks, JOURNEYS[place.kind])
    blocks.site.saboteur.plan(place, errors.GuestFailed("It was made to fail."))
    JOURNEYS[place.kind].begin(blocks.site, server)
    blocks.site.rest()
    assert blocks.site.saboteur.happened == [place]
    blocks.assert_whole(server, volumes)


@pytest.mark.parametrize("place", OUTSIDE, ids=str)
def test_the_server_is_deleted(blocks: Blocks, place: Place) -> None:
    server, volumes = departing(blocks, JOURNEYS[place.kind])
    answers: list[int] = []
    blocks.site.saboteur.plan(place, lambda: answers.append(blocks.site.delete(server)))
    JOURNEYS[place.kind].begin(blocks.site, server)
    blocks.site.rest()
    assert (answers, blocks.site.status(server)) == ([204], "GONE")
    blocks.assert_free(server, volumes)


@pytest.mark.parametrize("after_work", [False, True])
def test_the_answer_to_an_attachment_is_lost(blocks: Blocks, after_work: bool) -> None:
    server, volumes = blocks.server()
    fault = blocks.faults.add(Fault("POST", "/attachments$", after_work=after_work))
    blocks.site.resize(server)
    blocks.site.rest()
    assert (fault.met, blocks.site.status(server)) == (1, "VERIFY_RESIZE")
    blocks.assert_whole(server, volumes)


def test_volumes_come_and_go_before_a_move_is_confirmed_or_reverted(blocks: Blocks) -> None:
    for last in ("confirmResize", "revertResize"):
        server, (stays, goes) = blocks.server()
        blocks.site.resize(server)
        blocks.site.rest()
        blocks.detach(server, goes)
        assert blocks.status(goes) == "available"
        comes = blocks.volume()
        blocks.attach(server, comes)
        blocks.assert_whole(server, [stays, comes])
        blocks.site.act(server, last)
        blocks.site.rest()
        assert blocks.site.status(server) == "ACTIVE"
        blocks.assert_whole(server, [stays, comes])


def test_a_refused_attachment_leaves_the_server_where_it_was(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    host = blocks.instance(server).host
    blocks.faults.add(Fault("POST", "/attachments$", status=400))
    blocks.site.resize(server)
    blocks.site.rest()
    assert "cannot be attached to another host" in str(blocks.site.last_error(server))
    assert (blocks.site.status(server), blocks.instance(server).host) == ("ACTIVE", host)
    blocks.assert_whole(server, volumes)

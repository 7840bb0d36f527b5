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
    """Something that happens to a server with volumes.

    What comes before, how it begins, and at which of its cell's steps it is worth while to die, fail or be deleted:
    those that do something to attachments.
    """

    kind: str
    begin: Callable[[Site, str], object]
    steps: tuple[str, ...]
    before: Callable[[Site, str], object] = lambda site, server: None


def _act(action: str, details: object = None) -> Callable[[Site, str], object]:
    return lambda site, server: site.act(server, action, details)


JOURNEYS = {
    journey.kind: journey
    for journey in (
        Journey("move", Site.resize, ("ask hosts", "start guest")),
        Journey("confirm-resize", _act("confirmResize"), ("drop leftovers", "free old claim"), Site.resize),
        Journey(
            "revert-resize",
            _act("revertResize"),
            ("ask old host", "remove guest", "bring guest back", "give claim back"),
            Site.resize,
        ),
        Journey(
            "live-migrate",
            Site.migrate_live,
            ("prepare destination", "finish at destination", "clear source", "settle claim"),
        ),
        Journey("evacuate", Site.evacuate, ("fetch image", "start guest", "keep disks")),
        Journey("shelve", Site.shelve, ("destroy guest", "free claim")),
        Journey("unshelve", _act("unshelve"), ("spawn guest",), Site.shelve),
        Journey("rebuild", Site.rebuild, ("remake guest",)),
    )
}
#: What leaves a guest on its host, and its volumes alone.
STAYS = {
    "reboot": [_act("reboot", {"type": "HARD"})],
    "stop and start": [_act("os-stop"), _act("os-start")],
    "rescue": [Site.rescue, _act("unrescue")],
    "pause": [_act("pause"), _act("unpause")],
    "suspend": [_act("suspend"), _act("resume")],
    "soft delete": [Site.soft_delete, _act("restore")],
    "shelve and start": [lambda site, server: site.shelve(server, stays_on_host=True), _act("unshelve")],
}
PLACES = [Place("cell", journey.kind, step, "middle") for journey in JOURNEYS.values() for step in journey.steps]
#: Where what fails is undone, and where others write meanwhile: a record holds the database.
FAILING = [place for place in PLACES if may_fail_at(place)]
OUTSIDE = [place for place in PLACES if place in places("middle", records=False)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocks]:
    directory = tmp_path_factory.mktemp("site")
    with opened_with_volumes(directory, cells=1, hosts_per_cell=2, allow_resize_to_same_host="false") as blocks:
        yield blocks


@pytest.fixture
def blocks(shared: Blocks) -> Iterator[Blocks]:
    shared.site.saboteur.clear()
    yield shared
    shared.faults.clear()
    shared.site.clean()
    shared.forgive()


def departing(blocks: Blocks, journey: Journey) -> tuple[str, list[str]]:
    """Return a server with two volumes to which a journey is to happen, and these."""
    server, volumes = blocks.server()
    journey.before(blocks.site, server)
    blocks.site.rest(is_end=False)
    if journey.kind == "evacuate":
        blocks.leave(server)  # its host turns the guest off without being asked
    return server, volumes


@pytest.mark.parametrize("kind", JOURNEYS)
def test_volumes_go_with_their_server(blocks: Blocks, kind: str) -> None:
    server, volumes = departing(blocks, JOURNEYS[kind])
    JOURNEYS[kind].begin(blocks.site, server)
    blocks.site.rest()
    blocks.assert_whole(server, volumes)


@pytest.mark.parametrize("name", STAYS)
def test_volumes_stay_with_their_server(blocks: Blocks, name: str) -> None:
    server, volumes = blocks.server()
    held = set(blocks.attachments(server))
    for deed in STAYS[name]:
        deed(blocks.site, server)
        blocks.site.rest()
        blocks.assert_whole(server, volumes)
    assert (blocks.site.status(server), set(blocks.attachments(server))) == ("ACTIVE", held)


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
        blocks.leave(server)  # where it came from does not hear of the one that goes now
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
    assert "cannot be attached once more" in str(blocks.site.last_error(server))
    assert (blocks.site.status(server), blocks.instance(server).host) == ("ACTIVE", host)
    blocks.assert_whole(server, volumes)


def test_a_server_that_boots_from_a_volume_needs_no_image(blocks: Blocks) -> None:
    root = blocks.volume(is_bootable=True)
    mapping = {"boot_index": 0, "uuid": root, "source_type": "volume", "destination_type": "volume"}
    (server,) = blocks.site.boot(imageRef="", block_device_mapping_v2=[mapping])
    blocks.site.rest()
    blocks.seen[root] = []
    blocks.site.shelve(server, stays_on_host=True)
    blocks.site.rest()
    assert (blocks.site.status(server), blocks.instance(server).shelved_image) == ("SHELVED_OFFLOADED", None)
    blocks.assert_whole(server, [root])
    for action, status in (("unshelve", "ACTIVE"), ("migrate", "VERIFY_RESIZE"), ("revertResize", "ACTIVE")):
        blocks.site.act(server, action)
        blocks.site.rest()
        assert blocks.site.status(server) == status
        blocks.assert_whole(server, [root])
    blocks.leave(server)
    blocks.site.evacuate(server)
    blocks.site.rest()
    blocks.assert_whole(server, [root])


def test_a_root_disk_that_is_a_volume_may_be_smaller_in_the_next_flavor(blocks: Blocks) -> None:
    root = blocks.volume(is_bootable=True)
    mapping = {"boot_index": 0, "uuid": root, "source_type": "volume", "destination_type": "volume"}
    (server,) = blocks.site.boot(flavorRef="3", imageRef="", block_device_mapping_v2=[mapping])
    blocks.site.rest()
    blocks.seen[root] = []
    for action, body, status in (
        ("resize", {"flavorRef": "2"}, "VERIFY_RESIZE"),
        ("revertResize", None, "ACTIVE"),
        ("resize", {"flavorRef": "2"}, "VERIFY_RESIZE"),
        ("confirmResize", None, "ACTIVE"),
    ):
        blocks.site.act(server, action, body)
        blocks.site.rest()
        assert blocks.site.status(server) == status
        blocks.assert_whole(server, [root])
    assert blocks.instance(server).flavor.flavor_id == "2"

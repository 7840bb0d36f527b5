"""Servers that are made with volumes, when who makes them dies, fails or is overtaken: no volume is left taken."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from nova_lite import errors
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.block_site import Blocks, opened_with_volumes
from tests.functional.workflows.sabotage import Killed, Place

#: Steps that do something to volumes, or find it done, and those in whose time they may be freed.
IN_CELL = [Place("cell", "create", step, "middle") for step in ("await volumes", "spawn guest")]
ON_DETOUR = [Place("cell", "create", step, "middle") for step in ("clear host", "claim next host")]
ABOVE = [
    Place("super", "schedule", step, "middle")
    for step in ("choose hosts", "create in cells", "point mappings", "start builds")
]
#: Where others write meanwhile: a record holds the database.
OUTSIDE = [place for place in (*ABOVE, *IN_CELL, *ON_DETOUR) if place.step != "point mappings"]


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
    shared.forgive()


def boot(blocks: Blocks, sabotage: Callable[[Callable[[], str]], None]) -> tuple[str, str]:
    """Make a server with a volume that is there, and one that is made for it and goes with it; return both."""
    system = blocks.volume()
    records = blocks.store.records
    found = records.get(StoredVolume, system)
    assert found is not None
    records.put(replace(found, is_bootable=True))
    blocks.seen[system] = []
    known = blocks.site.watch.servers()
    sabotage(lambda: min(blocks.site.watch.servers() - known))
    if blocks.site.saboteur.is_on_detour:
        blocks.site.break_hosts(1)
    devices = [
        {"source_type": "volume", "destination_type": "volume", "uuid": system, "boot_index": 0},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True},
    ]
    (server,) = blocks.site.boot(imageRef="", block_device_mapping_v2=devices)
    blocks.site.rest()
    return server, system


def assert_nothing_is_left(blocks: Blocks, server: str, system: str) -> None:
    assert blocks.status(system) == "available"
    eventually(lambda: blocks.made_for(server) == [], "what was made for it is gone")
    assert [found for found in blocks.store.records.all(StoredAttachment) if found.instance_uuid == server] == []


@pytest.mark.parametrize("place", [*ABOVE, *IN_CELL, *ON_DETOUR], ids=str)
def test_a_conductor_dies(blocks: Blocks, place: Place) -> None:
    server, system = boot(blocks, lambda server: blocks.site.saboteur.plan(place, Killed()))
    assert blocks.site.saboteur.happened == [place]
    assert blocks.site.status(server) == "ACTIVE"
    (made,) = blocks.made_for(server)
    blocks.seen[made].remove("available")  # once, when it is made
    blocks.assert_whole(server, [system, made])
    assert blocks.site.delete(server) == 204
    blocks.site.rest()
    assert_nothing_is_left(blocks, server, system)


@pytest.mark.parametrize("place", [*IN_CELL, *ON_DETOUR], ids=str)
def test_a_step_fails(blocks: Blocks, place: Place) -> None:
    failure = errors.GuestFailed("It was made to fail.")
    server, system = boot(blocks, lambda server: blocks.site.saboteur.plan(place, failure))
    assert blocks.site.saboteur.happened == [place]
    assert blocks.site.status(server) == "ERROR"
    assert_nothing_is_left(blocks, server, system)


@pytest.mark.parametrize("place", OUTSIDE, ids=str)
def test_the_server_is_deleted(blocks: Blocks, place: Place) -> None:
    answers: list[int] = []
    server, system = boot(
        blocks,
        lambda server: blocks.site.saboteur.plan(place, lambda: answers.append(blocks.site.delete(server()))),
    )
    assert (answers, blocks.site.status(server)) == ([204], "GONE")
    blocks.site.rest()
    assert_nothing_is_left(blocks, server, system)

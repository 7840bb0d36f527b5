"""Servers with volumes on a host without neighbours: moved within it, refused to leave it, made of what never comes."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.api.services import volume_attachments
from nova_lite.api.services.volume_attachments import VolumeAttachmentService
from nova_lite.compute.service import Agent
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.testing import cloud as clouds
from nova_lite.testing.block_storage import Fault
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.block_site import Blocks, opened_with_volumes
from tests.functional.workflows.sabotage import Place


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocks]:
    directory = tmp_path_factory.mktemp("site")
    options = {"block_device_allocate_retries": "2", "block_device_allocate_retries_interval": "0.05"}
    with opened_with_volumes(directory, cells=1, hosts_per_cell=1, **options) as blocks:
        yield blocks


@pytest.fixture
def blocks(shared: Blocks) -> Iterator[Blocks]:
    shared.site.saboteur.clear()
    yield shared
    shared.faults.clear()
    shared.site.clean()
    shared.forgive()


@pytest.mark.parametrize("last", ["confirmResize", "revertResize"])
def test_a_server_that_grows_where_it_is_keeps_its_volumes(blocks: Blocks, last: str) -> None:
    server, volumes = blocks.server()
    host = blocks.instance(server).host
    blocks.site.resize(server)
    blocks.site.rest()
    assert (blocks.site.status(server), blocks.instance(server).host) == ("VERIFY_RESIZE", host)
    blocks.assert_whole(server, volumes)
    blocks.leave(server)  # the host, which has the volumes by other attachments, is told nothing of those that go
    blocks.site.act(server, last)
    blocks.site.rest()
    assert (blocks.site.status(server), blocks.instance(server).host) == ("ACTIVE", host)
    blocks.assert_whole(server, volumes)


def test_a_server_whose_volumes_cannot_be_reserved_keeps_them_on_the_shelf(blocks: Blocks) -> None:
    """It has them by the attachments of the host it left, and another one when it comes back."""
    server, volumes = blocks.server()
    held = set(blocks.attachments(server))
    refused = blocks.faults.add(Fault("POST", "/attachments$", status=400))
    blocks.site.shelve(server)
    blocks.site.rest()
    assert (refused.met, blocks.site.status(server)) == (1, "SHELVED_OFFLOADED")
    assert (set(blocks.attachments(server)), {blocks.status(each) for each in volumes}) == (held, {"in-use"})
    blocks.site.act(server, "unshelve")
    blocks.site.rest()
    assert blocks.site.status(server) == "ACTIVE"
    blocks.assert_whole(server, volumes)


@pytest.mark.parametrize("is_shared", [False, True])
def test_who_sees_a_volume_in_use_may_have_it_detached(
    blocks: Blocks, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """Also in the moment before the work that brought it ends."""
    has_looked = threading.Event()
    look = VolumeAttachmentService._is_attaching
    answers: list[int] = []

    def noted(*asked: Any) -> bool:
        is_attaching = look(*asked)
        has_looked.set()
        return is_attaching

    def detach() -> None:
        answers.append(blocks.site.ask("DELETE", f"/servers/{server}/os-volume_attachments/{volume_id}")[0])

    def detach_before_it_ends() -> None:
        assert blocks.status(volume_id) == "in-use"
        detaching.start()
        assert has_looked.wait(480)

    server, _ = blocks.server(0)
    volume_id = blocks.volume(is_multiattach=is_shared)
    detaching = threading.Thread(target=detach)
    monkeypatch.setattr(VolumeAttachmentService, "_is_attaching", noted)
    monkeypatch.setattr(volume_attachments, "_ENDING_S", 480.0)
    blocks.site.saboteur.plan(Place("cell", "attach-volume", "complete attachment", "middle"), detach_before_it_ends)
    blocks.attach(server, volume_id)
    detaching.join(480)
    assert answers == [202]
    blocks.site.rest()
    blocks.assert_whole(server, [])
    blocks.assert_free(server, [volume_id])


def test_volumes_come_and_go_on_the_shelf(blocks: Blocks) -> None:
    """Clients look for volumes in use; a host has them once the server comes to one."""
    server, volumes = blocks.server(1)
    blocks.site.shelve(server)
    blocks.site.rest()
    kept, given_back = blocks.volume(), blocks.volume()
    for volume_id in (kept, given_back):
        blocks.attach(server, volume_id)
    held = {each.volume_id: (each.status, each.host) for each in blocks.attachments(server).values()}
    assert held == {volumes[0]: ("reserved", None), kept: ("attached", None), given_back: ("attached", None)}
    assert blocks.status(kept) == "in-use"
    blocks.detach(server, given_back)
    assert blocks.status(given_back) == "available"
    blocks.site.act(server, "unshelve")
    blocks.site.rest()
    assert blocks.site.status(server) == "ACTIVE"
    blocks.assert_whole(server, [*volumes, kept])


def test_a_server_whose_host_is_down_frees_its_volumes_when_it_is_deleted_and_not_before(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    host = str(blocks.instance(server).host)
    agent = blocks.site.cloud.agents[host]
    blocks.site.force_down(host)
    agent.stop()
    detached = blocks.site.ask("DELETE", f"/servers/{server}/os-volume_attachments/{volumes[0]}")[0]
    assert (detached, blocks.status(volumes[0])) == (409, "in-use")
    blocks.leave(server)
    assert blocks.site.delete(server) == 204
    blocks.site.rest(is_end=False)
    assert blocks.site.status(server) == "GONE"
    blocks.assert_free(server, volumes)
    again = Agent(agent._conf)
    again.start()
    assert again.ready.wait(480)
    blocks.site.cloud.agents[host] = again
    blocks.site.raise_hosts()
    assert clouds.fake_driver(blocks.site.cloud, host).guest(server) is None


def boot(blocks: Blocks) -> str:
    """Ask for a server with a volume that is made for it and goes with it; return it when all is over."""
    made = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    image = {"source_type": "image", "destination_type": "local", "uuid": blocks.site.image, "boot_index": 0}
    (server,) = blocks.site.boot(block_device_mapping_v2=[image, made])
    blocks.site.rest()
    return server


def assert_nothing_is_left(blocks: Blocks, server: str) -> None:
    eventually(lambda: blocks.made_for(server) == [], "what was made for it is gone")
    assert [one for one in blocks.store.records.all(StoredAttachment) if one.instance_uuid == server] == []


def test_a_server_whose_volume_cannot_be_made_is_in_error(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*asked: object) -> None:
        raise OSError("No space is left.")

    def see_it_fail() -> None:
        eventually(lambda: "error" in {one.status for one in blocks.store.records.all(StoredVolume)}, "no space")

    monkeypatch.setattr(blocks.store.files, "make_blank", full)
    blocks.site.saboteur.plan(Place("cell", "create", "await volumes", "before"), see_it_fail)
    server = boot(blocks)
    assert blocks.site.status(server) == "ERROR"
    assert "did not finish being created" in blocks.site.reason(server)
    assert blocks.site.reason(server).endswith("it is error.")
    assert_nothing_is_left(blocks, server)


def test_a_volume_that_takes_too_long_is_not_waited_for(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, make = threading.Event(), blocks.store.files.make_blank

    def waiting(*asked: object) -> None:
        goes_on.wait(480)
        make(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(blocks.store.files, "make_blank", waiting)
    # It is made at last, when nobody waits for it any more.
    blocks.site.saboteur.plan(Place("cell", "create", "undo await volumes", "before"), goes_on.set)
    server = boot(blocks)
    assert blocks.site.status(server) == "ERROR"
    assert blocks.site.reason(server).endswith("even after 3 looks at it: it is creating.")
    assert_nothing_is_left(blocks, server)

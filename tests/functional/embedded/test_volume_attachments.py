"""Volumes of servers in an embedded cloud: they come and go whole, and block storage, rows and hosts agree."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.api.services import volume_reservations
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import VolumesAs
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import instances, workflows
from nova_lite.embedded.cloud import Cloud
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.volume import Attachment
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser, eventually
from nova_lite.testing.volumes import VolumeUser, disagreements


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> Iterator[VolumeUser]:
    with VolumeUser(cloud.volume_url) as someone:
        yield someone


@pytest.fixture(autouse=True)
def whole(cloud: Cloud, user: ComputeUser, storage: VolumeUser) -> Iterator[None]:
    """Whatever a story did, all agree about who has which volume when it is over, and when its servers are gone."""
    yield
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).faults.clear()
    with Watch(cloud) as watch:
        agree(cloud, watch)
        for found in user.ask("GET", "/servers").json["servers"]:
            assert user.ask("DELETE", f"/servers/{found['id']}").status == 204
        agree(cloud, watch)
    assert storage.ask("GET", "/attachments")["attachments"] == []


def agree(cloud: Cloud, watch: Watch) -> None:
    eventually(lambda: not watch.open_work(), "nothing is under way")
    assert disagreements(cloud) == []
    assert watch.audit() == []


def server(user: ComputeUser, image: str) -> tuple[str, str]:
    """Boot a server and return its id and its host."""
    made = user.boot("vm", image)
    return made, str(user.wait(made, "ACTIVE")["OS-EXT-SRV-ATTR:host"])


def path(server_id: str, volume_id: str = "") -> str:
    return f"/servers/{server_id}/os-volume_attachments" + (f"/{volume_id}" if volume_id else "")


def attach(user: ComputeUser, server_id: str, volume_id: str, **more: object) -> None:
    answer = user.ask("POST", path(server_id), {"volumeAttachment": {"volumeId": volume_id, **more}})
    assert answer.status == 200, answer.json


def detach(user: ComputeUser, server_id: str, volume_id: str) -> None:
    assert user.ask("DELETE", path(server_id, volume_id)).status == 202
    gone(user, server_id, volume_id)


def gone(user: ComputeUser, server_id: str, volume_id: str) -> None:
    """Return once a server has a volume no more, nor is it on its way."""

    def look() -> bool:
        shown = user.server(server_id)["os-extended-volumes:volumes_attached"]
        return volume_id not in {volume["id"] for volume in shown}

    eventually(look, f"volume {volume_id} is off")
    assert user.ask("GET", path(server_id, volume_id)).status == 404


def last_error(user: ComputeUser, server_id: str) -> str | None:
    """Return how the last action on a server ended."""
    request = user.ask("GET", f"/servers/{server_id}/os-instance-actions").json["instanceActions"][0]["request_id"]
    found = user.ask("GET", f"/servers/{server_id}/os-instance-actions/{request}").json["instanceAction"]
    details: str | None = found["events"][-1]["details"]
    return details


def devices(cloud: Cloud, server_id: str) -> tuple[BlockDevice, ...]:
    for name in cloud.settings.cell_names:
        with (
            contextlib.closing(clouds.database(cloud, name)) as database,
            database.reader() as session,
            contextlib.suppress(errors.NotFound),
        ):
            return instances.get(session, server_id).volumes
    raise LookupError(server_id)


def attached(cloud: Cloud, server_id: str) -> tuple[BlockDevice, ...]:
    """Return a server's volumes once none is on its way."""

    def look() -> tuple[BlockDevice, ...] | None:
        found = devices(cloud, server_id)
        return found if all(device.phase is Phase.ATTACHED for device in found) else None

    eventually(lambda: look() is not None, f"volumes of {server_id} are at rest")
    return devices(cloud, server_id)


def hasten(cloud: Cloud, device: BlockDevice) -> None:
    """Have the time be over that a request has to reserve a volume."""
    for name in cloud.settings.cell_names:
        with contextlib.closing(clouds.database(cloud, name)) as database, database.writer() as session:
            workflows.hasten(session, CellWorkflowRow, str(device.work))


# -- the whole way ----------------------------------------------------------------------------------------------------


def test_a_volume_comes_and_goes(cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str) -> None:
    server_id, host = server(user, image)
    first, second = storage.volume(), storage.volume()
    attach(user, server_id, first, tag="data")
    storage.wait(first, "in-use")
    attach(user, server_id, second, device="/dev/vdf")
    storage.wait(second, "in-use")
    held = attached(cloud, server_id)
    assert [(device.volume_id, device.device_name, device.tag) for device in held] == [
        (first, "/dev/vdb", "data"),
        (second, "/dev/vdf", None),
    ]
    driver = clouds.fake_driver(cloud, host)
    assert driver.volumes_of(server_id) == [first, second]
    assert driver.reached >= {device.attachment_id for device in held}
    shown = user.ask("GET", path(server_id)).json["volumeAttachments"]
    assert [found["attachment_id"] for found in shown] == [device.attachment_id for device in held]
    assert disagreements(cloud) == []

    detach(user, server_id, first)
    storage.wait(first, "available")
    assert driver.volumes_of(server_id) == [second]
    assert held[0].attachment_id not in driver.reached
    attach(user, server_id, first)
    storage.wait(first, "in-use")
    assert [device.device_name for device in attached(cloud, server_id)] == ["/dev/vdf", "/dev/vdb"]


def test_a_stopped_server_has_its_volumes_when_it_starts(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, host = server(user, image)
    assert user.act(server_id, "os-stop").status == 202
    user.wait(server_id, "SHUTOFF")
    volume_id = storage.volume()
    attach(user, server_id, volume_id)
    storage.wait(volume_id, "in-use")
    attached(cloud, server_id)
    for action, status in (("os-start", "ACTIVE"), ("os-stop", "SHUTOFF")):
        assert user.act(server_id, action).status == 202
        user.wait(server_id, status)
        assert clouds.fake_driver(cloud, host).volumes_of(server_id) == [volume_id]
    detach(user, server_id, volume_id)
    assert clouds.fake_driver(cloud, host).volumes_of(server_id) == []


def test_two_servers_share_a_volume(cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str) -> None:
    (first, _), (second, _) = server(user, image), server(user, image)
    volume_id = storage.volume(is_shared=True)
    attach(user, first, volume_id)
    storage.wait(volume_id, "in-use")
    attach(user, second, volume_id)
    for server_id in (first, second):
        [held] = attached(cloud, server_id)
        assert held.is_multiattach
        [plugged] = clouds.fake_driver(cloud, user.server(server_id)["OS-EXT-SRV-ATTR:host"]).plugged(server_id)
        assert (plugged.volume_id, plugged.is_shareable) == (volume_id, True)
    detach(user, first, volume_id)
    storage.wait(volume_id, "in-use")
    assert len(attached(cloud, second)) == 1
    detach(user, second, volume_id)
    storage.wait(volume_id, "available")


def test_volumes_go_with_their_server_if_they_are_to(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, host = server(user, image)
    going, staying, changed = storage.volume(), storage.volume(), storage.volume()
    attach(user, server_id, going, delete_on_termination=True)
    attach(user, server_id, staying)
    attach(user, server_id, changed)
    held = {device.attachment_id for device in attached(cloud, server_id)}
    driver = clouds.fake_driver(cloud, host)
    assert driver.reached >= held
    update = {"volumeAttachment": {"volumeId": changed, "delete_on_termination": True}}
    assert user.ask("PUT", path(server_id, changed), update).status == 202
    assert user.ask("DELETE", f"/servers/{server_id}").status == 204
    user.wait_gone(server_id)
    storage.wait(going, "GONE")
    storage.wait(changed, "GONE")
    storage.wait(staying, "available")
    assert not driver.reached & held


def test_a_shared_volume_stays_with_who_else_has_it(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    (first, _), (second, _) = server(user, image), server(user, image)
    volume_id = storage.volume(is_shared=True)
    for server_id in (first, second):
        attach(user, server_id, volume_id, delete_on_termination=True)
        storage.wait(volume_id, "in-use")
        attached(cloud, server_id)
    assert user.ask("DELETE", f"/servers/{first}").status == 204
    user.wait_gone(first)
    assert (len(attached(cloud, second)), storage.status(volume_id)) == (1, "in-use")
    assert user.ask("DELETE", f"/servers/{second}").status == 204
    user.wait_gone(second)
    storage.wait(volume_id, "GONE")


def test_a_guest_sees_that_its_volume_has_grown(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, host = server(user, image)
    volume_id = storage.volume()
    attach(user, server_id, volume_id)
    storage.wait(volume_id, "in-use")
    attached(cloud, server_id)
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-extend": {"new_size": 3}})
    eventually(lambda: devices(cloud, server_id)[0].size_gib == 3, "its size is noted")
    assert clouds.fake_driver(cloud, host).extended[volume_id] == 3
    assert last_error(user, server_id) is None


# -- what fails on the host -------------------------------------------------------------------------------------------


def test_a_host_that_cannot_plug_it_in_gives_it_back(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, host = server(user, image)
    volume_id = storage.volume()
    clouds.fake_driver(cloud, host).faults.fail("attach_volume", errors.GuestFailed("It has no room."), after=True)
    attach(user, server_id, volume_id)
    gone(user, server_id, volume_id)
    storage.wait(volume_id, "available")
    assert "no room" in (last_error(user, server_id) or "")
    assert clouds.fake_driver(cloud, host).volumes_of(server_id) == []
    assert user.server(server_id)["status"] == "ACTIVE"
    attach(user, server_id, volume_id)
    storage.wait(volume_id, "in-use")


def test_a_guest_that_does_not_let_go_keeps_it(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, host = server(user, image)
    volume_id = storage.volume()
    attach(user, server_id, volume_id)
    storage.wait(volume_id, "in-use")
    attached(cloud, server_id)
    clouds.fake_driver(cloud, host).faults.fail("detach_volume", errors.Timeout("It is busy."), times=None)
    assert user.ask("DELETE", path(server_id, volume_id)).status == 202
    [held] = attached(cloud, server_id)
    assert (held.volume_id, storage.status(volume_id)) == (volume_id, "in-use")
    assert "does not let go" in (last_error(user, server_id) or "")
    clouds.fake_driver(cloud, host).faults.clear()
    detach(user, server_id, volume_id)


# -- what fails while the volume is reserved --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_api_that_dies_leaves_nothing(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies between its two transactions, before the volume is reserved or after."""
    server_id, _ = server(user, image)
    volume_id = storage.volume()
    reserve = VolumesAs.reserve

    def dying(service: VolumesAs, *asked: str) -> Attachment:
        if moment == "after":
            reserve(service, *asked)
        raise Killed

    monkeypatch.setattr(VolumesAs, "reserve", dying)
    with pytest.raises(Killed):
        clouds.wsgi(cloud).simulate_post(f"/v2.1{path(server_id)}", json={"volumeAttachment": {"volumeId": volume_id}})
    monkeypatch.setattr(VolumesAs, "reserve", reserve)
    [left] = devices(cloud, server_id)
    assert (left.phase, left.attachment_id) == (Phase.RESERVING, None)
    assert storage.status(volume_id) == ("reserved" if moment == "after" else "available")
    hasten(cloud, left)
    gone(user, server_id, volume_id)
    storage.wait(volume_id, "available")
    attach(user, server_id, volume_id)
    storage.wait(volume_id, "in-use")


def test_a_lost_answer_leaves_nothing(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id, _ = server(user, image)
    volume_id = storage.volume()
    reserve = VolumesAs.reserve

    def lost(service: VolumesAs, *asked: str) -> Attachment:
        reserve(service, *asked)
        raise errors.Timeout("The block storage service did not answer in time.")

    monkeypatch.setattr(VolumesAs, "reserve", lost)
    answer = user.ask("POST", path(server_id), {"volumeAttachment": {"volumeId": volume_id}})
    assert answer.status == 503
    gone(user, server_id, volume_id)
    storage.wait(volume_id, "available")


def test_a_request_that_takes_too_long_gives_its_volume_back(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conductor took the place back while the volume was being reserved."""
    server_id, _ = server(user, image)
    volume_id = storage.volume()
    note = volume_reservations._note_reserved

    def late(records: Any, cell: OpenCell, uuid: str, device: BlockDevice, *more: Any) -> bool:
        hasten(cloud, device)
        gone(user, server_id, volume_id)
        return note(records, cell, uuid, device, *more)

    monkeypatch.setattr(volume_reservations, "_note_reserved", late)
    answer = user.ask("POST", path(server_id), {"volumeAttachment": {"volumeId": volume_id}})
    assert (answer.status, "does not wait" in answer.json["conflictingRequest"]["message"]) == (409, True)
    storage.wait(volume_id, "available")


def test_a_server_that_goes_meanwhile_gives_its_volume_back(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id, _ = server(user, image)
    volume_id = storage.volume()
    note = volume_reservations._note_reserved

    def late(*asked: Any) -> bool:
        assert user.ask("DELETE", f"/servers/{server_id}").status == 204
        user.wait_gone(server_id)
        return note(*asked)

    monkeypatch.setattr(volume_reservations, "_note_reserved", late)
    answer = user.ask("POST", path(server_id), {"volumeAttachment": {"volumeId": volume_id}})
    assert answer.status == 409
    storage.wait(volume_id, "available")


def test_crowds_agree_on_who_has_it(cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str) -> None:
    """Of many who want a volume at once one gets it, and the others hear why."""
    servers = [server(user, image)[0] for _ in range(2)]
    volume_id = storage.volume()

    def ask(server_id: str) -> int:
        body = {"volumeAttachment": {"volumeId": volume_id}}
        return int(clouds.wsgi(cloud).simulate_post(f"/v2.1{path(server_id)}", json=body).status_code)

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(ask, servers * 2))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 409}
    storage.wait(volume_id, "in-use")

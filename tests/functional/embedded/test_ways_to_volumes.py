"""How hosts reach volumes changes, or is not theirs any more: what a start and a hard reboot make of that."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nova_lite import errors
from nova_lite.clients.volumes import VolumesAs
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_records import Records, StoredAttachment
from nova_lite.model.guest import PowerState
from nova_lite.model.volume import Attachment
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser, eventually
from nova_lite.testing.volumes import VolumeUser, disagreements


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> Iterator[VolumeUser]:
    with VolumeUser(cloud.volume_url) as someone:
        yield someone


@pytest.fixture(autouse=True)
def whole(cloud: Cloud, user: ComputeUser) -> Iterator[None]:
    """When a story is over all agree about who has which volume, also when its servers are gone."""
    yield
    with Watch(cloud) as watch:
        for found in user.ask("GET", "/servers").json["servers"]:
            assert user.ask("DELETE", f"/servers/{found['id']}").status == 204
        eventually(lambda: not watch.open_work(), "nothing is under way")
        assert (disagreements(cloud), watch.audit()) == ([], [])


def having(user: ComputeUser, storage: VolumeUser, image: str, count: int = 1) -> tuple[str, list[str]]:
    """Return a server and the volumes that it has."""
    server_id, volumes = user.boot("vm", image), [storage.volume() for _ in range(count)]
    user.wait(server_id, "ACTIVE")
    for volume_id in volumes:
        path = f"/servers/{server_id}/os-volume_attachments"
        assert user.ask("POST", path, {"volumeAttachment": {"volumeId": volume_id}}).status == 200
        storage.wait(volume_id, "in-use")
        eventually(lambda: last(user, server_id) is not None, "that is over")
    return server_id, volumes


def last(user: ComputeUser, server_id: str) -> str | None:
    """Return how what was last done to a server ended, None until it has."""
    request = user.ask("GET", f"/servers/{server_id}/os-instance-actions").json["instanceActions"][0]["request_id"]
    found = user.ask("GET", f"/servers/{server_id}/os-instance-actions/{request}").json["instanceAction"]
    result: str | None = found["events"][-1]["result"]
    return result


def driver_of(cloud: Cloud, user: ComputeUser, server_id: str) -> FakeDriver:
    return clouds.fake_driver(cloud, user.server(server_id)["OS-EXT-SRV-ATTR:host"])


@contextlib.contextmanager
def records(cloud: Cloud, volume_id: str) -> Iterator[tuple[Records, StoredAttachment]]:
    """Give what block storage keeps, and the one attachment of a volume."""
    with contextlib.closing(Records(cloud.settings.volume_dir / "volumes.sqlite")) as found:
        (attachment,) = found.of_volume(StoredAttachment, volume_id)
        yield found, attachment


def lead_elsewhere(cloud: Cloud, volume_id: str) -> None:
    """Have a volume be reached in another way than its host was told."""
    with records(cloud, volume_id) as (kept, attachment), kept.changing():
        kept.put(replace(attachment, connection_info={**attachment.connection_info, "device_path": "/dev/moved"}))


def is_led_there(driver: FakeDriver, server_id: str) -> list[bool]:
    return [each.path == "/dev/moved" for each in driver.plugged(server_id)]


def test_a_hard_reboot_takes_the_way_that_is_told_now(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, (first, second) = having(user, storage, image, 2)
    driver = driver_of(cloud, user, server_id)
    lead_elsewhere(cloud, second)
    for kind, ways in (("SOFT", [False, False]), ("HARD", [False, True])):
        assert user.act(server_id, "reboot", {"type": kind}).status == 202
        user.wait(server_id, "ACTIVE")
        assert is_led_there(driver, server_id) == ways
    assert driver.volumes_of(server_id) == [first, second]
    assert disagreements(cloud) == []


def test_a_start_takes_the_way_that_is_told_now(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, (volume_id,) = having(user, storage, image)
    assert user.act(server_id, "os-stop").status == 202
    user.wait(server_id, "SHUTOFF")
    lead_elsewhere(cloud, volume_id)
    assert user.act(server_id, "os-start").status == 202
    user.wait(server_id, "ACTIVE")
    assert is_led_there(driver_of(cloud, user, server_id), server_id) == [True]


def test_while_nobody_tells_the_way_it_stays(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id, _ = having(user, storage, image)

    def silent(service: VolumesAs, attachment_id: str) -> Attachment:
        raise errors.Unavailable("It does not answer.")

    driver = driver_of(cloud, user, server_id)
    boots = driver._records[server_id].boots
    with monkeypatch.context() as patch:
        patch.setattr(VolumesAs, "attachment", silent)
        assert user.act(server_id, "reboot", {"type": "HARD"}).status == 202
        user.wait(server_id, "ACTIVE")
    assert driver._records[server_id].boots == boots + 1
    assert is_led_there(driver, server_id) == [False]


def test_a_volume_that_was_taken_from_the_server_is_not_given_to_its_guest_again(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    """An administrator removed its attachment: the volume may be another one's now. It says so, and can be detached."""
    server_id, (volume_id,) = having(user, storage, image)
    driver = driver_of(cloud, user, server_id)
    boots = driver._records[server_id].boots
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-reset_status": {"status": "available"}})
    with records(cloud, volume_id) as (kept, attachment):
        kept.remove(StoredAttachment, attachment.id)
    assert user.act(server_id, "reboot", {"type": "HARD"}).status == 202
    failed = user.wait(server_id, "ERROR")
    assert f"Volume {volume_id} cannot be attached" in failed["fault"]["message"]
    assert (driver._records[server_id].boots, driver.guests()[0].power_state) == (boots, PowerState.RUNNING)
    driver.release_volume({"attachment_id": attachment.id})  # which nobody can be asked about any more
    assert user.act(server_id, "os-resetState", {"state": "active"}).status == 202
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-reset_status": {"status": "in-use"}})
    assert user.ask("DELETE", f"/servers/{server_id}/os-volume_attachments/{volume_id}").status == 202
    eventually(lambda: driver.volumes_of(server_id) == [], "the guest has it no more")
    eventually(lambda: last(user, server_id) is not None, "that is over")
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-reset_status": {"status": "available"}})


def test_a_guest_that_was_set_aside_comes_back_with_the_volumes_that_its_server_has(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    """A move that was lost left it aside: what is detached meanwhile it does not have again."""
    server_id, (stays, goes) = having(user, storage, image, 2)
    host = user.server(server_id)["OS-EXT-SRV-ATTR:host"]
    driver = driver_of(cloud, user, server_id)
    driver.set_aside(server_id, timeout_s=0)
    lead_elsewhere(cloud, stays)
    assert user.ask("DELETE", f"/servers/{server_id}/os-volume_attachments/{goes}").status == 202
    storage.wait(goes, "available")
    eventually(lambda: last(user, server_id) is not None, "that is over")
    cloud.agents[host]._reconciler.run()
    assert driver.volumes_of(server_id) == [stays]
    assert is_led_there(driver, server_id) == [True]

"""Copying a guest's disk into an image: once, fenced, leaving no file and no image nobody waits for."""

from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.actions.snapshot import Snapshotter, clean
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.model.guest import GuestSpec, PowerState
from tests.unit.compute.image_store import ImageStore

UUID = "0341c77c-0072-4b7c-9507-6e0086d49a3b"


class Fence:
    """A conductor's word on what may happen."""

    may = True

    def may_run(self, host: str, instance_uuid: str, epoch: int) -> bool:
        return self.may

    may_stop = may_run

    def may_do(self, action: str, host: str, instance_uuid: str, epoch: int) -> bool:
        return self.may and (action, host, instance_uuid, epoch) == ("snapshot", "host1", UUID, 1)

    def uploading(self, host: str, instance_uuid: str, epoch: int) -> None:
        assert (host, instance_uuid, epoch) == ("host1", UUID, 1)


class Host:
    """A host with one guest, an image that waits for its disk, and a place for files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.driver = FakeDriver("host1")
        self.driver.spawn(GuestSpec(UUID, "vm", 1, 1, 64, 1), None)
        self.store = ImageStore()
        self.store.add("snap")
        self.fence = Fence()
        self.snapshotter = Snapshotter("host1", self.driver, self.store, self.fence, directory)

    def take(self) -> PowerState:
        return self.snapshotter.take(UUID, 1, "snapshot", "snap", timeout_s=10)

    @property
    def files(self) -> list[Path]:
        return list(self.directory.iterdir())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    directory = tmp_path / "snapshots"
    return Host(directory)


def test_the_image_gets_the_disk(host: Host) -> None:
    assert host.take() is PowerState.RUNNING
    assert host.store.images["snap"].status == "active"
    assert host.store.content["snap"].startswith(f"disk of {UUID} after boot 1".encode())
    assert host.files == []


def test_said_twice_it_is_done_once(host: Host) -> None:
    host.take()
    host.driver.fail("snapshot", errors.Unavailable("not again"))
    assert host.take() is PowerState.RUNNING


def test_an_image_nobody_waits_for_is_removed(host: Host) -> None:
    host.fence.may = False
    with pytest.raises(errors.Conflict):
        host.take()
    assert host.store.images == {}


def test_a_late_message_leaves_a_filled_image_alone(host: Host) -> None:
    host.take()
    host.fence.may = False
    with pytest.raises(errors.Conflict):
        host.take()
    assert host.store.images["snap"].status == "active"


@pytest.mark.parametrize("error", [errors.NotFound("gone"), errors.Forbidden("too big")])
def test_an_image_that_cannot_be_filled_is_final(host: Host, error: Exception) -> None:
    host.store.error = error
    with pytest.raises(errors.GuestFailed):
        host.take()
    assert host.files == []


@pytest.mark.parametrize("method", ["snapshot", "upload"])
def test_what_passes_can_be_tried_again(host: Host, method: str) -> None:
    error = errors.Unavailable("a moment")
    if method == "upload":
        host.store.error = error
    else:
        host.driver.fail("snapshot", error, after=True)
    with pytest.raises(errors.Unavailable):
        host.take()
    assert host.files == []
    host.store.error = None
    host.take()
    assert host.store.images["snap"].status == "active"


def test_a_guest_that_is_gone_is_final(host: Host) -> None:
    host.driver.destroy(UUID)
    with pytest.raises(errors.GuestFailed):
        host.take()


def test_what_a_killed_agent_left_is_removed(host: Host) -> None:
    host.directory.mkdir()
    (host.directory / "snap.1").write_bytes(b"half")
    clean(host.directory)
    assert host.files == []


def test_only_the_newest_backups_are_kept(host: Host) -> None:
    same = {"instance_uuid": UUID, "image_type": "backup", "backup_type": "daily"}
    for name in ("one", "two", "three"):
        host.store.add(name, **same)
        host.store.upload(name, "raw", Path(__file__))
    host.store.add("weekly", **same | {"backup_type": "weekly"})
    host.store.add("waiting", **same)
    host.snapshotter.rotate(UUID, "daily", 2, "demo", newest="three")
    assert sorted(host.store.images) == ["snap", "three", "two", "waiting", "weekly"]
    host.snapshotter.rotate(UUID, "daily", 0, "demo", newest="three")
    assert sorted(host.store.images) == ["snap", "waiting", "weekly"]


def test_what_others_call_backups_of_the_server_makes_no_backup_go(host: Host) -> None:
    same = {"instance_uuid": UUID, "image_type": "backup", "backup_type": "daily"}
    for name, owner in (("old", "demo"), ("ours", "demo"), ("forged", "other"), ("forged too", "other")):
        host.store.add(name, owner=owner, **same)
        host.store.upload(name, "raw", Path(__file__))
    host.snapshotter.rotate(UUID, "daily", 1, "demo", newest="ours")
    assert sorted(host.store.images) == ["forged", "forged too", "ours", "snap"]


def test_the_backup_just_made_is_kept_before_others_of_the_same_second(host: Host) -> None:
    same = {"instance_uuid": UUID, "image_type": "backup", "backup_type": "daily"}
    for name in ("one", "two"):
        host.store.add(name, **same)
        host.store.upload(name, "raw", Path(__file__))
    # The store says of both that they are of now, in an order of its own.
    host.snapshotter.rotate(UUID, "daily", 1, "demo", newest="one")
    assert sorted(host.store.images) == ["one", "snap"]

"""Servers whose root volume is filled with another image, and volumes that grow: told of by block storage, or not."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import errors
from nova_lite.conductor.service import Conductor
from nova_lite.db.repositories import instances
from nova_lite.embedded import cloud as embedded
from nova_lite.embedded import volume_api
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_events import ComputeEvents
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser, eventually
from nova_lite.testing.volumes import VolumeUser, disagreements

_SECRET = b"what the image brought"


@pytest.fixture(scope="module")
def stores() -> Iterator[list[VolumeStore]]:
    """The store of the cloud of this module."""
    found: list[VolumeStore] = []
    real = volume_api.build

    def build(store: VolumeStore, **options: Any) -> Any:
        found.append(store)
        return real(store, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_api, "build", build)
        yield found


@pytest.fixture(scope="module")
def confs() -> list[cfg.ConfigOpts]:
    """The configurations of the conductors of that cloud."""
    return []


@pytest.fixture(scope="module")
def cloud(
    tmp_path_factory: pytest.TempPathFactory, stores: list[VolumeStore], confs: list[cfg.ConfigOpts]
) -> Iterator[Cloud]:
    options = {"DEFAULT": {"reimage_timeout_per_gb": "480"}}

    def conductor(conf: cfg.ConfigOpts) -> Conductor:
        confs.append(conf)
        return Conductor(conf)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "Conductor", conductor)
        with clouds.running(tmp_path_factory.mktemp("cloud"), options=options) as made:
            yield made


@pytest.fixture
def store(cloud: Cloud, stores: list[VolumeStore]) -> VolumeStore:
    return stores[0]


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> Iterator[VolumeUser]:
    with VolumeUser(cloud.volume_url) as someone:
        yield someone


@pytest.fixture(scope="module")
def other(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with something in it."""
    source = tmp_path_factory.mktemp("image") / "other.raw"
    source.write_bytes(_SECRET.ljust(512, b"\0"))
    return ImageDirectory(cloud.settings.image_dir).add(source, "other").id


@pytest.fixture(autouse=True)
def whole(cloud: Cloud, user: ComputeUser, storage: VolumeUser) -> Iterator[None]:
    """When a story is over and its servers are gone, nobody holds a volume."""
    yield
    with Watch(cloud) as watch:
        for found in user.ask("GET", "/servers").json["servers"]:
            assert user.ask("DELETE", f"/servers/{found['id']}").status == 204
        eventually(lambda: not watch.open_work(), "nothing is under way")
        assert (disagreements(cloud), watch.audit()) == ([], [])
    assert storage.ask("GET", "/attachments")["attachments"] == []


def booted(user: ComputeUser, storage: VolumeUser, image: str) -> tuple[str, str]:
    """Return a server that boots from a volume with ``image`` in it, and the volume."""
    volume_id = storage.volume(image=image)
    mapping = {"boot_index": 0, "uuid": volume_id, "source_type": "volume", "destination_type": "volume"}
    made = user.boot("vm", "", block_device_mapping_v2=[mapping])
    user.wait(made, "ACTIVE")
    return made, volume_id


def rebuild(user: ComputeUser, server_id: str, image: str) -> None:
    answer = user.act(server_id, "rebuild", {"imageRef": image})
    assert answer.status == 202, answer.json


def root(cloud: Cloud, server_id: str) -> BlockDevice:
    for name in cloud.settings.cell_names:
        with (
            contextlib.closing(clouds.database(cloud, name)) as database,
            database.reader() as session,
            contextlib.suppress(errors.NotFound),
        ):
            found = block_device.root_of(instances.get(session, server_id).volumes)
            assert found is not None
            return found
    raise LookupError(server_id)


def content(store: VolumeStore, volume_id: str) -> bytes:
    with store.files.volume(volume_id).open("rb") as file:
        return file.read(len(_SECRET))


def held_by(store: VolumeStore, volume_id: str) -> list[tuple[str, str]]:
    return [(one.id, one.status) for one in store.records.of_volume(StoredAttachment, volume_id)]


@contextlib.contextmanager
def slowly(monkeypatch: pytest.MonkeyPatch, store: VolumeStore) -> Iterator[threading.Event]:
    """Have volumes filled only after the event that is returned, at last when the block ends."""
    goes_on, fill = threading.Event(), store.files.fill

    def waiting(*asked: Any) -> None:
        goes_on.wait(480)
        fill(*asked)

    monkeypatch.setattr(store.files, "fill", waiting)
    try:
        yield goes_on
    finally:
        goes_on.set()


@pytest.fixture(params=["told", "not told"])
def telling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have compute be told by events, or not."""
    if request.param == "not told":
        monkeypatch.setattr(ComputeEvents, "__call__", lambda *event: None)


@pytest.mark.usefixtures("telling")
def test_its_volume_is_filled_and_it_boots_from_it(
    cloud: Cloud,
    user: ComputeUser,
    storage: VolumeUser,
    store: VolumeStore,
    image: str,
    other: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the event is lost: then the volume's own state says that it is filled."""
    server_id, volume_id = booted(user, storage, image)
    data = storage.volume()
    path = f"/servers/{server_id}/os-volume_attachments"
    assert user.ask("POST", path, {"volumeAttachment": {"volumeId": data}}).status == 200
    storage.wait(data, "in-use")
    before, kept = root(cloud, server_id).attachment_id, held_by(store, data)
    driver = clouds.fake_driver(cloud, user.server(server_id)["OS-EXT-SRV-ATTR:host"])

    with slowly(monkeypatch, store) as goes_on:
        rebuild(user, server_id, other)
        storage.wait(volume_id, "downloading")
        [(fresh, status)] = held_by(store, volume_id)
        assert (fresh != before, status) == (True, "reserved")
        assert (driver.guest(server_id), before in driver.reached) == (None, False)
        goes_on.set()
        user.wait(server_id, "ACTIVE")
    assert content(store, volume_id) == _SECRET
    assert (held_by(store, volume_id), held_by(store, data)) == ([(fresh, "attached")], kept)
    assert root(cloud, server_id).attachment_id == fresh
    assert sorted(driver.volumes_of(server_id)) == sorted([volume_id, data])
    found = storage.ask("GET", f"/volumes/{volume_id}")["volume"]
    assert found["volume_image_metadata"]["image_id"] == other
    assert disagreements(cloud) == []


def test_a_stopped_server_stays_stopped(
    user: ComputeUser, storage: VolumeUser, store: VolumeStore, image: str, other: str
) -> None:
    server_id, volume_id = booted(user, storage, image)
    assert user.act(server_id, "os-stop").status == 202
    user.wait(server_id, "SHUTOFF")
    rebuild(user, server_id, other)
    user.wait(server_id, "SHUTOFF")
    assert content(store, volume_id) == _SECRET


def test_what_cannot_be_filled_leaves_the_server_in_error_until_it_is_rebuilt_again(
    user: ComputeUser,
    storage: VolumeUser,
    store: VolumeStore,
    image: str,
    other: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server_id, volume_id = booted(user, storage, image)

    def full(*asked: object) -> None:
        raise OSError("No space is left.")

    with monkeypatch.context() as patch:
        patch.setattr(store.files, "fill", full)
        rebuild(user, server_id, other)
        failed = user.wait(server_id, "ERROR")
    assert f"Volume {volume_id} could not be filled with image {other}: it is error." in failed["fault"]["message"]
    assert [status for _, status in held_by(store, volume_id)] == ["reserved"]
    refused = user.act(server_id, "rebuild", {"imageRef": other})
    assert (refused.status, "'error'" in str(refused.json)) == (400, True)
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-reset_status": {"status": "reserved"}})
    rebuild(user, server_id, other)
    eventually(lambda: user.server(server_id)["status"] == "ACTIVE", "it is there again")
    assert content(store, volume_id) == _SECRET


@pytest.fixture
def impatient(confs: list[cfg.ConfigOpts]) -> Iterator[None]:
    """Have volumes be filled in two seconds, or not at all."""
    for conf in confs:
        conf.set_override("reimage_timeout_per_gb", 2)
    yield
    for conf in confs:
        conf.clear_override("reimage_timeout_per_gb")


@pytest.mark.usefixtures("impatient")
def test_one_that_takes_too_long_is_not_waited_for(
    user: ComputeUser,
    storage: VolumeUser,
    store: VolumeStore,
    image: str,
    other: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server_id, volume_id = booted(user, storage, image)
    with slowly(monkeypatch, store):
        rebuild(user, server_id, other)
        failed = user.wait(server_id, "ERROR")
        assert "that took more than 2 s" in failed["fault"]["message"]
        # Whatever is deleted meanwhile, the volume is not left reserved for nobody.
        assert user.ask("DELETE", f"/servers/{server_id}").status == 204
        assert storage.status(volume_id) == "downloading"
    user.wait_gone(server_id)
    storage.wait(volume_id, "available")


def test_a_guest_sees_by_itself_that_its_volume_has_grown(
    cloud: Cloud, user: ComputeUser, storage: VolumeUser, image: str
) -> None:
    server_id, volume_id = booted(user, storage, image)
    host = user.server(server_id)["OS-EXT-SRV-ATTR:host"]
    storage.ask("POST", f"/volumes/{volume_id}/action", {"os-extend": {"new_size": 3}})
    eventually(lambda: root(cloud, server_id).size_gib == 3, "its size is noted")
    assert clouds.fake_driver(cloud, host).extended[volume_id] == 3
    actions = user.ask("GET", f"/servers/{server_id}/os-instance-actions").json["instanceActions"]
    assert actions[0]["action"] == "extend_volume"


def test_without_compute_the_service_goes_on(tmp_path: Path) -> None:
    """What cannot be told is logged, and the volume is as large as it was asked to be."""
    events = ComputeEvents("http://127.0.0.1:9", "admin")
    store = VolumeStore(tmp_path / "volumes", ImageDirectory(tmp_path / "images"), tell=events)
    made = StoredVolume("v", "admin", "admin", 1, "extending", "t", "now", previous_status="in-use", job_size_gib=2)
    store.files.make_blank(store.files.volume("v"), 1)
    store.records.put(made)
    store.records.put(StoredAttachment("a", "v", "admin", "attached", instance_uuid="s"))
    store.start()
    store._jobs.put(None)
    store._worker.join()
    found = store.records.get(StoredVolume, "v")
    store.stop()
    assert found is not None
    assert (found.status, found.size_gib) == ("in-use", 2)

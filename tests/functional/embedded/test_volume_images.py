"""Images of servers that boot from volumes, and servers made from these: new volumes with what the old ones held."""

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.clients.images import Images
from nova_lite.embedded import volume_api
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.testing import cloud as clouds
from nova_lite.testing.block_storage import Fault, FaultyVolumes
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.functional.embedded.test_boot_from_volume import Storage, boot, delete, plugged, reached, root

AGENT = {"hw_qemu_guest_agent": "yes"}


class Made:
    """The block storage service as it was made for the cloud."""

    store: VolumeStore
    faults: FaultyVolumes


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Cloud]:
    build = volume_api.build

    def faulty(store: VolumeStore, **options: Any) -> FaultyVolumes:
        made.store, made.faults = store, FaultyVolumes(build(store, **options))
        return made.faults

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_api, "build", faulty)
        with clouds.running(tmp_path_factory.mktemp("cloud"), cells=1, hosts=2) as running:
            yield running


@pytest.fixture
def storage(cloud: Cloud, made: Made) -> Iterator[Storage]:
    someone = Storage(cloud)
    yield someone
    made.faults.clear()
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).faults.clear()
    eventually(lambda: not someone.attachments(), "attachments gone")
    assert reached(cloud) == set()
    someone.clear()
    someone.close()


def images(cloud: Cloud) -> dict[str, dict[str, Any]]:
    found = requests.get(f"{cloud.image_url}/v2/images?limit=1000", timeout=480).json()["images"]
    return {str(image["id"]): image for image in found}


def snapshots(storage: Storage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = storage.ask("GET", "/snapshots/detail")["snapshots"]
    return found


def ready(storage: Storage) -> bool:
    return all(each["status"] == "available" for each in snapshots(storage))


def image_of(user: ComputeUser, server: str, **more: Any) -> str:
    answer = user.ask("POST", f"/servers/{server}/action", {"createImage": {"name": "copy", **more}})
    assert answer.status == 202, answer.json
    return str(answer.json["image_id"])


def forget_image(cloud: Cloud, image_id: str) -> None:
    requests.delete(f"{cloud.image_url}/v2/images/{image_id}", timeout=480).raise_for_status()


def write(made: Made, volume_id: str, data: bytes) -> None:
    with made.store.files.volume(volume_id).open("r+b") as file:
        os.pwrite(file.fileno(), data, 1 << 20)


def content(made: Made, volume_id: str, length: int) -> bytes:
    with made.store.files.volume(volume_id).open("rb") as file:
        return os.pread(file.fileno(), length, 1 << 20)


def with_agent(cloud: Cloud, storage: Storage, image: str, **more: str) -> str:
    """Have a volume whose image says that its guests have an agent."""
    system = storage.volume(imageRef=image)
    storage.ask("POST", f"/volumes/{system}/action", {"os-set_image_metadata": {"metadata": {**AGENT, **more}}})
    return system


def test_the_circle_closes(cloud: Cloud, user: ComputeUser, storage: Storage, made: Made, image: str) -> None:
    system, data = storage.volume(imageRef=image), storage.volume(size=2)
    devices = [root("volume", system), {"source_type": "volume", "uuid": data, "destination_type": "volume"}]
    first = boot(user, *devices)
    user.wait(first, "ACTIVE")
    write(made, system, b"system of the first")
    write(made, data, b"data of the first")

    copy = image_of(user, first, metadata={"colour": "blue", "block_device_mapping": "forged"})
    shown = images(cloud)[copy]
    assert (shown["status"], shown["size"], shown["min_disk"], shown["colour"]) == ("active", 0, 1, "blue")
    assert (shown["bdm_v2"], shown["root_device_name"], shown["disk_format"]) == ("True", "/dev/vda", "raw")
    mapping = json.loads(shown["block_device_mapping"])
    told = [(each["boot_index"], each["device_name"], each["volume_size"], each["source_type"]) for each in mapping]
    assert told == [(0, "/dev/vda", 1, "snapshot"), (None, "/dev/vdb", 2, "snapshot")]
    assert {each["name"] for each in snapshots(storage)} == {"snapshot for copy"}
    assert user.ask("GET", f"/servers/{first}").json["server"]["OS-EXT-STS:task_state"] is None
    [done, *_] = user.ask("GET", f"/servers/{first}/os-instance-actions").json["instanceActions"]
    assert (done["action"], done["message"]) == ("createImage", None)

    eventually(lambda: ready(storage), "snapshots made")
    write(made, system, b"what came afterwards")
    second = user.boot("second", copy)
    names = plugged(cloud, user.wait(second, "ACTIVE"))
    assert sorted(names.values()) == ["/dev/vda", "/dev/vdb"]
    assert not names.keys() & {system, data}
    [new_system] = [volume for volume, name in names.items() if name == "/dev/vda"]
    [new_data] = [volume for volume, name in names.items() if name == "/dev/vdb"]
    assert content(made, new_system, 19) == b"system of the first"
    assert content(made, new_data, 17) == b"data of the first"

    rebuilt = user.act(second, "rebuild", {"imageRef": copy})
    assert rebuilt.status == 400, rebuilt.json
    for server in (first, second):
        delete(user, server)
    for each in (new_system, new_data):
        storage.ask("DELETE", f"/volumes/{each}")
    forget_image(cloud, copy)


def test_a_device_of_the_request_replaces_one_of_the_image(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    first = boot(user, root("volume", storage.volume(imageRef=image), delete_on_termination=False))
    user.wait(first, "ACTIVE")
    copy = image_of(user, first)
    eventually(lambda: ready(storage), "snapshots made")
    delete(user, first)
    # As clients ask: the image to boot from, and what is to be beside it.
    devices = [
        {"source_type": "image", "destination_type": "local", "uuid": copy, "boot_index": 0},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 2, "delete_on_termination": True},
    ]
    second = boot(user, *devices, image=copy)
    names = plugged(cloud, user.wait(second, "ACTIVE"))
    sizes = {names[each]: storage.ask("GET", f"/volumes/{each}")["volume"]["size"] for each in names}
    assert sizes == {"/dev/vda": 1, "/dev/vdb": 2}
    # The image to be put into a new volume, which it is the snapshot for already.
    third = boot(user, root("image", copy, volume_size=5, delete_on_termination=True))
    names = plugged(cloud, user.wait(third, "ACTIVE"))
    assert [storage.ask("GET", f"/volumes/{each}")["volume"]["size"] for each in names] == [1]
    # Another root, under the name that the image's has.
    other = storage.volume(imageRef=image)
    fourth = boot(user, root("volume", other, device_name="/dev/vda"), image=copy)
    assert plugged(cloud, user.wait(fourth, "ACTIVE")) == {other: "/dev/vda"}
    for server in (second, third, fourth):
        delete(user, server)
    forget_image(cloud, copy)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        pytest.param({"status": 413}, 403, id="over quota"),
        pytest.param({"status": 400}, 400, id="refused"),
        pytest.param({"status": 404}, 400, id="volume gone"),
        pytest.param({"status": 500}, 503, id="down"),
        pytest.param({"after_work": True}, 503, id="answer lost"),
    ],
)
def test_one_snapshot_that_fails_leaves_none(
    cloud: Cloud, user: ComputeUser, storage: Storage, made: Made, image: str, how: dict[str, Any], status: int
) -> None:
    known = images(cloud)
    more = {"source_type": "volume", "uuid": storage.volume(), "destination_type": "volume"}
    server = boot(user, root("volume", with_agent(cloud, storage, image)), more)
    shown = user.wait(server, "ACTIVE")
    driver = clouds.fake_driver(cloud, shown["OS-EXT-SRV-ATTR:host"])
    for which in range(2):
        made.faults.add(Fault("POST", "/snapshots$", spares=which, **how))
        answer = user.act(server, "createImage", {"name": "copy"})
        assert answer.status == status, answer.json
        eventually(lambda: not snapshots(storage), "snapshots gone")
        assert images(cloud) == known
        eventually(lambda: not driver.frozen, "guest goes on")
        [done, *_] = user.ask("GET", f"/servers/{server}/os-instance-actions").json["instanceActions"]
        assert (done["action"], done["message"]) == ("createImage", "Error")
    delete(user, server)


def test_an_image_that_cannot_be_made_leaves_no_snapshot(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = images(cloud)
    server = boot(user, root("volume", storage.volume(imageRef=image)))
    user.wait(server, "ACTIVE")

    def refuse(*args: object) -> None:
        raise errors.Forbidden("Over your limit.")

    monkeypatch.setattr(Images, "activate", refuse)
    assert user.act(server, "createImage", {"name": "copy"}).status == 403
    eventually(lambda: not snapshots(storage), "snapshots gone")
    eventually(lambda: images(cloud) == known, "image gone")
    delete(user, server)


def test_a_guest_stands_still_until_its_snapshots_are_made(
    cloud: Cloud, user: ComputeUser, storage: Storage, made: Made, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = boot(user, root("volume", with_agent(cloud, storage, image)))
    driver = clouds.fake_driver(cloud, user.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"])
    may_go_on = threading.Event()
    frozen: list[bool] = []
    copy = made.store.files.make_copy

    def slow(*args: Any) -> None:
        frozen.append(server in driver.frozen)
        assert may_go_on.wait(480)
        copy(*args)

    monkeypatch.setattr(made.store.files, "make_copy", slow)
    kept = image_of(user, server)
    eventually(lambda: frozen == [True], "guest frozen while its volume is copied")
    assert server in driver.frozen
    may_go_on.set()
    eventually(lambda: server not in driver.frozen, "guest goes on")
    assert ready(storage)
    delete(user, server)
    forget_image(cloud, kept)


@pytest.mark.parametrize(
    ("properties", "error", "status"),
    [
        pytest.param({}, None, 202, id="no agent"),
        pytest.param({"os_require_quiesce": "yes"}, None, 400, id="no agent but wanted"),
        pytest.param(AGENT, errors.Unsupported("It does not answer."), 202, id="agent does not answer"),
        pytest.param(
            {**AGENT, "os_require_quiesce": "yes"}, errors.Unsupported("It does not answer."), 409, id="and is wanted"
        ),
    ],
)
def test_who_cannot_stand_still_goes_on(
    cloud: Cloud,
    user: ComputeUser,
    storage: Storage,
    image: str,
    properties: dict[str, str],
    error: Exception | None,
    status: int,
) -> None:
    system = storage.volume(imageRef=image)
    storage.ask("POST", f"/volumes/{system}/action", {"os-set_image_metadata": {"metadata": properties}})
    server = boot(user, root("volume", system))
    driver = clouds.fake_driver(cloud, user.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"])
    if error is not None:
        driver.fail("freeze", error)
    answer = user.act(server, "createImage", {"name": "copy"})
    assert answer.status == status, answer.json
    assert driver.frozen == set()
    if status == 202:
        eventually(lambda: ready(storage), "snapshots made")
        forget_image(cloud, answer.json["image_id"])
    else:
        eventually(lambda: not snapshots(storage), "snapshots gone")
    delete(user, server)


def test_backups_are_refused_and_stopped_servers_are_copied(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    server = boot(user, root("volume", with_agent(cloud, storage, image, os_require_quiesce="yes")))
    user.wait(server, "ACTIVE")
    backup = {"name": "copy", "backup_type": "daily", "rotation": 1}
    answer = user.act(server, "createBackup", backup)
    assert (answer.status, "volume-backed" in answer.json["badRequest"]["message"]) == (400, True)
    assert user.act(server, "os-stop").status == 202
    user.wait(server, "SHUTOFF")
    kept = image_of(user, server)
    eventually(lambda: ready(storage), "snapshots made")
    delete(user, server)
    forget_image(cloud, kept)

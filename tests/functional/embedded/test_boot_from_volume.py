"""Servers that are made with volumes, end to end: booted from them, from snapshots, from images; and what is left."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.embedded import volume_api
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.volume_records import Records, StoredVolume
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.block_storage import Fault, FaultyVolumes
from nova_lite.testing.cloud import Answer, ComputeUser, eventually


class Storage:
    """Someone who asks the embedded block storage service."""

    def __init__(self, cloud: Cloud) -> None:
        self._url = f"{cloud.volume_url}/v3"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"X-Auth-Token": "admin", "OpenStack-API-Version": "volume 3.71"})

    def close(self) -> None:
        self._session.close()

    def asked(self, method: str, path: str, body: Any = None) -> Answer:
        return Answer(self._session.request(method, self._url + path, json=body, timeout=480))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.asked(method, path, body)
        assert answer.status < 300, (method, path, answer.json)
        return answer.json

    def volume(self, **wanted: Any) -> str:
        """Have a new volume that is available."""
        made = self.ask("POST", "/volumes", {"volume": {"size": 1, **wanted}})["volume"]["id"]
        eventually(lambda: self.status(made) == "available", f"volume {made} available")
        return str(made)

    def snapshot(self, volume_id: str) -> str:
        """Have a snapshot of a volume that is available."""
        made = self.ask("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}})["snapshot"]["id"]
        path = f"/snapshots/{made}"
        eventually(lambda: self.ask("GET", path)["snapshot"]["status"] == "available", f"snapshot {made} available")
        return str(made)

    def status(self, volume_id: str) -> str | None:
        answer = self.asked("GET", f"/volumes/{volume_id}")
        return None if answer.status == 404 else str(answer.json["volume"]["status"])

    def volumes(self) -> set[str]:
        return {str(each["id"]) for each in self.ask("GET", "/volumes")["volumes"]}

    def attachments(self) -> list[Any]:
        found: list[Any] = self.ask("GET", "/attachments")["attachments"]
        return found

    def clear(self) -> None:
        """Have no volumes nor snapshots."""
        for each in self.ask("GET", "/snapshots")["snapshots"]:
            self.ask("DELETE", f"/snapshots/{each['id']}")
        eventually(lambda: not self.ask("GET", "/snapshots")["snapshots"], "snapshots gone")
        for each in self.volumes():
            self.asked("DELETE", f"/volumes/{each}")
        eventually(lambda: not self.volumes(), "volumes gone")


class Faults:
    """The cloud's block storage, when it is to fail."""

    def __init__(self) -> None:
        self.made: list[FaultyVolumes] = []
        #: Volume → every status it was in.
        self.seen: defaultdict[str, list[str]] = defaultdict(list)

    def watch(self, records: Records) -> None:
        """Remember what volumes are from now on."""
        put = records.put

        def watched(record: Any) -> Any:
            if isinstance(record, StoredVolume):
                self.seen[record.id].append(record.status)
            return put(record)

        records.put = watched  # type: ignore[method-assign]

    def __call__(self, method: str, pattern: str, **how: Any) -> Fault:
        return self.made[0].add(Fault(method, pattern, **how))


@pytest.fixture(scope="module")
def all_faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, all_faults: Faults) -> Iterator[Cloud]:
    build = volume_api.build

    def faulty(store: VolumeStore, **options: Any) -> FaultyVolumes:
        all_faults.watch(store.records)
        all_faults.made.append(FaultyVolumes(build(store, **options)))
        return all_faults.made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_api, "build", faulty)
        with clouds.running(tmp_path_factory.mktemp("cloud"), cells=1, hosts=3) as running:
            yield running


@pytest.fixture
def faults(cloud: Cloud, all_faults: Faults) -> Iterator[Faults]:
    yield all_faults
    all_faults.made[0].clear()
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).faults.clear()


@pytest.fixture
def storage(cloud: Cloud) -> Iterator[Storage]:
    """Block storage, of which nothing is left in the end: neither with it nor with a host."""
    someone = Storage(cloud)
    yield someone
    eventually(lambda: not someone.attachments(), "attachments gone")
    assert reached(cloud) == set()
    with Watch(cloud) as watch:
        eventually(lambda: not watch.open_work(), "all work done")
        assert watch.audit() == []
    someone.clear()
    someone.close()


def root(source: str, uuid: str, **more: Any) -> dict[str, Any]:
    return {"source_type": source, "uuid": uuid, "destination_type": "volume", "boot_index": 0, **more}


def boot(user: ComputeUser, *devices: dict[str, Any], image: str = "", **more: Any) -> str:
    return user.boot("from-volume", image, block_device_mapping_v2=list(devices), **more)


def delete(user: ComputeUser, server: str) -> None:
    assert user.ask("DELETE", f"/servers/{server}").status == 204
    user.wait_gone(server)


def plugged(cloud: Cloud, server: dict[str, Any]) -> dict[str, str]:
    """Return volume → name of its disk in the server's guest, which its host reaches."""
    driver = clouds.fake_driver(cloud, server["OS-EXT-SRV-ATTR:host"])
    found = driver.plugged(server["id"])
    assert {each.attachment_id for each in found} <= driver.reached
    return {each.volume_id: each.device_name for each in found}


def reached(cloud: Cloud) -> set[str]:
    return {each for host in cloud.agents for each in clouds.fake_driver(cloud, host).reached}


def claimed(cloud: Cloud, server: str) -> dict[str, int]:
    placement = ComputeUser(cloud.placement_url)
    try:
        [found] = placement.ask("GET", f"/allocations/{server}").json["allocations"].values()
        return dict(found["resources"])
    finally:
        placement.close()


def test_a_server_boots_from_a_volume_and_has_another(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    system, data = storage.volume(imageRef=image), storage.volume(size=2)
    server = boot(user, root("volume", system), {"source_type": "volume", "uuid": data, "destination_type": "volume"})
    shown = user.wait(server, "ACTIVE")
    assert shown["image"] == ""
    assert plugged(cloud, shown) == {system: "/dev/vda", data: "/dev/vdb"}
    assert {each["id"] for each in shown["os-extended-volumes:volumes_attached"]} == {system, data}
    assert (storage.status(system), storage.status(data)) == ("in-use", "in-use")
    assert claimed(cloud, server) == {"VCPU": 1, "MEMORY_MB": 96}

    delete(user, server)
    assert (storage.status(system), storage.status(data)) == ("available", "available")
    assert reached(cloud) == set()


def test_volumes_are_made_of_images_snapshots_and_nothing(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    source = storage.volume(imageRef=image)
    snapshot = storage.snapshot(source)
    devices = [
        root("image", image, volume_size=2, delete_on_termination=True),
        {"source_type": "snapshot", "uuid": snapshot, "destination_type": "volume", "delete_on_termination": True},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 3, "device_name": "vdf", "tag": "logs"},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": "true"},
    ]
    server = boot(user, *devices)
    shown = user.wait(server, "ACTIVE")
    names = plugged(cloud, shown)
    assert sorted(names.values()) == ["/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdf"]
    [logs] = [volume for volume, name in names.items() if name == "/dev/vdf"]
    sizes = {names[volume]: storage.ask("GET", f"/volumes/{volume}")["volume"]["size"] for volume in names}
    assert sizes == {"/dev/vda": 2, "/dev/vdb": 1, "/dev/vdc": 1, "/dev/vdf": 3}
    kept = {each["id"]: each["delete_on_termination"] for each in shown["os-extended-volumes:volumes_attached"]}
    assert kept == {volume: volume != logs for volume in names}

    delete(user, server)
    eventually(lambda: storage.volumes() == {source, logs}, "volumes gone with their server")
    assert storage.status(logs) == "available"


def test_a_server_of_a_snapshot_boots_from_it(cloud: Cloud, user: ComputeUser, storage: Storage, image: str) -> None:
    snapshot = storage.snapshot(storage.volume(imageRef=image))
    server = boot(user, root("snapshot", snapshot, delete_on_termination=True))
    shown = user.wait(server, "ACTIVE")
    assert (shown["image"], list(plugged(cloud, shown).values())) == ("", ["/dev/vda"])
    delete(user, server)


def test_a_server_of_an_image_has_data_volumes(cloud: Cloud, user: ComputeUser, storage: Storage, image: str) -> None:
    data = storage.volume()
    image_device = {"source_type": "image", "uuid": image, "destination_type": "local", "boot_index": 0}
    data_device = {"source_type": "volume", "uuid": data, "destination_type": "volume", "boot_index": None}
    server = boot(user, image_device, data_device, image=image)
    shown = user.wait(server, "ACTIVE")
    assert (shown["image"]["id"], plugged(cloud, shown)) == (image, {data: "/dev/vdb"})
    assert claimed(cloud, server) == {"VCPU": 1, "MEMORY_MB": 96, "DISK_GB": 1}
    delete(user, server)


def test_a_root_disk_that_is_a_volume_takes_no_room_of_a_host(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    flavor = {"name": "mixed", "vcpus": 1, "ram": 64, "disk": 7, "OS-FLV-EXT-DATA:ephemeral": 2}
    mixed = user.ask("POST", "/flavors", {"flavor": flavor}).json["flavor"]["id"]
    made = root("image", image, volume_size=1, delete_on_termination=True)
    local = {"source_type": "blank", "destination_type": "local", "volume_size": 1}
    server = boot(user, made, local, flavor=mixed)
    assert user.wait(server, "ACTIVE")["flavor"]["disk"] == 7
    assert claimed(cloud, server) == {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 2}
    assert user.act(server, "migrate").status == 202
    user.wait(server, "VERIFY_RESIZE")
    assert claimed(cloud, server) == {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 2}
    old = ComputeUser(cloud.compute_url, microversion="2.87")
    assert old.ask("GET", "/os-hypervisors/statistics").json["hypervisor_statistics"]["local_gb_used"] == 2
    old.close()
    with Watch(cloud) as watch:
        eventually(lambda: not watch.open_work(), "all work done")
        assert watch.audit() == []
    assert user.act(server, "confirmResize").status == 204
    user.wait(server, "ACTIVE")
    delete(user, server)


def test_each_of_many_servers_has_volumes_of_its_own(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    boot(user, root("image", image, volume_size=1, delete_on_termination=True), min_count=3)
    servers = [each["id"] for each in user.ask("GET", "/servers").json["servers"]]
    found = [set(plugged(cloud, user.wait(server, "ACTIVE"))) for server in servers]
    assert len(servers) == len(set.union(*found)) == 3
    for server in servers:
        delete(user, server)


def test_the_old_syntax_boots_from_volumes_too(cloud: Cloud, user: ComputeUser, storage: Storage, image: str) -> None:
    system = storage.volume(imageRef=image)
    data = storage.snapshot(storage.volume())
    devices = [
        {"device_name": "vdc", "snapshot_id": data, "delete_on_termination": True},
        {"device_name": "vda", "volume_id": system},
    ]
    server = user.boot("old", "", block_device_mapping=devices)
    names = plugged(cloud, user.wait(server, "ACTIVE"))
    assert names[system] == "/dev/vda"
    assert sorted(names.values()) == ["/dev/vda", "/dev/vdc"]
    delete(user, server)


def test_a_volume_goes_on_to_the_next_host_with_its_server(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str, faults: Faults
) -> None:
    system = storage.volume(imageRef=image)
    drivers = {host: clouds.fake_driver(cloud, host) for host in cloud.agents}
    own = {host: driver.faults for host, driver in drivers.items()}
    script = FaultScript()
    script.fail("spawn", errors.HostFailed("The disk broke"), times=2, after=True)
    # Released or not, a host that failed reaches nothing any more: its attachment is gone.
    script.fail("release_volume", errors.HostFailed("Busy"), times=4)
    for driver in drivers.values():
        driver.faults = script
    try:
        faults.seen.clear()
        server = boot(user, root("volume", system), root("image", image, volume_size=1, boot_index=1))
        shown = user.wait(server, "ACTIVE")
    finally:
        for host, driver in drivers.items():
            driver.faults = own[host]
    assert script.calls("spawn") == 3
    assert len(plugged(cloud, shown)) == len(storage.attachments()) == 2
    others = [driver for host, driver in drivers.items() if host != shown["OS-EXT-SRV-ATTR:host"]]
    known = {each["id"] for each in storage.attachments()}
    assert not any(driver.reached & known for driver in others)
    assert (storage.status(system), "available" in faults.seen[system]) == ("in-use", False)
    delete(user, server)
    for driver in others:
        driver.reached.clear()


def test_a_server_no_host_can_build_leaves_no_volumes(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str, faults: Faults
) -> None:
    system = storage.volume(imageRef=image)
    for host in cloud.agents:
        clouds.fake_driver(cloud, host).fail("spawn", errors.HostFailed("The disk broke"), times=None, after=True)
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    server = boot(user, root("volume", system, delete_on_termination=False), blank)
    shown = user.wait(server, "ERROR")
    assert (storage.status(system), storage.attachments()) == ("available", [])
    eventually(lambda: storage.volumes() == {system}, "made volume gone")
    assert (reached(cloud), shown["os-extended-volumes:volumes_attached"]) == (set(), [])
    delete(user, server)


def test_a_server_without_room_keeps_its_volumes_until_it_is_deleted(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    flavor = {"name": "huge", "vcpus": 1, "ram": 10**8, "disk": 0}
    huge = user.ask("POST", "/flavors", {"flavor": flavor}).json["flavor"]["id"]
    assert user.ask("PUT", "/os-quota-sets/admin", {"quota_set": {"ram": -1}}).status == 200
    system = storage.volume(imageRef=image)
    made = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    server = boot(user, root("volume", system), made, flavor=huge)
    user.wait(server, "ERROR")
    assert storage.status(system) == "reserved"
    delete(user, server)
    eventually(lambda: storage.status(system) == "available", "volume free")
    eventually(lambda: storage.volumes() == {system}, "made volume gone")


def test_servers_deleted_at_once_leave_no_volumes(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str
) -> None:
    system = storage.volume(imageRef=image)
    made = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    for _ in range(4):
        server = boot(user, root("volume", system), made)
        delete(user, server)
        eventually(lambda: storage.status(system) == "available", "volume free")
        eventually(lambda: storage.volumes() == {system}, "made volume gone")


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        pytest.param("POST", "/attachments$", {}, id="reserving fails"),
        pytest.param("POST", "/attachments$", {"after_work": True}, id="answer to reserving lost"),
        pytest.param("POST", "/volumes$", {}, id="making fails"),
        pytest.param("POST", "/volumes$", {"after_work": True}, id="answer to making lost"),
        pytest.param("GET", "/volumes/", {"times": 4}, id="looking fails"),
    ],
)
def test_what_a_failed_request_held_is_given_back(
    user: ComputeUser, storage: Storage, image: str, faults: Faults, method: str, path: str, how: dict[str, Any]
) -> None:
    first, second = storage.volume(imageRef=image), storage.volume()
    faults(method, path, **how)
    devices = [
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1},
        root("volume", first, delete_on_termination=True),
        {"source_type": "volume", "uuid": second, "destination_type": "volume"},
    ]
    body = {"name": "vm", "flavorRef": "1", "imageRef": "", "networks": "none", "block_device_mapping_v2": devices}
    answer = user.ask("POST", "/servers", {"server": body})
    assert answer.status == 503, answer.json
    assert user.ask("GET", "/servers").json["servers"] == []
    eventually(lambda: storage.volumes() == {first, second}, "what was made is gone")
    eventually(lambda: {storage.status(each) for each in (first, second)} == {"available"}, "volumes free")


def test_over_quota_holds_nothing(user: ComputeUser, storage: Storage, image: str) -> None:
    system = storage.volume(imageRef=image)
    assert user.ask("PUT", "/os-quota-sets/admin", {"quota_set": {"instances": 0}}).status == 200
    try:
        body = {"name": "vm", "flavorRef": "1", "networks": "none", "block_device_mapping_v2": [root("volume", system)]}
        assert user.ask("POST", "/servers", {"server": body}).status == 403
    finally:
        assert user.ask("DELETE", "/os-quota-sets/admin").status == 202
    assert (storage.status(system), storage.volumes()) == ("available", {system})


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("PUT", "/attachments/", times=5), id="connecting fails a while"),
        pytest.param(Fault("PUT", "/attachments/", after_work=True), id="answer to connecting lost"),
        pytest.param(Fault("POST", "/attachments/.*/action", times=5), id="completing fails a while"),
        pytest.param(Fault("POST", "/attachments$", after_work=True), id="answer to reserving lost"),
    ],
)
def test_a_build_outlives_what_passes(
    cloud: Cloud, user: ComputeUser, storage: Storage, image: str, faults: Faults, fault: Fault
) -> None:
    faults.made[0].add(fault)
    server = boot(user, root("image", image, volume_size=1, delete_on_termination=True))
    shown = user.wait(server, "ACTIVE")
    assert fault.met == fault.times
    assert len(plugged(cloud, shown)) == len(storage.attachments()) == 1
    delete(user, server)
    eventually(lambda: not storage.volumes(), "volume gone")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("PUT", "/attachments/", 404, id="attachment gone"),
        pytest.param("PUT", "/attachments/", 409, id="connecting refused"),
        pytest.param("POST", "/attachments/.*/action", 404, id="attachment gone in the end"),
        pytest.param("POST", "/attachments$", 400, id="volume taken meanwhile"),
    ],
)
def test_a_build_whose_volume_fails_leaves_nothing(
    user: ComputeUser, storage: Storage, image: str, faults: Faults, method: str, path: str, status: int
) -> None:
    faults(method, path, status=status)
    data = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    server = boot(user, root("image", image, volume_size=1), data)
    assert "olume" in user.wait(server, "ERROR")["fault"]["message"]
    assert storage.attachments() == []
    eventually(lambda: len(storage.volumes()) == 1, "the one that goes with its server gone")
    [left] = storage.volumes()
    assert storage.status(left) == "available"
    delete(user, server)

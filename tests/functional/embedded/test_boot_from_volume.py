"""Servers that are made with volumes, end to end: booted from them, from snapshots, from images; and what is left."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
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


@pytest.fixture
def storage(cloud: Cloud) -> Iterator[Storage]:
    someone = Storage(cloud)
    yield someone
    assert someone.attachments() == []
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

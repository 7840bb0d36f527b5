"""Host aggregates in a running cloud: Placement follows, whatever becomes of it meanwhile; servers go to their zone."""

import threading
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.model.workflow import OPEN
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud whose hosts were all mapped after its processes had read the mappings, which they do not by themselves
    again."""
    with clouds.running(tmp_path_factory.mktemp("cloud"), options={"cells": {"refresh_interval": "3600"}}) as running:
        yield running


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While this is set, Placement answers nobody."""
    is_away = threading.Event()
    request = PlacementClient._request

    def asked(client: PlacementClient, *args: Any, **kwargs: Any) -> Any:
        if is_away.is_set():
            raise errors.Unavailable("Placement does not answer.")
        return request(client, *args, **kwargs)

    monkeypatch.setattr(PlacementClient, "_request", asked)
    return is_away


class Racks:
    """An aggregate of its own for one story."""

    def __init__(self, user: ComputeUser, zone: str | None = None) -> None:
        self._user = user
        answer = user.ask(
            "POST", "/os-aggregates", {"aggregate": {"name": f"racks-{uuids.uuid4()}", "availability_zone": zone}}
        )
        assert answer.status == 200, answer.json
        self.uuid = answer.json["aggregate"]["uuid"]
        self.url = f"/os-aggregates/{answer.json['aggregate']['id']}"

    def act(self, action: str, host: str) -> int:
        return self._user.ask("POST", f"{self.url}/action", {action: {"host": host}}).status


def providers(cloud: Cloud, user: ComputeUser) -> dict[str, str]:
    """Return host → its provider."""
    found = user.ask("GET", "/os-hypervisors/detail").json["hypervisors"]
    return {hypervisor["service"]["host"]: hypervisor["id"] for hypervisor in found}


def placement(cloud: Cloud, method: str, path: str, body: Any = None) -> Any:
    """Ask Placement itself, whoever else it does not answer."""
    headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.36"}
    url = f"{cloud.placement_url}/resource_providers/{path}"
    answer = requests.request(method, url, json=body, headers=headers, timeout=480)
    assert answer.status_code == 200, answer.text
    return answer.json()


def in_placement(cloud: Cloud, provider: str) -> set[str]:
    return set(placement(cloud, "GET", f"{provider}/aggregates")["aggregates"])


def open_work(cloud: Cloud) -> list[str]:
    database = clouds.database(cloud, "api")
    try:
        with database.reader() as session:
            rows = session.query(ApiWorkflowRow).filter(ApiWorkflowRow.kind.in_(("mirror-aggregates", "cache-images")))
            return [row.uuid for row in rows if row.status in OPEN]
    finally:
        database.close()


def test_placement_follows_and_keeps_what_others_wrote(cloud: Cloud, user: ComputeUser) -> None:
    host, provider = min(providers(cloud, user).items())
    foreign = str(uuids.uuid4())
    generation = placement(cloud, "GET", provider)["generation"]
    body = {"aggregates": [foreign], "resource_provider_generation": generation}
    placement(cloud, "PUT", f"{provider}/aggregates", body)
    racks = Racks(user)
    assert racks.act("add_host", host) == 200
    eventually(lambda: in_placement(cloud, provider) == {foreign, racks.uuid}, "the provider in the aggregate")
    assert racks.act("remove_host", host) == 200
    eventually(lambda: in_placement(cloud, provider) == {foreign}, "the provider out of it")
    assert user.ask("DELETE", racks.url).status == 200
    eventually(lambda: not open_work(cloud), "no workflow waiting")


def test_nothing_is_lost_while_placement_is_away(cloud: Cloud, user: ComputeUser, away: threading.Event) -> None:
    (one, first), (two, second), *_ = sorted(providers(cloud, user).items())
    racks = Racks(user)
    away.set()
    assert [racks.act("add_host", host) for host in (one, two)] == [200, 200]
    assert racks.act("remove_host", one) == 200
    assert user.ask("GET", racks.url).json["aggregate"]["hosts"] == [two]
    assert len(open_work(cloud)) == 3
    assert racks.uuid not in in_placement(cloud, second)
    away.clear()
    eventually(lambda: racks.uuid in in_placement(cloud, second), "the provider in the aggregate")
    eventually(lambda: not open_work(cloud), "no workflow waiting")
    assert racks.uuid not in in_placement(cloud, first)
    assert racks.act("remove_host", two) == 200
    assert user.ask("DELETE", racks.url).status == 200
    eventually(lambda: racks.uuid not in in_placement(cloud, second), "the provider out of the aggregate")


def test_images_are_brought_to_hosts_that_are_up(
    cloud: Cloud, user: ComputeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, *_ = sorted(providers(cloud, user))
    racks = Racks(user)
    assert [racks.act("add_host", host) for host in (one, two)] == [200, 200]
    monkeypatch.setattr(clouds.fake_driver(cloud, two), "needs_image", True)
    (down,) = user.ask("GET", f"/os-services?host={one}").json["services"]
    assert user.ask("PUT", f"/os-services/{down['id']}", {"forced_down": True}).status == 200
    cached = Path(cloud.settings.image_cache) / image
    assert not cached.exists()
    answer = user.ask("POST", f"{racks.url}/images", {"cache": [{"id": image}]})
    assert answer.status == 202
    eventually(cached.exists, "the image on the host")
    eventually(lambda: not open_work(cloud), "no workflow waiting")
    assert user.ask("PUT", f"/os-services/{down['id']}", {"forced_down": False}).status == 200
    assert [racks.act("remove_host", host) for host in (one, two)] == [200, 200]
    assert user.ask("DELETE", racks.url).status == 200


def test_the_next_server_goes_to_the_zone_just_made(cloud: Cloud, user: ComputeUser, image: str) -> None:
    host = max(providers(cloud, user))
    refused = user.ask("POST", "/servers", boot_body(image, "east"))
    assert refused.status == 400
    racks = Racks(user, "east")
    assert racks.act("add_host", host) == 200
    inside = user.boot("inside", image, availability_zone="east")
    server = user.wait(inside, "ACTIVE")
    assert (server["OS-EXT-SRV-ATTR:host"], server["OS-EXT-AZ:availability_zone"]) == (host, "east")
    outside = user.boot("outside", image, availability_zone="nova")
    server = user.wait(outside, "ACTIVE")
    assert (server["OS-EXT-SRV-ATTR:host"] != host, server["OS-EXT-AZ:availability_zone"]) == (True, "nova")
    assert racks.act("remove_host", host) == 409
    assert user.ask("PUT", racks.url, {"aggregate": {"availability_zone": "west"}}).status == 400
    for server_id in (inside, outside):
        user.ask("DELETE", f"/servers/{server_id}")
        user.wait_gone(server_id)
    assert racks.act("remove_host", host) == 200
    assert user.ask("POST", "/servers", boot_body(image, "east")).status == 400
    assert user.ask("DELETE", racks.url).status == 200


def boot_body(image: str, zone: str) -> dict[str, Any]:
    return {
        "server": {"name": "vm", "flavorRef": "1", "imageRef": image, "networks": "none", "availability_zone": zone}
    }

"""Many servers of one group at once on twenty hosts: as many live as the policy lets, and the others hear why not."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser, eventually

_HOSTS, _ASKED = 20, 100
#: Seconds that all of it may take on a machine that does other things as well.
_PATIENCE_S = 480.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    unlimited = {"quota": {"instances": "-1", "cores": "-1", "ram": "-1", "server_group_members": "-1"}}
    with clouds.running(tmp_path_factory.mktemp("cloud"), hosts=_HOSTS // 2, options=unlimited) as running:
        yield running


class Crowd:
    """Servers of a new group that is kept apart, asked for by many clients at once."""

    def __init__(self, cloud: Cloud, user: ComputeUser, image: str) -> None:
        self._cloud = cloud
        self._user = user
        self._image = image
        document = {"name": "crowd", "policy": "anti-affinity"}
        answer = user.ask("POST", "/os-server-groups", {"server_group": document})
        assert answer.status == 200, answer.json
        self._group = answer.json["server_group"]["id"]
        self._clients = threading.local()

    def ask(self, name: str, count: int = 1) -> None:
        """Ask for servers over this thread's connection; each request is accepted."""
        if not hasattr(self._clients, "user"):
            self._clients.user = ComputeUser(self._cloud.compute_url)
        server = {
            "name": name, "flavorRef": "1", "imageRef": self._image, "networks": "none",
            "min_count": count, "max_count": count,
        }  # fmt: skip
        body = {"server": server, "os:scheduler_hints": {"group": self._group}}
        answer = self._clients.user.ask("POST", "/servers", body)
        assert answer.status == 202, answer.json

    def settled(self, count: int) -> list[dict[str, Any]]:
        """Return the servers once none is being built."""

        def look() -> list[dict[str, Any]] | None:
            found = self._user.ask("GET", "/servers/detail?limit=1000").json["servers"]
            return found if len(found) == count and all(each["status"] != "BUILD" for each in found) else None

        return eventually(look, "every server built or refused", _PATIENCE_S)

    def clear(self) -> None:
        for server in self._user.ask("GET", "/servers?limit=1000").json["servers"]:
            assert self._user.ask("DELETE", f"/servers/{server['id']}").status == 204
        eventually(lambda: not self._user.ask("GET", "/servers").json["servers"], "all gone", _PATIENCE_S)
        with Watch(self._cloud) as watch:
            eventually(lambda: watch.audit() == [] or None, "an empty audit")


def _homes(servers: list[dict[str, Any]]) -> Counter[str]:
    return Counter(each["OS-EXT-SRV-ATTR:host"] for each in servers if each["status"] == "ACTIVE")


def test_one_server_a_host_and_a_reason_for_the_others(cloud: Cloud, user: ComputeUser, image: str) -> None:
    crowd = Crowd(cloud, user, image)
    with ThreadPoolExecutor(10) as clients:
        list(clients.map(lambda number: crowd.ask(f"one-{number}"), range(_ASKED)))
    servers = crowd.settled(_ASKED)
    assert _homes(servers) == dict.fromkeys(cloud.agents, 1)
    refused = [each for each in servers if each["status"] != "ACTIVE"]
    assert {each["status"] for each in refused} == {"ERROR"}
    said = {each["fault"]["message"] for each in refused}
    assert [message for message in said if "server group's policy" not in message] == []
    with Watch(cloud) as watch:
        eventually(lambda: watch.audit() == [] or None, "an empty audit")
    crowd.clear()


def test_requests_for_several_are_placed_whole_or_not_at_all(cloud: Cloud, user: ComputeUser, image: str) -> None:
    crowd = Crowd(cloud, user, image)
    requests, each = 10, 3
    with ThreadPoolExecutor(requests) as clients:
        list(clients.map(lambda number: crowd.ask(f"all-{number}", each), range(requests)))
    servers = crowd.settled(requests * each)
    homes = _homes(servers)
    assert set(homes.values()) == {1}
    # A request that is overtaken chooses again; so it is refused only when fewer than its hosts are left.
    assert homes.total() == _HOSTS // each * each
    whole = Counter(server["name"].rpartition("-")[0] for server in servers if server["status"] == "ACTIVE")
    assert set(whole.values()) == {each}
    crowd.clear()

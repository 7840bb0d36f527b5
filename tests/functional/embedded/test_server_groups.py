"""Server groups in a running cloud: their policies are never broken, however many servers come at once."""

import uuid as uuids
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually

#: Hosts of the cloud, in two cells.
_HOSTS = 6


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    unlimited = {"quota": {"instances": "-1", "cores": "-1", "ram": "-1", "server_group_members": "-1"}}
    with clouds.running(tmp_path_factory.mktemp("cloud"), hosts=_HOSTS // 2, options=unlimited) as running:
        yield running


class Group:
    """A group of one story, and servers asked for in it."""

    def __init__(self, user: ComputeUser, image: str, policy: str, **rules: int) -> None:
        self._user = user
        self._image = image
        document = {"name": f"g-{uuids.uuid4()}", "policy": policy} | ({"rules": rules} if rules else {})
        answer = user.ask("POST", "/os-server-groups", {"server_group": document})
        assert answer.status == 200, answer.json
        self.uuid = answer.json["server_group"]["id"]

    def ask(self, count: int = 1, **more: Any) -> str:
        """Ask for servers and return the UUID of the first."""
        server = {
            "name": "grouped", "flavorRef": "1", "imageRef": self._image, "networks": "none",
            "min_count": count, "max_count": count, **more,
        }  # fmt: skip
        body = {"server": server, "os:scheduler_hints": {"group": self.uuid}}
        answer = self._user.ask("POST", "/servers", body)
        assert answer.status == 202, answer.json
        return str(answer.json["server"]["id"])

    def ask_at_once(self, number: int) -> None:
        """Ask for servers one by one, all at the same time."""
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(lambda _: self.ask(), range(number)))

    def settled(self) -> list[dict[str, Any]]:
        """Return the servers of the group once each is ACTIVE or in ERROR."""

        def look() -> list[dict[str, Any]] | None:
            members = self._user.ask("GET", f"/os-server-groups/{self.uuid}").json["server_group"]["members"]
            servers = [self._user.server(uuid) for uuid in members]
            done = all(server["status"] in ("ACTIVE", "ERROR") for server in servers)
            return servers if done else None

        return eventually(look, "every server of the group built or refused")

    def clear(self) -> None:
        """Delete the servers."""
        for server in self.settled():
            self._user.ask("DELETE", f"/servers/{server['id']}")
            self._user.wait_gone(server["id"])


def hosts(servers: list[dict[str, Any]]) -> Counter[str]:
    """Return host → how many of the servers that live are there."""
    return Counter(server["OS-EXT-SRV-ATTR:host"] for server in servers if server["status"] == "ACTIVE")


def test_so_many_may_share_a_host(user: ComputeUser, image: str) -> None:
    group = Group(user, image, "anti-affinity", max_server_per_host=2)
    group.ask_at_once(2 * _HOSTS + 2)
    assert sorted(hosts(group.settled()).values()) == [2] * _HOSTS
    group.clear()


def test_together_means_together_also_for_a_crowd(user: ComputeUser, image: str) -> None:
    group = Group(user, image, "affinity")
    group.ask_at_once(8)
    servers = group.settled()
    assert [server["status"] for server in servers] == ["ACTIVE"] * 8
    assert len(hosts(servers)) == 1
    group.clear()


def test_servers_of_one_request_keep_to_it_among_themselves(user: ComputeUser, image: str) -> None:
    apart = Group(user, image, "anti-affinity")
    apart.ask(_HOSTS)
    assert sorted(hosts(apart.settled()).values()) == [1] * _HOSTS
    apart.clear()
    too_many = Group(user, image, "anti-affinity")
    too_many.ask(_HOSTS + 1)
    servers = too_many.settled()
    assert hosts(servers) == Counter()
    message = f"There is room for {_HOSTS} of {_HOSTS + 1} servers only: The server group's policy forbids"
    assert all(message in server["fault"]["message"] for server in servers)
    too_many.clear()


def test_soft_policies_bend(user: ComputeUser, image: str) -> None:
    apart = Group(user, image, "soft-anti-affinity")
    for _ in range(_HOSTS + 2):
        user.wait(apart.ask(), "ACTIVE")
    assert sorted(hosts(apart.settled()).values()) == [1] * (_HOSTS - 2) + [2, 2]
    apart.clear()
    together = Group(user, image, "soft-affinity")
    for _ in range(4):
        user.wait(together.ask(), "ACTIVE")
    assert sorted(hosts(together.settled()).values()) == [4]
    together.clear()


def test_a_place_is_free_again_when_its_server_is_deleted(user: ComputeUser, image: str) -> None:
    group = Group(user, image, "anti-affinity")
    group.ask(_HOSTS)
    (first, *_) = group.settled()
    user.ask("DELETE", f"/servers/{first['id']}")
    user.wait_gone(first["id"])
    server = user.wait(group.ask(), "ACTIVE")
    assert server["OS-EXT-SRV-ATTR:host"] == first["OS-EXT-SRV-ATTR:host"]
    group.clear()


def test_servers_are_kept_with_and_away_from_others(cloud: Cloud, user: ComputeUser) -> None:
    image = ImageDirectory(cloud.settings.image_dir).images()[0].id
    first = user.wait(user.boot("first", image), "ACTIVE")

    def boot(**hints: object) -> dict[str, Any]:
        server = {"name": "hinted", "flavorRef": "1", "imageRef": image, "networks": "none"}
        answer = user.ask("POST", "/servers", {"server": server, "os:scheduler_hints": hints})
        assert answer.status == 202, answer.json
        return user.wait(str(answer.json["server"]["id"]), "ACTIVE")

    home = first["OS-EXT-SRV-ATTR:host"]
    near = [boot(same_host=first["id"]) for _ in range(2)]
    assert {server["OS-EXT-SRV-ATTR:host"] for server in near} == {home}
    away = [boot(different_host=[first["id"], near[0]["id"]]) for _ in range(3)]
    assert home not in {server["OS-EXT-SRV-ATTR:host"] for server in away}
    for server in (first, *near, *away):
        user.ask("DELETE", f"/servers/{server['id']}")
        user.wait_gone(server["id"])

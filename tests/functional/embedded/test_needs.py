"""What flavors and images ask for beyond size, from the extra spec down to the claim in Placement."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite import errors
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually

#: Where pools are: an aggregate that Placement alone knows.
_RACK = "7a4b1f00-0000-4000-8000-00000000000a"
_POOL = "7a4b1f00-0000-4000-8000-00000000000b"


class Placement:
    """Placement as an operator uses it."""

    def __init__(self, cloud: Cloud) -> None:
        self._url = cloud.placement_url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's body, None where it has none."""
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.39"}
        answer = requests.request(method, f"{self._url}{path}", json=body, headers=headers, timeout=480)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def change(self, provider: str, what: str, **values: object) -> None:
        """Replace the traits, aggregates or inventories of a provider."""
        generation = self.ask("GET", f"/resource_providers/{provider}")["generation"]
        body = {**values, "resource_provider_generation": generation}
        self.ask("PUT", f"/resource_providers/{provider}/{what}", body)

    def traits(self, provider: str) -> set[str]:
        """Return the traits of a provider."""
        return set(self.ask("GET", f"/resource_providers/{provider}/traits")["traits"])

    def claimed(self, consumer: str) -> dict[str, dict[str, int]]:
        """Return provider → class → amount that a server holds."""
        found = self.ask("GET", f"/allocations/{consumer}")["allocations"]
        return {provider: entry["resources"] for provider, entry in found.items()}


@pytest.fixture
def placement(cloud: Cloud) -> Placement:
    return Placement(cloud)


@pytest.fixture
def nodes(user: ComputeUser) -> dict[str, str]:
    """Host → its provider."""
    found = user.ask("GET", "/os-hypervisors/detail").json["hypervisors"]
    return {hypervisor["service"]["host"]: hypervisor["id"] for hypervisor in found}


@pytest.fixture
def flavors(user: ComputeUser) -> Iterator["Flavors"]:
    made = Flavors(user)
    yield made
    made.close()


class Flavors:
    """Flavors of one story."""

    def __init__(self, user: ComputeUser) -> None:
        self._user = user
        self._ids: list[str] = []

    def add(self, extra_specs: dict[str, str], **sizes: int) -> str:
        """Return the id of a new flavor."""
        body = {"name": f"needs-{len(self._ids)}", "vcpus": 1, "ram": 64, "disk": 1, **sizes}
        answer = self._user.ask("POST", "/flavors", {"flavor": body})
        assert answer.status == 200, answer.json
        self._ids.append(answer.json["flavor"]["id"])
        specs = self._user.ask("POST", f"/flavors/{self._ids[-1]}/os-extra_specs", {"extra_specs": extra_specs})
        assert specs.status == 200, specs.json
        return self._ids[-1]

    def close(self) -> None:
        for flavor_id in self._ids:
            self._user.ask("DELETE", f"/flavors/{flavor_id}")


def ends(user: ComputeUser, uuid: str) -> dict[str, Any]:
    """Return a server once it is ACTIVE or in ERROR."""
    return eventually(
        lambda: server if (server := user.server(uuid))["status"] in ("ACTIVE", "ERROR") else None,
        "an end of its build",
    )


def delete(user: ComputeUser, server: dict[str, Any]) -> None:
    """Delete a server and wait until it is gone."""
    assert user.ask("DELETE", f"/servers/{server['id']}").status == 204
    user.wait_gone(server["id"])


def test_a_server_goes_where_its_traits_are(
    user: ComputeUser, image: str, placement: Placement, nodes: dict[str, str], flavors: Flavors
) -> None:
    placement.ask("PUT", "/traits/CUSTOM_QUIET")
    quiet = max(nodes)
    placement.change(nodes[quiet], "traits", traits=sorted(placement.traits(nodes[quiet]) | {"CUSTOM_QUIET"}))
    wants, avoids = (flavors.add({"trait:CUSTOM_QUIET": wish}) for wish in ("required", "forbidden"))

    inside = [ends(user, user.boot(f"quiet-{number}", image, flavor=wants)) for number in range(3)]
    outside = [ends(user, user.boot(f"loud-{number}", image, flavor=avoids)) for number in range(3)]

    assert {server["OS-EXT-SRV-ATTR:host"] for server in inside} == {quiet}
    assert quiet not in {server["OS-EXT-SRV-ATTR:host"] for server in outside}
    assert {server["status"] for server in outside} == {"ACTIVE"}
    for server in inside + outside:
        delete(user, server)


def test_a_machine_is_taken_as_a_whole(
    user: ComputeUser, image: str, placement: Placement, nodes: dict[str, str], flavors: Flavors
) -> None:
    placement.ask("PUT", "/resource_classes/CUSTOM_GOLD")
    node = nodes[min(nodes)]
    placement.ask("POST", f"/resource_providers/{node}/inventories", {"resource_class": "CUSTOM_GOLD", "total": 1})
    whole = flavors.add(
        {"resources:VCPU": "0", "resources:MEMORY_MB": "0", "resources:DISK_GB": "0", "resources:CUSTOM_GOLD": "1"}
    )

    first = ends(user, user.boot("whole", image, flavor=whole))
    assert first["status"] == "ACTIVE"
    assert placement.claimed(first["id"]) == {node: {"CUSTOM_GOLD": 1}}
    second = ends(user, user.boot("no-more", image, flavor=whole))
    assert second["status"] == "ERROR"
    nearest = f"Nearest: {len(nodes)} hosts have no CUSTOM_GOLD free."
    assert second["fault"]["message"] == f"No valid host was found. No host has 1 CUSTOM_GOLD free. {nearest}"
    told = user.ask("GET", f"/servers/{second['id']}/scheduling").json["scheduling"]
    assert (told["state"], told["explanation"]["needs"]["resources"]) == ("refused", {"CUSTOM_GOLD": 1})
    (stage,) = told["explanation"]["stages"]
    assert (stage["name"], stage["entered"], stage["left"]) == ("Placement", len(nodes), 0)
    assert stage["hosts"] == dict.fromkeys(nodes, "has no CUSTOM_GOLD free")
    placed = user.ask("GET", f"/servers/{first['id']}/scheduling").json["scheduling"]
    assert (placed["state"], placed["host"]) == ("placed", min(nodes))
    assert [ranked["host"] for ranked in placed["explanation"]["ranking"]] == [min(nodes)]

    for server in (first, second):
        delete(user, server)


def test_disks_come_from_a_pool_that_hosts_share(
    user: ComputeUser, image: str, placement: Placement, nodes: dict[str, str], flavors: Flavors
) -> None:
    """Every host has too little disk of its own; the pool has room for two servers."""
    placement.ask("POST", "/resource_providers", {"uuid": _POOL, "name": "pool"})
    placement.change(_POOL, "inventories", inventories={"DISK_GB": {"total": 40_000_000}})
    placement.change(_POOL, "traits", traits=["MISC_SHARES_VIA_AGGREGATE"])
    host = min(nodes)
    for provider in (_POOL, nodes[host]):
        placement.change(provider, "aggregates", aggregates=[_RACK])
    large = flavors.add({}, disk=20_000_000)

    servers = [ends(user, user.boot(f"pooled-{number}", image, flavor=large)) for number in range(3)]

    assert [server["status"] for server in servers] == ["ACTIVE", "ACTIVE", "ERROR"]
    for server in servers[:2]:
        assert server["OS-EXT-SRV-ATTR:host"] == host
        assert placement.claimed(server["id"]) == {
            _POOL: {"DISK_GB": 20_000_000},
            nodes[host]: {"VCPU": 1, "MEMORY_MB": 64},
        }
    delete(user, servers[0])
    # An administrator who names the host gets the pool as well, though it is no part of the host's tree.
    named = ends(user, user.boot("named", image, flavor=large, availability_zone=f"nova:{host}"))
    assert (named["status"], named["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", host)
    for server in (*servers[1:], named):
        delete(user, server)
    placement.change(nodes[host], "aggregates", aggregates=[])
    placement.ask("DELETE", f"/resource_providers/{_POOL}")


def test_a_build_that_goes_on_to_the_next_host_keeps_its_place_in_the_pool(
    cloud: Cloud, user: ComputeUser, image: str, placement: Placement, nodes: dict[str, str], flavors: Flavors
) -> None:
    """The pool has room for one server: its disk there is neither claimed twice on the way nor let go of."""
    placement.ask("POST", "/resource_providers", {"uuid": _POOL, "name": "pool"})
    placement.change(_POOL, "inventories", inventories={"DISK_GB": {"total": 20_000_000}})
    placement.change(_POOL, "traits", traits=["MISC_SHARES_VIA_AGGREGATE"])
    pair = [host for host in sorted(nodes) if host.startswith("cell1")]
    for provider in (_POOL, *(nodes[host] for host in pair)):
        placement.change(provider, "aggregates", aggregates=[_RACK])
    large = flavors.add({}, disk=20_000_000)
    script = FaultScript()
    script.fail("spawn", errors.Unavailable("The disk broke"))
    for host in pair:
        clouds.fake_driver(cloud, host).faults = script

    server = ends(user, user.boot("pooled", image, flavor=large))

    assert (server["status"], script.calls("spawn")) == ("ACTIVE", 2)
    host = server["OS-EXT-SRV-ATTR:host"]
    assert placement.claimed(server["id"]) == {
        _POOL: {"DISK_GB": 20_000_000},
        nodes[host]: {"VCPU": 1, "MEMORY_MB": 64},
    }
    explained = user.ask("GET", f"/servers/{server['id']}/scheduling").json["scheduling"]["explanation"]
    assert [each["host"] for each in explained["failed"]] == [other for other in pair if other != host]
    delete(user, server)
    for host in pair:
        placement.change(nodes[host], "aggregates", aggregates=[])
    placement.ask("DELETE", f"/resource_providers/{_POOL}")


def test_needs_that_cannot_be_are_told(user: ComputeUser, image: str, flavors: Flavors) -> None:
    unknown = ends(user, user.boot("unknown", image, flavor=flavors.add({"trait:CUSTOM_NOWHERE": "required"})))
    assert unknown["status"] == "ERROR"
    assert "CUSTOM_NOWHERE" in unknown["fault"]["message"]
    both = flavors.add({"trait:HW_CPU_X86_AVX": "required", "trait1:CUSTOM_LONELY": "required"})
    lonely = ends(user, user.boot("lonely", image, flavor=both))
    assert lonely["status"] == "ERROR"
    assert lonely["fault"]["message"].startswith("No valid host was found. Placement knows no such need:")
    for server in (unknown, lonely):
        delete(user, server)


def test_a_rehearsal_claims_nothing(
    user: ComputeUser, image: str, placement: Placement, nodes: dict[str, str], flavors: Flavors
) -> None:
    used = [placement.ask("GET", f"/resource_providers/{node}/usages")["usages"] for node in nodes.values()]
    # As many as there is room for on all hosts together, and one more.
    inventories = [placement.ask("GET", f"/resource_providers/{node}/inventories") for node in nodes.values()]
    (room,) = {each["inventories"]["MEMORY_MB"]["total"] for each in inventories}
    half = flavors.add({}, ram=(room - 1024) // 2)

    def rehearsed(count: int) -> dict[str, Any]:
        server = {"name": "x", "flavorRef": half, "imageRef": image, "networks": "none"}
        body = {"server": {**server, "min_count": count, "max_count": count}}
        answer = user.ask("POST", "/servers?dry_run=1", body)
        assert answer.status == 200, answer.json
        found: dict[str, Any] = answer.json["dry_run"]
        return found

    fits = rehearsed(2)
    assert (fits["refusal"], len(fits["servers"])) == (None, 2)
    assert len({server["host"] for server in fits["servers"]}) == 2
    assert {each["host"] for each in fits["servers"][0]["alternates"]} < set(nodes)
    too_many = rehearsed(2 * len(nodes) + 1)
    assert not too_many["would_succeed"]
    assert f"There is room for {2 * len(nodes)} of {2 * len(nodes) + 1} servers only" in too_many["refusal"]
    assert used == [placement.ask("GET", f"/resource_providers/{node}/usages")["usages"] for node in nodes.values()]

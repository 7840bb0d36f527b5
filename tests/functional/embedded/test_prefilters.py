"""What rules of the cloud, the image and the place asked for let a request have, in a running cloud; rehearsed where
that tells as much."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nova_lite.compute.service import Agent
from nova_lite.embedded.cloud import Cloud
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually

_OPTIONS = {
    "scheduler": {
        "limit_tenants_to_placement_aggregate": "true",
        "placement_aggregate_required_for_tenants": "true",
        "enable_isolated_aggregate_filtering": "true",
        "query_placement_for_image_type_support": "true",
        "image_metadata_prefilter": "true",
    }
}
_names = itertools.count(1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.running(tmp_path_factory.mktemp("cloud"), cells=1, hosts=3, options=_OPTIONS) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def everybodys(cloud: Cloud) -> None:
    """All hosts are for project ``admin``, none for others."""
    operator = Operator(cloud)
    operator.aggregate({"filter_tenant_id": "admin"}, *sorted(operator.nodes))
    operator.user.close()


class Operator:
    """Someone who runs the cloud; hosts by name → provider."""

    def __init__(self, cloud: Cloud) -> None:
        self.user = ComputeUser(cloud.compute_url)
        self._placement = cloud.placement_url
        found = self.user.ask("GET", "/os-hypervisors/detail").json["hypervisors"]
        self.nodes = {each["service"]["host"]: each["id"] for each in found}
        self._services = {each["service"]["host"]: each["service"]["id"] for each in found}

    def placement(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._asked(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def _asked(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.36"}
        return requests.request(method, f"{self._placement}{path}", json=body, headers=headers, timeout=480)

    def traits(self, host: str) -> set[str]:
        return set(self.placement("GET", f"/resource_providers/{self.nodes[host]}/traits")["traits"])

    def set_traits(self, host: str, traits: set[str]) -> None:
        """Set them, also while Placement is being told of something else about the host."""
        path = f"/resource_providers/{self.nodes[host]}"

        def try_it() -> bool:
            generation = self.placement("GET", path)["generation"]
            body = {"traits": sorted(traits), "resource_provider_generation": generation}
            return self._asked("PUT", f"{path}/traits", body).status_code == 200

        eventually(try_it, f"traits of {host} set")

    def aggregate(self, metadata: dict[str, str], *hosts: str) -> str:
        """Make an aggregate, have Placement know it, and return its path."""
        answer = self.user.ask("POST", "/os-aggregates", {"aggregate": {"name": f"aggregate-{next(_names)}"}})
        path, uuid = f"/os-aggregates/{answer.json['aggregate']['id']}", answer.json["aggregate"]["uuid"]
        for host in hosts:
            assert self.user.ask("POST", f"{path}/action", {"add_host": {"host": host}}).status == 200
        assert self.user.ask("POST", f"{path}/action", {"set_metadata": {"metadata": metadata}}).status == 200
        for host in hosts:
            self._wait_member(host, uuid)
        return path

    def _wait_member(self, host: str, aggregate: str) -> None:
        path = f"/resource_providers/{self.nodes[host]}/aggregates"
        eventually(lambda: aggregate in self.placement("GET", path)["aggregates"], "Placement follows")

    def forget(self, aggregate: str) -> None:
        """Remove an aggregate with its members."""
        for host in self.user.ask("GET", aggregate).json["aggregate"]["hosts"]:
            assert self.user.ask("POST", f"{aggregate}/action", {"remove_host": {"host": host}}).status == 200
        assert self.user.ask("DELETE", aggregate).status == 200

    def switch(self, host: str, status: str) -> None:
        """Disable or enable a host, and wait until Placement knows."""
        assert self.user.ask("PUT", f"/os-services/{self._services[host]}", {"status": status}).status == 200
        wanted = status == "disabled"
        eventually(lambda: ("COMPUTE_STATUS_DISABLED" in self.traits(host)) == wanted, f"{host} marked as {status}")

    def flavor(self, extra_specs: dict[str, str], **sizes: int) -> str:
        body = {"name": f"flavor-{next(_names)}", "vcpus": 1, "ram": 64, "disk": 1, **sizes}
        flavor_id = str(self.user.ask("POST", "/flavors", {"flavor": body}).json["flavor"]["id"])
        if extra_specs:
            specs = self.user.ask("POST", f"/flavors/{flavor_id}/os-extra_specs", {"extra_specs": extra_specs})
            assert specs.status == 200, specs.json
        return flavor_id


@pytest.fixture
def operator(cloud: Cloud) -> Iterator[Operator]:
    someone = Operator(cloud)
    yield someone
    someone.user.close()


def rehearsed(user: ComputeUser, image: str, flavor: str = "1", **more: object) -> dict[str, Any]:
    """Return what a request would come to."""
    server = {"name": "x", "flavorRef": flavor, "imageRef": image, "networks": "none", **more}
    answer = user.ask("POST", "/servers?dry_run=1", {"server": server})
    assert answer.status == 200, answer.json
    found: dict[str, Any] = answer.json["dry_run"]
    return found


def choices(decision: dict[str, Any]) -> set[str]:
    """Return the hosts that a rehearsal would take, and its alternates."""
    assert decision["would_succeed"], decision
    (server,) = decision["servers"]
    return {server["host"], *(each["host"] for each in server["alternates"])}


def explained(decision: dict[str, Any]) -> dict[str, Any]:
    """Return the explanation of a rehearsal."""
    found: dict[str, Any] = decision["explanation"]
    return found


def told_of(user: ComputeUser, image: str, host: str, reason: str, zone: str = "nova") -> dict[str, str]:
    """Return what is told of hosts when ``host`` is asked for, once it is refused for this reason: what Placement said
    a moment ago is good enough for that.
    """

    def look() -> dict[str, str] | None:
        decision = rehearsed(user, image, host=host, availability_zone=zone)
        assert not decision["would_succeed"]
        hosts: dict[str, str] = explained(decision)["stages"][0]["hosts"]
        return hosts if hosts[host] == reason else None

    return eventually(look, f"{host} {reason}")


def test_projects_keep_to_the_aggregates_that_name_them(cloud: Cloud, operator: Operator, image: str) -> None:
    someone = ComputeUser(cloud.compute_url, "admin:guests")
    nothing = rehearsed(someone, image)
    assert nothing["refusal"] == "No valid host was found. No hosts are for this project: no aggregate names it."
    first = min(operator.nodes)
    aggregate = operator.aggregate({"filter_tenant_id": "nobody", "filter_tenant_id_2": "guests"}, first)
    told = rehearsed(someone, image)
    assert choices(told) == {first}
    assert {"name": "TenantAggregates", "asks": "for this project"} in [
        {"name": each["name"], "asks": each["asks"]} for each in explained(told)["prefilters"]
    ]
    # A host that would do but for that is told apart from one that is too small.
    large = operator.flavor({}, ram=10_000_000)
    refused = rehearsed(operator.user, image, large)
    assert f"Nearest: {len(operator.nodes)} hosts lack" in refused["refusal"]
    operator.switch(first, "disabled")
    told_of(operator.user, image, first, "is disabled")
    operator.switch(first, "enabled")
    operator.forget(aggregate)
    someone.close()


def test_isolated_aggregates_are_for_those_who_ask_for_their_traits(operator: Operator, image: str) -> None:
    first, second, third = sorted(operator.nodes)
    operator.placement("PUT", "/traits/CUSTOM_WINDOWS")
    aggregate = operator.aggregate({"trait:CUSTOM_WINDOWS": "required"}, first, second)
    operator.set_traits(first, operator.traits(first) | {"CUSTOM_WINDOWS"})
    assert choices(rehearsed(operator.user, image)) == {third}
    windows = operator.flavor({"trait:CUSTOM_WINDOWS": "required"})
    assert choices(rehearsed(operator.user, image, windows)) == {first}
    told_of(operator.user, image, second, "is in an aggregate for servers with other traits")
    # An administrator who names a host by its zone knows what he does.
    assert choices(rehearsed(operator.user, image, availability_zone=f"nova:{second}")) == {second}
    operator.forget(aggregate)
    operator.set_traits(first, operator.traits(first) - {"CUSTOM_WINDOWS"})


def test_hosts_must_be_able_to_use_the_image(operator: Operator, image: str) -> None:
    told = rehearsed(operator.user, image)
    assert choices(told) == set(operator.nodes)
    (asked,) = [each for each in explained(told)["prefilters"] if each["name"] == "ImageType"]
    (trait,) = asked["adds"].values()
    able, unable = sorted(operator.nodes)[:2]
    operator.set_traits(unable, operator.traits(unable) - {trait})
    assert unable not in choices(rehearsed(operator.user, image))
    hosts = told_of(operator.user, image, unable, f"has not the trait {trait}")
    assert {host: hosts[host] for host in operator.nodes if host != unable} == dict.fromkeys(
        operator.nodes.keys() - {unable}, f"is not {unable}"
    )
    assert able in choices(rehearsed(operator.user, image))
    operator.set_traits(unable, operator.traits(unable) | {trait})


@pytest.mark.parametrize(
    ("extra_specs", "trait"),
    [
        ({"hw:virtio_packed_ring": "true"}, "COMPUTE_NET_VIRTIO_PACKED"),
        ({"hw:ephemeral_encryption": "true"}, "COMPUTE_EPHEMERAL_ENCRYPTION"),
        ({"hw:sound_model": "virtio"}, "COMPUTE_SOUND_MODEL_VIRTIO"),
        ({"hw:tpm_version": "2.0"}, "COMPUTE_SECURITY_TPM_SECRET_SECURITY_USER"),
        ({"accel:device_profile": "gpu"}, "COMPUTE_ACCELERATORS"),
    ],
)
def test_what_no_host_of_ours_can_do_is_refused_and_not_left_out(
    operator: Operator, image: str, extra_specs: dict[str, str], trait: str
) -> None:
    flavor = operator.flavor(extra_specs)
    nearest = f"Nearest: {len(operator.nodes)} hosts have not the trait {trait}."
    # What Placement said of hosts for the story before may be told a moment longer.
    eventually(lambda: nearest in (rehearsed(operator.user, image, flavor)["refusal"] or ""), nearest)


def test_a_disabled_host_is_not_offered_and_one_that_comes_back_is_marked_again(
    cloud: Cloud, operator: Operator, image: str
) -> None:
    away, *others = sorted(operator.nodes)
    kept = operator.traits(away)
    operator.switch(away, "disabled")
    told = rehearsed(operator.user, image)
    assert choices(told) == set(others)
    (stage, *_) = explained(told)["stages"]
    assert (stage["name"], stage["entered"], stage["left"]) == ("Placement", 3, 2)
    # Somebody takes the mark away, and with the host its provider's traits come back; the mark does, too.
    operator.set_traits(away, {"COMPUTE_NODE"})
    old = cloud.agents[away]
    old.stop()
    cloud.agents[away] = Agent(old._conf)
    cloud.agents[away].start()
    eventually(lambda: operator.traits(away) == kept | {"COMPUTE_STATUS_DISABLED"}, "the mark is back")
    for host in others:
        operator.switch(host, "disabled")
    eventually(
        lambda: "Nearest: 3 hosts are disabled." in (rehearsed(operator.user, image)["refusal"] or ""),
        "why there is none",
    )
    # Who names a host by its zone gets it as it is.
    assert choices(rehearsed(operator.user, image, availability_zone=f"nova:{away}")) == {away}
    for host in operator.nodes:
        operator.switch(host, "enabled")
    assert operator.traits(away) == kept
    assert choices(rehearsed(operator.user, image)) == set(operator.nodes)


def test_what_stands_in_the_way_of_the_last_of_many_is_told(operator: Operator, image: str) -> None:
    node = min(operator.nodes.values())
    room = operator.placement("GET", f"/resource_providers/{node}/inventories")["inventories"]["MEMORY_MB"]
    whole = operator.flavor({}, ram=room["total"] - room["reserved"])
    refused = rehearsed(operator.user, image, whole, min_count=4, max_count=4)
    assert "There is room for 3 of 4 servers only" in refused["refusal"]
    stage = explained(refused)["stages"][-1]
    assert (stage["name"], stage["left"]) == ("Claim", 0)
    assert stage["reasons"] == {"had room, and was filled up meanwhile": 3}

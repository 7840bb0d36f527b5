"""Filters and weights of what hosts, images and aggregates say, from a request down to the host or the refusal."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually

#: An image that belongs on hosts of its own, known before the cloud starts.
_ISOLATED = "15015015-0000-4000-8000-000000000001"
#: Where it belongs, and the others.
_APART, _HOSTS = "cell1-host1", ("cell1-host2", "cell2-host1", "cell2-host2")
_OPTIONS = {
    "enabled_filters": "ComputeCapabilities,ImageProperties,IsolatedHosts,Json,AggregateNumInstances,AggregateIoOps,"
    "AggregateTypeAffinityFilter",
    "isolated_images": _ISOLATED,
    "isolated_hosts": _APART,
    # Only what a story weighs counts.
    "ram_weight_multiplier": "0",
    "cpu_weight_multiplier": "0",
    "disk_weight_multiplier": "0",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with clouds.running(tmp_path_factory.mktemp("cloud"), options={"filter_scheduler": _OPTIONS}) as running:
        images = ImageDirectory(running.settings.image_dir)
        for image_id, properties in (
            (_ISOLATED, {}),
            (None, {"hw_architecture": "aarch64"}),
            (None, {"vm_mode": "hvm"}),
        ):
            attributes = {"name": "-".join(properties) or "isolated", "disk_format": "raw", "container_format": "bare"}
            made = images.create(image_id, {**attributes, "visibility": "public", "properties": properties})
            images.upload(made.id, [bytes(1024)])
        yield running


@pytest.fixture
def images(cloud: Cloud) -> dict[str, str]:
    """Name → image."""
    return {image.name: image.id for image in ImageDirectory(cloud.settings.image_dir).images()}


class Rehearsal:
    """What a request would come to, as an administrator sees it."""

    def __init__(self, user: ComputeUser, image: str, *, hints: dict[str, Any] | None = None, **more: object) -> None:
        server = {"name": "x", "flavorRef": "1", "imageRef": image, "networks": "none", **more}
        answer = user.ask("POST", "/servers?dry_run=1", {"server": server, "os:scheduler_hints": hints or {}})
        assert answer.status == 200, answer.json
        self.told = answer.json["dry_run"]
        self.refusal: str | None = self.told["refusal"]
        #: The hosts that passed every filter.
        self.hosts = {each["host"] for each in self.told["explanation"]["ranking"]}

    def weighed(self, weigher: str) -> dict[str, float]:
        """Return host → what a weigher saw, where it counts."""
        ranking = self.told["explanation"]["ranking"]
        return {each["host"]: each["weighed"][weigher] for each in ranking if weigher in each["weighed"]}

    def reasons(self, filter_name: str) -> dict[str, str]:
        """Return host → why a filter refused it."""
        stages = {stage["name"]: stage["hosts"] for stage in self.told["explanation"]["stages"]}
        found: dict[str, str] = stages[filter_name]
        return found


@contextlib.contextmanager
def flavor(user: ComputeUser, **extra_specs: str) -> Iterator[str]:
    """Make a flavor for a while."""
    answer = user.ask("POST", "/flavors", {"flavor": {"name": "capable", "vcpus": 1, "ram": 64, "disk": 1}})
    assert answer.status == 200, answer.json
    url = f"/flavors/{answer.json['flavor']['id']}"
    specs = user.ask("POST", f"{url}/os-extra_specs", {"extra_specs": extra_specs})
    assert specs.status == 200, specs.json
    yield answer.json["flavor"]["id"]
    assert user.ask("DELETE", url).status == 202


@contextlib.contextmanager
def aggregate(user: ComputeUser, host: str, **metadata: str) -> Iterator[None]:
    """Put a host into an aggregate for a while."""
    answer = user.ask("POST", "/os-aggregates", {"aggregate": {"name": "few", "availability_zone": None}})
    assert answer.status == 200, answer.json
    url = f"/os-aggregates/{answer.json['aggregate']['id']}"
    actions = ({"add_host": {"host": host}}, {"set_metadata": {"metadata": metadata}}, {"remove_host": {"host": host}})
    for action in actions[:2]:
        assert user.ask("POST", f"{url}/action", action).status == 200
    yield
    assert user.ask("POST", f"{url}/action", actions[2]).status == 200
    assert user.ask("DELETE", url).status == 200


@contextlib.contextmanager
def server_on(user: ComputeUser, image: str, host: str) -> Iterator[str]:
    """Have a server on a host for a while."""
    server_id = user.boot("there", image, availability_zone=f"nova:{host}")
    yield server_id
    user.wait(server_id, "ACTIVE")
    assert user.ask("DELETE", f"/servers/{server_id}").status == 204
    user.wait_gone(server_id)


def test_isolated_images_and_hosts_keep_to_themselves(user: ComputeUser, images: dict[str, str]) -> None:
    apart = Rehearsal(user, images["isolated"])
    assert (apart.refusal, apart.hosts) == (None, {_APART})
    assert apart.reasons("IsolatedHosts") == dict.fromkeys(_HOSTS, "not for isolated images")
    other = Rehearsal(user, images["vm_mode"])
    assert (other.refusal, other.hosts) == (None, set(_HOSTS))
    assert other.reasons("IsolatedHosts") == {_APART: "for isolated images only"}


def test_an_image_that_no_host_runs_is_refused_with_the_reason(user: ComputeUser, images: dict[str, str]) -> None:
    refused = Rehearsal(user, images["hw_architecture"])
    assert refused.refusal == "No valid host was found. Of 4 hosts with room: 4 unable to run such images."
    reason = "runs architecture x86_64, aarch64 asked by the image"
    assert refused.reasons("ImageProperties") == dict.fromkeys((_APART, *_HOSTS), reason)


def test_a_flavor_asks_for_capabilities(user: ComputeUser, images: dict[str, str]) -> None:
    with flavor(user, **{"capabilities:hypervisor_type": "fake", "capabilities:cpu_info:arch": "x86_64"}) as capable:
        assert Rehearsal(user, images["vm_mode"], flavorRef=capable).hosts == set(_HOSTS)
    with flavor(user, **{"capabilities:hypervisor_version": ">= 7000000"}) as newer:
        refused = Rehearsal(user, images["vm_mode"], flavorRef=newer)
    expected = "No valid host was found. Of 4 hosts with room: 4 not capable of what the flavor asks."
    assert refused.refusal == expected
    assert set(refused.reasons("ComputeCapabilities").values()) == {"hypervisor_version is 1000, >= 7000000 asked"}


def test_a_hint_says_in_json_which_hosts_are_meant(user: ComputeUser, images: dict[str, str]) -> None:
    query = '["and", [">=", "$free_ram_mb", 64], ["in", "$host", "cell2-host1", "cell2-host2"]]'
    meant = Rehearsal(user, images["vm_mode"], hints={"query": query})
    assert (meant.refusal, meant.hosts) == (None, {"cell2-host1", "cell2-host2"})
    with server_on(user, images["vm_mode"], "cell2-host2") as there:
        user.wait(there, "ACTIVE")
        empty = Rehearsal(user, images["vm_mode"], hints={"query": '["=", "$num_instances", 0]'})
        assert empty.reasons("Json") == {"cell2-host2": "not what the hint query asks for"}
    nonsense = Rehearsal(user, images["vm_mode"], hints={"query": '["almost", 1, 2]'})
    assert nonsense.refusal is not None
    assert "3 not meant by the hint query" in nonsense.refusal
    assert all("'almost' is not one of" in reason for reason in nonsense.reasons("Json").values())


def test_an_aggregate_limits_the_servers_of_its_hosts(user: ComputeUser, images: dict[str, str]) -> None:
    limited, *others = _HOSTS
    with aggregate(user, limited, max_instances_per_host="1", max_io_ops_per_host="many"):
        assert Rehearsal(user, images["vm_mode"]).hosts == set(_HOSTS)
        with server_on(user, images["vm_mode"], limited) as there:
            user.wait(there, "ACTIVE")
            full = Rehearsal(user, images["vm_mode"])
            assert full.hosts == set(others)
            assert full.reasons("AggregateNumInstances") == {limited: "servers there: 1, allowed: 1"}
        assert Rehearsal(user, images["vm_mode"]).hosts == set(_HOSTS)


def test_servers_asked_for_at_once_keep_to_limits(user: ComputeUser, images: dict[str, str]) -> None:
    limited = _HOSTS[0]
    query = {"query": f'["=", "$host", "{limited}"]'}
    with aggregate(user, limited, max_instances_per_host="2"):
        two = Rehearsal(user, images["vm_mode"], hints=query, min_count=2, max_count=2)
        assert [server["host"] for server in two.told["servers"]] == [limited, limited]
        three = Rehearsal(user, images["vm_mode"], hints=query, min_count=3, max_count=3)
        few = "There is room for 2 of 3 servers only: The hosts that have room may have no more servers."
        assert three.refusal == f"No valid host was found. {few}"
        assert three.told["explanation"]["stages"][-1]["name"] == "Limits"


def test_an_aggregate_limits_what_its_hosts_build_at_once(
    cloud: Cloud, user: ComputeUser, images: dict[str, str]
) -> None:
    limited, *others = _HOSTS
    gate = clouds.fake_driver(cloud, limited).hold("spawn")
    with aggregate(user, limited, max_io_ops_per_host="1"), server_on(user, images["vm_mode"], limited):
        try:
            eventually(gate.reached.is_set, "its build")
            busy = Rehearsal(user, images["vm_mode"])
        finally:
            gate.open()
        assert busy.hosts == set(others)
        assert busy.reasons("AggregateIoOps") == {limited: "servers being built or copied there: 1, allowed: 1"}
        eventually(lambda: Rehearsal(user, images["vm_mode"]).hosts == set(_HOSTS), "the build to be over")


def test_an_aggregate_is_for_some_flavors(user: ComputeUser, images: dict[str, str]) -> None:
    kept, *others = _HOSTS
    with flavor(user) as capable, aggregate(user, kept, instance_type="huge, capable"):
        assert Rehearsal(user, images["vm_mode"], flavorRef=capable).hosts == set(_HOSTS)
        refused = Rehearsal(user, images["vm_mode"])
        assert refused.hosts == set(others)
        reason = "in an aggregate for the flavors capable, huge only"
        assert refused.reasons("AggregateTypeAffinity") == {kept: reason}


def test_an_aggregate_says_what_counts_on_its_hosts(user: ComputeUser, images: dict[str, str]) -> None:
    """Nowhere do servers count for a host, but in one aggregate: there they draw more servers."""
    packed = _HOSTS[-1]
    with (
        server_on(user, images["vm_mode"], packed) as there,
        aggregate(user, packed, num_instances_weight_multiplier="2.5", ram_weight_multiplier="heavy"),
    ):
        user.wait(there, "ACTIVE")
        found = Rehearsal(user, images["vm_mode"], min_count=2, max_count=2)
        assert found.weighed("num_instances") == {packed: 1.0}
        first = found.told["explanation"]["ranking"][0]
        assert (first["host"], first["weight"]) == (packed, 2.5)
        assert [server["host"] for server in found.told["servers"]] == [packed, packed]

"""Hosts that lend out whole nodes, and hosts whose disk is a pool's: servers on them, in a running cloud."""

import contextlib
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.model.candidates import Candidates, Stock
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from tests.contract.clients.placement import client_of

NOT_STANDARD = {"resources:VCPU": "0", "resources:MEMORY_MB": "0", "resources:DISK_GB": "0"}


class Site:
    """A cloud with a user, who may also ask Placement."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.user = ComputeUser(cloud.compute_url)
        self.placement = client_of(cloud.placement_url)
        self.image = ImageDirectory(cloud.settings.image_dir).images()[0].id

    def flavor(self, *, disk: int, **extra_specs: str) -> str:
        """Make a flavor of one vCPU."""
        body = {"flavor": {"name": str(uuids.uuid4()), "vcpus": 1, "ram": 64, "disk": disk}}
        flavor = str(self.user.ask("POST", "/flavors", body).json["flavor"]["id"])
        specs = {name.replace("__", ":"): value for name, value in extra_specs.items()}
        assert self.user.ask("POST", f"/flavors/{flavor}/os-extra_specs", {"extra_specs": specs}).status == 200
        return flavor

    def hosts(self) -> dict[str, str]:
        """Return host → its provider."""
        found = self.user.ask("GET", "/os-hypervisors/detail").json["hypervisors"]
        return {hypervisor["service"]["host"]: hypervisor["id"] for hypervisor in found}

    def delete(self, servers: list[str]) -> None:
        """Delete servers and wait until they are gone."""
        for server in servers:
            self.user.ask("DELETE", f"/servers/{server}")
        for server in servers:
            self.user.wait_gone(server)


@contextlib.contextmanager
def site(directory: Path, **options: dict[str, str]) -> Iterator[Site]:
    unlimited = {"instances": "-1", "cores": "-1", "ram": "-1"}
    with clouds.running(directory, cells=1, hosts=2, options={"quota": unlimited, **options}) as cloud:
        found = Site(cloud)
        yield found
        found.user.close()


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts of one fast node and one slow one, and nothing else."""
    nodes = "n1:CUSTOM_GOLD:CUSTOM_FAST, n2:CUSTOM_GOLD"
    with site(tmp_path_factory.mktemp("gold"), fake={"nodes": nodes, "vcpus": "0", "ram": "0", "disk": "0"}) as running:
        yield running


def test_a_server_takes_one_node_and_nothing_else(gold: Site) -> None:
    flavor = gold.flavor(disk=1, resources__CUSTOM_GOLD="1", **NOT_STANDARD)
    fast = gold.flavor(disk=1, resources__CUSTOM_GOLD="1", trait__CUSTOM_FAST="required", **NOT_STANDARD)
    names = {one["uuid"]: one["name"] for provider in gold.hosts().values() for one in gold.placement.tree(provider)}
    first = [gold.user.boot("vm", gold.image, flavor=fast) for _ in range(2)]
    taken = []
    for server in first:
        gold.user.wait(server, "ACTIVE")
        [(provider, amounts)] = gold.placement.allocations(server).items()
        assert amounts == {"CUSTOM_GOLD": 1}
        taken.append(names[provider])
    assert sorted(taken) == ["cell1-host1_n1", "cell1-host2_n1"]
    rest = [gold.user.boot("vm", gold.image, flavor=flavor) for _ in range(2)]
    for server in rest:
        gold.user.wait(server, "ACTIVE")
    too_many = gold.user.boot("vm", gold.image, flavor=flavor)
    assert "No valid host" in gold.user.wait(too_many, "ERROR")["fault"]["message"]
    gold.delete([*first, *rest, too_many])
    assert [gold.placement.held(provider) for provider in names] == [{}] * 6


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts whose disk is a pool's."""
    with site(tmp_path_factory.mktemp("pooled"), compute={"uses_shared_disk_pool": "true"}) as running:
        yield running


def _pool(placement: PlacementClient, gib: int, hosts: list[str]) -> str:
    """Make a pool as an operator does: a provider that shares its disk with the hosts of an aggregate."""
    pool, aggregate = str(uuids.uuid4()), str(uuids.uuid4())
    placement.add_provider(pool, f"pool-{pool}")
    generation = placement.set_inventories(pool, {"DISK_GB": {"total": gib, "max_unit": gib}}, 0)
    placement.set_traits(pool, {"MISC_SHARES_VIA_AGGREGATE"}, generation)
    for member in (pool, *hosts):
        known = placement.aggregates(member)
        assert known is not None
        placement.set_aggregates(member, {*known[0], aggregate}, known[1])
    return pool


def test_disks_of_several_hosts_come_from_one_pool(pooled: Site) -> None:
    placement, hosts = pooled.placement, pooled.hosts()
    query = {"resources": "VCPU:1,MEMORY_MB:64,DISK_GB:100"}
    assert placement.candidates(query) == Candidates([], {})
    pool = _pool(placement, 2000, list(hosts.values()))
    found = placement.candidates(query)
    assert [
        {provider: amounts.resources for provider, amounts in candidate.allocations.items()}
        for candidate in sorted(found.allocation_requests, key=lambda one: min(one.allocations.keys() - {pool}))
    ] == [{host: {"VCPU": 1, "MEMORY_MB": 64}, pool: {"DISK_GB": 100}} for host in sorted(hosts.values())]
    assert found.provider_summaries[pool].resources == {"DISK_GB": Stock(capacity=2000, used=0)}
    flavor = pooled.flavor(disk=100)
    servers = [pooled.user.boot("vm", pooled.image, flavor=flavor) for _ in range(20)]
    for server in servers:
        pooled.user.wait(server, "ACTIVE")
    held = placement.held(pool)
    assert (set(held), {amounts["DISK_GB"] for amounts in held.values()}) == (set(servers), {100})
    too_many = pooled.user.boot("vm", pooled.image, flavor=flavor)
    assert "No valid host" in pooled.user.wait(too_many, "ERROR")["fault"]["message"]
    pooled.delete([*servers, too_many])
    assert eventually(lambda: placement.held(pool) == {}, "an empty pool")


def test_memory_that_is_added_is_told_to_all(tmp_path: Path) -> None:
    options = {"DEFAULT": {"update_resources_interval": "0.1"}}
    with clouds.running(tmp_path, cells=1, hosts=1, options=options) as cloud:
        user, placement = ComputeUser(cloud.compute_url, microversion="2.87"), client_of(cloud.placement_url)
        [provider] = placement.providers()
        driver = clouds.fake_driver(cloud, "cell1-host1")
        driver._ram_mib += 1024

        def seen() -> bool:
            [shown] = user.ask("GET", "/os-hypervisors/detail").json["hypervisors"]
            known, _ = placement.inventories(provider)
            return bool(shown["memory_mb"] == known["MEMORY_MB"]["total"] == driver._ram_mib)

        eventually(seen, "the new memory in Placement and in the cell")
        user.close()


# -- who a host is ----------------------------------------------------------------------------------------------------


def test_a_host_without_its_identity_does_not_start_as_another(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1) as cloud:
        file = cloud.settings.host_dir("cell1-host1") / "compute_id"
    kept = file.read_text()
    file.unlink()
    with pytest.raises(errors.Misconfigured, match=f"cell1-host1 as {kept.strip()}, and this host would make it"):
        _run(tmp_path)
    file.write_text(kept)
    with clouds.running(tmp_path, cells=1, hosts=1) as cloud:
        assert client_of(cloud.placement_url).providers() == [kept.strip()]


def test_a_copied_identity_does_not_start(tmp_path: Path) -> None:
    with clouds.running(tmp_path, cells=1, hosts=1) as cloud:
        file = cloud.settings.host_dir("cell1-host1") / "compute_id"
    copy = file.parents[1] / "cell1-host2" / "compute_id"
    copy.parent.mkdir()
    copy.write_text(file.read_text())
    with pytest.raises(
        errors.Misconfigured, match=r"called cell1-host2, but its compute_id, .*, is that of cell1-host1"
    ):
        _run(tmp_path, hosts=2)


def _run(directory: Path, **settings: Any) -> None:
    with clouds.running(directory, **{"cells": 1, "hosts": 1, **settings}):
        pass

"""All cells at work: what clients see of them is one cloud."""

import pytest

from tests.integration.stack.processes import wait_until
from tests.multinode.client import Client, cells_with, guests
from tests.multinode.cloud import FLAVOR, IMAGE, Cloud
from tests.multinode.layout import CELLS, HOSTS

pytestmark = pytest.mark.timeout(300)


def test_the_openstack_command_leads_a_real_guest_through_its_life(cloud: Cloud, client: Client) -> None:
    created = client.openstack_json(
        "server", "create", "--flavor", FLAVOR, "--image", IMAGE, "--nic", "none", "--availability-zone",
        "nova:cell2-host1", "--wait", "vm1",
    )  # fmt: skip
    uuid = created["id"]
    assert created["status"] == "ACTIVE"
    assert guests(cloud) == {uuid: ["cell2-host1"]}

    def console() -> str:
        return str(client.sdk.compute.get_server_console_output(uuid)["output"])

    wait_until(lambda: " login:" in console(), "the login banner", timeout_s=120, interval_s=0.5)
    assert " login:" in client.openstack("console", "log", "show", "vm1")
    client.openstack("server", "stop", "vm1")
    client.wait_status(uuid, "SHUTOFF")
    client.openstack("server", "start", "vm1")
    client.wait_status(uuid, "ACTIVE")
    assert [(row["ID"], row["Status"]) for row in client.openstack_json("server", "list")] == [(uuid, "ACTIVE")]
    client.openstack("server", "delete", "--wait", "vm1")
    assert client.openstack_json("server", "list") == []
    assert guests(cloud) == {}


@pytest.mark.parametrize("cell", CELLS)
def test_a_server_of_each_cell_lives_and_dies_in_it(cloud: Cloud, client: Client, cell: str) -> None:
    for host in (host for host in HOSTS if host.cell == cell):
        uuid = client.boot(f"on-{host.name}", host=host.name)
        assert guests(cloud) == {uuid: [host.name]}
        assert cells_with(cloud, uuid) == [cell]
        shown = client.sdk.compute.get_server(uuid)
        assert (shown.compute_host, shown.hypervisor_hostname) == (host.name, host.name)
        assert client.listed() == {uuid: "ACTIVE"}
        client.stop(uuid)
        client.start(uuid)
        client.delete(uuid)
        assert guests(cloud) == {}
        assert cells_with(cloud, uuid) == []
        assert client.listed() == {}


def test_servers_of_all_cells_are_one_list(client: Client) -> None:
    fakes = [host.name for host in HOSTS if host.driver == "fake"]
    uuids = [client.create(f"one-of-many-{number}", host=fakes[number % len(fakes)]) for number in range(9)]
    for uuid in uuids:
        client.wait_status(uuid, "ACTIVE")
    assert [server.id for server in client.sdk.compute.servers(details=False)] == uuids[::-1]
    pages = list(
        client.sdk.compute.servers(details=True, limit=2, paginated=True, sort_key="created_at", sort_dir="asc")
    )
    assert [server.id for server in pages] == uuids
    assert {server.compute_host for server in pages} == set(fakes)
    assert set(client.listed("?name=^one-.*-4$&status=ACTIVE")) == {uuids[4]}
    for uuid in uuids:
        client.delete(uuid)


def test_operators_see_the_hosts_of_all_cells(client: Client) -> None:
    hosts = {host.name for host in HOSTS}
    rows = client.openstack_json("compute", "service", "list", "--service", "nova-compute")
    assert {(row["Host"], row["State"]) for row in rows} == {(host, "up") for host in hosts}
    assert {found.name for found in client.sdk.compute.hypervisors()} == hosts

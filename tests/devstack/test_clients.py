"""The unmodified ``openstack`` command and openstacksdk against real neighbours and both cells."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openstack.exceptions import BadRequestException

from tests.devstack.cloud import FLAVORS, HOSTS, IMAGES, MULTIATTACH, Cloud
from tests.devstack.command import Command
from tests.integration.stack.clients import guests
from tests.integration.stack.processes import wait_until

pytestmark = pytest.mark.timeout(600)
_SMALL, _LARGE = FLAVORS
_TIMEOUT_S = 240
_INTERVAL_S = 0.3  # the library's own is two seconds


@contextlib.contextmanager
def _server(user: Any, name: str, **wanted: Any) -> Iterator[Any]:
    """Have a server that is ACTIVE; it is gone afterwards."""
    flavor, image = user.compute.find_flavor(_SMALL), user.image.find_image(IMAGES[0])
    made = user.compute.create_server(
        name=name, flavor_id=flavor.id, image_id=image.id, networks="none", **wanted
    )  # fmt: skip
    try:
        yield user.compute.wait_for_server(made, wait=_TIMEOUT_S, interval=_INTERVAL_S)
    finally:
        user.compute.delete_server(made, ignore_missing=True)
        user.compute.wait_for_delete(made, wait=_TIMEOUT_S, interval=_INTERVAL_S)


def _delete_volume(user: Any, volume: Any) -> None:
    """Delete a volume that nothing holds any more. Cinder says that it is available before it lets go of it."""

    def accepted() -> bool:
        try:
            user.block_storage.delete_volume(volume)
        except BadRequestException:
            return False
        return True

    user.block_storage.wait_for_status(volume, "available", wait=_TIMEOUT_S, interval=_INTERVAL_S)
    wait_until(accepted, "the volume let go of", timeout_s=_TIMEOUT_S, interval_s=0.2)
    user.block_storage.wait_for_delete(volume, wait=_TIMEOUT_S, interval=_INTERVAL_S)


def test_the_command_leads_a_server_through_its_life(cloud: Cloud, demo_cli: Command) -> None:
    run, ask = demo_cli.run, demo_cli.ask
    assert "PRIVATE KEY" in run("keypair", "create", "key1")
    group = ask("server", "group", "create", "--policy", "anti-affinity", "group1")["id"]
    where = ["--nic", "none", "--key-name", "key1", "--hint", f"group={group}", "--property", "purpose=life"]
    made = ask("server", "create", "--flavor", _SMALL, "--image", IMAGES[0], *where, "--wait", "life")
    assert (made["status"], made["key_name"], made["properties"]) == ("ACTIVE", "key1", {"purpose": "life"})
    assert guests(cloud).keys() == {made["id"]}
    assert ask("server", "group", "show", group)["members"] == [made["id"]]

    run("server", "stop", "life")
    demo_cli.reaches("life", "SHUTOFF")
    run("server", "start", "life")
    demo_cli.reaches("life", "ACTIVE")
    run("server", "resize", "--flavor", _LARGE, "life")
    demo_cli.reaches("life", "VERIFY_RESIZE")
    run("server", "resize", "confirm", "life")
    assert _LARGE in json.dumps(demo_cli.reaches("life", "ACTIVE")["flavor"])
    run("server", "rebuild", "--image", IMAGES[1], "life")
    assert IMAGES[1] in demo_cli.reaches("life", "ACTIVE")["image"]
    run("server", "image", "create", "--name", "of-life", "--wait", "life")
    assert ask("image", "show", "of-life")["status"] == "active"

    assert [(row["Name"], row["Status"]) for row in ask("server", "list")] == [("life", "ACTIVE")]
    run("server", "delete", "--wait", "life")
    assert ask("server", "list") == []
    assert guests(cloud) == {}
    run("server", "group", "delete", group)
    run("keypair", "delete", "key1")
    run("image", "delete", "of-life")


def test_the_command_attaches_a_volume_of_cinder(demo_cli: Command, demo: Any) -> None:
    volume = demo.block_storage.create_volume(name="data1", size=1)
    demo.block_storage.wait_for_status(volume, "available", wait=_TIMEOUT_S, interval=_INTERVAL_S)
    with _server(demo, "with-volume") as server:
        demo_cli.run("server", "add", "volume", server.id, volume.id)
        demo.block_storage.wait_for_status(volume, "in-use", wait=_TIMEOUT_S, interval=_INTERVAL_S)
        assert [row["Volume ID"] for row in demo_cli.ask("server", "volume", "list", server.id)] == [volume.id]
        demo_cli.run("server", "remove", "volume", server.id, volume.id)
        demo.block_storage.wait_for_status(volume, "available", wait=_TIMEOUT_S, interval=_INTERVAL_S)
    _delete_volume(demo, volume)


def test_the_command_shows_operators_both_cells(demo_cli: Command, admin_cli: Command) -> None:
    run, ask = admin_cli.run, admin_cli.ask
    hosts = {host.name for host in HOSTS}
    services = ask("compute", "service", "list", "--service", "nova-compute")
    assert {(row["Host"], row["State"]) for row in services} == {(host, "up") for host in hosts}
    assert {row["Hypervisor Hostname"] for row in ask("hypervisor", "list")} == hosts
    ask("aggregate", "create", "--zone", "az1", "racks")
    run("aggregate", "add", "host", "racks", HOSTS[0].name)
    assert ask("aggregate", "show", "racks")["hosts"] == [HOSTS[0].name]
    assert {row["Zone Name"] for row in ask("availability", "zone", "list", "--compute")} >= {"az1", "nova"}
    run("aggregate", "remove", "host", "racks", HOSTS[0].name)
    run("aggregate", "delete", "racks")
    run("quota", "set", "--instances", "12", "demo")
    quotas = {row["Resource"]: row["Limit"] for row in ask("quota", "show", "--compute", "demo")}
    assert quotas["instances"] == 12
    limits = {row["Name"]: row["Value"] for row in demo_cli.ask("limits", "show", "--absolute")}
    assert limits["max_total_instances"] == 12


@pytest.mark.parametrize("host", [host.name for host in HOSTS])
def test_the_library_boots_a_server_on_every_host(cloud: Cloud, admin: Any, host: str) -> None:
    with _server(admin, f"on-{host}", availability_zone=f"nova:{host}") as server:
        assert guests(cloud) == {server.id: [host]}
        shown = admin.compute.get_server(server.id)
        assert (shown.compute_host, shown.hypervisor_hostname) == (host, host)
        admin.compute.add_tag_to_server(server, "blue")
        assert [found.id for found in admin.compute.servers(tags="blue")] == [server.id]
        admin.compute.set_server_metadata(server, owner="me")
        assert admin.compute.get_server_metadata(server).metadata == {"owner": "me"}
        assert [action.action for action in admin.compute.server_actions(server)] == ["create"]
    assert guests(cloud) == {}


def test_the_library_pages_through_servers_of_both_cells(demo: Any, admin: Any) -> None:
    with contextlib.ExitStack() as stack:
        zones = [f"nova:{host.name}" for host in (HOSTS[0], HOSTS[-1], HOSTS[1])]
        made = [
            stack.enter_context(_server(admin, f"page-{number}", availability_zone=zone))
            for number, zone in enumerate(zones)
        ]
        pages = list(admin.compute.servers(limit=1, paginated=True, sort_key="created_at", sort_dir="asc"))
        assert [server.id for server in pages] == [server.id for server in made]
        assert list(demo.compute.servers()) == []


def test_two_servers_of_different_cells_share_a_volume(admin: Any) -> None:
    volume = admin.block_storage.create_volume(name="shared", size=1, volume_type=MULTIATTACH)
    admin.block_storage.wait_for_status(volume, "available", wait=_TIMEOUT_S, interval=_INTERVAL_S)
    with contextlib.ExitStack() as stack:
        for host in (HOSTS[0], HOSTS[-1]):
            server = stack.enter_context(_server(admin, f"shares-{host.name}", availability_zone=f"nova:{host.name}"))
            admin.compute.create_volume_attachment(server, volume_id=volume.id)
            # While one attachment is being made, Cinder refuses the next one.
            admin.block_storage.wait_for_status(volume, "in-use", wait=_TIMEOUT_S, interval=_INTERVAL_S)
        wait_until(
            lambda: len(admin.block_storage.get_volume(volume.id).attachments) == 2,
            "the volume attached to both",
            timeout_s=_TIMEOUT_S,
            interval_s=0.2,
        )
    _delete_volume(admin, volume)

"""The ``openstack`` command, as it comes, against ``nova-lite up``."""

from pathlib import Path

from nova_lite.testing import up
from nova_lite.testing.cloud import eventually
from tests.functional.clients.conftest import OpenStack, client

JSON = ("-f", "json")


def test_the_life_of_a_server(openstack: OpenStack) -> None:
    created = openstack(
        "server", "create", "--flavor", "m1.tiny", "--image", "tiny", "--nic", "none", "--wait", "vm1", *JSON
    )
    assert (created["name"], created["status"]) == ("vm1", "ACTIVE")
    [listed] = openstack("server", "list", *JSON)
    assert (listed["ID"], listed["Name"], listed["Status"]) == (created["id"], "vm1", "ACTIVE")
    assert (listed["Image"], listed["Flavor"]) == ("tiny", "m1.tiny")
    shown = openstack("server", "show", "vm1", *JSON)
    assert (shown["id"], shown["OS-EXT-STS:vm_state"]) == (created["id"], "active")
    assert "vm1 login:" in openstack("console", "log", "show", "vm1")

    openstack("server", "stop", "vm1")
    eventually(lambda: openstack("server", "show", "vm1", *JSON)["status"] == "SHUTOFF", "vm1 is shut off")
    openstack("server", "start", "vm1")
    eventually(lambda: openstack("server", "show", "vm1", *JSON)["status"] == "ACTIVE", "vm1 is active")
    openstack("server", "reboot", "--hard", "--wait", "vm1")
    openstack("server", "set", "--name", "renamed", "vm1")
    assert openstack("server", "show", "renamed", *JSON)["status"] == "ACTIVE"
    openstack("server", "delete", "--wait", "renamed")
    assert openstack("server", "list", *JSON) == []
    assert "No Server found for renamed" in openstack("server", "show", "renamed", fails=True)


def test_what_there_is(openstack: OpenStack) -> None:
    assert "m1.tiny" in {flavor["Name"] for flavor in openstack("flavor", "list", *JSON)}
    assert [image["Name"] for image in openstack("image", "list", *JSON)] == ["tiny"]
    hosts = {"cell1-host1", "cell1-host2", "cell2-host1", "cell2-host2"}
    assert {found["Hypervisor Hostname"] for found in openstack("hypervisor", "list", *JSON)} == hosts
    services = openstack("compute", "service", "list", *JSON)
    assert {found["Host"] for found in services if found["Binary"] == "nova-compute"} == hosts
    assert {found["State"] for found in services} == {"up"}
    assert {found["name"] for found in openstack("resource", "provider", "list", *JSON)} == hosts
    types = {found["Type"] for found in openstack("catalog", "list", *JSON)}
    assert types == {"compute", "placement", "image", "block-storage", "identity"}
    zones = {found["Zone Name"] for found in openstack("availability", "zone", "list", "--compute", *JSON)}
    assert zones == {"nova", "internal"}


def test_a_server_nobody_can_take_says_why(openstack: OpenStack) -> None:
    openstack("flavor", "create", "--ram", "64", "--disk", "1000000", "wide")
    said = openstack(
        *("server", "create", "--flavor", "wide", "--image", "tiny", "--nic", "none", "--wait", "vm2"), fails=True
    )
    assert "Error creating server: vm2" in said
    assert "No valid host" in openstack("server", "show", "vm2", *JSON)["fault"]["message"]
    openstack("server", "delete", "--wait", "vm2")
    openstack("flavor", "delete", "wide")


def test_an_image_is_made_of_a_server_and_booted(openstack: OpenStack) -> None:
    openstack("server", "create", "--flavor", "m1.tiny", "--image", "tiny", "--nic", "none", "--wait", "vm1", *JSON)
    openstack("server", "image", "create", "--name", "snap", "--wait", "vm1")
    made = openstack("image", "show", "snap", *JSON)
    assert (made["status"], made["properties"]["image_type"]) == ("active", "snapshot")
    again = openstack(
        "server", "create", "--flavor", "m1.tiny", "--image", "snap", "--nic", "none", "--wait", "vm2", *JSON
    )
    assert again["status"] == "ACTIVE"
    for name in ("one", "two"):
        openstack("server", "backup", "create", "--name", name, "--type", "daily", "--rotate", "1", "--wait", "vm1")
        # Its image is there a moment before the server is done with it.
        eventually(lambda: openstack("server", "show", "vm1", *JSON)["OS-EXT-STS:task_state"] is None, "vm1 is at rest")
    names = {image["Name"] for image in openstack("image", "list", *JSON)}
    assert names == {"tiny", "snap", "two"}
    openstack("server", "delete", "--wait", "vm1", "vm2")
    openstack("image", "delete", "snap", "two")


def test_images_come_and_go(openstack: OpenStack, tmp_path: Path) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(b"disk" * 100_000)
    made = openstack(
        "image", "create", "--disk-format", "raw", "--file", str(file), "--property", "os=x", "mine", *JSON
    )
    assert (made["status"], made["size"], made["properties"]["os"]) == ("active", 400_000, "x")
    openstack("image", "set", "--name", "renamed", "mine")
    openstack("image", "save", "--file", str(tmp_path / "back.raw"), "renamed")
    assert (tmp_path / "back.raw").read_bytes() == file.read_bytes()
    openstack("image", "delete", "renamed")
    assert [image["Name"] for image in openstack("image", "list", *JSON)] == ["tiny"]


def test_another_user_sees_their_own_only(openstack: OpenStack, demo: OpenStack) -> None:
    demo("server", "create", "--flavor", "m1.nano", "--image", "tiny", "--nic", "none", "--wait", "theirs", *JSON)
    assert openstack("server", "list", *JSON) == []
    assert [server["Name"] for server in openstack("server", "list", "--all-projects", *JSON)] == ["theirs"]
    assert "Policy doesn't allow" in demo("hypervisor", "list", fails=True)
    demo("server", "delete", "--wait", "theirs")


def test_servers_survive_a_restart(tmp_path: Path) -> None:
    with up.running(tmp_path, "--cells", "1", "--hosts", "1"), client(tmp_path) as openstack:
        created = openstack("server", "create", "--flavor", "m1.tiny", "--image", "tiny", "--nic", "none", "vm1", *JSON)
        eventually(lambda: openstack("server", "show", "vm1", *JSON)["status"] == "ACTIVE", "vm1 is active")
    with up.running(tmp_path, "--cells", "1", "--hosts", "1"), client(tmp_path) as openstack:
        assert openstack("server", "show", "vm1", *JSON)["id"] == created["id"]
        openstack("server", "stop", "vm1")
        eventually(lambda: openstack("server", "show", "vm1", *JSON)["status"] == "SHUTOFF", "vm1 is shut off")

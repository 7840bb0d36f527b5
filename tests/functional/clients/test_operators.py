"""What operators do to hosts and ask about projects with the ``openstack`` command, as it comes."""

from tests.functional.clients.conftest import OpenStack

JSON = ("-f", "json")


def test_hosts_are_grouped_and_made_zones(openstack: OpenStack) -> None:
    created = openstack("aggregate", "create", "--zone", "east", "--property", "ssd=true", "racks", *JSON)
    assert (created["name"], created["availability_zone"]) == ("racks", "east")
    added = openstack("aggregate", "add", "host", "racks", "cell2-host1", *JSON)
    assert added["hosts"] == ["cell2-host1"]
    openstack("aggregate", "set", "--name", "shelves", "--property", "floor=2", "racks")
    openstack("aggregate", "unset", "--property", "ssd", "shelves")
    shown = openstack("aggregate", "show", "shelves", *JSON)
    assert (shown["name"], shown["properties"]) == ("shelves", {"floor": "2"})
    assert [found["Name"] for found in openstack("aggregate", "list", *JSON)] == ["shelves"]
    zones = {found["Zone Name"] for found in openstack("availability", "zone", "list", "--compute", *JSON)}
    assert zones == {"nova", "east", "internal"}

    boot = ("server", "create", "--flavor", "m1.nano", "--image", "tiny", "--nic", "none", "--wait")
    server = openstack(*boot, "--availability-zone", "east", "inside", *JSON)
    assert server["OS-EXT-SRV-ATTR:host"] == "cell2-host1"
    said = openstack("aggregate", "remove", "host", "shelves", "cell2-host1", fails=True)
    assert "409" in said
    openstack("server", "delete", "--wait", "inside")
    openstack("aggregate", "cache", "image", "shelves", "tiny")
    openstack("aggregate", "remove", "host", "shelves", "cell2-host1")
    openstack("aggregate", "delete", "shelves")
    assert openstack("aggregate", "list", *JSON) == []


def test_what_projects_used(openstack: OpenStack, demo: OpenStack) -> None:
    boot = ("server", "create", "--flavor", "m1.nano", "--image", "tiny", "--nic", "none", "--wait")
    openstack(*boot, "used")
    shown = openstack("usage", "show", *JSON)
    mine = [server for server in shown["Servers"] if server["name"] == "used"]
    assert [server["state"] for server in mine] == ["active"]
    # Until now, though the client asks until tomorrow.
    assert 0 < mine[0]["hours"] < 1
    assert [project["CPU Hours"] > 0 for project in openstack("usage", "list", *JSON)] == [True]
    assert "403" in demo("usage", "list", fails=True)
    openstack("server", "delete", "--wait", "used")
    shown = openstack("usage", "show", *JSON)
    assert [server["state"] for server in shown["Servers"] if server["name"] == "used"] == ["terminated"]


def test_how_long_a_host_is_up(openstack: OpenStack) -> None:
    shown = openstack("hypervisor", "show", "cell1-host1", *JSON)
    assert shown["state"] == "up"
    assert shown["uptime"] or shown["host_time"]

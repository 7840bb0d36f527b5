"""Volumes of an embedded cloud, used with the unmodified ``openstack`` client."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.functional.clients.conftest import _VERSION, OpenStack

_JSON = ("-f", "json")
#: Nothing here takes a second; a busy machine may.
_PATIENCE_S = 480.0


def _until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while not wanted(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def _volume(openstack: OpenStack, name: str, status: str) -> Any:
    return _until(lambda: openstack("volume", "show", name, *_JSON), lambda found: found["status"] == status)


def test_volumes_come_and_go(openstack: OpenStack, demo: OpenStack, state_dir: Path) -> None:
    made = demo("volume", "create", "--size", "1", "--description", "a disk", "data", *_JSON)
    assert made["status"] == "creating"
    shown = _volume(demo, "data", "available")
    assert (shown["size"], shown["description"], shown["bootable"]) == (1, "a disk", False)
    assert (state_dir / "volumes" / f"volume-{made['id']}.raw").stat().st_size == 1 << 30
    assert [found["Name"] for found in demo("volume", "list", *_JSON)] == ["data"]
    assert openstack("volume", "list", *_JSON) == []
    assert [found["Name"] for found in openstack("volume", "list", "--all-projects", *_JSON)] == ["data"]

    demo("volume", "set", "--name", "disk", "--property", "colour=red", "--size", "2", "data")
    shown = _volume(demo, "disk", "available")
    assert (shown["size"], shown["properties"]) == (2, {"colour": "red"})

    demo("volume", "delete", "disk")
    _until(lambda: demo("volume", "list", *_JSON), lambda found: found == [])
    assert "disk" in demo("volume", "show", "disk", fails=True)


def test_snapshots_come_and_go(demo: OpenStack) -> None:
    demo("volume", "create", "--size", "1", "source")
    _volume(demo, "source", "available")
    demo("volume", "snapshot", "create", "--volume", "source", "before")
    _until(lambda: demo("volume", "snapshot", "show", "before", *_JSON), lambda found: found["status"] == "available")
    assert "must not be" in demo("volume", "delete", "source", fails=True)
    demo("volume", "create", "--snapshot", "before", "copy")
    assert _volume(demo, "copy", "available")["size"] == 1

    demo("volume", "snapshot", "delete", "before")
    _until(lambda: demo("volume", "snapshot", "list", *_JSON), lambda found: found == [])
    demo("volume", "delete", "source", "copy")
    _until(lambda: demo("volume", "list", *_JSON), lambda found: found == [])


def test_types_say_what_may_be_shared(openstack: OpenStack, demo: OpenStack) -> None:
    openstack("volume", "type", "create", "--property", "multiattach=<is> True", "shared")
    assert {found["Name"] for found in demo("volume", "type", "list", *_JSON)} == {"shared", "__DEFAULT__"}
    demo("volume", "create", "--size", "1", "--type", "shared", "--image", "tiny", "boot")
    shown = _volume(demo, "boot", "available")
    assert (shown["multiattach"], shown["type"], shown["bootable"]) == (True, "shared", True)
    assert "type_create" in demo("volume", "type", "create", "mine", fails=True)

    demo("volume", "delete", "boot")
    _until(lambda: demo("volume", "list", *_JSON), lambda found: found == [])
    openstack("volume", "type", "delete", "shared")


def test_servers_get_and_lose_volumes(demo: OpenStack) -> None:
    demo("server", "create", "--flavor", "m1.tiny", "--image", "tiny", "--wait", "holder", *_JSON)
    made = demo("volume", "create", "--size", "1", "plugged", *_JSON)
    _volume(demo, "plugged", "available")
    latest = (_VERSION, "2.100")
    added = demo(*latest, "server", "add", "volume", "--tag", "data", "holder", "plugged", *_JSON)
    assert (added["Volume ID"], added["Device"], added["Tag"]) == (made["id"], "/dev/vdb", "data")
    shown = _volume(demo, "plugged", "in-use")
    server = demo("server", "show", "holder", *_JSON)
    assert [found["server_id"] for found in shown["attachments"]] == [server["id"]]
    assert [found["id"] for found in server["volumes_attached"]] == [made["id"]]
    [listed] = demo(*latest, "server", "volume", "list", "holder", *_JSON)
    assert (listed["Volume ID"], listed["Device"], listed["Tag"]) == (made["id"], "/dev/vdb", "data")
    assert (listed["Delete On Termination?"], listed["Attachment ID"]) == (
        False,
        shown["attachments"][0]["attachment_id"],
    )
    assert "already attached" in demo("server", "add", "volume", "holder", "plugged", fails=True)

    demo(*latest, "server", "volume", "set", "--delete-on-termination", "holder", "plugged")
    [listed] = demo(*latest, "server", "volume", "list", "holder", *_JSON)
    assert listed["Delete On Termination?"]
    demo(*latest, "server", "remove", "volume", "holder", "plugged")
    _volume(demo, "plugged", "available")
    _until(lambda: demo(*latest, "server", "volume", "list", "holder", *_JSON), lambda found: found == [])
    assert "not attached" in demo("server", "remove", "volume", "holder", "plugged", fails=True)

    demo(*latest, "server", "add", "volume", "--enable-delete-on-termination", "holder", "plugged")
    _volume(demo, "plugged", "in-use")
    demo("server", "delete", "--wait", "holder")
    _until(lambda: demo("volume", "list", *_JSON), lambda found: found == [])

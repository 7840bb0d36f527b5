"""Servers made with volumes by the unmodified ``openstack`` client."""

import pytest

from nova_lite.testing.cloud import eventually
from tests.functional.clients.conftest import OpenStack

JSON = ("-f", "json")
#: What every server here is made with.
PLAIN = ("server", "create", "--flavor", "m1.tiny", "--nic", "none", "--wait")


def volume(openstack: OpenStack, name: str, *how: str) -> str:
    made = str(openstack("volume", "create", "--size", "1", *how, name, *JSON)["id"])
    eventually(lambda: openstack("volume", "show", made, *JSON)["status"] == "available", f"volume {name} available")
    return made


@pytest.mark.parametrize("way", ["volume", "boot-from-volume", "block-device"])
def test_a_server_boots_from_a_volume(openstack: OpenStack, way: str) -> None:
    data = volume(openstack, f"data-{way}")
    if way == "volume":
        system = volume(openstack, "system", "--image", "tiny", "--bootable")
        how = ["--volume", system, "--block-device", f"uuid={data},source_type=volume"]
    elif way == "boot-from-volume":
        how = ["--image", "tiny", "--boot-from-volume", "1", "--block-device", f"uuid={data},source_type=volume"]
    else:
        [image] = openstack("image", "list", *JSON)
        root = f"uuid={image['ID']},source_type=image,destination_type=volume,volume_size=1,boot_index=0"
        how = [
            "--block-device",
            f"{root},delete_on_termination=true",
            "--block-device",
            f"uuid={data},source_type=volume",
        ]
    made = openstack(*PLAIN, *how, way, *JSON)
    assert made["status"] == "ACTIVE"
    shown = openstack("server", "show", way, *JSON)
    assert "booted from volume" in shown["image"]
    attached = {each["id"] for each in shown["volumes_attached"]}
    assert data in attached
    assert len(attached) == 2
    assert openstack("volume", "show", data, *JSON)["status"] == "in-use"

    openstack("server", "delete", "--wait", way)
    free = ["available"] * (1 if way == "block-device" else 2)
    eventually(
        lambda: [each["Status"] for each in openstack("volume", "list", *JSON)] == free,
        "volumes free, and what goes with the server is gone",
    )
    openstack("volume", "delete", *(each["ID"] for each in openstack("volume", "list", *JSON)))
    eventually(lambda: openstack("volume", "list", *JSON) == [], "volumes gone")


def test_its_volume_is_filled_anew_and_grows_below_it(openstack: OpenStack) -> None:
    system = volume(openstack, "filled", "--image", "tiny", "--bootable")
    openstack(*PLAIN, "--volume", system, "rebuilt")
    rebuild = ("--os-compute-api-version", "2.93", "server", "rebuild", "--image", "tiny")
    assert "reimage" in openstack(*rebuild, "rebuilt", fails=True)
    openstack(*rebuild, "--reimage-boot-volume", "--wait", "rebuilt")
    shown = openstack("server", "show", "rebuilt", *JSON)
    assert (shown["status"], [each["id"] for each in shown["volumes_attached"]]) == ("ACTIVE", [system])

    openstack("--os-volume-api-version", "3.42", "volume", "set", "--size", "2", "filled")
    events = ("server", "event", "list", "rebuilt", *JSON)
    eventually(lambda: openstack(*events)[0]["Action"] == "extend_volume", "the server hears of it")
    assert openstack("volume", "show", "filled", *JSON)["size"] == 2
    openstack("server", "delete", "--wait", "rebuilt")
    openstack("volume", "delete", "filled")

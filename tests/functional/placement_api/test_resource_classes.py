"""Resource classes: the standard ones stay, custom ones come, are renamed by old clients, and go."""

import os_resource_classes
import pytest

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    names = [entry["name"] for entry in placement.get("/resource_classes").json["resource_classes"]]
    assert set(names) == set(os_resource_classes.STANDARDS)
    created = placement.post("/resource_classes", {"name": "CUSTOM_GOLD"})
    assert created.status_code == 201
    assert created.content == b""
    assert created.headers["location"].endswith("/resource_classes/CUSTOM_GOLD")
    assert placement.post("/resource_classes", {"name": "CUSTOM_GOLD"}).status_code == 409
    assert placement.get("/resource_classes/CUSTOM_GOLD").json == {
        "name": "CUSTOM_GOLD",
        "links": [{"rel": "self", "href": "/resource_classes/CUSTOM_GOLD"}],
    }

    host = placement.provider("host", {"CUSTOM_GOLD": 1})
    assert placement.delete("/resource_classes/CUSTOM_GOLD").status_code == 409
    assert placement.delete(f"/resource_providers/{host}/inventories/CUSTOM_GOLD").status_code == 204
    assert placement.delete("/resource_classes/CUSTOM_GOLD").status_code == 204
    assert placement.get("/resource_classes/CUSTOM_GOLD").status_code == 404
    assert placement.delete("/resource_classes/CUSTOM_GOLD").status_code == 404


def test_1_2_knows_resource_classes(placement: Client) -> None:
    for method, url in (("GET", "/resource_classes"), ("GET", "/resource_classes/VCPU")):
        assert placement.at("1.1").call(method, url).status_code == 404
        assert placement.at("1.2").call(method, url).status_code == 200
    assert placement.at("1.1").post("/resource_classes", {"name": "CUSTOM_GOLD"}).status_code == 404
    assert placement.at("1.2").post("/resource_classes", {"name": "CUSTOM_GOLD"}).status_code == 201
    assert placement.at("1.2").delete("/resource_classes/CUSTOM_GOLD").status_code == 204


@pytest.mark.parametrize("version", ["1.2", "1.6"])
def test_1_2_to_1_6_put_renames(placement: Client, version: str) -> None:
    """Inventories and what they are asked for go by the new name from then on; no generation rises."""
    old = placement.at(version)
    assert old.post("/resource_classes", {"name": "CUSTOM_IRON"}).status_code == 201
    host = placement.provider("host", {"CUSTOM_IRON": 3})
    renamed = old.put("/resource_classes/CUSTOM_IRON", {"name": "CUSTOM_STEEL"})
    assert renamed.status_code == 200
    assert renamed.json == old.get("/resource_classes/CUSTOM_STEEL").json
    assert old.get("/resource_classes/CUSTOM_IRON").status_code == 404
    inventories = placement.get(f"/resource_providers/{host}/inventories").json
    assert inventories["resource_provider_generation"] == 1
    assert {name: one["total"] for name, one in inventories["inventories"].items()} == {"CUSTOM_STEEL": 3}
    found = placement.get("/resource_providers?resources=CUSTOM_STEEL:3").json["resource_providers"]
    assert [entry["uuid"] for entry in found] == [host]
    assert placement.get("/resource_providers?resources=CUSTOM_IRON:3").status_code == 400


def test_1_2_to_1_6_what_cannot_be_renamed(placement: Client) -> None:
    old = placement.at("1.6")
    for name in ("CUSTOM_IRON", "CUSTOM_GOLD"):
        assert old.post("/resource_classes", {"name": name}).status_code == 201
    assert old.put("/resource_classes/CUSTOM_IRON", {"name": "CUSTOM_GOLD"}).status_code == 409
    assert old.put("/resource_classes/CUSTOM_IRON", {"name": "CUSTOM_IRON"}).status_code == 200
    assert old.put("/resource_classes/CUSTOM_NOPE", {"name": "CUSTOM_NEW"}).status_code == 404
    assert old.put("/resource_classes/VCPU", {"name": "CUSTOM_NEW"}).status_code == 400
    for wrong in ("VCPU", "CUSTOM_", "CUSTOM_new", "CUSTOM_" + "X" * 249, 7, None):
        assert old.put("/resource_classes/CUSTOM_IRON", {"name": wrong}).status_code == 400
    assert old.put("/resource_classes/CUSTOM_IRON").status_code == 415
    assert old.get("/resource_classes/CUSTOM_IRON").status_code == 200


def test_1_7_put_makes_sure_of_it(placement: Client) -> None:
    """The name is in the path; a body is not read."""
    assert placement.at("1.7").put("/resource_classes/CUSTOM_IRON").status_code == 201
    again = placement.at("1.7").put("/resource_classes/CUSTOM_IRON", {"name": "CUSTOM_STEEL"})
    assert again.status_code == 204
    assert again.headers["location"].endswith("/resource_classes/CUSTOM_IRON")
    assert placement.get("/resource_classes/CUSTOM_STEEL").status_code == 404
    assert placement.at("1.7").put("/resource_classes/VCPU").status_code == 400


def test_1_15_tells_when_classes_changed(placement: Client) -> None:
    for url in ("/resource_classes", "/resource_classes/VCPU"):
        assert "last-modified" not in placement.at("1.14").get(url).headers
        assert "last-modified" in placement.at("1.15").get(url).headers


def test_bad_classes(placement: Client) -> None:
    for name in ("GOLD", "CUSTOM_gold", "CUSTOM_", "CUSTOM_" + "X" * 249):
        assert placement.post("/resource_classes", {"name": name}).status_code == 400
        assert placement.put(f"/resource_classes/{name}").status_code == 400
    assert placement.post("/resource_classes", {"name": "CUSTOM_" + "X" * 248}).status_code == 201
    bodies: list[object] = [{}, {"name": None}, {"name": "CUSTOM_A", "colour": "red"}, []]
    for body in bodies:
        assert placement.post("/resource_classes", body).status_code == 400
    assert placement.delete("/resource_classes/VCPU").status_code == 400
    assert placement.delete("/resource_classes/CUSTOM_NOPE").status_code == 404

"""Resource classes: the standard ones stay, custom ones come and go."""

from tests.functional.placement_api.conftest import Client


def test_story(placement: Client) -> None:
    names = [entry["name"] for entry in placement.get("/resource_classes").json["resource_classes"]]
    assert {"VCPU", "MEMORY_MB", "DISK_GB"} <= set(names)
    assert placement.post("/resource_classes", {"name": "CUSTOM_GOLD"}).status_code == 201
    assert placement.post("/resource_classes", {"name": "CUSTOM_GOLD"}).status_code == 409
    assert placement.put("/resource_classes/CUSTOM_GOLD").status_code == 204
    assert placement.put("/resource_classes/CUSTOM_IRON").status_code == 201
    shown = placement.get("/resource_classes/CUSTOM_IRON")
    assert shown.json["name"] == "CUSTOM_IRON"

    host = placement.provider("host", {"CUSTOM_GOLD": 1})
    assert placement.delete("/resource_classes/CUSTOM_GOLD").status_code == 409
    assert placement.delete(f"/resource_providers/{host}/inventories/CUSTOM_GOLD").status_code == 204
    assert placement.delete("/resource_classes/CUSTOM_GOLD").status_code == 204
    assert placement.get("/resource_classes/CUSTOM_GOLD").status_code == 404


def test_bad_classes(placement: Client) -> None:
    for name in ("GOLD", "CUSTOM_gold", "CUSTOM_", "CUSTOM_" + "X" * 250):
        assert placement.post("/resource_classes", {"name": name}).status_code == 400
        assert placement.put(f"/resource_classes/{name}").status_code == 400
    assert placement.delete("/resource_classes/VCPU").status_code == 400
    assert placement.delete("/resource_classes/CUSTOM_NOPE").status_code == 404

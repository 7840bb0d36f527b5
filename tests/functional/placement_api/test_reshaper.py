"""The reshaper moves inventories and allocations at once, or not at all."""

import uuid

from tests.functional.placement_api.conftest import Client, claim_body


def test_story(placement: Client) -> None:
    placement = placement.as_service()
    root = placement.provider("root", {"VCPU": 4, "VGPU": 2})
    child = placement.provider("child", parent=root)
    consumer = str(uuid.uuid4())
    assert placement.claim(consumer, {root: {"VCPU": 1, "VGPU": 1}}).status_code == 204

    def reshape(generation: int, vgpus: int) -> int:
        body = {
            "inventories": {
                root: {"resource_provider_generation": generation, "inventories": {"VCPU": {"total": 4}}},
                child: {"resource_provider_generation": 0, "inventories": {"VGPU": {"total": 2}}},
            },
            "allocations": {consumer: claim_body({root: {"VCPU": 1}, child: {"VGPU": vgpus}}, generation=1)},
        }
        return placement.post("/reshaper", body).status_code

    assert reshape(1, 1) == 409
    assert reshape(2, 3) == 409
    assert placement.used(root) == {"VCPU": 1, "VGPU": 1}
    assert placement.used(child) == {}
    assert reshape(2, 1) == 204
    assert placement.used(root) == {"VCPU": 1}
    assert placement.used(child) == {"VGPU": 1}
    assert placement.at("1.29").post("/reshaper", {}).status_code == 404
    assert placement.post("/reshaper", {"inventories": {}}).status_code == 400

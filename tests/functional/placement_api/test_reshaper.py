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


def test_what_cannot_be_reshaped(placement: Client) -> None:
    placement = placement.as_service()
    root = placement.provider("root", {"VCPU": 4})

    def refused(inventories: dict[str, object]) -> tuple[int, str]:
        answer = placement.post("/reshaper", {"inventories": inventories, "allocations": {}})
        return answer.status_code, answer.json["errors"][0]["code"]

    def told(generation: int, **inventories: int) -> dict[str, object]:
        return {
            "resource_provider_generation": generation,
            "inventories": {name: {"total": total} for name, total in inventories.items()},
        }

    assert placement.post("/reshaper", {"inventories": {}}).status_code == 400
    assert refused({}) == (400, "placement.undefined_code")
    assert refused({str(uuid.uuid4()): told(0, VCPU=1)}) == (400, "placement.resource_provider.not_found")
    assert refused({root: told(0, VCPU=1)}) == (409, "placement.concurrent_update")
    assert refused({root: told(1, NOPE=1)}) == (400, "placement.undefined_code")
    assert placement.generation(root) == 1


def test_whose_generation_rises(placement: Client) -> None:
    """A reshape raises a provider's generation when inventories come, when they go, and when claims name it."""
    placement = placement.as_service()
    root, consumer = placement.provider("root"), str(uuid.uuid4())

    def reshaped(inventories: dict[str, object], allocations: dict[str, object]) -> int:
        told = {"resource_provider_generation": placement.generation(root), "inventories": inventories}
        answer = placement.post("/reshaper", {"inventories": {root: told}, "allocations": allocations})
        assert answer.status_code == 204, answer.text
        return placement.generation(root)

    assert reshaped({}, {}) == 1
    assert reshaped({"VCPU": {"total": 4}}, {}) == 3
    assert reshaped({"VCPU": {"total": 4}}, {consumer: claim_body({root: {"VCPU": 1}})}) == 6
    assert reshaped({"VCPU": {"total": 4}}, {consumer: claim_body({}, generation=1)}) == 9
    assert reshaped({}, {}) == 10

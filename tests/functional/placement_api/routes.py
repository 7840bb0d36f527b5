"""One good request for every route and method of Placement, to be sent as it is or spoiled."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AGGREGATE = "aaaaaaaa-0000-4000-8000-000000000001"
CONSUMER = "cccccccc-0000-4000-8000-000000000001"
HOST = "11111111-0000-4000-8000-000000000001"
NODE = "11111111-0000-4000-8000-000000000002"
#: In a body, stands for the generation the host has just then.
GENERATION = "the generation of the host"

_INVENTORY = {
    "total": 64,
    "reserved": 2,
    "min_unit": 1,
    "max_unit": 32,
    "step_size": 1,
    "allocation_ratio": 4.0,
}
_INVENTORIES = {"VCPU": _INVENTORY, "CUSTOM_GOLD": {"total": 8}}
_OWNER = {"project_id": "project-1", "user_id": "user-1"}
_CLAIM = _OWNER | {
    "allocations": {HOST: {"resources": {"VCPU": 2}}},
    "consumer_generation": None,
    "consumer_type": "INSTANCE",
    "mappings": {"": [HOST]},
}
_OLD_CLAIM = {"allocations": [{"resource_provider": {"uuid": HOST}, "resources": {"VCPU": 2}}]}


@dataclass(frozen=True)
class Request:
    """A request that means something from version ``since`` (to ``until``) on."""

    method: str
    url: str
    since: int = 0
    until: int = 39
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()

    def filled(self, generation: int) -> Any:
        """Return the body as it is right while the host has this generation."""
        return _filled(copy.deepcopy(self.body), generation)


def _filled(value: Any, generation: int) -> Any:
    if value == GENERATION:
        return generation
    if isinstance(value, dict):
        return {name: _filled(inner, generation) for name, inner in value.items()}
    return [_filled(inner, generation) for inner in value] if isinstance(value, list) else value


def _under(generation: bool = True, **fields: Any) -> dict[str, Any]:
    return ({"resource_provider_generation": GENERATION} if generation else {}) | fields


_PROVIDER = "/resource_providers/{uuid}"
_CLASS = "/resource_classes/{name}"
_ONE = "/resource_providers/{uuid}/inventories/{resource_class}"
_ALLOCATIONS = "/allocations/{uuid}"
_CANDIDATES = "/allocation_candidates"
REQUESTS = (
    Request("GET", "/"),
    Request("GET", "/resource_classes", 2),
    Request("POST", "/resource_classes", 2, body={"name": "CUSTOM_FRESH"}),
    Request("GET", _CLASS, 2),
    Request("PUT", _CLASS, 2, 6, body={"name": "CUSTOM_FRESH"}),
    Request("PUT", _CLASS, 7),
    Request("DELETE", _CLASS, 2),
    Request("GET", "/resource_providers", query=(("name", "host"), ("uuid", HOST))),
    Request(
        "GET",
        "/resource_providers",
        39,
        query=(
            ("resources", "VCPU:1,CUSTOM_GOLD:1"),
            ("required", "in:CUSTOM_FAST,HW_CPU_X86_AVX"),
            ("required", "!HW_CPU_X86_SSE"),
            ("member_of", f"in:{AGGREGATE},{CONSUMER}"),
            ("member_of", f"!{CONSUMER}"),
            ("in_tree", NODE),
        ),
    ),
    Request("POST", "/resource_providers", 0, 13, body={"name": "fresh", "uuid": CONSUMER}),
    Request("POST", "/resource_providers", 14, body={"name": "fresh", "uuid": CONSUMER, "parent_provider_uuid": HOST}),
    Request("GET", _PROVIDER),
    Request("PUT", _PROVIDER, 0, 13, body={"name": "host"}),
    Request("PUT", _PROVIDER, 14, body={"name": "host", "parent_provider_uuid": None}),
    Request("DELETE", _PROVIDER),
    Request("GET", f"{_PROVIDER}/inventories"),
    Request("PUT", f"{_PROVIDER}/inventories", body=_under(inventories=_INVENTORIES)),
    Request("POST", f"{_PROVIDER}/inventories", body=_under(resource_class="DISK_GB") | _INVENTORY),
    Request("DELETE", f"{_PROVIDER}/inventories", 5),
    Request("GET", _ONE),
    Request("PUT", _ONE, body=_under() | _INVENTORY),
    Request("DELETE", _ONE),
    Request("GET", f"{_PROVIDER}/usages"),
    Request("GET", f"{_PROVIDER}/aggregates", 1),
    Request("PUT", f"{_PROVIDER}/aggregates", 1, 18, body=[AGGREGATE]),
    Request("PUT", f"{_PROVIDER}/aggregates", 19, body=_under(aggregates=[AGGREGATE])),
    Request("GET", f"{_PROVIDER}/allocations"),
    Request("GET", f"{_PROVIDER}/traits", 6),
    Request("PUT", f"{_PROVIDER}/traits", 6, body=_under(traits=["CUSTOM_FAST", "HW_CPU_X86_AVX"])),
    Request("DELETE", f"{_PROVIDER}/traits", 6),
    Request("POST", "/allocations", 38, body={CONSUMER: _CLAIM}),
    Request("GET", _ALLOCATIONS),
    Request("PUT", _ALLOCATIONS, 0, 7, body=_OLD_CLAIM),
    Request("PUT", _ALLOCATIONS, 8, 11, body=_OLD_CLAIM | _OWNER),
    Request("PUT", _ALLOCATIONS, 38, body=_CLAIM),
    Request("DELETE", _ALLOCATIONS),
    Request("GET", _CANDIDATES, 10, query=(("resources", "VCPU:2"),)),
    Request(
        "GET",
        _CANDIDATES,
        39,
        query=(
            ("resources", "VCPU:1"),
            ("required", "CUSTOM_FAST,!HW_CPU_X86_SSE"),
            ("member_of", AGGREGATE),
            ("in_tree", HOST),
            ("resources_gold", "CUSTOM_GOLD:1"),
            ("required_gold", "in:CUSTOM_FAST,HW_CPU_X86_AVX"),
            ("resources_more", "VCPU:2"),
            ("member_of_more", f"!in:{CONSUMER},{NODE}"),
            ("in_tree_more", HOST),
            ("same_subtree", "_gold,_more"),
            ("root_required", "!HW_CPU_X86_SSE"),
            ("group_policy", "none"),
            ("limit", "5"),
        ),
    ),
    Request("GET", "/traits", 6, query=(("name", "startswith:CUSTOM_"), ("associated", "true"))),
    Request("GET", "/traits/{name}", 6),
    Request("PUT", "/traits/{name}", 6),
    Request("DELETE", "/traits/{name}", 6),
    Request("GET", "/usages", 9, query=(("project_id", "project-1"), ("user_id", "user-1"))),
    Request("GET", "/usages", 38, query=(("project_id", "project-1"), ("consumer_type", "INSTANCE"))),
    Request(
        "POST",
        "/reshaper",
        38,
        body={
            "inventories": {HOST: _under(inventories=_INVENTORIES)},
            "allocations": {CONSUMER: _CLAIM},
        },
    ),
)

#: What stands in a path for each of its parameters, by route.
PARTS: Mapping[str, Mapping[str, str]] = {
    _CLASS: {"name": "CUSTOM_SPARE"},
    _ONE: {"uuid": HOST, "resource_class": "VCPU"},
    _ALLOCATIONS: {"uuid": CONSUMER},
    "/traits/{name}": {"name": "CUSTOM_FAST"},
}


def parts(url: str) -> dict[str, str]:
    """Return what a good path of ``url`` is made of."""
    return dict(PARTS.get(url, {"uuid": HOST}))

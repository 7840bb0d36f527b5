"""What is said of decisions, and what is found out of refusals."""

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from nova_lite.clients.placement import Candidates, PlacementClient
from nova_lite.errors import Invalid
from nova_lite.model import explanation
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import Company
from nova_lite.scheduler import diagnosis, explain, request
from nova_lite.scheduler.diagnosis import Diagnosis
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import ALWAYS, OPTIONAL, Stage, sift

HOST = HostState("cell", "host1", "node-1", "host1", is_up=True, is_disabled=False, free_ram_mib=100, free_vcpus=4)
FLAVOR = Flavor("1", "f", 2, 1024, 10, extra_specs={"trait:CUSTOM_A": "required", "trait:CUSTOM_B": "forbidden"})
SPEC = RequestSpec("project", "user", FLAVOR, "image", availability_zone="east")
NEEDS = request.needs(FLAVOR)


def test_an_explanation_stays_small() -> None:
    stage = Stage("Up", 1000, 0, {f"host{number}": f"reason {number % 50}" for number in range(1000)})
    told = explain.explanation(Sought(SPEC), NEEDS, [stage], [(HOST, 1 / 3)] * 1000, ["1 host lacks 1 VCPU"])
    assert told["needs"] == {
        "resources": {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 10},
        "required": ["CUSTOM_A"],
        "forbidden": ["CUSTOM_B"],
        "zone": "east",
        "host": None,
    }
    (shown,) = told["stages"]
    assert (shown["name"], shown["entered"], shown["left"]) == ("Up", 1000, 0)
    assert (len(shown["hosts"]), len(shown["reasons"]), shown["reasons"]["reason 0"]) == (20, 20, 20)
    assert len(told["ranking"]) == 20
    assert told["ranking"][0]["weight"] == 0.333
    assert told["ranking"][0]["weighed"]["ram"] == 100
    assert "-0.0" not in str(told["ranking"])


def test_administrators_read_it_in_lines_and_users_without_hosts() -> None:
    stages = [Stage("Placement", 3, 1), Stage("Enabled", 1, 0, {"host1": "disabled: new disk"})]
    told = explain.explanation(Sought(SPEC), NEEDS, stages, nearest=["2 hosts lack 1 VCPU"])
    assert explanation.text(told).splitlines() == [
        "Placement: 3 hosts entered, 1 left",
        "Enabled: 1 host entered, 0 left",
        "  1: disabled: new disk",
        "Nearest: 2 hosts lack 1 VCPU",
    ]
    assert explanation.text({}) == ""
    assert "host1" not in str(explanation.without_hosts(told))
    assert explanation.without_hosts(told)["stages"][1] == {"name": "Enabled", "entered": 1, "left": 0, "reasons": {}}


@pytest.mark.parametrize(
    ("name", "hints", "company"),
    [
        ("ServerGroup", {}, Company("affinity", hosts={"secret1": 1})),
        ("SimpleCIDRAffinity", {"build_near_host_ip": "192.0.2.1", "cidr": "/99"}, None),
        ("Enabled", {}, None),
    ],
)
def test_what_filters_say_of_hosts_is_not_for_users(
    name: str, hints: dict[str, object], company: Company | None
) -> None:
    host = replace(HOST, host_ip="secret2", is_disabled=True, disabled_reason="secret3")
    sought = Sought(replace(SPEC, hints=hints), company)
    _, stages = sift([host], sought, {name: {**ALWAYS, **OPTIONAL}[name]})
    told = explain.explanation(sought, NEEDS, [Stage("Placement", 1, 1, {"h": "lacks 1 VCPU"}), *stages])
    assert "secret" in explanation.text(told)
    shown = explanation.without_hosts(told)
    assert "secret" not in str(shown)
    assert [stage["reasons"] for stage in shown["stages"]] == [{"lacks 1 VCPU": 1}, {}]


def test_an_explanation_of_failed_builds_alone_is_shown() -> None:
    assert explanation.without_hosts({"failed": [{"host": "host1", "reason": "x"}]})["failed"] == [{"reason": "x"}]


def test_where_builds_failed_is_told_to_administrators_and_why_to_all() -> None:
    told = explain.explanation(Sought(SPEC), NEEDS, [Stage("Placement", 3, 1)])
    told["failed"] = [{"host": "host1", "reason": "The disk broke."}]
    assert explanation.text(told).splitlines()[-1] == "Tried host1: The disk broke."
    assert explanation.without_hosts(told)["failed"] == [{"reason": "The disk broke."}]


class Hosts:
    """A Placement of single hosts: name → class → (free, most to one), and traits."""

    def __init__(self, hosts: dict[str, dict[str, tuple[int, int]]], traits: dict[str, set[str]]) -> None:
        self._hosts = hosts
        self._traits = traits
        self.asked = 0

    def candidates(self, query: dict[str, Any]) -> Candidates:
        self.asked += 1
        if query.get("required") == "CUSTOM_UNKNOWN":
            raise Invalid("No such trait(s): CUSTOM_UNKNOWN.")
        name, _, amount = query["resources"].partition(":")
        fits = [
            host
            for host, room in self._hosts.items()
            if int(amount) <= min(room.get(name, (0, 0))) and query.get("required") in (None, *self._traits[host])
        ][: query["limit"]]
        summaries = {
            host: {
                "root_provider_uuid": host,
                "resources": {
                    cls: {"capacity": free + 1, "used": 1} for cls, (free, _) in self._hosts[host].items()
                },
            }
            for host in fits
        }  # fmt: skip
        requests = [{"allocations": {host: {"resources": {name: int(amount)}}}} for host in fits]
        return msgspec.convert({"allocation_requests": requests, "provider_summaries": summaries}, Candidates)


@pytest.fixture
def placement() -> Hosts:
    room = {"VCPU": (8, 8), "MEMORY_MB": (4096, 4096), "DISK_GB": (100, 100)}
    return Hosts(
        {
            "fine": room,
            "short": {**room, "MEMORY_MB": (512, 4096)},
            "full": {**room, "VCPU": (0, 8)},
            "small": {**room, "VCPU": (8, 1)},
            "plain": room,
        },
        {name: {"CUSTOM_A"} for name in ("fine", "short", "full", "small")} | {"plain": {"CUSTOM_B"}},
    )


def test_each_host_is_told_apart_by_what_it_falls_short_of(placement: Hosts) -> None:
    found = Diagnosis(cast(PlacementClient, placement), limit=10).misses(NEEDS, list(placement._hosts))
    assert {host: [miss.one for miss in each] for host, each in found.items()} == {
        "fine": ["has all of it, but not together as asked"],
        "short": ["lacks 512 MiB of memory"],
        "full": ["has no VCPU free"],
        "small": ["gives no 2 VCPU to one server"],
        "plain": ["has not the trait CUSTOM_A", "has the trait CUSTOM_B"],
    }
    assert diagnosis.nearest(found)[0] == "1 host lacks 512 MiB of memory"


def test_what_is_nearest_comes_first_and_alike_hosts_are_counted() -> None:
    little, much = (diagnosis.Miss(f"lacks {n} VCPU", f"lack {n} VCPU", n / 10) for n in (1, 9))
    misses = {"a": (much,), "b": (little,), "c": (little,), "d": (little, much), "e": (much,), "f": (much,)}
    assert diagnosis.nearest(misses) == [
        "2 hosts lack 1 VCPU", "3 hosts lack 9 VCPU", "1 host lacks 1 VCPU and lacks 9 VCPU",
    ]  # fmt: skip
    assert diagnosis.nearest({}) == []


def test_a_crowd_of_refusals_asks_once(placement: Hosts) -> None:
    looked = Diagnosis(cast(PlacementClient, placement), limit=10)
    looked.misses(NEEDS, ["fine"])
    asked = placement.asked
    assert asked == 3 * 2 + 2
    looked.misses(NEEDS, ["short"])
    assert placement.asked == asked
    looked.misses(request.needs(Flavor("1", "f", 3, 1024, 10)), ["short"])
    assert placement.asked > asked


def test_a_trait_that_nobody_knows_is_one_that_nobody_has(placement: Hosts) -> None:
    needs = request.needs(Flavor("1", "f", 1, 1, 1, extra_specs={"trait:CUSTOM_UNKNOWN": "required"}))
    found = Diagnosis(cast(PlacementClient, placement), limit=10).misses(needs, ["fine"])
    assert [miss.one for miss in found["fine"]] == ["has not the trait CUSTOM_UNKNOWN"]


@pytest.mark.parametrize("limit", [1, 2])
def test_hosts_that_placement_had_no_room_to_name_are_not_slandered(placement: Hosts, limit: int) -> None:
    found = Diagnosis(cast(PlacementClient, placement), limit=limit).misses(NEEDS, list(placement._hosts))
    told = {host: [miss.one for miss in each] for host, each in found.items()}
    assert told == {} if limit == 1 else {"short": ["lacks 512 MiB of memory"]}.items() <= told.items()
    assert "has no VCPU free" not in str(told)
    assert "has not the trait" not in str(told)

"""What is said of decisions, and what is found out of refusals."""

from dataclasses import replace

import pytest

from nova_lite import config
from nova_lite.model import explanation
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import Company
from nova_lite.scheduler import explain, request
from nova_lite.scheduler.explain import Counted
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import ALWAYS, OPTIONAL, Stage, sift
from nova_lite.scheduler.request import Restriction
from nova_lite.scheduler.weighing import Weighing

HOST = HostState("cell", "host1", "node-1", "host1", is_up=True, is_disabled=False, free_ram_mib=100, free_vcpus=4)
FLAVOR = Flavor("1", "f", 2, 1024, 10, extra_specs={"trait:CUSTOM_A": "required", "trait:CUSTOM_B": "forbidden"})
SPEC = RequestSpec("project", "user", FLAVOR, "image", availability_zone="east")
NEEDS = request.needs(FLAVOR)
WEIGHING = Weighing(config.load(files=[]).filter_scheduler)


def test_an_explanation_stays_small() -> None:
    stage = Stage("Up", 1000, 0, {f"host{number}": f"reason {number % 50}" for number in range(1000)})
    told = explain.explanation(Sought(SPEC), NEEDS, [stage], [(HOST, 1 / 3)] * 1000, parts=WEIGHING.parts)
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
    assert told["ranking"][0]["weighed"] == {
        "ram": 100, "cpu": 4, "disk": 0, "io_ops": 0, "hypervisor_version": 0, "pci": 0, "soft_affinity": 0,
        "soft_anti_affinity": 0, "build_failure": 0,
    }  # fmt: skip
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


def test_what_pre_filters_added_is_told_and_to_users_only_in_words() -> None:
    restrictions = {
        "AvailabilityZone": Restriction("in zone east", one_of=frozenset({"secret-b", "secret-a"})),
        "Enabled": Restriction(
            "", "is disabled", asks="not disabled", forbidden=frozenset({"COMPUTE_STATUS_DISABLED"})
        ),
        "Isolated": Restriction("outside", none_of=frozenset(f"secret-{number}" for number in range(1000))),
    }
    told = explain.explanation(Sought(SPEC), replace(NEEDS, restrictions=restrictions))
    assert told["prefilters"][:2] == [
        {"name": "AvailabilityZone", "asks": "in zone east", "adds": {"member_of": "['in:secret-a,secret-b']"}},
        {
            "name": "Enabled",
            "asks": "not disabled",
            "adds": {"root_required": "!COMPUTE_STATUS_DISABLED"},
        },
    ]
    assert len(str(told)) < 1200
    shown = explanation.without_hosts(told)
    assert shown["prefilters"][0] == {"name": "AvailabilityZone", "asks": "in zone east"}
    assert "secret" not in str(shown)


def test_what_refused_nobody_is_left_out_of_the_lines() -> None:
    asked = {"AvailabilityZone": Restriction("in zone east", one_of=frozenset({"a"}))}
    stages = [
        Stage("Placement", 1, 1),
        Stage("Up", 1, 1),
        Stage("Enabled", 1, 0, {"h": "x"}),
        Stage("ServerGroup", 0, 0),
    ]
    told = explain.explanation(Sought(SPEC), replace(NEEDS, restrictions=asked), stages)
    assert explanation.text(told).splitlines() == [
        "Asked of hosts: in zone east (AvailabilityZone)",
        "Placement: 1 host entered, 1 left",
        "Enabled: 1 host entered, 0 left",
        "  1: x",
    ]


def test_a_stage_that_only_counts_says_why() -> None:
    stage = Counted("Placement", 5000, 20, {"host1": "is disabled"}, reasons={"has not all that is needed": 4979})
    (told,) = explain.explanation(Sought(SPEC), NEEDS, [stage])["stages"]
    assert told["reasons"] == {"has not all that is needed": 4979, "is disabled": 1}
    assert told["hosts"] == {"host1": "is disabled"}

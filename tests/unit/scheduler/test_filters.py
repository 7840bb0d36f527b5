"""Filters: each case names a host, a request and the refusal expected."""

import importlib.metadata
from dataclasses import replace

import pytest

from nova_lite import config
from nova_lite.errors import Misconfigured
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState, Hypervisor
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import Company
from nova_lite.scheduler import aggregates, explain, pipeline
from nova_lite.scheduler.filters import Sought
from nova_lite.scheduler.pipeline import ALWAYS, OPTIONAL, Entry, Stage, enabled, still_passing, with_settings

FILTERS = {**ALWAYS, **OPTIONAL}
HOST = HostState("cell", "host1", "node-1", "host1.example", is_up=True, is_disabled=False)
SPEC = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image")
NAMED = replace(SPEC, wanted_host="host1", skips_filters=True)


def sifted(hosts: list[HostState], sought: Sought) -> tuple[list[HostState], list[Stage]]:
    return pipeline.sift(hosts, sought, FILTERS)


@pytest.mark.parametrize(
    ("name", "host", "spec", "refusal"),
    [
        pytest.param("Up", HOST, SPEC, None, id="up"),
        pytest.param("Up", replace(HOST, is_up=False), SPEC, "its agent does not report", id="silent"),
        pytest.param("Enabled", HOST, SPEC, None, id="enabled"),
        pytest.param("Enabled", replace(HOST, is_disabled=True), SPEC, "disabled: no reason given", id="disabled"),
        pytest.param(
            "Enabled",
            replace(HOST, is_disabled=True, disabled_reason="new disk"),
            SPEC,
            "disabled: new disk",
            id="disabled with a reason",
        ),
        pytest.param("AvailabilityZone", HOST, SPEC, None, id="any zone"),
        pytest.param("AvailabilityZone", HOST, replace(SPEC, availability_zone="nova"), None, id="its zone"),
        pytest.param(
            "AvailabilityZone", HOST, replace(SPEC, availability_zone="a"), "in zone nova, a asked", id="another zone"
        ),
        pytest.param("WantedHost", HOST, SPEC, None, id="any host"),
        pytest.param("WantedHost", HOST, replace(SPEC, wanted_host="host1"), None, id="the host asked for"),
        pytest.param("WantedHost", HOST, replace(SPEC, wanted_host="host2"), "host2 asked", id="another host"),
        pytest.param("WantedHost", HOST, replace(SPEC, wanted_node="node-1"), None, id="its node by UUID"),
        pytest.param("WantedHost", HOST, replace(SPEC, wanted_node="host1.example"), None, id="its node by name"),
        pytest.param("WantedHost", HOST, replace(SPEC, wanted_node="x"), "node x asked", id="another node"),
    ],
)
def test_a_filter(name: str, host: HostState, spec: RequestSpec, refusal: str | None) -> None:
    assert FILTERS[name][0](host, Sought(spec)) == refusal


def test_what_each_filter_did_is_told() -> None:
    hosts = [
        HOST,
        replace(HOST, host="host2", is_up=False),
        replace(HOST, host="host3", is_disabled=True),
        replace(HOST, host="host4", is_up=False, is_disabled=True),
    ]
    left, stages = sifted(hosts, Sought(SPEC))
    assert left == [HOST]
    told = {stage.name: (stage.entered, stage.left, sorted(stage.refused)) for stage in stages}
    assert told["Up"] == (4, 2, ["host2", "host4"])
    assert told["Enabled"] == (2, 1, ["host3"])
    assert all(stage.entered - len(stage.refused) == stage.left for stage in stages)
    assert explain.refusal(stages) == "Of 4 hosts with room: 2 not reporting, 1 disabled."


@pytest.mark.parametrize("change", [{"is_up": False}, {"is_disabled": True}, {"availability_zone": "other"}])
def test_a_host_named_with_its_zone_is_taken_as_it_is(change: dict[str, object]) -> None:
    left, _ = sifted([replace(HOST, **change), replace(HOST, host="host2")], Sought(NAMED))  # type: ignore[arg-type]
    assert [host.host for host in left] == ["host1"]


def test_a_host_asked_for_must_pass_the_other_filters() -> None:
    left, stages = sifted([replace(HOST, is_disabled=True)], Sought(replace(SPEC, wanted_host="host1")))
    assert left == []
    assert explain.refusal(stages) == "Of 1 host with room: 1 disabled."


def test_no_hosts_are_no_trouble() -> None:
    left, stages = sifted([], Sought(SPEC))
    assert left == []
    assert explain.refusal(stages) == "The hosts with room are in no cell that is known and enabled."


_A, _B, _C = (f"00000000-0000-4000-8000-00000000000{digit}" for digit in "abc")


@pytest.mark.parametrize(
    ("name", "hints", "company", "refusal"),
    [
        pytest.param("SameHost", {}, None, None, id="no hint"),
        pytest.param("SameHost", {"same_host": _A}, None, None, id="with one"),
        pytest.param("SameHost", {"same_host": [_B, _A]}, None, None, id="with one of several"),
        pytest.param("SameHost", {"same_host": _B}, None, "not with the servers asked for", id="without"),
        pytest.param("SameHost", {"same_host": _C}, None, "not with the servers asked for", id="with one nowhere"),
        pytest.param("DifferentHost", {"different_host": [_B, _C]}, None, None, id="away"),
        pytest.param(
            "DifferentHost", {"different_host": [_B, _A]}, None, "with a server to be kept away from", id="not away"
        ),
        pytest.param("SimpleCIDRAffinity", {"build_near_host_ip": "192.0.2.200"}, None, None, id="near"),
        pytest.param(
            "SimpleCIDRAffinity",
            {"build_near_host_ip": "192.0.2.200", "cidr": "/28"},
            None,
            "its address is not in 192.0.2.192/28",
            id="not so near",
        ),
        pytest.param(
            "SimpleCIDRAffinity",
            {"build_near_host_ip": "192.0.2.1", "cidr": "/99"},
            None,
            "192.0.2.1/99 and 192.0.2.7 are not both addresses",
            id="no network",
        ),
        pytest.param("ServerGroup", {}, Company("anti-affinity", hosts={"host2": 1}), None, id="apart"),
        pytest.param(
            "ServerGroup",
            {},
            Company("anti-affinity", hosts={"host1": 1}),
            "1 of its group there, 1 allowed",
            id="together",
        ),
        pytest.param("ServerGroup", {}, Company("anti-affinity", 2, {"host1": 1}), None, id="two may be together"),
        pytest.param("ServerGroup", {}, Company("affinity"), None, id="the first of its group"),
        pytest.param("ServerGroup", {}, Company("affinity", hosts={"host1": 3}), None, id="where its group is"),
        pytest.param(
            "ServerGroup", {}, Company("affinity", hosts={"host2": 1}), "its group is on host2", id="elsewhere"
        ),
        pytest.param(
            "ServerGroup",
            {},
            Company("affinity", hosts={"host1": 1, "host2": 1}, ways_back=frozenset(["host2"])),
            "its group may yet go back to host2",
            id="where its group may not stay",
        ),
        pytest.param("ServerGroup", {}, Company("soft-affinity", hosts={"host2": 1}), None, id="soft: anywhere"),
    ],
)
def test_a_filter_that_looks_at_other_servers(
    name: str, hints: dict[str, object], company: Company | None, refusal: str | None
) -> None:
    host = replace(HOST, host_ip="192.0.2.7")
    sought = Sought(replace(SPEC, hints=hints), company, {_A: "host1", _B: "host2"})
    assert FILTERS[name][0](host, sought) == refusal


def with_filters(*names: str) -> dict[str, Entry]:
    conf = config.load(files=[])
    conf.set_override("enabled_filters", list(names), "filter_scheduler")
    return enabled(conf.filter_scheduler)


def test_filters_are_configured_by_name() -> None:
    assert list(with_filters()) == list(ALWAYS)
    assert list(with_filters("DifferentHost", "Up", "AggregateMultiTenancyIsolationFilter")) == [
        *ALWAYS, "DifferentHost", "AggregateMultiTenancyIsolation",
    ]  # fmt: skip
    with pytest.raises(Misconfigured, match="Nonsense is not there"):
        with_filters("Nonsense")


def test_what_operators_are_used_to_list_is_understood() -> None:
    """A list of filters taken over from elsewhere does what it did, or the scheduler does not start."""
    taken = "ComputeFilter AvailabilityZoneFilter ServerGroupAntiAffinityFilter ServerGroupAffinityFilter IoOpsFilter"
    assert list(with_filters(*taken.split())) == [*ALWAYS, "IoOps"]
    for name, why in (
        ("NUMATopologyFilter", "NUMA cells"),
        ("PciPassthroughFilter", "devices"),
        ("Metrics", "metrics"),
    ):
        with pytest.raises(Misconfigured, match=f"{name.removesuffix('Filter')} is not there .*{why}"):
            with_filters(name)


def test_every_filter_can_be_enabled_and_knows_when_it_need_not_look() -> None:
    """None of them looks at hosts for a request that asks for nothing but a size, unless hosts have limits."""
    running = with_filters(*OPTIONAL, *with_settings(config.load(files=[]).filter_scheduler))
    assert len(running) == len(ALWAYS) + len(OPTIONAL) + 6
    looking = {name for name, entry in running.items() if entry.applies(Sought(SPEC))}
    assert looking == {
        "Up", "Enabled", "AggregateMultiTenancyIsolation", "AggregateTypeAffinity",
        "AggregateIoOps", "AggregateNumInstances", "IoOps", "IsolatedHosts", "NumInstances",
    }  # fmt: skip
    assert {name for name, entry in running.items() if entry.refusal(HOST, Sought(SPEC)) is not None} == set()


def test_a_filter_of_another_package_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: HostState, sought: Sought) -> str | None:
        return "on principle"

    class Found:
        def load(self) -> object:
            return refuse

    def entry_points(*, group: str, name: str) -> list[Found]:
        return [Found()] if (group, name) == ("nova_lite.scheduler.filters", "Mine") else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    left, stages = pipeline.sift([HOST], Sought(SPEC), with_filters("Mine"))
    assert (left, stages[-1]) == ([], Stage("Mine", 1, 0, {"host1": "on principle"}, "refused by Mine"))
    assert explain.refusal(stages) == "Of 1 host with room: 1 refused by Mine."


_NOWHERE = "ssd is nothing in its aggregates, true asked"
_OTHERS = "in an aggregate for other projects"
_HUGE = "in an aggregate for the flavors big, huge only"
_WINDOWS = "in an aggregate for images whose os_type is windows"


@pytest.mark.parametrize(
    ("name", "metadata", "spec", "refusal"),
    [
        pytest.param("ExtraSpecs", [], {}, None, id="nothing asked"),
        pytest.param("ExtraSpecs", [], {"ssd": "true"}, _NOWHERE, id="said nowhere"),
        pytest.param("ExtraSpecs", [{"ssd": "true"}], {"ssd": "true"}, None, id="without a namespace"),
        pytest.param(
            "ExtraSpecs", [{"ssd": "true"}], {"aggregate_instance_extra_specs:ssd": "true"}, None, id="in its namespace"
        ),
        pytest.param("ExtraSpecs", [{"ssd": "no"}, {"ssd": "true"}], {"ssd": "true"}, None, id="one of several"),
        pytest.param(
            "ExtraSpecs", [{"ssd": "no"}], {"ssd": "true"}, "ssd is no in its aggregates, true asked", id="otherwise"
        ),
        pytest.param("ExtraSpecs", [], {"hw:cpu_cores": "2", "trait:CUSTOM_A": "x"}, None, id="other namespaces"),
        pytest.param("ExtraSpecs", [{"gen": "3"}], {"gen": ">= 2"}, None, id="with an operator"),
        pytest.param("Tenant", [{"filter_tenant_id": "a, project"}], {}, None, id="for this project"),
        pytest.param("Tenant", [{"filter_tenant_id1": "a"}, {"filter_tenant_id2": "b"}], {}, _OTHERS, id="not for it"),
        pytest.param("ExtraSpecs", [{"ssd": "no, true"}], {"ssd": "true"}, None, id="one of several values"),
        pytest.param("ExtraSpecs", [{"a:b": "1"}], {"aggregate_instance_extra_specs:a:b": "1"}, None, id="colons"),
        pytest.param("Tenant", [{"ssd": "x"}], {}, None, id="for everybody"),
        pytest.param("Tenant", [{"filter_tenant_id": "a"}, {"filter_tenant_id": "project"}], {}, None, id="one of two"),
        pytest.param("Image", [{"os_type": "linux, bsd"}], {}, None, id="for such images"),
        pytest.param("Image", [{"os_type": "windows"}], {}, _WINDOWS, id="for others"),
        pytest.param("Image", [{"os_type": "windows"}, {"os_type": "linux"}], {}, None, id="for such ones, too"),
        pytest.param("Image", [{"license": "x"}], {}, None, id="of another property"),
        pytest.param("Flavor", [{"ssd": "x"}], {}, None, id="for any flavor"),
        pytest.param("Flavor", [{"instance_type": "huge, tiny"}], {}, None, id="for this flavor"),
        pytest.param("Flavor", [{"instance_type": "huge"}, {"instance_type": "tiny"}], {}, None, id="by one"),
        pytest.param("Flavor", [{"instance_type": "huge,big"}], {}, _HUGE, id="for others"),
    ],
)  # fmt: skip
def test_a_filter_that_looks_at_aggregates(
    name: str, metadata: list[dict[str, str]], spec: dict[str, str], refusal: str | None
) -> None:
    run = {
        "ExtraSpecs": aggregates.suits_extra_specs, "Tenant": aggregates.is_for_tenant, "Image": aggregates.suits_image,
        "Flavor": aggregates.suits_flavor,
    }[name]  # fmt: skip
    wanted = replace(SPEC, flavor=replace(SPEC.flavor, extra_specs=spec), image_properties={"os_type": "linux"})
    assert run(replace(HOST, aggregates=tuple(metadata)), Sought(wanted)) == refusal


@pytest.mark.parametrize(
    ("value", "wanted", "fits"),
    [
        ("3", "= 2", True), ("1", "= 2", False), ("2.0", "== 2", True), ("3", "!= 3", False), ("3", "<= 3", True),
        ("x", ">= 1", False), ("b", "s> a", True), ("b", "s< a", False), ("b", "s== b", True), ("b", "s!= b", False),
        ("avx sse", "<in> sse", True), ("avx sse", "<all-in> sse avx", True), ("avx", "<all-in> sse avx", False),
        ("b", "<or> a <or> b", True), ("c", "<or> a <or> b", False), ("= 2", "x", False), ("x", "x", True),
    ],
)  # fmt: skip
def test_operators_of_extra_specs(value: str, wanted: str, fits: bool) -> None:
    assert aggregates.matches(value, wanted) is fits


def test_a_filter_that_need_not_look_would_refuse_nobody() -> None:
    """Whatever a request asks for and whatever hosts are like: where ``applies`` says no, looking changes nothing."""
    hypervisor = Hypervisor("QEMU", 7002000, 8, 16384, 100, {"arch": "x86_64"}, (("x86_64", "kvm", "hvm"),))
    named = ({"ssd": "x", "filter_tenant_id": "y", "os_type": "z", "instance_type": "w"},)
    hosts = [
        HOST,
        replace(HOST, is_up=False, is_disabled=True, availability_zone="other", hypervisor=hypervisor, host_ip="::1"),
        replace(HOST, host="host2", num_instances=99, building=99, aggregates=named, hypervisor=hypervisor),
    ]
    flavors = [{}, {"ssd": "1"}, {"capabilities:host": "a"}, {"hw:maxphysaddr_bits": "99"}, {"hw:cpu_cores": "1"}]
    images = [{}, {"os_type": "linux"}, {"vm_mode": "exe"}, {"hypervisor_version_requires": ">9"}, {"license": "x"}]
    hints: list[dict[str, object]] = [
        {}, {"query": "[]"}, {"query": "[0]"}, {"same_host": []}, {"same_host": _A}, {"different_host": [_A]},
        {"build_near_host_ip": ""}, {"build_near_host_ip": "10.0.0.1"}, {"cidr": "/8"},
    ]  # fmt: skip
    specs = [
        *(replace(SPEC, flavor=replace(SPEC.flavor, extra_specs=each)) for each in flavors),
        *(replace(SPEC, image_properties=each) for each in images),
        *(replace(SPEC, hints=each) for each in hints),
        replace(SPEC, availability_zone="a"), replace(SPEC, wanted_host="x"), replace(SPEC, wanted_node="x"),
    ]  # fmt: skip
    soughts = [Sought(spec, company, {_A: "host1"}) for spec in specs for company in (None, Company("affinity"))]
    running = with_filters(*OPTIONAL, *with_settings(config.load(files=[]).filter_scheduler))
    for name, (refusal, _, applies) in running.items():
        refused = {bool(refusal(host, sought)) for sought in soughts if not applies(sought) for host in hosts}
        assert refused <= {False}, name


def test_what_was_placed_before_counts_on_its_host_and_in_its_group() -> None:
    limit = with_filters("NumInstances")
    full = [replace(HOST, num_instances=50), replace(HOST, host="host2", node="node-2", num_instances=50)]
    # Only where one was placed is anything new.
    assert still_passing(full, Sought(SPEC), limit, changed="node-2") == full[:1]
    assert still_passing(full, Sought(NAMED), limit, changed="node-2") == full
    apart = Sought(SPEC, Company("anti-affinity", hosts={"host1": 1}))
    assert still_passing(full, apart, limit, changed="node-3") == full[1:]

"""Weights that aggregates change for their hosts, and weights of what hosts tell of themselves."""

import importlib.metadata
import logging
from dataclasses import replace

import pytest

from nova_lite import config
from nova_lite.errors import Misconfigured
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState, Hypervisor
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import loads, weighers, weighing
from nova_lite.scheduler.aggregate_numbers import AggregateNumbers
from nova_lite.scheduler.filters import Options, Sought
from nova_lite.scheduler.loads import Wanted, Wants
from nova_lite.scheduler.weighers import WEIGHERS, weigh
from nova_lite.scheduler.weighing import Weighing

HOST = HostState("cell", "host1", "node-1", "host1", is_up=True, is_disabled=False)
SPEC = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image", {"os_type": "linux"})
SOUGHT = Sought(SPEC)
OPTIONS = config.load(files=[]).filter_scheduler


def options(**values: object) -> Options:
    conf = config.load(files=[])
    for name, value in values.items():
        conf.set_override(name, value, "filter_scheduler")
    return conf.filter_scheduler


def named(name: str, **values: object) -> HostState:
    return replace(HOST, host=name, **values)  # type: ignore[arg-type]


def best(hosts: list[HostState], multipliers: dict[str, float]) -> str:
    return weigh(hosts, SOUGHT, multipliers)[0][0].host


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        pytest.param("num_instances", {"num_instances": 1}, {"num_instances": 2}, id="servers"),
        pytest.param(
            "hypervisor_version",
            {"hypervisor": Hypervisor(version=7002000)},
            {"hypervisor": Hypervisor(version=8000000)},
            id="versions of the hypervisor",
        ),
        pytest.param("image_props", {"likeness": 1.0}, {"likeness": 4.0}, id="servers from such images"),
        pytest.param("pci", {"free_devices": 8}, {"free_devices": 0}, id="free devices: fewer weigh more"),
    ],
)
def test_what_hosts_tell_is_weighed(name: str, less: dict[str, object], more: dict[str, object]) -> None:
    for hosts in ([named("less", **less), named("more", **more)], [named("more", **more), named("less", **less)]):
        assert best(hosts, {name: 1.0}) == "more"
        assert best(hosts, {name: -1.0}) == "less"
        assert weigh(hosts, SOUGHT, {name: 0.0})[0] == (hosts[0], 0.0)


def test_a_hundred_free_devices_are_as_many_as_a_thousand() -> None:
    hosts = [named("many", free_devices=1000), named("enough", free_devices=100)]
    assert [weight for _, weight in weigh(hosts, SOUGHT, {"pci": 1.0})] == [0.0, 0.0]


def test_by_default_nothing_counts_but_what_nova_counts() -> None:
    assert weighers.multipliers(OPTIONS) == {
        "ram": 1.0, "cpu": 1.0, "disk": 1.0, "io_ops": -1.0, "num_instances": 0.0, "hypervisor_version": 1.0,
        "image_props": 0.0, "pci": 1.0, "soft_affinity": 10.0, "soft_anti_affinity": 10.0, "build_failure": 1000000.0,
    }  # fmt: skip
    assert weighers.multipliers(OPTIONS).keys() == WEIGHERS.keys()


def test_an_aggregate_says_how_much_counts_on_its_hosts() -> None:
    """Two hosts have room; on one of them, by its aggregate, room counts three times as much, or against it."""
    small, large, huge = (named(name, free_ram_mib=ram) for name, ram in (("small", 0), ("large", 50), ("huge", 100)))
    assert best([small, large, huge], {"ram": 1.0}) == "huge"
    favoured = replace(large, aggregate_numbers={"ram_weight_multiplier": 3.0})
    assert weigh([small, favoured, huge], SOUGHT, {"ram": 1.0}) == [(favoured, 1.5), (huge, 1.0), (small, 0.0)]
    shunned = replace(huge, aggregate_numbers={"ram_weight_multiplier": -1.0, "cpu_weight_multiplier": 9.0})
    assert [host.host for host, _ in weigh([shunned, large, small], SOUGHT, {"ram": 1.0})] == ["large", "small", "huge"]


def test_an_aggregate_makes_count_what_counts_nowhere_else() -> None:
    inside = named("inside", num_instances=5, aggregate_numbers={"num_instances_weight_multiplier": 1.0})
    assert best([named("outside", num_instances=9), inside, named("empty")], {"num_instances": 0.0}) == "inside"


@pytest.mark.parametrize(
    ("aggregates", "numbers"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([{"ssd": "true", "availability_zone": "a"}], {}, id="no numbers"),
        pytest.param([{"ram_weight_multiplier": "2.5"}], {"ram_weight_multiplier": 2.5}, id="a multiplier"),
        pytest.param(
            [{"ram_weight_multiplier": "2"}, {"ram_weight_multiplier": "-1"}, {"ram_weight_multiplier": "7"}],
            {"ram_weight_multiplier": -1.0},
            id="the smallest of several",
        ),
        pytest.param(
            [{"max_instances_per_host": "5", "max_io_ops_per_host": "3"}, {"max_instances_per_host": "4"}],
            {"max_instances_per_host": 4.0, "max_io_ops_per_host": 3.0},
            id="limits",
        ),
        pytest.param(
            [{"ram_weight_multiplier": "2"}, {"ram_weight_multiplier": "heavy"}],
            {"ram_weight_multiplier": 2.0},
            id="what is no number counts nothing",
        ),
        pytest.param(
            [{"ram_weight_multiplier": "nan", "cpu_weight_multiplier": "inf", "max_io_ops_per_host": "1.5"}],
            {},
            id="numbers that are none",
        ),
    ],
)
def test_numbers_of_aggregates(aggregates: list[dict[str, str]], numbers: dict[str, float]) -> None:
    assert AggregateNumbers().of("host1", aggregates) == numbers


def test_a_bad_number_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    numbers = AggregateNumbers()
    with caplog.at_level(logging.WARNING):
        for host in ("host1", "host2"):
            assert numbers.of(host, [{"ram_weight_multiplier": "heavy"}]) == {}
    (_,) = [said for said in caplog.messages if "ram_weight_multiplier = 'heavy'" in said]


_COUNTING = replace(SPEC.flavor, extra_specs={"capabilities:num_instances": "< 5"})
_CALM = {"io_ops_weight_multiplier": 0.0}


@pytest.mark.parametrize(
    ("values", "spec", "numbers", "wanted"),
    [
        pytest.param({}, SPEC, {}, Wanted(busy=True), id="by default, for the weights"),
        pytest.param(_CALM, SPEC, {}, Wanted(), id="nothing"),
        pytest.param({**_CALM, "enabled_filters": ["IoOpsFilter"]}, SPEC, {}, Wanted(busy=True), id="a filter"),
        pytest.param(
            {**_CALM, "enabled_filters": ["AggregateNumInstances"]}, SPEC, {}, Wanted(servers=True), id="another filter"
        ),
        pytest.param(
            {**_CALM, "num_instances_weight_multiplier": -1.0}, SPEC, {}, Wanted(servers=True), id="another weight"
        ),
        pytest.param({**_CALM, "image_props_weight_multiplier": 1.0}, SPEC, {}, Wanted(images=True), id="images"),
        pytest.param(
            {**_CALM, "image_props_weight_multiplier": 1.0},
            replace(SPEC, image_properties={}),
            {},
            Wanted(),
            id="an image without properties",
        ),
        pytest.param(_CALM, SPEC, {"num_instances_weight_multiplier": 1.0}, Wanted(servers=True), id="an aggregate"),
        pytest.param(_CALM, SPEC, {"ram_weight_multiplier": 1.0}, Wanted(), id="an aggregate that wants other things"),
        pytest.param(
            _CALM, replace(SPEC, flavor=_COUNTING), {}, Wanted(busy=True, servers=True), id="a flavor that asks"
        ),
        pytest.param(
            {**_CALM, "enabled_filters": []}, replace(SPEC, flavor=_COUNTING), {}, Wanted(), id="whom nobody hears"
        ),
        pytest.param(
            {**_CALM, "enabled_filters": ["Json"]},
            replace(SPEC, hints={"query": '["<", "$num_io_ops", 2]'}),
            {},
            Wanted(busy=True, servers=True),
            id="a hint that asks",
        ),
        pytest.param(
            {**_CALM, "enabled_filters": ["Json"]},
            replace(SPEC, hints={"query": '["<", "$vcpus_total", 2]'}),
            {},
            Wanted(),
            id="a hint that asks for other things",
        ),
    ],
)
def test_only_what_is_wanted_is_read(
    values: dict[str, object], spec: RequestSpec, numbers: dict[str, float], wanted: Wanted
) -> None:
    states = [HOST, replace(HOST, aggregate_numbers=numbers)]
    assert Wants(options(**values)).of(spec, states) == wanted


@pytest.mark.parametrize(
    ("settings", "likeness"),
    [
        pytest.param([], 5.0, id="all properties alike"),
        pytest.param(["os_type=2", "os_distro = -0.5"], 5.0, id="some more, some less"),
        pytest.param(["os_distro=1.5"], 3.0, id="one alone"),
        pytest.param(["hw_video=3"], 0.0, id="another"),
    ],
)
def test_likeness_of_images(settings: list[str], likeness: float) -> None:
    counts = {("os_type", "linux"): 3, ("os_type", "windows"): 9, ("os_distro", "debian"): 2}
    properties = {"os_type": "linux", "os_distro": "debian", "license": "x"}
    assert (
        loads.likeness(counts, properties, weighing.numbers_by_name("image_props_weight_setting", settings)) == likeness
    )


@pytest.mark.parametrize("text", ["os_type", "os_type=", "os_type=much"])
def test_a_wrong_setting_is_told(text: str) -> None:
    with pytest.raises(Misconfigured, match=f"image_props_weight_setting: '{text}' is not NAME=NUMBER"):
        weighing.numbers_by_name("image_props_weight_setting", [text])


class Found:
    """A weigher that a package brings: hosts called last in the alphabet weigh most."""

    def load(self) -> object:
        return lambda host, sought: ord(host.host[0])


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(*, group: str, name: str) -> list[Found]:
        return [Found()] if (group, name) == ("nova_lite.scheduler.weighers", "initial") else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


@pytest.mark.usefixtures("brought")
def test_a_weigher_of_another_package_is_loaded() -> None:
    running = Weighing(options(own_weighers=["initial=-2.0"]))
    assert [host.host for host, _ in running.rank([named("b"), named("c"), named("a")], SOUGHT)] == ["a", "b", "c"]
    assert running.parts(named("b"), SOUGHT)["initial"] == 98.0
    turned = replace(named("c"), aggregate_numbers={"initial_weight_multiplier": 9.0})
    assert running.rank([named("a"), turned], SOUGHT)[0] == (turned, 9.0)


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize(
    ("own", "why"),
    [
        pytest.param("mine=1", "no package brings mine", id="not installed"),
        pytest.param("ram=1", "ram is ours", id="a name that is taken"),
        pytest.param("initial", "'initial' is not NAME=NUMBER", id="without a number"),
    ],
)
def test_a_weigher_that_cannot_be_is_told_at_start(own: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=f"own_weighers: {why}"):
        Weighing(options(own_weighers=[own]))


def test_only_what_counts_is_told_of_a_host() -> None:
    parts = Weighing(options(ram_weight_multiplier=0.0)).parts
    assert {"ram", "num_instances", "image_props"}.isdisjoint(parts(HOST, SOUGHT))
    there = replace(HOST, num_instances=2, aggregate_numbers={"num_instances_weight_multiplier": 1.0})
    assert parts(there, SOUGHT)["num_instances"] == 2.0

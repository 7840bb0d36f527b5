"""Filters that look at what hosts tell of themselves: their hypervisor, their numbers, how many servers they have."""

from dataclasses import replace

import pytest

from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState, Hypervisor
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import capabilities, facts, image_needs, isolation, json_query, limits
from nova_lite.scheduler.filters import Sought

_CPU = {"arch": "x86_64", "vendor": "Intel", "features": ["avx", "sse"], "maxphysaddr": {"bits": 46}}
_RUNS = (("x86_64", "qemu", "hvm"), ("aarch64", "kvm", "hvm"))
HOST = HostState(
    "cell",
    "host1",
    "node-1",
    "host1.lan",
    is_up=True,
    is_disabled=False,
    free_ram_mib=2048,
    free_disk_gib=90,
    num_instances=3,
    building=2,
    hypervisor=Hypervisor("QEMU", 7002000, 8, 16384, 100, _CPU, _RUNS),
)
#: A host of which nothing is known but that it is there.
SILENT = HostState("cell", "host2", "node-2", "host2.lan", is_up=True, is_disabled=False)
SPEC = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image")


def asking(**extra_specs: str) -> Sought:
    return Sought(replace(SPEC, flavor=replace(SPEC.flavor, extra_specs=extra_specs)))


@pytest.mark.parametrize(
    ("extra_specs", "refusal"),
    [
        pytest.param({}, None, id="nothing asked"),
        pytest.param({"capabilities:hypervisor_type": "QEMU"}, None, id="equal"),
        pytest.param({"capabilities:hypervisor_type": "xen"}, "hypervisor_type is QEMU, xen asked", id="not equal"),
        pytest.param({"capabilities:hypervisor_type": "<or> xen <or> QEMU"}, None, id="one of several"),
        pytest.param({"capabilities:hypervisor_version": ">= 7000000"}, None, id="a version at least"),
        pytest.param({"capabilities:free_ram_mb": ">= 2048"}, None, id="free memory"),
        pytest.param(
            {"capabilities:free_ram_mb": ">= 4096"}, "free_ram_mb is 2048, >= 4096 asked", id="too little free memory"
        ),
        pytest.param({"capabilities:total_usable_ram_mb": "== 16384"}, None, id="memory in all"),
        pytest.param({"capabilities:disk_mb_used": "<= 10240"}, None, id="disk in use"),
        pytest.param({"capabilities:num_instances": "<= 3"}, None, id="few servers"),
        pytest.param({"capabilities:num_io_ops": "<= 1"}, "num_io_ops is 2, <= 1 asked", id="too much under way"),
        pytest.param({"capabilities:stats:num_instances": "== 3"}, None, id="a part of a fact"),
        pytest.param({"capabilities:cpu_info:vendor": "Intel"}, None, id="a part of what the CPU is"),
        pytest.param({"capabilities:cpu_info:features": "<in> avx"}, None, id="one of its features"),
        pytest.param({"capabilities:cpu_info:maxphysaddr:bits": ">= 40"}, None, id="a part of a part"),
        pytest.param({"hw:maxphysaddr_bits": "46"}, None, id="enough bits"),
        pytest.param({"hw:maxphysaddr_bits": "48"}, "cpu_info:maxphysaddr:bits is 46, >= 48 asked", id="too few bits"),
        pytest.param({"hypervisor_type": "QEMU"}, None, id="without a namespace"),
        pytest.param(
            {"hypervisor_type": "xen"}, "hypervisor_type is QEMU, xen asked", id="otherwise, without a namespace"
        ),
        pytest.param({"ssd": "true", "hw:cpu_cores": "2", "trait:X": "required"}, None, id="not about capabilities"),
        pytest.param({"capabilities:colour": "red"}, "does not tell its colour, red asked", id="unknown"),
        pytest.param(
            {"capabilities:host_ip:port": "1"}, "does not tell its host_ip:port, 1 asked", id="a part of what has none"
        ),
        pytest.param(
            {"capabilities:numa_topology": "1"}, "does not tell its numa_topology, 1 asked", id="not told by hosts"
        ),
    ],
)
def test_capabilities(extra_specs: dict[str, str], refusal: str | None) -> None:
    sought = asking(**extra_specs)
    assert capabilities.suits_capabilities(HOST, sought) == refusal
    if refusal is not None:
        assert capabilities.asks_capabilities(sought)


def test_a_long_fact_is_cut_where_it_is_told() -> None:
    host = replace(HOST, hypervisor=replace(HOST.hypervisor, cpu_info={"features": ["x" * 50] * 9}))
    refusal = capabilities.suits_capabilities(host, asking(**{"capabilities:cpu_info:features": "<in> avx"}))
    assert refusal is not None
    assert len(refusal) < 130


def test_what_a_silent_host_is_asked_it_does_not_tell() -> None:
    asked = asking(**{"capabilities:cpu_info:vendor": "Intel"})
    assert capabilities.suits_capabilities(SILENT, asked) == "does not tell its cpu_info:vendor, Intel asked"


def test_every_fact_can_be_read_of_every_host() -> None:
    for name in facts.FACTS:
        assert facts.value(HOST, [name]) is not None
        assert facts.value(SILENT, [name]) is not None


_ARM = "runs architecture aarch64 or x86_64, armv7l asked by the image"


@pytest.mark.parametrize(
    ("properties", "refusal"),
    [
        pytest.param({}, None, id="nothing asked"),
        pytest.param({"os_type": "linux", "hw_disk_bus": "scsi"}, None, id="other properties"),
        pytest.param({"hw_architecture": "x86_64"}, None, id="its architecture"),
        pytest.param({"architecture": "AMD64"}, None, id="by other names"),
        pytest.param({"hw_architecture": "armv7l"}, _ARM, id="another architecture"),
        pytest.param({"hw_architecture": "", "hw_vm_mode": ""}, None, id="empty"),
        pytest.param({"img_hv_type": "QEMU"}, None, id="its hypervisor type"),
        pytest.param(
            {"hypervisor_type": "xapi"}, "runs hypervisor type kvm or qemu, xen asked by the image", id="another type"
        ),
        pytest.param({"vm_mode": "hv"}, None, id="its mode"),
        pytest.param({"hw_vm_mode": "exe"}, "runs virtual machine mode hvm, exe asked by the image", id="another mode"),
        pytest.param({"hw_architecture": "aarch64", "img_hv_type": "kvm"}, None, id="together"),
        pytest.param(
            {"hw_architecture": "x86_64", "img_hv_type": "kvm"},
            "runs no guests that are x86_64, kvm at once, as asked by the image",
            id="each, but not together",
        ),
        pytest.param({"img_hv_requested_version": ">=7.0"}, None, id="new enough"),
        pytest.param({"img_hv_requested_version": "==7.2"}, None, id="what is not said of a version is 0"),
        pytest.param(
            {"hypervisor_version_requires": ">= 7.1, != 7.2.0"},
            "hypervisor version is 7.2.0, >= 7.1, != 7.2.0 asked by the image",
            id="not this one",
        ),
        pytest.param(
            {"img_hv_requested_version": ">7.2,<8"},
            "hypervisor version is 7.2.0, >7.2,<8 asked by the image",
            id="too old",
        ),
        pytest.param(
            {"img_hv_requested_version": "new"},
            "hypervisor version 'new' asked by the image cannot be understood",
            id="no version",
        ),
        pytest.param({"hw_maxphysaddr_bits": "46"}, None, id="enough bits"),
        pytest.param(
            {"hw_maxphysaddr_bits": "52"}, "its addresses have 46 bits, 52 asked by the image", id="too few bits"
        ),
    ],
)
def test_what_images_need(properties: dict[str, str], refusal: str | None) -> None:
    sought = Sought(replace(SPEC, image_properties=properties))
    assert image_needs.suits_image(None)(HOST, sought) == refusal
    if refusal is not None:
        assert image_needs.asks_of_hypervisor(sought)


def test_an_image_that_names_no_architecture_has_the_default_one() -> None:
    suits = image_needs.suits_image("armv7l")
    assert suits(HOST, Sought(SPEC)) == _ARM
    assert suits(HOST, Sought(replace(SPEC, image_properties={"hw_architecture": "x86_64"}))) is None


@pytest.mark.parametrize(
    ("runs", "refusal"),
    [
        pytest.param(None, None, id="of an earlier release"),
        pytest.param((), "runs architecture none, x86_64 asked by the image", id="runs nothing"),
    ],
)
def test_hosts_that_do_not_say_what_they_run(runs: tuple[()] | None, refusal: str | None) -> None:
    host = replace(SILENT, hypervisor=replace(SILENT.hypervisor, runs=runs))
    properties = {"hw_architecture": "x86_64", "img_hv_requested_version": ">=1", "hw_maxphysaddr_bits": "9"}
    assert image_needs.suits_image(None)(host, Sought(replace(SPEC, image_properties=properties))) == refusal


@pytest.mark.parametrize(
    ("most", "numbers", "refusal"),
    [
        pytest.param(4, {}, None, id="one more"),
        pytest.param(3, {}, "servers there: 3, allowed: 3", id="no more"),
        pytest.param(3, {"max_instances_per_host": 4.0}, None, id="its aggregates allow more"),
        pytest.param(9, {"max_instances_per_host": 2.0}, "servers there: 3, allowed: 2", id="they allow less"),
        pytest.param(4, {"max_io_ops_per_host": 1.0}, None, id="its aggregates say something else"),
    ],
)
def test_how_many_servers(most: int, numbers: dict[str, float], refusal: str | None) -> None:
    host = replace(HOST, aggregate_numbers=numbers)
    assert limits.few_servers(most, by_aggregate=True)(host, Sought(SPEC)) == refusal
    alone = "servers there: 3, allowed: 3" if most == 3 else None
    assert limits.few_servers(most)(host, Sought(SPEC)) == alone
    assert limits.few_servers(most)(SILENT, Sought(SPEC)) is None


@pytest.mark.parametrize(
    ("most", "numbers", "refusal"),
    [
        pytest.param(3, {}, None, id="one more"),
        pytest.param(2, {}, "servers being built or copied there: 2, allowed: 2", id="no more"),
        pytest.param(2, {"max_io_ops_per_host": 5.0}, None, id="its aggregates allow more"),
        pytest.param(
            9, {"max_io_ops_per_host": 0.0}, "servers being built or copied there: 2, allowed: 0", id="they allow none"
        ),
    ],
)
def test_how_busy(most: int, numbers: dict[str, float], refusal: str | None) -> None:
    host = replace(HOST, aggregate_numbers=numbers)
    assert limits.not_busy(most, by_aggregate=True)(host, Sought(SPEC)) == refusal
    alone = "servers being built or copied there: 2, allowed: 2" if most == 2 else None
    assert limits.not_busy(most)(host, Sought(SPEC)) == alone


@pytest.mark.parametrize(
    ("hosts", "images", "for_these_only", "refusal"),
    [
        pytest.param([], [], True, None, id="nothing is isolated"),
        pytest.param(["host1"], ["image"], True, None, id="an isolated image on its host"),
        pytest.param(["other"], ["image"], True, "not for isolated images", id="an isolated image elsewhere"),
        pytest.param(["other"], ["image"], False, "not for isolated images", id="elsewhere, whatever others may"),
        pytest.param(["host1"], ["other"], True, "for isolated images only", id="another image there"),
        pytest.param(["host1"], [], True, "for isolated images only", id="another image, when none is isolated"),
        pytest.param(["host1"], ["other"], False, None, id="another image there, which may"),
        pytest.param(["other"], ["other"], True, None, id="another image elsewhere"),
    ],
)
def test_isolated_hosts(hosts: list[str], images: list[str], for_these_only: bool, refusal: str | None) -> None:
    assert isolation.keeps_isolated(hosts, images, for_these_only=for_these_only)(HOST, Sought(SPEC)) == refusal


_NO = "not what the hint query asks for"
_WHAT = "the hint query cannot be understood: "


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        pytest.param(None, None, id="no hint"),
        pytest.param("", None, id="an empty one"),
        pytest.param("[]", None, id="no condition"),
        pytest.param('[">=", "$free_ram_mb", 2048]', None, id="enough memory"),
        pytest.param('[">=", "$free_ram_mb", 2049]', _NO, id="too little memory"),
        pytest.param(["<", "$num_instances", 3], _NO, id="too many servers, written as a list"),
        pytest.param('["and", [">=", "$free_ram_mb", 1024], [">=", "$free_disk_mb", 204800]]', _NO, id="not both"),
        pytest.param('["or", [">=", "$free_ram_mb", 9999], ["<=", "$vcpus_total", 8]]', None, id="one of two"),
        pytest.param('["not", ["=", "$host", "host1"]]', _NO, id="not this host"),
        pytest.param('["and", ["not", ["=", "$host", "host1"]], [">", "$vcpus_total", 1]]', _NO, id="not within and"),
        pytest.param('["not", false, true]', None, id="not of several: one is enough"),
        pytest.param('["in", "$host", "host0", "host1"]', None, id="one of these"),
        pytest.param('["in", "$host", "host0"]', _NO, id="none of these"),
        pytest.param('["=", "$cpu_info.vendor", "Intel"]', None, id="a part of a fact"),
        pytest.param('["=", "$hypervisor_hostname", "host1.lan", "host1.lan"]', None, id="equal to all"),
        pytest.param('[">", 5, 4, 5]', _NO, id="not above all"),
        pytest.param('["=", "$colour", "red"]', _NO, id="what hosts do not tell"),
        pytest.param('["=", "$cpu_info.colour.hue", "red"]', _NO, id="parts hosts do not tell"),
        pytest.param('["=", "x"]', _NO, id="compared with nothing"),
        pytest.param("{", _WHAT + "it is not JSON", id="not JSON"),
        pytest.param('{"a": 1}', _WHAT + "a condition is a list", id="an object"),
        pytest.param({"a": 1}, _WHAT + "a condition is a list", id="an object, not written as text"),
        pytest.param("1", _WHAT + "a condition is a list", id="a number"),
        pytest.param('["like", 1, 2]', _WHAT + "'like' is not one of and, or, not, in, =, <, >, <=, >=", id="unknown"),
        pytest.param('[["a"], 1]', _WHAT + "\"['a']\" is not one of and, or, not, in, =, <, >, <=, >=", id="a list"),
        pytest.param('["<", "$host", 5]', _WHAT + "numbers and texts have no order: < of host1, 5", id="no order"),
        pytest.param("[" * 2000 + "]" * 2000, _WHAT + "it is not JSON", id="too deep for JSON"),
        pytest.param(
            '["not", ' * 40 + "1" + "]" * 40, _WHAT + "more than 32 conditions in one another", id="too deep for us"
        ),
    ],
)
def test_queries(query: object, refusal: str | None) -> None:
    assert json_query.suits_query(HOST, Sought(replace(SPEC, hints={"query": query}))) == refusal


def test_nothing_is_true_of_what_a_host_does_not_tell() -> None:
    query = '["or", ["=", "$cpu_info.vendor", "Intel"], ["<", "$cpu_info.cores", 9]]'
    assert json_query.suits_query(SILENT, Sought(replace(SPEC, hints={"query": query}))) == _NO

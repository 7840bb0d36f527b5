"""Whether a server can stay on its host with another image."""

from collections.abc import Mapping

import pytest

from nova_lite.model.flavor import Flavor
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import pipeline, prefilters, staying
from nova_lite.scheduler.pipeline import Entry

HOST = HostState("cell", "host1", "node", "host1.example", is_up=True, is_disabled=False)
HELD = {"node": {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}}
FLAVOR = Flavor("1", "tiny", 1, 64, 1)
IMAGES_ONLY: Mapping[str, Entry] = {
    **pipeline.ALWAYS,
    "ImageProperties": Entry(lambda host, sought: "refused", "unable to run such images"),
}


def refusal(
    properties: dict[str, str],
    *,
    traits: set[str] | None = None,
    filters: Mapping[str, Entry] = pipeline.ALWAYS,
    flavor: Flavor = FLAVOR,
    disk_format: str | None = None,
) -> str | None:
    spec = RequestSpec("demo", "alice", flavor, "image", properties, image_disk_format=disk_format)
    return staying.refusal(
        spec, HOST, {"node": traits or set()}, HELD, filters=filters, prefilters_on=prefilters.PREFILTERS
    )


def test_what_suits_may_stay() -> None:
    assert refusal({}) is None
    assert refusal({"trait:CUSTOM_GOLD": "required"}, traits={"CUSTOM_GOLD"}) is None
    assert refusal({}, disk_format="qcow2", traits={"COMPUTE_IMAGE_TYPE_QCOW2"}) is None


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        pytest.param({"trait:CUSTOM_GOLD": "required"}, "does not have CUSTOM_GOLD", id="trait"),
        pytest.param({"trait:CUSTOM_GOLD": "maybe"}, "not required", id="nonsense"),
        pytest.param({"hw_disk_bus": "scsi"}, "COMPUTE_STORAGE_BUS_SCSI", id="hardware"),
        pytest.param({"hw_cpu_policy": "dedicated"}, "other resources", id="other resources"),
        pytest.param({"hw_numa_nodes": "2"}, "hw_numa_nodes", id="what no host does"),
    ],
)
def test_what_does_not_suit_is_told(properties: dict[str, str], words: str) -> None:
    assert words in str(refusal(properties))


def test_an_image_of_a_kind_the_host_does_not_take_is_refused() -> None:
    assert "IMAGE_TYPE_VHD" in str(refusal({}, disk_format="vhd"))


def test_filters_for_images_are_asked_and_no_others() -> None:
    assert refusal({}, filters=IMAGES_ONLY) == "Its host is unable to run such images."

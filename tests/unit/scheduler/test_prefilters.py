"""What each pre-filter adds to the question put to Placement."""

from dataclasses import replace
from typing import Any

import pytest

from nova_lite import config
from nova_lite.model.flavor import Flavor
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import prefilters, request
from nova_lite.scheduler.prefilters import PREFILTERS, Aggregate, Asked, Unfit
from nova_lite.scheduler.request import Query

AGGREGATES = {
    "east-1": Aggregate("east-1", {"availability_zone": "east"}),
    "east-2": Aggregate("east-2", {"availability_zone": "east", "filter_tenant_id": "mine"}),
    "shared": Aggregate("shared", {"filter_tenant_id": "other", "filter_tenant_id:2": "other, mine"}),
    "windows": Aggregate("windows", {"trait:CUSTOM_WINDOWS": "required"}),
    "fast": Aggregate("fast", {"trait:CUSTOM_WINDOWS": "required", "trait:CUSTOM_FAST": "required"}),
    "noted": Aggregate("noted", {"trait:CUSTOM_NOTED": "yes"}),
}


def asked(extra_specs: dict[str, str] | None = None, properties: dict[str, str] | None = None, **spec: Any) -> Asked:
    flavor = Flavor("1", "tiny", 1, 512, 1, extra_specs=extra_specs or {})
    wanted = RequestSpec("mine", "user", flavor, "image", image_properties=properties or {}, **spec)
    return Asked(wanted, request.needs(flavor, wanted.image_properties), AGGREGATES)


def added(name: str, wanted: Asked) -> Query:
    """Return what a pre-filter adds to the query."""
    found = PREFILTERS[name].add(wanted)
    return {} if found is None else request.restricting([found])


@pytest.mark.parametrize(
    ("name", "wanted", "query"),
    [
        pytest.param("WantedHost", asked(), {}, id="no host named"),
        pytest.param(
            "WantedHost", replace(asked(wanted_host="host1"), node="node-1"), {"in_tree": "node-1"}, id="a host named"
        ),
        pytest.param("AvailabilityZone", asked(), {}, id="no zone named"),
        pytest.param("AvailabilityZone", asked(availability_zone="nova"), {}, id="the default zone"),
        pytest.param(
            "AvailabilityZone", asked(availability_zone="east"), {"member_of": ["in:east-1,east-2"]}, id="a zone"
        ),
        pytest.param("Enabled", asked(), {"root_required": "!COMPUTE_STATUS_DISABLED"}, id="always"),
        pytest.param("TenantAggregates", asked(), {"member_of": ["in:east-2,shared"]}, id="a project's aggregates"),
        pytest.param(
            "TenantAggregates",
            replace(asked(), spec=replace(asked().spec, project_id="nobody")),
            {},
            id="a project without aggregates",
        ),
        pytest.param("IsolatedAggregates", asked(), {"member_of": ["!in:fast,windows"]}, id="no trait asked"),
        pytest.param(
            "IsolatedAggregates",
            asked({"trait:CUSTOM_WINDOWS": "required"}),
            {"member_of": ["!in:fast"]},
            id="one of two traits asked",
        ),
        pytest.param(
            "IsolatedAggregates",
            asked({"trait1:CUSTOM_WINDOWS": "required"}, {"trait:CUSTOM_FAST": "required"}),
            {},
            id="all traits asked, by a group and by the image",
        ),
        pytest.param("ImageType", asked(), {}, id="no image"),
        pytest.param(
            "ImageType",
            asked(image_disk_format="qcow2"),
            {"root_required": "COMPUTE_IMAGE_TYPE_QCOW2"},
            id="an image's format",
        ),
        pytest.param("ImageHardware", asked(properties={"hw_qemu_guest_agent": "yes"}), {}, id="no hardware"),
        pytest.param(
            "ImageHardware",
            asked(
                properties={
                    "hw_disk_bus": "scsi",
                    "hw_cdrom_bus": "ide",
                    "hw_vif_model": "e1000e",
                    "hw_video_model": "vga",
                }
            ),
            {
                "root_required": "COMPUTE_GRAPHICS_MODEL_VGA,COMPUTE_NET_VIF_MODEL_E1000E,COMPUTE_STORAGE_BUS_IDE,"
                "COMPUTE_STORAGE_BUS_SCSI"
            },
            id="an image's hardware",
        ),
        pytest.param(
            "ImageHardware",
            asked(properties={"hw_architecture": "x86_64", "hw_emulation_architecture": "aarch64"}),
            {"root_required": "COMPUTE_ARCH_AARCH64,HW_ARCH_X86_64"},
            id="an image's architectures",
        ),
        pytest.param("ImageHardware", asked(properties={"hw_video_model": "auto"}), {}, id="what no trait speaks of"),
        pytest.param("Accelerators", asked(), {}, id="no accelerator"),
        pytest.param(
            "Accelerators",
            asked({"accel:device_profile": "gpu"}),
            {"root_required": "COMPUTE_ACCELERATORS"},
            id="an accelerator",
        ),
        pytest.param("PackedVirtqueue", asked({"hw:virtio_packed_ring": "false"}), {}, id="no packed virtqueue"),
        pytest.param(
            "PackedVirtqueue",
            asked(properties={"hw_virtio_packed_ring": "True"}),
            {"root_required": "COMPUTE_NET_VIRTIO_PACKED"},
            id="packed virtqueues for the image",
        ),
        pytest.param("EphemeralEncryption", asked({"hw:ephemeral_encryption_format": "luks"}), {}, id="no encryption"),
        pytest.param(
            "EphemeralEncryption",
            asked({"hw:ephemeral_encryption": "true", "hw:ephemeral_encryption_format": "luks"}),
            {"root_required": "COMPUTE_EPHEMERAL_ENCRYPTION,COMPUTE_EPHEMERAL_ENCRYPTION_LUKS"},
            id="encryption in a format",
        ),
        pytest.param("VirtioSound", asked({"hw:sound_model": "ich9"}), {}, id="other sound"),
        pytest.param(
            "VirtioSound",
            asked(properties={"hw_sound_model": "virtio"}),
            {"root_required": "COMPUTE_SOUND_MODEL_VIRTIO"},
            id="virtio sound",
        ),
        pytest.param("TpmSecrets", asked({"hw:tpm_secret_security": "host"}), {}, id="no TPM"),
        pytest.param(
            "TpmSecrets",
            asked({"hw:tpm_version": "2.0"}),
            {"root_required": "COMPUTE_SECURITY_TPM_SECRET_SECURITY_USER"},
            id="a TPM whose secret is its user's",
        ),
        pytest.param(
            "TpmSecrets",
            asked({"hw:tpm_secret_security": "deployment"}, {"hw_tpm_version": "1.2"}),
            {"root_required": "COMPUTE_SECURITY_TPM_SECRET_SECURITY_DEPLOYMENT"},
            id="a TPM whose secret is the deployment's",
        ),
        pytest.param("SecureBoot", asked({"os:secure_boot": "disabled"}), {}, id="signed or not"),
        pytest.param(
            "SecureBoot",
            asked({}, {"os_secure_boot": "required"}),
            {"root_required": "COMPUTE_SECURITY_UEFI_SECURE_BOOT"},
            id="only what is signed",
        ),
        pytest.param(
            "Viommu",
            asked({"hw:viommu_model": "virtio"}),
            {"root_required": "COMPUTE_VIOMMU_MODEL_VIRTIO"},
            id="a virtual IOMMU",
        ),
        pytest.param("SharedVolumes", asked(), {}, id="volumes of one server alone"),
        pytest.param(
            "SharedVolumes",
            asked(shares_volumes=True),
            {"root_required": "COMPUTE_VOLUME_MULTI_ATTACH"},
            id="volumes of several servers",
        ),
        pytest.param("MemoryBinding", asked({"hw:cpu_realtime": "no"}), {}, id="no real time"),
    ],
)
def test_what_is_added(name: str, wanted: Asked, query: Query) -> None:
    assert added(name, wanted) == query


@pytest.mark.parametrize(
    ("name", "wanted", "why"),
    [
        (
            "TenantAggregates",
            replace(asked(), spec=replace(asked().spec, project_id="nobody"), must_have_aggregate=True),
            "No hosts are for this project",
        ),
        (
            "ImageType",
            asked(image_disk_format="docker"),
            "taking docker images: there is no trait COMPUTE_IMAGE_TYPE_DOC",
        ),
        ("TpmSecrets", asked({"hw:tpm_version": "2.0", "hw:tpm_secret_security": "moon"}), "no trait .*_MOON"),
        ("Viommu", asked({"hw:viommu_model": "moon"}), "no trait .*_MOON"),
        ("MemoryBinding", asked({"hw:numa_nodes": "2"}), "which hw:numa_nodes asks for"),
        ("MemoryBinding", asked({}, {"hw_mem_page_size": "large"}), "which hw_mem_page_size asks for"),
        ("MemoryBinding", asked({"hw:cpu_realtime": "yes"}), "which hw:cpu_realtime asks for"),
    ],
)
def test_what_no_host_can_be_is_refused_at_once(name: str, wanted: Asked, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        PREFILTERS[name].add(wanted)


def test_by_default_those_run_that_change_nothing_for_plain_requests() -> None:
    running = prefilters.enabled(config.load(files=[]).scheduler)
    assert running == [name for name, rule in PREFILTERS.items() if rule.option is None]
    assert prefilters.restrictions(asked(image_disk_format="vmdk"), running).keys() == {"Enabled"}


def test_who_names_a_host_by_zone_passes_rules_and_not_what_a_host_cannot_do() -> None:
    wanted = replace(
        asked({"accel:device_profile": "gpu"}, image_disk_format="raw", wanted_host="host1", skips_filters=True),
        node="n",
    )
    found = prefilters.restrictions(wanted, PREFILTERS)
    assert found.keys() == {"WantedHost", "ImageType", "Accelerators"}


def test_what_filters_look_at_again_can_be_left_out() -> None:
    wanted = replace(asked(availability_zone="east", wanted_host="host1"), node="n")
    found = prefilters.restrictions(wanted, PREFILTERS)
    kept = prefilters.without_checked(found)
    assert found.keys() - kept.keys() == {"WantedHost", "AvailabilityZone"}
    assert kept.keys() == {"Enabled", "TenantAggregates", "IsolatedAggregates"}

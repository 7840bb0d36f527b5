"""Needs that are not the flavor's size: what rules of the cloud, the image and the place asked for add to the question
put to Placement. Pure.

A pre-filter returns the restriction it adds, or None; it raises Unfit when no host can do. Hosts it excludes are never
named by Placement, so pre-filters cost nothing, however many hosts there are.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import os_traits

from nova_lite.errors import Invalid
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.guest_needs import is_true, wish
from nova_lite.scheduler.request import Needs, Restriction

#: Metadata of aggregates for certain projects: this key, with any ending.
TENANTS = "filter_tenant_id"
#: What hosts have whose service an operator disabled.
DISABLED = os_traits.COMPUTE_STATUS_DISABLED
_KNOWN_TRAITS = frozenset(os_traits.get_traits())
#: Image property → the beginning of the trait that its value is the end of.
_IMAGE_TRAITS = {
    "hw_architecture": "HW_ARCH",
    "hw_cdrom_bus": "COMPUTE_STORAGE_BUS",
    "hw_disk_bus": "COMPUTE_STORAGE_BUS",
    "hw_emulation_architecture": "COMPUTE_ARCH",
    "hw_video_model": "COMPUTE_GRAPHICS_MODEL",
    "hw_vif_model": "COMPUTE_NET_VIF_MODEL",
}
#: What flavors and images say to have a guest bound to cells of the host's memory, or to pages of a size.
_BINDING = re.compile(r"hw[:_](numa_nodes|numa_cpus\.\d+|numa_mem\.\d+|mem_page_size|cpu_realtime)")


class Unfit(Invalid):
    """A request that no host can take, whichever there are."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A host aggregate: its name and what operators noted of it."""

    name: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """A request, with what had to be looked up for it: UUID → aggregate, and the only node that will do, if known.

    ``must_have_aggregate``: projects without an aggregate of their own get no host.
    """

    spec: RequestSpec
    needs: Needs
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    node: str | None = None
    must_have_aggregate: bool = False


PreFilter = Callable[[Asked], Restriction | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a pre-filter runs: always, or with ``option`` of ``[scheduler]``.

    ``is_passable``: an administrator who names a host by zone passes it. ``is_checked``: a filter looks again at what
    Placement names, so that it may be asked without, when it knows too little. ``reads_aggregates``: it wants to know
    the cloud's aggregates.
    """

    add: PreFilter
    option: str | None = None
    is_passable: bool = False
    is_checked: bool = False
    reads_aggregates: bool = False


def in_wanted_tree(asked: Asked) -> Restriction | None:
    """Look at the host asked for alone."""
    if asked.node is None:
        return None
    name = asked.spec.wanted_host or asked.spec.wanted_node
    return Restriction(f"being {name}", f"is not {name}", f"are not {name}", node=asked.node)


def in_zone(asked: Asked) -> Restriction | None:
    """Look at hosts in the aggregates of the zone asked for; the default zone has none."""
    zone = asked.spec.availability_zone
    found = {uuid for uuid, one in asked.aggregates.items() if one.metadata.get("availability_zone") == zone}
    if zone is None or not found:
        return None
    where = f"in zone {zone}"
    return Restriction(where, f"is not {where}", f"are not {where}", one_of=frozenset(found))


def for_tenant(asked: Asked) -> Restriction | None:
    """Keep projects to the aggregates that name them in their metadata ``filter_tenant_id…``."""
    project = asked.spec.project_id
    found = {uuid for uuid, one in asked.aggregates.items() if project in _tenants(one.metadata)}
    if found:
        where = "in the aggregates of its project"
        return Restriction("for this project", f"is not {where}", f"are not {where}", one_of=frozenset(found))
    if asked.must_have_aggregate:
        raise Unfit("No hosts are for this project: no aggregate names it.")
    return None


def not_isolated(asked: Asked) -> Restriction | None:
    """Keep out of aggregates with ``trait:NAME=required`` in their metadata those who do not ask for all these."""
    found = {uuid for uuid, one in asked.aggregates.items() if _isolating(one.metadata) - asked.needs.required}
    if not found:
        return None
    where = "in an aggregate for servers with other traits"
    return Restriction("outside isolated aggregates", f"is {where}", f"are {where}", none_of=frozenset(found))


def takes_image(asked: Asked) -> Restriction | None:
    """Ask for hosts that can use the image's disk format."""
    disk_format = asked.spec.image_disk_format
    if not disk_format:
        return None
    return _having({f"COMPUTE_IMAGE_TYPE_{_word(disk_format)}"}, f"taking {disk_format} images")


def suits_image_hardware(asked: Asked) -> Restriction | None:
    """Ask for hosts that have the hardware which properties of the image name."""
    properties = asked.spec.image_properties
    traits = {f"{start}_{_word(properties[key])}" for key, start in _IMAGE_TRAITS.items() if properties.get(key)}
    # What no trait speaks of, such as "auto", cannot be asked for.
    return _having(traits & _KNOWN_TRAITS, "with the hardware the image wants")


def is_enabled(asked: Asked) -> Restriction:
    """Leave out hosts that operators disabled."""
    return Restriction("", "is disabled", "are disabled", asks="not disabled", forbidden=frozenset({DISABLED}))


def has_accelerators(asked: Asked) -> Restriction | None:
    """Ask for hosts that attach accelerators, for flavors with a device profile."""
    wanted = asked.spec.flavor.extra_specs.get("accel:device_profile")
    return _having({os_traits.COMPUTE_ACCELERATORS}, "with accelerators") if wanted else None


def packs_virtqueues(asked: Asked) -> Restriction | None:
    """Ask for hosts with packed virtqueues, where flavor or image want them."""
    wanted = is_true(_wish(asked, "virtio_packed_ring"))
    return _having({os_traits.COMPUTE_NET_VIRTIO_PACKED}, "with packed virtqueues") if wanted else None


def encrypts_disks(asked: Asked) -> Restriction | None:
    """Ask for hosts that encrypt local disks, in the format wanted, where flavor or image want that."""
    if not is_true(_wish(asked, "ephemeral_encryption")):
        return None
    traits = {os_traits.COMPUTE_EPHEMERAL_ENCRYPTION}
    disk_format = _wish(asked, "ephemeral_encryption_format")
    if disk_format:
        traits.add(f"{os_traits.COMPUTE_EPHEMERAL_ENCRYPTION}_{_word(disk_format)}")
    return _having(traits, "encrypting local disks")


def plays_virtio_sound(asked: Asked) -> Restriction | None:
    """Ask for hosts with virtio sound, where flavor or image want it."""
    wanted = _wish(asked, "sound_model") == "virtio"
    return _having({os_traits.COMPUTE_SOUND_MODEL_VIRTIO}, "with virtio sound") if wanted else None


def keeps_tpm_secrets(asked: Asked) -> Restriction | None:
    """Ask for hosts that keep the secret of a virtual TPM as the flavor says, where flavor or image want a TPM."""
    if _wish(asked, "tpm_version") is None:
        return None
    how = asked.spec.flavor.extra_specs.get("hw:tpm_secret_security", "user")
    return _having({f"COMPUTE_SECURITY_TPM_SECRET_SECURITY_{_word(how)}"}, f"keeping TPM secrets for the {how}")


def boots_securely(asked: Asked) -> Restriction | None:
    """Ask for hosts whose firmware boots only what is signed, where flavor or image require that."""
    spec = asked.spec
    said = spec.flavor.extra_specs.get("os:secure_boot") or spec.image_properties.get("os_secure_boot")
    return _having({os_traits.COMPUTE_SECURITY_UEFI_SECURE_BOOT}, "with secure boot") if said == "required" else None


def has_viommu(asked: Asked) -> Restriction | None:
    """Ask for hosts with the model of virtual IOMMU that flavor or image name."""
    model = _wish(asked, "viommu_model")
    return _having({f"COMPUTE_VIOMMU_MODEL_{_word(model)}"}, "with such a virtual IOMMU") if model else None


def shares_volumes(asked: Asked) -> Restriction | None:
    """Ask for hosts whose guests can share volumes, for servers with volumes that others may have, too."""
    wanted = asked.spec.shares_volumes
    return _having({os_traits.COMPUTE_VOLUME_MULTI_ATTACH}, "sharing volumes") if wanted else None


def is_bound_nowhere(asked: Asked) -> None:
    """Refuse what no host does yet, rather than boot a guest without it: binding it to cells or pages of memory."""
    said = {**asked.spec.image_properties, **asked.spec.flavor.extra_specs}
    for name in sorted(name for name in said if _BINDING.fullmatch(name)):
        if name.endswith("cpu_realtime") and not is_true(said[name]):
            continue
        raise Unfit(f"No host binds guests to cells or pages of its memory, which {name} asks for.")


#: Name → when it runs, in the order in which they are told of.
PREFILTERS: Mapping[str, Rule] = {
    "WantedHost": Rule(in_wanted_tree, is_checked=True),
    "AvailabilityZone": Rule(in_zone, is_checked=True, reads_aggregates=True),
    "Enabled": Rule(is_enabled, is_passable=True),
    "TenantAggregates": Rule(
        for_tenant, "limit_tenants_to_placement_aggregate", is_passable=True, reads_aggregates=True
    ),
    "IsolatedAggregates": Rule(
        not_isolated, "enable_isolated_aggregate_filtering", is_passable=True, reads_aggregates=True
    ),
    "ImageType": Rule(takes_image, "query_placement_for_image_type_support"),
    "ImageHardware": Rule(suits_image_hardware, "image_metadata_prefilter"),
    "Accelerators": Rule(has_accelerators),
    "PackedVirtqueue": Rule(packs_virtqueues),
    "EphemeralEncryption": Rule(encrypts_disks),
    "VirtioSound": Rule(plays_virtio_sound),
    "TpmSecrets": Rule(keeps_tpm_secrets),
    "SecureBoot": Rule(boots_securely),
    "Viommu": Rule(has_viommu),
    "SharedVolumes": Rule(shares_volumes),
    "MemoryBinding": Rule(is_bound_nowhere),
}


def enabled(options: Mapping[str, bool]) -> list[str]:
    """Return the pre-filters to run, by the options of ``[scheduler]``."""
    return [name for name, rule in PREFILTERS.items() if rule.option is None or options[rule.option]]


def restrictions(asked: Asked, running: Iterable[str]) -> dict[str, Restriction]:
    """Return what each of the pre-filters ``running`` adds, of those that add something; raises Unfit."""
    found: dict[str, Restriction] = {}
    for name in running:
        rule = PREFILTERS[name]
        if asked.spec.skips_filters and rule.is_passable:
            continue
        added = rule.add(asked)
        if added is not None:
            found[name] = added
    return found


def without_checked(restricted: Mapping[str, Restriction]) -> dict[str, Restriction]:
    """Return the restrictions that no filter looks at again."""
    return {name: each for name, each in restricted.items() if not PREFILTERS[name].is_checked}


def _tenants(metadata: Mapping[str, str]) -> set[str]:
    named = (value for key, value in metadata.items() if key.startswith(TENANTS))
    return {tenant.strip() for value in named for tenant in value.split(",")}


def _isolating(metadata: Mapping[str, str]) -> set[str]:
    wanted = (key for key, value in metadata.items() if value == "required")
    return {key.removeprefix("trait:") for key in wanted if key.startswith("trait:")}


def _having(traits: Iterable[str], words: str) -> Restriction | None:
    """Return the restriction to hosts that have ``traits``; raises Unfit for one that none can have."""
    wanted = frozenset(traits)
    unknown = wanted - _KNOWN_TRAITS
    if unknown:
        raise Unfit(f"No host is {words}: there is no trait {min(unknown)}.")
    named = " and ".join(sorted(wanted))
    return Restriction(words, f"has not the trait {named}", f"have not the trait {named}", wanted) if wanted else None


def _wish(asked: Asked, name: str) -> str | None:
    return wish(asked.spec.flavor, asked.spec.image_properties, name)


def _word(value: str) -> str:
    """Return a value as traits spell it."""
    return value.upper().replace("-", "_").replace(".", "_")

"""Every option of how hosts are chosen; ``config.py`` has the others, and registers these with them."""

from oslo_config import cfg

SCHEDULER_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("max_attempts", default=3, min=1, help="Hosts tried for one build: the chosen one and its alternates."),
    cfg.IntOpt("host_subset_size", default=1, min=1, help="Best hosts among which the winner is drawn."),
    cfg.IntOpt(
        "discover_hosts_in_cells_interval",
        default=-1,
        min=-1,
        help="Seconds between looks for hosts that report to a cell and are mapped to none, which are then mapped. -1 "
        "is never: run nova-lite-manage cell_v2 discover_hosts. The super conductor looks, since schedulers write "
        "nothing.",
    ),
    cfg.IntOpt("max_placement_results", default=1000, min=1, help="Candidates asked of Placement for one request."),
    cfg.BoolOpt(
        "limit_tenants_to_placement_aggregate",
        default=False,
        help="Whether projects named in the metadata filter_tenant_id (with any ending) of aggregates get only hosts "
        "in these. Others get any host.",
    ),
    cfg.BoolOpt(
        "placement_aggregate_required_for_tenants",
        default=False,
        help="Whether, with limit_tenants_to_placement_aggregate, projects that no aggregate names get no host at all.",
    ),
    cfg.BoolOpt(
        "enable_isolated_aggregate_filtering",
        default=False,
        help="Whether hosts in aggregates with trait:NAME=required in their metadata are only for servers whose flavor "
        "or image requires all these traits.",
    ),
    cfg.BoolOpt(
        "query_placement_for_image_type_support",
        default=False,
        help="Whether hosts must say, by a trait, that they can use images of the disk format asked for.",
    ),
    cfg.BoolOpt(
        "image_metadata_prefilter",
        default=False,
        help="Whether hosts must say, by traits, that they have the hardware which properties of the image name: "
        "architecture, buses of disks, models of video, network interface and IOMMU.",
    ),
]


def _weight(name: str, default: float, what: str) -> cfg.Opt:
    return cfg.FloatOpt(
        f"{name}_weight_multiplier", default=default, help=f"{what} 0 ignores it, negative reverses it."
    )


FILTER_SCHEDULER_OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "enabled_filters",
        default=["ComputeCapabilities", "ImageProperties", "SameHost", "DifferentHost", "SimpleCIDRAffinity"],
        help="Filters that hosts must pass besides those that always run (the host wanted, up, enabled, zone, server "
        "group): also AggregateImagePropertiesIsolation, AggregateInstanceExtraSpecs, AggregateIoOps, "
        "AggregateMultiTenancyIsolation, AggregateNumInstances, AggregateTypeAffinity, IoOps, IsolatedHosts, Json, "
        "NumInstances, and what packages register as nova_lite.scheduler.filters.",
    ),
    cfg.IntOpt(
        "max_instances_per_host",
        default=50,
        min=1,
        help="Servers on a host at most, with the filter NumInstances; with AggregateNumInstances unless the host's "
        "aggregates say otherwise.",
    ),
    cfg.IntOpt(
        "max_io_ops_per_host",
        default=8,
        min=0,
        help="Servers that are built, copied or moved on a host at once, at most, with the filter IoOps; with "
        "AggregateIoOps unless the host's aggregates say otherwise.",
    ),
    cfg.StrOpt(
        "image_properties_default_architecture",
        help="Architecture, for the filter ImageProperties, of images that name none; such as x86_64 or aarch64.",
    ),
    cfg.ListOpt("isolated_images", default=[], help="UUIDs of images that IsolatedHosts keeps to its hosts."),
    cfg.ListOpt("isolated_hosts", default=[], help="Names of the hosts of isolated images."),
    cfg.BoolOpt(
        "restrict_isolated_hosts_to_isolated_images",
        default=True,
        help="Whether the filter IsolatedHosts keeps other images off the hosts of isolated ones.",
    ),
    cfg.ListOpt(
        "image_props_weight_setting",
        default=[],
        help="Properties of images, as NAME=NUMBER, that servers on a host may share with the one asked for: what each "
        "such server counts. With none, each property counts 1.",
    ),
    _weight("ram", 1.0, "How much free memory counts for a host: more spreads servers, less packs them."),
    _weight("cpu", 1.0, "How much free vCPUs count for a host."),
    _weight("disk", 1.0, "How much free disk counts for a host."),
    _weight("io_ops", -1.0, "How much servers being built on a host count for it."),
    _weight("num_instances", 0.0, "How much servers on a host count for it: more packs them, less spreads them."),
    _weight("hypervisor_version", 1.0, "How much a newer hypervisor counts for a host."),
    _weight("image_props", 0.0, "How much servers from images with the same properties count for a host."),
    _weight("pci", 1.0, "How much it counts that a host has few PCI devices free: it keeps hosts with many for later."),
    cfg.ListOpt(
        "own_weighers",
        default=[],
        help="Weighers that packages register as nova_lite.scheduler.weighers, as NAME=MULTIPLIER.",
    ),
    _weight("soft_affinity", 10.0, "How much servers of the same soft-affinity group count for a host."),
    _weight("soft_anti_affinity", 10.0, "How much the absence of servers of a soft-anti-affinity group counts."),
    _weight("build_failure", 1000000.0, "How much it counts that no build failed on a host lately."),
]

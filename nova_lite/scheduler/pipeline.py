"""Which filters there are, which of them run, and what each did: pure, but for loading those of others.

Filters that have settings are made with them; those that run know of no configuration.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import NamedTuple

from nova_lite.errors import Misconfigured
from nova_lite.model.host import HostState
from nova_lite.scheduler import aggregates, capabilities, filters, image_needs, isolation, json_query, limits
from nova_lite.scheduler.filters import Filter, Options, Sought

#: Where others register filters of their own: functions like those in ``filters.py``.
ENTRY_POINTS = "nova_lite.scheduler.filters"


class Entry(NamedTuple):
    """A filter; what the hosts it refuses are, for users; and whether it can refuse any, by what is sought alone."""

    refusal: Filter
    words: str
    applies: Callable[[Sought], bool] = lambda _: True


def _hinted(name: str) -> Callable[[Sought], bool]:
    return lambda sought: bool(sought.spec.hints.get(name))


#: Filters that always run, and first.
ALWAYS: Mapping[str, Entry] = {
    "WantedHost": Entry(
        filters.is_wanted,
        "not the host asked for",
        lambda sought: sought.spec.wanted_host is not None or sought.spec.wanted_node is not None,
    ),
    "Move": Entry(
        filters.suits_move, "not where the server can move", lambda sought: sought.spec.within_cell is not None
    ),
    "Up": Entry(filters.is_up, "not reporting"),
    "Enabled": Entry(filters.is_enabled, "disabled"),
    "AvailabilityZone": Entry(
        filters.in_zone, "in another availability zone", lambda sought: sought.spec.availability_zone is not None
    ),
    "ServerGroup": Entry(
        filters.suits_group, "forbidden by the server group's policy", lambda sought: sought.company is not None
    ),
}
#: Filters that run where they are configured.
OPTIONAL: Mapping[str, Entry] = {
    "AggregateImagePropertiesIsolation": Entry(
        aggregates.suits_image, "in aggregates for other images", lambda sought: bool(sought.spec.image_properties)
    ),
    "AggregateInstanceExtraSpecs": Entry(
        aggregates.suits_extra_specs, "in aggregates for other flavors", aggregates.asks_of_aggregates
    ),
    "AggregateMultiTenancyIsolation": Entry(aggregates.is_for_tenant, "in aggregates for other projects"),
    "AggregateTypeAffinity": Entry(aggregates.suits_flavor, "in aggregates for other flavors"),
    "ComputeCapabilities": Entry(
        capabilities.suits_capabilities, "not capable of what the flavor asks", capabilities.asks_capabilities
    ),
    "DifferentHost": Entry(filters.is_different_host, "with servers to be kept away from", _hinted("different_host")),
    "Json": Entry(json_query.suits_query, "not meant by the hint query", _hinted(json_query.HINT)),
    "SameHost": Entry(filters.is_same_host, "not with the servers asked for", _hinted("same_host")),
    "SimpleCIDRAffinity": Entry(filters.is_near, "in another network", _hinted("build_near_host_ip")),
}
#: What operators list that are used to it, and what has that part here.
_COVERED = frozenset({"AllHosts", "AvailabilityZone", "Compute", "ServerGroupAffinity", "ServerGroupAntiAffinity"})
#: What could not be decided, since hosts tell nothing of it.
_UNTOLD = {
    "Metrics": "hosts report no metrics",
    "NUMATopology": "hosts tell their NUMA cells to Placement alone: ask for resources of one with resources1:…",
    "PciPassthrough": "hosts tell their devices to Placement alone: ask for resources of their classes",
}


@dataclass(slots=True)
class Stage:
    """What one filter did: how many hosts entered and left, and why each of the others was refused.

    ``words`` is what the refused are, for users.
    """

    name: str
    entered: int
    left: int
    refused: dict[str, str] = field(default_factory=dict)
    words: str = "refused"


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names of filters without the "Filter" at their end that they may have."""
    return [name.strip().removesuffix("Filter") for name in names]


def with_settings(options: Options) -> dict[str, Entry]:
    """Return the filters that have settings, made with those of ``[filter_scheduler]``."""
    servers, busy = options.max_instances_per_host, options.max_io_ops_per_host
    isolated = isolation.keeps_isolated(
        options.isolated_hosts,
        options.isolated_images,
        for_these_only=options.restrict_isolated_hosts_to_isolated_images,
    )
    default = options.image_properties_default_architecture
    return {
        "AggregateIoOps": Entry(limits.not_busy(busy, by_aggregate=True), "too busy"),
        "AggregateNumInstances": Entry(
            limits.few_servers(servers, by_aggregate=True), "with as many servers as allowed"
        ),
        "ImageProperties": Entry(
            image_needs.suits_image(default),
            "unable to run such images",
            lambda sought: bool(default) or image_needs.asks_of_hypervisor(sought),
        ),
        "IoOps": Entry(limits.not_busy(busy), "too busy"),
        "IsolatedHosts": Entry(isolated, "isolated from such images"),
        "NumInstances": Entry(limits.few_servers(servers), "with as many servers as allowed"),
    }


def enabled(options: Options) -> dict[str, Entry]:
    """Return the filters to run, in their order; their names may end in "Filter", as they do elsewhere.

    Raises Misconfigured naming what is neither ours nor installed.
    """
    optional = {**OPTIONAL, **with_settings(options)}
    found = dict(ALWAYS)
    for name in plain_names(options.enabled_filters):
        if name in optional:
            found[name] = optional[name]
        elif name not in found and name not in _COVERED:
            found[name] = Entry(_installed(name, optional), f"refused by {name}")
    return found


def _installed(name: str, optional: Iterable[str]) -> Filter:
    for entry in metadata.entry_points(group=ENTRY_POINTS, name=name):
        loaded: Filter = entry.load()
        return loaded
    why = _UNTOLD.get(name) or f"known: {', '.join([*ALWAYS, *optional])}"
    raise Misconfigured(f"[filter_scheduler] enabled_filters: {name} is not there ({why})")


def sift(
    hosts: Iterable[HostState], sought: Sought, running: Mapping[str, Entry]
) -> tuple[list[HostState], list[Stage]]:
    """Return the hosts that pass every filter, and what each did that applies to what is sought.

    A request that ``skips_filters`` passes all but ``WantedHost``.
    """
    left = list(hosts)
    stages = []
    for name, (refusal, words, applies) in running.items():
        if not applies(sought) or (sought.spec.skips_filters and name != "WantedHost"):
            continue
        refused = {host.host: why for host in left if (why := refusal(host, sought)) is not None}
        stages.append(Stage(name, len(left), len(left) - len(refused), refused, words))
        if refused:
            left = [host for host in left if host.host not in refused]
    return left, stages


def still_passing(
    hosts: Sequence[HostState], sought: Sought, running: Mapping[str, Entry], *, changed: str
) -> list[HostState]:
    """Return those of ``hosts`` that pass after one more server of the request was placed on the node ``changed``.

    Its group's policy may now forbid any of them; everything else has changed on that one alone.
    """
    if sought.spec.skips_filters:
        return list(hosts)
    left = hosts if sought.company is None else [host for host in hosts if filters.suits_group(host, sought) is None]
    applying = [entry.refusal for entry in running.values() if entry.applies(sought)]
    return [host for host in left if host.node != changed or all(refusal(host, sought) is None for refusal in applying)]

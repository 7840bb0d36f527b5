"""Which filters there are, which of them run, and what each did: pure, but for loading those of others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata

from nova_lite.errors import Misconfigured
from nova_lite.model.host import HostState
from nova_lite.scheduler import aggregates, filters
from nova_lite.scheduler.filters import Filter, Sought

#: Where others register filters of their own: functions like those in ``filters.py``.
ENTRY_POINTS = "nova_lite.scheduler.filters"

#: Filters that always run, and first: name → filter, and what the hosts it refuses are, for users.
ALWAYS: Mapping[str, tuple[Filter, str]] = {
    "WantedHost": (filters.is_wanted, "not the host asked for"),
    "Up": (filters.is_up, "not reporting"),
    "Enabled": (filters.is_enabled, "disabled"),
    "AvailabilityZone": (filters.in_zone, "in another availability zone"),
    "ServerGroup": (filters.suits_group, "forbidden by the server group's policy"),
}
#: Filters that run where they are configured.
OPTIONAL: Mapping[str, tuple[Filter, str]] = {
    "SameHost": (filters.is_same_host, "not with the servers asked for"),
    "DifferentHost": (filters.is_different_host, "with servers to be kept away from"),
    "SimpleCIDRAffinity": (filters.is_near, "in another network"),
    "AggregateInstanceExtraSpecs": (aggregates.suits_extra_specs, "in aggregates for other flavors"),
    "AggregateImagePropertiesIsolation": (aggregates.suits_image, "in aggregates for other images"),
    "AggregateMultiTenancyIsolation": (aggregates.is_for_tenant, "in aggregates for other projects"),
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


def enabled(names: Iterable[str]) -> dict[str, tuple[Filter, str]]:
    """Return the filters to run, in their order; ``names`` may end in "Filter", as they do elsewhere.

    Raises Misconfigured naming what is neither ours nor installed.
    """
    found = dict(ALWAYS)
    for name in (each.removesuffix("Filter") for each in names):
        if name in OPTIONAL:
            found[name] = OPTIONAL[name]
        elif name not in found:
            found[name] = (_installed(name), f"refused by {name}")
    return found


def _installed(name: str) -> Filter:
    for entry in metadata.entry_points(group=ENTRY_POINTS, name=name):
        loaded: Filter = entry.load()
        return loaded
    known = ", ".join([*ALWAYS, *OPTIONAL])
    raise Misconfigured(f"[filter_scheduler] enabled_filters: {name} is not there (known: {known})")


def sift(
    hosts: Iterable[HostState], sought: Sought, running: Mapping[str, tuple[Filter, str]]
) -> tuple[list[HostState], list[Stage]]:
    """Return the hosts that pass every filter, and what each filter did.

    A request that ``skips_filters`` passes all but ``WantedHost``.
    """
    left = list(hosts)
    stages = []
    for name, (refusal, words) in running.items():
        if sought.spec.skips_filters and name != "WantedHost":
            continue
        refused = {host.host: why for host in left if (why := refusal(host, sought)) is not None}
        stages.append(Stage(name, len(left), len(left) - len(refused), refused, words))
        left = [host for host in left if host.host not in refused]
    return left, stages

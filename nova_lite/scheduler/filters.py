"""Which hosts may take a request: pure. A filter returns why not, or None."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec

Filter = Callable[[HostState, RequestSpec], str | None]


def is_up(host: HostState, spec: RequestSpec) -> str | None:
    """Refuse hosts whose agent has gone silent."""
    return None if host.is_up else "its agent does not report"


def is_enabled(host: HostState, spec: RequestSpec) -> str | None:
    """Refuse hosts that an operator disabled."""
    return f"disabled: {host.disabled_reason or 'no reason given'}" if host.is_disabled else None


def in_zone(host: HostState, spec: RequestSpec) -> str | None:
    """Refuse hosts of another availability zone than the one asked for."""
    if spec.availability_zone in (None, host.availability_zone):
        return None
    return f"in zone {host.availability_zone}, {spec.availability_zone} asked"


def is_wanted(host: HostState, spec: RequestSpec) -> str | None:
    """Refuse every host but the one an administrator named."""
    if spec.wanted_host is not None and host.host != spec.wanted_host:
        return f"{spec.wanted_host} asked"
    if spec.wanted_node is not None and spec.wanted_node not in (host.node, host.node_name):
        return f"node {spec.wanted_node} asked"
    return None


#: Name → filter, and what the hosts it refuses are, for users; in the order they run.
#: A request that ``skips_filters`` passes all but ``WantedHost``.
FILTERS: dict[str, tuple[Filter, str]] = {
    "WantedHost": (is_wanted, "not the host asked for"),
    "Up": (is_up, "not reporting"),
    "Enabled": (is_enabled, "disabled"),
    "AvailabilityZone": (in_zone, "in another availability zone"),
}


@dataclass(slots=True)
class Stage:
    """What one filter did: how many hosts entered and left, and why each of the others was refused."""

    name: str
    entered: int
    left: int
    refused: dict[str, str] = field(default_factory=dict)


def sift(hosts: Iterable[HostState], spec: RequestSpec) -> tuple[list[HostState], list[Stage]]:
    """Return the hosts that pass every filter, and what each filter did."""
    left = list(hosts)
    stages = []
    for name, (refusal, _) in FILTERS.items():
        if spec.skips_filters and name != "WantedHost":
            continue
        refused = {host.host: why for host in left if (why := refusal(host, spec)) is not None}
        stages.append(Stage(name, len(left), len(left) - len(refused), refused))
        left = [host for host in left if host.host not in refused]
    return left, stages

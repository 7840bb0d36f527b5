"""Filters for how many servers a host may have, and how many may be busy with its disks: pure."""

from nova_lite.model.host import HostState
from nova_lite.scheduler.filters import Filter, Sought


def few_servers(most: int, *, by_aggregate: bool = False) -> Filter:
    """Return the filter that refuses hosts with ``most`` servers, or as many as the host's aggregates say."""

    def refusal(host: HostState, sought: Sought) -> str | None:
        allowed = _allowed(host, "max_instances_per_host", most) if by_aggregate else most
        if host.num_instances < allowed:
            return None
        return f"servers there: {host.num_instances}, allowed: {allowed}"

    return refusal


def not_busy(most: int, *, by_aggregate: bool = False) -> Filter:
    """Return the filter that refuses hosts with ``most`` servers being built or copied, or as its aggregates say."""

    def refusal(host: HostState, sought: Sought) -> str | None:
        allowed = _allowed(host, "max_io_ops_per_host", most) if by_aggregate else most
        if host.building < allowed:
            return None
        return f"servers being built or copied there: {host.building}, allowed: {allowed}"

    return refusal


def _allowed(host: HostState, name: str, default: int) -> int:
    return int(host.aggregate_numbers.get(name, default))

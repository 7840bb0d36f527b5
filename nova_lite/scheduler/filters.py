"""Which hosts may take a request: pure. A filter returns why not, or None."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.server_group import Company

T = TypeVar("T")


@dataclass(frozen=True)
class Sought:
    """A request with what had to be looked up for it: the company its servers keep, and the hosts of those it names.

    What filters work out of a request alone they keep with it, since they look at thousands of hosts.
    """

    spec: RequestSpec
    company: Company | None = None
    hosts_of: Mapping[str, str] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: str, work_out: Callable[[RequestSpec], T]) -> T:
        """Return what ``work_out`` makes of the request; it is asked once."""
        if name not in self._kept:
            self._kept[name] = work_out(self.spec)
        kept: T = self._kept[name]
        return kept

    @cached_property
    def same_hosts(self) -> frozenset[str] | None:
        """The hosts of the servers in the hint ``same_host``; None when it is not given."""
        return self._hosts_hinted("same_host")

    @cached_property
    def different_hosts(self) -> frozenset[str] | None:
        """The hosts of the servers in the hint ``different_host``; None when it is not given."""
        return self._hosts_hinted("different_host")

    @cached_property
    def near(self) -> "ipaddress.IPv4Network | ipaddress.IPv6Network | str | None":
        """The network of the hints ``build_near_host_ip`` and ``cidr`` (default /24); what they say if it is none."""
        near, mask = self.spec.hints.get("build_near_host_ip"), self.spec.hints.get("cidr", "/24")
        if not near:
            return None
        try:
            return ipaddress.ip_network(f"{near}{mask}", strict=False)
        except ValueError:
            return f"{near}{mask}"

    def _hosts_hinted(self, hint: str) -> frozenset[str] | None:
        named = servers_hinted(self.spec, hint)
        return frozenset(self.hosts_of[uuid] for uuid in named if uuid in self.hosts_of) if named else None


Filter = Callable[[HostState, Sought], str | None]
#: A group of options, read by their names.
Options = Any


def servers_hinted(spec: RequestSpec, hint: str) -> list[str]:
    """Return the servers that a hint names, one or a list of them."""
    value = spec.hints.get(hint)
    named = value if isinstance(value, list) else [value] if value else []
    return [str(each) for each in named]


def is_up(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts whose agent has gone silent."""
    return None if host.is_up else "its agent does not report"


def is_enabled(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts that an operator disabled."""
    return f"disabled: {host.disabled_reason or 'no reason given'}" if host.is_disabled else None


def in_zone(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts of another availability zone than the one asked for."""
    zone = sought.spec.availability_zone
    return None if zone in (None, host.availability_zone) else f"in zone {host.availability_zone}, {zone} asked"


def is_wanted(host: HostState, sought: Sought) -> str | None:
    """Refuse every host but the one an administrator named."""
    spec = sought.spec
    if spec.wanted_host is not None and host.host != spec.wanted_host:
        return f"{spec.wanted_host} asked"
    if spec.wanted_node is not None and spec.wanted_node not in (host.node, host.node_name):
        return f"node {spec.wanted_node} asked"
    return None


def suits_move(host: HostState, sought: Sought) -> str | None:
    """Refuse, to a server that moves, hosts outside its cell and those it shall leave."""
    if sought.spec.within_cell not in (None, host.cell_id):
        return "in another cell than the server"
    return "the server is there" if host.host in sought.spec.not_on else None


def suits_group(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts that the policy of the server's group forbids."""
    return None if sought.company is None else sought.company.refusal(host.host)


def is_same_host(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts other than those of the servers in the hint ``same_host``."""
    hosts = sought.same_hosts
    return None if hosts is None or host.host in hosts else "not with the servers asked for"


def is_different_host(host: HostState, sought: Sought) -> str | None:
    """Refuse the hosts of the servers in the hint ``different_host``."""
    hosts = sought.different_hosts
    return "with a server to be kept away from" if hosts is not None and host.host in hosts else None


def is_near(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts outside the network that the hints ``build_near_host_ip`` and ``cidr`` describe."""
    near = sought.near
    if near is None:
        return None
    if isinstance(near, str):
        return f"{near} and {host.host_ip} are not both addresses"
    try:
        return None if ipaddress.ip_address(host.host_ip) in near else f"its address is not in {near}"
    except ValueError:
        return f"{near} and {host.host_ip} are not both addresses"

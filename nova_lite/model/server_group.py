"""Server groups: servers to be kept together or apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"
SOFT_AFFINITY, SOFT_ANTI_AFFINITY = "soft-affinity", "soft-anti-affinity"


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """A group; ``rules`` say more about its policy (``max_server_per_host``), ``members`` are its living servers."""

    uuid: str
    project_id: str
    user_id: str
    name: str
    policy: str
    rules: Mapping[str, int]
    created_at: datetime
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Company:
    """A group as whoever places its servers sees it; ``hosts`` says how many of its servers have a place where.

    ``spares`` says how many of them may yet be moved where, for they are being built. A server whose move may still be
    reverted has two places; the hosts it would go back to are the ``ways_back``.
    """

    policy: str
    max_per_host: int = 1
    hosts: Mapping[str, int] = field(default_factory=dict)
    spares: Mapping[str, int] = field(default_factory=dict)
    ways_back: frozenset[str] = frozenset()

    def refusal(self, host: str) -> str | None:
        """Return why the policy forbids one more server on ``host``, or None."""
        there = self.hosts.get(host, 0)
        if self.policy == ANTI_AFFINITY and there >= self.max_per_host:
            return f"{there} of its group there, {self.max_per_host} allowed"
        if self.policy == AFFINITY and self.ways_back:
            return f"its group may yet go back to {min(self.ways_back)}"
        if self.policy == AFFINITY and self.hosts and not there:
            return f"its group is on {min(self.hosts)}"
        return None

    def is_contested(self, host: str) -> bool:
        """Return whether one more server on ``host`` might break the policy, should others of the group be moved."""
        if self.policy == ANTI_AFFINITY:
            return host in self.spares and self.hosts.get(host, 0) + self.spares[host] >= self.max_per_host
        return self.policy == AFFINITY and bool(self.spares)

    def may_spare(self, host: str) -> bool:
        """Return whether one of the servers counted may yet be moved to ``host``, wherever the others are moved."""
        if self.policy == ANTI_AFFINITY:
            return self.hosts.get(host, 0) + self.spares.get(host, 0) < self.max_per_host
        return self.policy != AFFINITY or sum(self.hosts.values()) == 1

    def joined_by(self, host: str) -> "Company":
        """Return the group with one more server on ``host``."""
        return replace(self, hosts={**self.hosts, host: self.hosts.get(host, 0) + 1})

    def with_spare(self, host: str) -> "Company":
        """Return the group with one of its servers that may yet be moved to ``host``."""
        return replace(self, spares={**self.spares, host: self.spares.get(host, 0) + 1})


@dataclass(frozen=True, slots=True)
class Building:
    """A server of a group that was being built when it was last seen: on ``host``, or moved to one of ``spares``.

    ``cell_uuid`` is None until it is handed to its cell; from then on only the cell can tell where it is.
    """

    instance_uuid: str
    cell_uuid: str | None
    host: str
    spares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Whether servers got their places, and which ``spares`` each (by UUID) may be moved to.

    If not, ``contested`` are the spares that stand in the way: with whom, and which hosts; when there are none, others
    of the group have taken the places themselves.
    """

    is_settled: bool
    spares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contested: tuple[tuple[Building, tuple[str, ...]], ...] = ()

"""Server groups: servers to be kept together or apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """A group as whoever places its servers sees it; ``hosts`` says how many of its servers have a place where."""

    policy: str
    max_per_host: int = 1
    hosts: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_strict(self) -> bool:
        """Return whether the policy may never be broken."""
        return self.policy in (AFFINITY, ANTI_AFFINITY)

    def refusal(self, host: str) -> str | None:
        """Return why the policy forbids one more server on ``host``, or None."""
        there = self.hosts.get(host, 0)
        if self.policy == ANTI_AFFINITY and there >= self.max_per_host:
            return f"{there} of its group there, {self.max_per_host} allowed"
        if self.policy == AFFINITY and self.hosts and not there:
            return f"its group is on {min(self.hosts)}"
        return None

    def joined_by(self, host: str) -> "Company":
        """Return the group with one more server on ``host``."""
        return Company(self.policy, self.max_per_host, {**self.hosts, host: self.hosts.get(host, 0) + 1})

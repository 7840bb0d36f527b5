"""Server groups: servers to be kept together or apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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

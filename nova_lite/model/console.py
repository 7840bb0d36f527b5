"""Consoles of servers: their kinds, and where a host has one. Values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_lite.model.plain import known

#: What clients call a kind of console → by which protocol it speaks. Other kinds are known, and nobody has them.
PROTOCOLS: Mapping[str, str] = {
    "novnc": "vnc",
    "serial": "serial",
    "spice-direct": "spice",
    "spice-html5": "spice",
}


@known
@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running guest's console listens on its host; ``tls_port`` for those who speak TLS, if any."""

    port: int
    tls_port: int | None = None


@known
@dataclass(frozen=True, slots=True)
class Console:
    """A console as its host tells of it: where proxies reach it, and what its users are given with a token."""

    kind: str
    host: str
    port: int
    base_url: str
    tls_port: int | None = None


@dataclass(frozen=True, slots=True)
class ConsoleToken:
    """What a token stands for: a console of an instance, while that is on ``instance_host`` at ``epoch``.

    ``expires_at`` is naive UTC. The token itself is kept nowhere.
    """

    instance_uuid: str
    instance_host: str
    epoch: int
    console: Console
    expires_at: datetime

    def leads_to(self, console: Console) -> bool:
        """Return whether ``console``, as its host tells of it now, is the one that the token was made for."""
        then = self.console
        return (then.kind, then.host, then.port, then.tls_port) == (
            console.kind,
            console.host,
            console.port,
            console.tls_port,
        )

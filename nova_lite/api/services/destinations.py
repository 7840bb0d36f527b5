"""Where a client wants its servers. Pure: who may name hosts, and which hosts there are, is told by who asks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nova_lite import errors


@dataclass(frozen=True)
class Destination:
    """A zone, and for operators a host or a hypervisor: with ``is_forced`` whatever its state.

    None is any; ``node`` is the host name of a hypervisor.
    """

    zone: str | None
    host: str | None
    node: str | None
    is_forced: bool

    def named(self, host: str | None, node: str | None) -> "Destination":
        """Return it with a host and a hypervisor asked for by name; raises Invalid where the zone names one, too."""
        if not (host or node):
            return self
        if self.is_forced:
            raise errors.Invalid("host: availability_zone names a host already")
        return replace(self, host=host, node=node)

    def refuse_unknown(self, zone_of: Mapping[str, str], default_zone: str, *, is_host_known: bool) -> None:
        """Raise Invalid when there is no such place.

        ``zone_of`` is host → zone of the hosts that are in another one than ``default_zone``.
        """
        if self.host is not None:
            if not is_host_known:
                raise errors.Invalid(f"Compute host {self.host} could not be found.")
            if self.zone is not None and zone_of.get(self.host, default_zone) != self.zone:
                raise errors.Invalid(f"Compute host {self.host} is not in availability zone {self.zone}.")
        elif self.zone is not None and self.zone != default_zone and self.zone not in zone_of.values():
            raise errors.Invalid(f"The requested availability zone {self.zone!r} is not available")

    def or_zone(self, zone: str | None) -> "Destination":
        """Return it, or ``zone`` for who wants no place."""
        is_any = self.zone is None and self.host is None and self.node is None
        return replace(self, zone=zone) if is_any else self

    def beside(self, volumes_zone: str | None, default_zone: str) -> "Destination":
        """Return it in the zone that volumes bind the servers to, if any; raises Invalid when it is in another one."""
        if volumes_zone is None:
            return self
        zone = self.zone or default_zone
        if zone != volumes_zone:
            raise errors.Invalid(
                f"The server and its volumes are not in the same availability zone: it is to be in {zone}, "
                f"they are in {volumes_zone}."
            )
        return replace(self, zone=zone)


def parsed(availability_zone: str | None) -> Destination:
    """Return what ``zone[:host[:node]]`` says; who names a host or a node there forces it. Raises Invalid."""
    parts = (availability_zone or "").split(":")
    if len(parts) > 3:
        raise errors.Invalid("availability_zone: write zone, zone:host, zone:host:node or zone::node")
    zone, host, node = (part or None for part in [*parts, "", ""][:3])
    return Destination(zone, host, node, is_forced=host is not None or node is not None)

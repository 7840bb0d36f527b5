"""Availability zones: what aggregates say of the hosts that report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oslo_config import cfg

from nova_lite.api.services.compute_services import INTERNAL_ZONE
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import hosts, zones
from nova_lite.model.host import Service
from nova_lite.storage import Database


@dataclass(frozen=True)
class Zone:
    """A zone is available while one of its hosts is enabled. ``hosts`` is host → binary → service."""

    name: str
    is_available: bool
    hosts: Mapping[str, Mapping[str, Service]] = field(default_factory=dict)


class AvailabilityZoneService:
    """Asks the cells which hosts there are, and the API database which zone each is in."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._fanout = fanout

    def zones(self) -> list[Zone]:
        """Return the zones of compute hosts by name, those that are available first."""
        return self._grouped(self._services(hosts.AGENT))

    def zones_and_internal(self) -> list[Zone]:
        """Return the same, and after the available ones the zone of the services that carry no servers."""
        services = self._services(None)
        found = self._grouped([service for service in services if service.binary == hosts.AGENT])
        others = [service for service in services if service.binary != hosts.AGENT]
        internal = Zone(INTERNAL_ZONE, is_available=True, hosts=_by_host(others))
        available = [zone for zone in found if zone.is_available]
        return [internal, *available, *(zone for zone in found if not zone.is_available)]

    def _services(self, binary: str | None) -> list[Service]:
        def question(cell: OpenCell) -> list[Service]:
            with cell.db.reader() as session:
                return hosts.services(session, down_after_s=self._conf.service_down_time, binary=binary)

        return [service for found in self._fanout.ask(question).found.values() for service in found]

    def _grouped(self, agents: list[Service]) -> list[Zone]:
        with self._api_db.reader() as session:
            zone_of = zones.of_hosts(session)
        members: dict[str, list[Service]] = {}
        for service in agents:
            members.setdefault(zone_of.get(service.host, self._conf.default_availability_zone), []).append(service)
        found = [
            Zone(name, any(not service.is_disabled for service in services), _by_host(services))
            for name, services in members.items()
        ]
        return sorted(found, key=lambda zone: (not zone.is_available, zone.name))


def _by_host(services: list[Service]) -> dict[str, dict[str, Service]]:
    found: dict[str, dict[str, Service]] = {}
    for service in sorted(services, key=lambda service: (service.host, service.binary)):
        found.setdefault(service.host, {})[service.binary] = service
    return found

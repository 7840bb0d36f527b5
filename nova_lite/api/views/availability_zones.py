"""How availability zones look."""

from collections.abc import Sequence

from nova_lite.api.services.availability_zones import Zone
from nova_lite.api.views.fields import timestamp
from nova_lite.model.host import Service


def many(zones: Sequence[Zone], *, with_hosts: bool) -> dict[str, object]:
    """Return the zones, with their hosts only for those who may see them."""
    return {
        "availabilityZoneInfo": [
            {
                "zoneName": zone.name,
                "zoneState": {"available": zone.is_available},
                "hosts": _hosts(zone) if with_hosts and zone.is_available else None,
            }
            for zone in zones
        ]
    }


def _hosts(zone: Zone) -> dict[str, dict[str, dict[str, object]]]:
    return {
        host: {binary: _service(service) for binary, service in services.items()}
        for host, services in zone.hosts.items()
    }


def _service(service: Service) -> dict[str, object]:
    return {
        "active": not service.is_disabled,
        "available": service.is_up,
        "updated_at": timestamp(service.updated_at or service.created_at),
    }

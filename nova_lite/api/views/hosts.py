"""How hosts look."""

from nova_lite.api.services.compute_services import PlacedService
from nova_lite.api.services.hosts import HostUse
from nova_lite.db.repositories.host_occupancy import Share

_BINARY = "nova-"


def line(placed: PlacedService) -> dict[str, str]:
    """Return one service of the list."""
    service = placed.service
    return {"host_name": service.host, "service": service.binary.removeprefix(_BINARY), "zone": placed.zone}


def one(use: HostUse) -> list[dict[str, object]]:
    """Return what there is of a host: all, used now, promised at most, and that project by project."""
    node, shares = use.node, use.shares
    promised = Share(
        sum(share.vcpus for share in shares.values()),
        sum(share.ram_mib for share in shares.values()),
        sum(share.disk_gib for share in shares.values()),
    )
    rows = {
        "(total)": Share(node.vcpus, node.ram_mib, node.disk_gib),
        "(used_now)": Share(node.vcpus_used, node.ram_mib_used, node.disk_gib_used),
        "(used_max)": promised,
        **shares,
    }
    return [{"resource": _resource(node.host, whose, share)} for whose, share in rows.items()]


def _resource(host: str, whose: str, share: Share) -> dict[str, object]:
    return {
        "host": host,
        "project": whose,
        "cpu": share.vcpus,
        "memory_mb": share.ram_mib,
        "disk_gb": share.disk_gib,
    }

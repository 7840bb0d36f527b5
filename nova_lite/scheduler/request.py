"""From a request to the question put to Placement: pure."""

from collections.abc import Mapping

from nova_lite.model.flavor import Flavor
from nova_lite.model.request_spec import RequestSpec


def resources(flavor: Flavor) -> dict[str, int]:
    """Return class → amount that one server of ``flavor`` takes; memory in MiB, disk in GiB."""
    amounts = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.ram_mib, "DISK_GB": flavor.disk_gib}
    return {name: amount for name, amount in amounts.items() if amount > 0}


def candidates_query(spec: RequestSpec, *, limit: int) -> Mapping[str, object]:
    """Return the query of ``GET /allocation_candidates`` for ``spec``."""
    return {
        "resources": ",".join(f"{name}:{amount}" for name, amount in sorted(resources(spec.flavor).items())),
        "limit": limit,
    }


def shortage(spec: RequestSpec) -> str:
    """Return, for users, what no provider could give."""
    wanted = resources(spec.flavor)
    units = {"VCPU": "VCPU", "MEMORY_MB": "MiB of memory", "DISK_GB": "GiB of disk"}
    parts = [f"{wanted[name]} {unit}" for name, unit in units.items() if name in wanted]
    return f"No host has {', '.join(parts)} free."

"""Hosts for stories: two in the first cell and one in the second, conductors in both, the scheduler in cell0."""

from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.model.host import CELL0_UUID
from tests.functional.compute_api.cloud import CELL1, CELL2, Cloud

#: Host → its cell and its compute node.
NODES = {
    "h1": (CELL1, "11110000-0000-4000-8000-000000000001"),
    "h2": (CELL1, "11110000-0000-4000-8000-000000000002"),
    "h3": (CELL2, "22220000-0000-4000-8000-000000000003"),
}
CPU_INFO: dict[str, object] = {"arch": "x86_64", "topology": {"sockets": 1}}


def add_machines(cloud: Cloud) -> None:
    """Let the hosts and services report as they would when they start."""
    for host, (cell_uuid, node) in NODES.items():
        resources = HostResources(8, 16384, 100, "QEMU", 7002000, f"{host}.lan", "192.0.2.1", CPU_INFO)
        with cloud.cells.get(cell_uuid).db.writer() as session:
            hosts.register(session, HostReport(host, node, resources))
        with cloud.api_db.writer() as session:
            mappings.add_host(session, host, cell_uuid)
    for cell_uuid, binary in ((CELL1, "nova-conductor"), (CELL2, "nova-conductor"), (CELL0_UUID, "nova-scheduler")):
        with cloud.cells.get(cell_uuid).db.writer() as session:
            hosts.beat(session, "control", binary)
    cloud.forget_cells()

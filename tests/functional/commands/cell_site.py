"""What stories about cells begin with: cells, hosts and servers in them."""

import json

from nova_lite.db.cell_tables import ComputeNodeRow, ServiceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database
from tests.functional.commands.conftest import Site

UUID = "6bb5f1f0-0000-4000-8000-00000000000{}"


def add_node(database: Database, host: str, number: int) -> None:
    with database.writer() as session:
        session.add(
            ComputeNodeRow(
                uuid=UUID.format(number),
                host=host,
                hypervisor_hostname=f"{host}.example.org",
                hypervisor_type="fake",
                hypervisor_version=1,
                host_ip="127.0.0.1",
                vcpus=1,
                memory_mb=1,
                local_gb=1,
                cpu_info={},
            )
        )


def add_service(database: Database, host: str, binary: str = "nova-compute") -> None:
    with database.writer() as session:
        session.add(ServiceRow(uuid=f"{host:0>36}", host=host, binary=binary, last_seen=0.0))


def add_instance(database: Database, number: int, *, is_deleted: bool = False, host: str | None = None) -> None:
    instance = Instance(
        uuid=UUID.format(number),
        project_id="p",
        user_id="u",
        display_name="vm",
        hostname="vm",
        vm_state=VmState.ACTIVE,
        task_state=None,
        flavor=Flavor("1", "tiny", vcpus=2, ram_mib=512, root_gib=1),
        image_id="",
        host=host,
        created_at=utcnow(),
        updated_at=utcnow(),
    )
    with database.writer() as session:
        instances.add(session, instance)
        if is_deleted:
            instances.mark_deleted(session, instance.uuid)


def cells_of(site: Site) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(site.ok("cell_v2", "list_cells", "-f", "json", "--verbose"))
    return listed


def hosts_of(site: Site) -> list[tuple[str, str]]:
    listed = json.loads(site.ok("cell_v2", "list_hosts", "-f", "json"))
    return [(one["Cell Name"], one["Hostname"]) for one in listed]


def two_cells(synced: Site) -> dict[str, str]:
    """Make two cells with a host each; return name → UUID."""
    uuids = {}
    for number, name in enumerate(("one", "two"), start=1):
        words = ["--transport-url", f"rabbit://h/{name}", "--database_connection", synced.url(name)]
        uuids[name] = synced.ok("cell_v2", "create_cell", "--name", name, *words, "--verbose").strip()
        synced.configure(database=synced.url(name))
        synced.ok("db", "sync", "--local_cell")
        add_node(synced.database(name), f"host-{name}", number)
    synced.configure()
    return uuids

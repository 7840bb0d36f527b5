"""Fills our databases with the described servers, straight into the tables."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from benchmarks.listing.cloud import HOSTS, IMAGE_PROPERTIES, SIZES, Server, Size, host_name, servers, uuid_of
from nova_lite.db import migrate
from nova_lite.db.api_tables import HostMappingRow, InstanceMappingRow, RequestSpecRow
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import hosts, mappings
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.model.request_spec import RequestSpec
from nova_lite.storage import Database

_BATCH = 5000
Row = dict[str, Any]


def make(api: Database, cells: Sequence[tuple[Cell, Database]]) -> None:
    """Make the tables of all databases and map the cells, the first of which is cell0."""
    make_api(api, [cell for cell, _ in cells])
    for _, database in cells:
        migrate.sync(database, "cell")


def make_api(api: Database, cells: Sequence[Cell]) -> None:
    """Make the tables of an API database and map ``cells`` in it."""
    migrate.sync(api, "api")
    with api.writer() as session:
        for cell in cells:
            mappings.add_cell(session, cell)


def fill(api: Database, cells: Sequence[tuple[Cell, Database]], count: int) -> None:
    """Deal ``count`` servers to ``cells``, which are numbered as they come, without cell0."""
    fill_api(api, [cell for cell, _ in cells], count)
    flavors = {size.number: _flavor(size) for size in SIZES}
    for number, those in enumerate(_dealt(count, len(cells))):
        with cells[number][1].writer() as session:
            for host in range(HOSTS):
                hosts.beat(session, host_name(number, host), hosts.AGENT)
            for some in _batches(those):
                session.execute(sa.insert(InstanceRow), [_instance(each, flavors[each.size.number]) for each in some])


def fill_api(api: Database, cells: Sequence[Cell], count: int) -> None:
    """Write what the API database knows of the servers dealt to ``cells``."""
    flavors = {size.number: _flavor(size) for size in SIZES}
    with api.writer() as session:
        for number, those in enumerate(_dealt(count, len(cells))):
            uuid = cells[number].uuid
            on = [{"host": host_name(number, host), "cell_uuid": uuid} for host in range(HOSTS)]
            session.execute(sa.insert(HostMappingRow), on)
            for some in _batches(those):
                session.execute(sa.insert(InstanceMappingRow), [_mapping(each, uuid) for each in some])
                session.execute(sa.insert(RequestSpecRow), [_spec(each, flavors[each.size.number]) for each in some])


def cell0(connection: str) -> Cell:
    """Return the mapping of cell0."""
    return Cell(CELL0_UUID, "cell0", "none:///", connection)


def _dealt(count: int, cells: int) -> list[list[Server]]:
    """Return the servers of each cell."""
    dealt: list[list[Server]] = [[] for _ in range(cells)]
    for server in servers(count, cells):
        dealt[server.cell].append(server)
    return dealt


def _batches(those: Sequence[Server]) -> list[Sequence[Server]]:
    return [those[first : first + _BATCH] for first in range(0, len(those), _BATCH)]


def _flavor(size: Size) -> Flavor:
    specs = dict(size.extra_specs)
    return Flavor(size.flavor_id, size.name, size.vcpus, size.ram_mib, size.root_gib, extra_specs=specs)


def _mapping(server: Server, cell_uuid: str) -> Row:
    return {
        "instance_uuid": server.uuid,
        "cell_uuid": cell_uuid,
        "project_id": server.project_id,
        "user_id": server.user_id,
        "vcpus": server.size.vcpus,
        "ram_mib": server.size.ram_mib,
        "queued_for_delete": server.is_deleted,
        "created_at": server.created_at,
    }


def _spec(server: Server, flavor: Flavor) -> Row:
    spec = RequestSpec(server.project_id, server.user_id, flavor, server.image_id)
    return {"instance_uuid": server.uuid, "spec": msgspec.to_builtins(spec), "created_at": server.created_at}


def _instance(server: Server, flavor: Flavor) -> Row:
    states = {"active": PowerState.RUNNING, "stopped": PowerState.SHUTDOWN, "error": PowerState.NOSTATE}
    fault = {"code": 500, "message": "No valid host was found.", "created_at": server.created_at.isoformat()}
    return {
        "uuid": server.uuid,
        "project_id": server.project_id,
        "user_id": server.user_id,
        "display_name": server.name,
        "hostname": server.name,
        "description": server.name,
        "vm_state": "deleted" if server.is_deleted else server.state,
        "power_state": int(states[server.state]),
        "host": server.host,
        "node": uuid_of(f"node-{server.host}"),
        "node_name": server.host,
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.ram_mib,
        "root_gb": flavor.root_gib,
        "ephemeral_gb": 0,
        "flavor": msgspec.to_builtins(flavor),
        "image_ref": server.image_id,
        "image_properties": dict(IMAGE_PROPERTIES),
        "user_metadata": dict(server.metadata),
        "tags": list(server.tags),
        "key_name": "key",
        "config_drive": False,
        "availability_zone": "nova",
        "launch_index": 0,
        "reservation_id": f"r-{server.number:08x}",
        "root_device_name": "/dev/vda",
        "disk_config": "MANUAL",
        "fault": fault if server.state == "error" else None,
        "created_at": server.created_at,
        "updated_at": server.created_at,
        "launched_at": server.created_at,
        "deleted_at": server.created_at if server.is_deleted else None,
        "deleted": server.is_deleted,
    }

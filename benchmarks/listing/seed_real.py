"""Fills the databases of a real Nova with the described servers. Runs in its environment, where nova_lite is not.

``python -m benchmarks.listing.seed_real CONFIGURATION COUNT CELL_URL...``: the cells are numbered as they come.
"""

import importlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from benchmarks.listing.cloud import HOSTS, IMAGE_PROPERTIES, SIZES, Server, Size, host_name, servers, uuid_of

_BATCH = 2000
Row = dict[str, Any]


class Seeder:
    """Makes Nova's rows of the described servers; how it writes objects down is asked of Nova itself."""

    def __init__(self, configuration: str, cell_urls: Sequence[str]) -> None:
        config: Any = importlib.import_module("nova.config")
        config.parse_args(["seed", "--config-file", configuration], configure_db=False, init_rpc=False)
        self._objects: Any = importlib.import_module("nova.objects")
        self._objects.register_all()
        self._service_version = int(importlib.import_module("nova.objects.service").SERVICE_VERSION)
        self._conf: Any = importlib.import_module("nova.conf").CONF
        self._cell_urls = cell_urls
        #: Sizes as Nova stores them with an instance.
        self._flavors = {size.number: self._flavor(size) for size in SIZES}
        #: (size, image) → what was asked of the scheduler, but for the instance's own numbers.
        self._specs: dict[tuple[int, str], Row] = {}

    def fill(self, count: int) -> None:
        """Write everything."""
        api = sa.create_engine(self._conf.api_database.connection)
        with api.begin() as connection:
            found = connection.execute(sa.text("SELECT name, id FROM cell_mappings WHERE name LIKE 'cell_'")).all()
            cell_ids = {str(name): int(number) for name, number in found}
            hosts = [
                {"cell_id": cell_ids[f"cell{cell + 1}"], "host": host_name(cell, number)}
                for cell in range(len(self._cell_urls))
                for number in range(HOSTS)
            ]
            _insert(connection, "host_mappings", hosts)
        by_cell: dict[int, list[Server]] = defaultdict(list)
        for server in servers(count, len(self._cell_urls)):
            by_cell[server.cell].append(server)
        for cell, those in by_cell.items():
            with api.begin() as connection:
                _insert(connection, "instance_mappings", [_mapping(each, cell_ids) for each in those])
                _insert(connection, "request_specs", [self._spec(each) for each in those])
            self._fill_cell(cell, those)

    def _fill_cell(self, cell: int, those: Sequence[Server]) -> None:
        with sa.create_engine(self._cell_urls[cell]).begin() as connection:
            _insert(connection, "services", [self._service(cell, number) for number in range(HOSTS)])
            _insert(connection, "compute_nodes", [_node(cell, number) for number in range(HOSTS)])
            instances = [_instance(number, each) for number, each in enumerate(those, start=1)]
            _insert(connection, "instances", instances)
            _insert(connection, "instance_extra", [self._extra(each) for each in those])
            _insert(connection, "instance_info_caches", [_child(each, network_info="[]") for each in those])
            _insert(connection, "instance_metadata", [row for each in those for row in _pairs(each, each.metadata)])
            _insert(connection, "instance_system_metadata", [row for each in those for row in _pairs(each, _system())])
            _insert(connection, "block_device_mapping", [_disk(each) for each in those])
            tags = [{"resource_id": each.uuid, "tag": tag} for each in those for tag in each.tags]
            _insert(connection, "tags", tags)
            _insert(connection, "instance_faults", [_fault(each) for each in those if each.state == "error"])

    def _flavor(self, size: Size) -> Any:
        return self._objects.Flavor(
            id=size.number,
            name=size.name,
            memory_mb=size.ram_mib,
            vcpus=size.vcpus,
            root_gb=size.root_gib,
            ephemeral_gb=0,
            flavorid=size.flavor_id,
            swap=0,
            rxtx_factor=1.0,
            vcpu_weight=0,
            disabled=False,
            is_public=True,
            extra_specs=dict(size.extra_specs),
            description=None,
        )

    def _extra(self, server: Server) -> Row:
        flavor = self._flavors[server.size.number].obj_to_primitive()
        return _child(server, flavor=json.dumps({"cur": flavor, "old": None, "new": None}), pci_requests="[]")

    def _spec(self, server: Server) -> Row:
        kind = (server.size.number, server.image_id)
        if kind not in self._specs:
            image = self._objects.ImageMeta(id=server.image_id, name="image", min_disk=0, min_ram=0)
            spec = self._objects.RequestSpec(
                image=image,
                flavor=self._flavors[server.size.number],
                project_id=server.project_id,
                user_id=server.user_id,
                availability_zone=None,
                num_instances=1,
                numa_topology=None,
                pci_requests=self._objects.InstancePCIRequests(requests=[]),
                force_hosts=None,
                force_nodes=None,
                limits=None,
                instance_group=None,
                scheduler_hints={},
                security_groups=self._objects.SecurityGroupList(objects=[]),
                is_bfv=False,
            )
            self._specs[kind] = spec.obj_to_primitive()
        spec = self._specs[kind]
        own = {"instance_uuid": server.uuid, "project_id": server.project_id, "user_id": server.user_id}
        whole = {**spec, "nova_object.data": {**spec["nova_object.data"], **own}}
        return {"instance_uuid": server.uuid, "spec": json.dumps(whole), "created_at": server.created_at}

    def _service(self, cell: int, number: int) -> Row:
        name = host_name(cell, number)
        now = datetime.now().astimezone().astimezone(tz=None).replace(tzinfo=None)
        return {
            "uuid": uuid_of(f"service-{name}"),
            "host": name,
            "binary": "nova-compute",
            "topic": "compute",
            "report_count": 1,
            "disabled": False,
            "forced_down": False,
            "version": self._service_version,
            "last_seen_up": now,
            "created_at": now,
            "updated_at": now,
            "deleted": 0,
        }


def _mapping(server: Server, cell_ids: Mapping[str, int]) -> Row:
    return {
        "instance_uuid": server.uuid,
        "cell_id": cell_ids[f"cell{server.cell + 1}"],
        "project_id": server.project_id,
        "user_id": server.user_id,
        "queued_for_delete": server.is_deleted,
        "created_at": server.created_at,
    }


def _node(cell: int, number: int) -> Row:
    name = host_name(cell, number)
    return {
        "id": number + 1,
        "uuid": uuid_of(f"node-{name}"),
        "host": name,
        "hypervisor_hostname": name,
        "hypervisor_type": "QEMU",
        "hypervisor_version": 8000000,
        "vcpus": 64,
        "memory_mb": 524288,
        "local_gb": 4000,
        "vcpus_used": 0,
        "memory_mb_used": 0,
        "local_gb_used": 0,
        "cpu_info": "{}",
        "mapped": 1,
        "created_at": datetime.fromisoformat("2025-01-01T00:00:00"),
        "deleted": 0,
    }


def _instance(number: int, server: Server) -> Row:
    return {
        "id": number,
        "uuid": server.uuid,
        "user_id": server.user_id,
        "project_id": server.project_id,
        "image_ref": server.image_id,
        "kernel_id": "",
        "ramdisk_id": "",
        "hostname": server.name,
        "launch_index": 0,
        "key_name": "key",
        "power_state": {"active": 1, "stopped": 4}.get(server.state, 0),
        "vm_state": server.state,
        "task_state": None,
        "memory_mb": server.size.ram_mib,
        "vcpus": server.size.vcpus,
        "root_gb": server.size.root_gib,
        "ephemeral_gb": 0,
        "host": server.host,
        "node": server.host,
        "compute_id": int(server.host.rpartition("-")[2]) + 1,
        "launched_on": server.host,
        "instance_type_id": server.size.number,
        "reservation_id": f"r-{server.number:08x}",
        "launched_at": server.created_at,
        "availability_zone": "nova",
        "display_name": server.name,
        "display_description": server.name,
        "locked": False,
        "root_device_name": "/dev/vda",
        "config_drive": "",
        "auto_disk_config": False,
        "progress": 0,
        "cleaned": 0,
        "hidden": False,
        "created_at": server.created_at,
        "updated_at": server.created_at,
        "deleted_at": server.created_at if server.is_deleted else None,
        "deleted": number if server.is_deleted else 0,
    }


def _child(server: Server, **columns: object) -> Row:
    return {"instance_uuid": server.uuid, "created_at": server.created_at, "deleted": 0, **columns}


def _pairs(server: Server, pairs: Mapping[str, str]) -> Iterator[Row]:
    for key, value in pairs.items():
        yield _child(server, key=key, value=value)


def _system() -> Mapping[str, str]:
    properties = {f"image_{name}": value for name, value in IMAGE_PROPERTIES.items()}
    more = {"image_min_disk": "20", "image_min_ram": "0", "image_container_format": "bare", "boot_roles": "member"}
    return properties | more


def _disk(server: Server) -> Row:
    return _child(
        server,
        uuid=uuid_of(f"disk-{server.number}"),
        source_type="image",
        destination_type="local",
        device_type="disk",
        boot_index=0,
        device_name="/dev/vda",
        delete_on_termination=True,
        image_id=server.image_id,
        no_device=False,
        attachment_id=None,
    )


def _fault(server: Server) -> Row:
    return _child(server, code=500, message="No valid host was found.", details="", host=server.host)


def _insert(connection: sa.Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows, all with the same columns."""
    if not rows:
        return
    described = sa.Table(table, sa.MetaData(), autoload_with=connection)
    for first in range(0, len(rows), _BATCH):
        connection.execute(sa.insert(described), rows[first : first + _BATCH])


if __name__ == "__main__":
    Seeder(sys.argv[1], sys.argv[3:]).fill(int(sys.argv[2]))

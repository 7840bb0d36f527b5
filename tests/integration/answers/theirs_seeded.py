"""What is in the real Nova's databases: written through its own objects, and through its API where that suffices.

Runs in its environment, where nova_lite is not.
"""

import datetime
import importlib
import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tests.integration.answers import cloud

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def seed(ask: Callable[..., tuple[int, Any]]) -> dict[str, Any]:
    """Put everything there; return what got an id of its own: its name → that id."""
    return _Seeder(ask).seed()


class _Seeder:
    def __init__(self, ask: Callable[..., tuple[int, Any]]) -> None:
        self._ask = ask
        self._objects: Any = importlib.import_module("nova.objects")
        self._contexts: Any = importlib.import_module("nova.context")
        self._context = self._contexts.RequestContext(cloud.MEMBER, cloud.PROJECT, is_admin=True)
        found = self._objects.CellMappingList.get_all(self._context)
        self._cells = {each.name: each for each in found}
        self._nodes: dict[str, int] = {}

    def seed(self) -> dict[str, Any]:
        names = self._through_the_api()
        with self._within("cell1") as context:
            self._add_hosts(context)
        flavor = self._objects.Flavor.get_by_flavor_id(self._context, "2")
        off: dict[str, Any] = {"host": None, "node": None}
        self._add_server("active", flavor)
        self._add_server("error", flavor, "cell0", vm_state="error", power_state=0, launched_at=None,
                         availability_zone=None, **off)  # fmt: skip
        self._add_server("shelved", flavor, vm_state="shelved_offloaded", power_state=4, availability_zone="", **off)
        self._add_server("building", flavor, vm_state="building", task_state="spawning", power_state=0,
                         launched_at=None)  # fmt: skip
        self._add_server("resized", flavor, vm_state="resized")
        self._add_server("volume", flavor, image_ref="")
        self._add_server("deleted", flavor, vm_state="deleted")
        with self._within("cell0") as context:
            self._objects.InstanceFault(context, instance_uuid=cloud.SERVERS["error"], code=500,
                                        message="No valid host", details="why", host=None).create()  # fmt: skip
        with self._within("cell1") as context:
            return names | self._add_history(context)

    def _through_the_api(self) -> dict[str, Any]:
        for flavor_id, name, ram, vcpus, disk in (("1", "m1.tiny", 512, 1, 1), ("2", "m1.small", 2048, 2, 20)):
            self._post(
                "/flavors", {"flavor": {"id": flavor_id, "name": name, "ram": ram, "vcpus": vcpus, "disk": disk}}
            )
        secret = {"id": "9", "name": "secret", "ram": 64, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": False}
        self._post("/flavors", {"flavor": secret})
        self._post("/flavors/2/os-extra_specs", {"extra_specs": {"a": "b"}})
        self._post("/flavors/9/action", {"addTenantAccess": {"tenant": "t"}})
        for caller in cloud.CALLERS:
            self._post("/os-keypairs", {"keypair": {"name": "k", "public_key": cloud.KEY}}, caller)
        asked = {"server_group": {"name": "g", "policies": ["anti-affinity"]}}
        group = self._post("/os-server-groups", asked)["server_group"]["id"]
        aggregate = self._post("/os-aggregates", {"aggregate": {"name": "racks", "availability_zone": "east"}})
        number = aggregate["aggregate"]["id"]
        self._post(f"/os-aggregates/{number}/action", {"set_metadata": {"metadata": {"x": "y"}}})
        return {"group": group, "aggregate": number}

    def _post(self, path: str, body: object, caller: str = cloud.CALLERS[0]) -> Any:
        status, answer = self._ask("POST", path, body, caller=caller, version=1)
        assert status < 300, (path, status, answer)
        return answer

    def _within(self, cell: str) -> Any:
        return self._contexts.target_cell(self._context, self._cells[cell])

    def _add_hosts(self, context: Any) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for host, uuid in cloud.NODES.items():
            service = self._add_service(context, host, "nova-compute", now)
            node = self._objects.ComputeNode(
                context, host=host, service_id=service.id, uuid=uuid, vcpus=8, memory_mb=16384, local_gb=100,
                vcpus_used=0, memory_mb_used=0, local_gb_used=0, hypervisor_type="QEMU", hypervisor_version=7002000,
                hypervisor_hostname=f"{host}.lan", free_ram_mb=1, free_disk_gb=1, current_workload=0, running_vms=0,
                cpu_info=json.dumps({"arch": "x86_64", "topology": {"sockets": 1}}), disk_available_least=1,
                host_ip="192.0.2.1", mapped=1,
            )  # fmt: skip
            node.create()
            self._nodes[host] = node.id
            self._objects.HostMapping(self._context, cell_mapping=self._cells["cell1"], host=host).create()
        self._add_service(context, cloud.CONTROL, "nova-conductor", now)
        with self._within("cell0") as above:
            self._add_service(above, cloud.CONTROL, "nova-scheduler", now)

    def _add_service(self, context: Any, host: str, binary: str, now: datetime.datetime) -> Any:
        topic = binary.removeprefix("nova-")
        service = self._objects.Service(context, host=host, binary=binary, topic=topic, report_count=1, disabled=False,
                                        last_seen_up=now)  # fmt: skip
        service.create()
        service.report_count = 2
        service.save()
        return service

    def _add_server(self, name: str, flavor: Any, cell: str = "cell1", **special: Any) -> None:
        uuid = cloud.SERVERS[name]
        facts: dict[str, Any] = {
            "uuid": uuid, "user_id": cloud.MEMBER, "project_id": cloud.PROJECT, "image_ref": cloud.IMAGE,
            "kernel_id": "", "ramdisk_id": "", "hostname": name, "launch_index": 0, "key_name": "k", "power_state": 1,
            "vm_state": "active", "task_state": None, "memory_mb": 2048, "vcpus": 2, "root_gb": 20, "ephemeral_gb": 0,
            "host": "h1", "node": "h1.lan", "launched_on": "h1", "instance_type_id": flavor.id, "launched_at": NOON,
            "reservation_id": "r-1", "availability_zone": "nova", "display_name": name, "display_description": "d",
            "locked": False, "root_device_name": "/dev/vda", "config_drive": "", "auto_disk_config": False,
            "progress": 0, "cleaned": 0, "hidden": False, "user_data": None, "metadata": {"a": "b"},
            "system_metadata": {"image_base_image_ref": cloud.IMAGE}, "flavor": flavor, **special,
        }  # fmt: skip
        facts["compute_id"] = self._nodes["h1"] if facts["node"] else None
        with self._within(cell) as context:
            self._objects.Instance(context, **facts).create()
            if name == "active":
                self._objects.TagList.create(context, uuid, ["x"])
                found = self._objects.Instance.get_by_uuid(context, uuid)
                found.locked, found.locked_by, found.system_metadata["locked_reason"] = True, "owner", "x"
                found.save()
        engine = sa.create_engine(self._cells[cell].database_connection)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE instance_info_caches SET network_info = '[]'"))
        engine.dispose()
        mapping = self._objects.InstanceMapping(
            self._context, instance_uuid=uuid, cell_mapping=self._cells[cell], project_id=cloud.PROJECT,
            user_id=cloud.MEMBER, queued_for_delete=False,
        )  # fmt: skip
        mapping.create()
        self._spec(name, uuid, flavor).create()

    def _spec(self, name: str, uuid: str, flavor: Any) -> Any:
        image = self._objects.ImageMeta(
            id=cloud.IMAGE, name="tiny", min_disk=0, min_ram=0, properties=self._objects.ImageMetaProps()
        )
        return self._objects.RequestSpec(
            self._context, image=image, flavor=flavor, project_id=cloud.PROJECT, user_id=cloud.MEMBER,
            instance_uuid=uuid, availability_zone="nova" if name == "active" else None, num_instances=1,
            numa_topology=None, pci_requests=self._objects.InstancePCIRequests(requests=[]), force_hosts=None,
            force_nodes=None, limits=None, instance_group=None, is_bfv=False,
            scheduler_hints={"build_near_host_ip": ["192.0.2.1"]} if name == "active" else {},
            security_groups=self._objects.SecurityGroupList(objects=[]),
        )  # fmt: skip

    def _add_history(self, context: Any) -> dict[str, Any]:
        """Attach the volume, let actions happen, and a server be deleted; return the number of its migration."""
        device = {"source_type": "volume", "destination_type": "volume", "volume_size": 1, "device_name": "/dev/vda"}
        self._objects.BlockDeviceMapping(
            context, instance_uuid=cloud.SERVERS["volume"], volume_id=cloud.VOLUME, uuid=cloud.DEVICE, boot_index=0,
            delete_on_termination=False, attachment_id=cloud.ATTACHMENT, tag=None, connection_info="{}", **device,
        ).create()  # fmt: skip
        self._act(context, "active", "reboot", cloud.FAILED, error="It does not answer.")
        self._act(context, "active", "start", cloud.RUNNING)
        self._act(context, "deleted", "delete", cloud.DELETED)
        numbers = [
            self._migrate(context, "active", "live-migration", "running", cloud.MIGRATIONS[0]),
            self._migrate(context, "resized", "resize", "finished", cloud.MIGRATIONS[1]),
        ]
        gone = self._objects.Instance.get_by_uuid(context, cloud.SERVERS["deleted"])
        gone.terminated_at = NOON
        gone.save()
        gone.destroy()
        mapping = self._objects.InstanceMapping.get_by_instance_uuid(self._context, cloud.SERVERS["deleted"])
        mapping.queued_for_delete = True
        mapping.save()
        return {"migration": numbers[0]}

    def _act(self, context: Any, server: str, action: str, request: str, error: str | None = None) -> None:
        context.request_id = request
        uuid, event = cloud.SERVERS[server], f"compute_{action}_instance"
        self._objects.InstanceAction.action_start(context, uuid, action)
        self._objects.InstanceActionEvent.event_start(context, uuid, event, host="h1")
        if error is not None:
            events = self._objects.InstanceActionEvent
            events.event_finish_with_failure(context, uuid, event, exc_val=error, exc_tb="there")

    def _migrate(self, context: Any, server: str, kind: str, status: str, uuid: str) -> int:
        done = {"memory_total": 10, "memory_processed": 1, "memory_remaining": 9}
        done |= {"disk_total": 1, "disk_processed": 1, "disk_remaining": 0} if kind == "live-migration" else {}
        progress = done if kind == "live-migration" else {}
        migration = self._objects.Migration(
            context, uuid=uuid, instance_uuid=cloud.SERVERS[server], status=status, migration_type=kind,
            source_compute="h1", dest_compute="h2", source_node="h1.lan", dest_node="h2.lan", dest_host="192.0.2.2",
            dest_compute_id=self._nodes["h2"], old_instance_type_id=5, new_instance_type_id=5, hidden=False,
            user_id=cloud.MEMBER, project_id=cloud.PROJECT, **progress,
        )  # fmt: skip
        migration.create()
        return int(migration.id)

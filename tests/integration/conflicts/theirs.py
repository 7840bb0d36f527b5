"""The real Nova's API asked of servers in any state, in its own process: nothing is told to anybody beyond it.

``python -m tests.integration.conflicts.theirs FOLDER``, by its Python. What it answered is in ``FOLDER/theirs.json``
then; with ``all`` behind that everything is asked.
"""

import importlib
import json
import sqlite3
import sys
import types
import uuid
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.integration.answers import cloud
from tests.integration.answers.theirs import Answer, Theirs
from tests.integration.conflicts import asked, kept
from tests.integration.conflicts.asked import Situation

#: What is answered by those who are asked on the bus, by what is asked.
_ANSWERS: dict[str, Any] = {
    "get_console_output": "text",
    "get_vnc_console": {"access_url": "http://console.example", "token": "t", "host": "h", "port": 1},
    "get_diagnostics": {},
}


def _call(_bus: object, context: Any, name: str, **facts: Any) -> Any:
    """Answer for whoever would be asked on a bus."""
    if name == "get_instance_diagnostics":
        return importlib.import_module("nova.objects").Diagnostics(context, state="running")
    if name == "reserve_block_device_name":
        return _reserve(context, facts)
    return _ANSWERS.get(name)


def _reserve(context: Any, facts: dict[str, Any]) -> Any:
    """Return the device that a host names: it writes that down."""
    device = importlib.import_module("nova.objects").BlockDeviceMapping(
        context, source_type="volume", destination_type="volume", instance_uuid=facts["instance"].uuid, boot_index=None,
        volume_id=facts["volume_id"], device_name="/dev/vdc", guest_format=None, disk_bus=None, device_type=None,
        tag=None, delete_on_termination=False,
    )  # fmt: skip
    device.create()
    return device


def _without_neighbours() -> None:
    """Let buses, networks, volumes and Placement be what answers at once."""
    rpc: Any = importlib.import_module("nova.rpc")
    rpc.init(importlib.import_module("nova.conf").CONF)
    bus: Any = importlib.import_module("oslo_messaging.rpc.client")
    bus._BaseCallContext.call, bus._BaseCallContext.cast = _call, _none
    networks: Any = importlib.import_module("nova.network.neutron")
    for name in ("instance_has_extended_resource_request", "has_extended_resource_request_extension"):
        setattr(networks.API, name, lambda *_args, **_named: False)
    networks.API.has_port_binding_extension = lambda *_args, **_named: True
    networks.API.list_ports = lambda *_args, **_named: {"ports": []}
    networks.API.get_requested_resource_for_instance = lambda *_args, **_named: ([], None)
    networks.API.deallocate_for_instance = lambda *_args, **_named: None
    networks.API.get_floating_ip_by_address = _none
    errors: Any = importlib.import_module("nova.exception")

    def no_port(_self: object, _context: object, port_id: str) -> None:
        raise errors.PortNotFound(port_id=port_id)

    networks.API.show_port = no_port
    report: Any = importlib.import_module("nova.scheduler.client.report")
    report.SchedulerReportClient._create_client = _none
    traits = types.SimpleNamespace(traits=set())
    report.SchedulerReportClient.get_provider_traits = lambda *_args, **_named: traits
    for name in ("delete_allocation_for_instance", "get_allocations_for_consumer", "get_allocs_for_consumer"):
        setattr(report.SchedulerReportClient, name, lambda *_args, **_named: {})
    _with_images()
    _with_volumes(errors)


def _none(*_args: object, **_named: object) -> None:
    return None


def _with_images() -> None:
    glance: Any = importlib.import_module("nova.image.glance")
    glance.API.create = lambda _self, _context, image, **_more: {**image, "id": str(uuid.uuid4())}
    glance.API.update = glance.API.delete = _none
    glance.API.generate_image_url = lambda *_args, **_named: "http://images.example/image"


def _with_volumes(errors: Any) -> None:
    cinder: Any = importlib.import_module("nova.volume.cinder")

    def get(_self: object, _context: object, volume_id: str, **_more: object) -> dict[str, Any]:
        if volume_id not in kept.VOLUMES:
            raise errors.VolumeNotFound(volume_id=volume_id)
        status, users = kept.VOLUMES[volume_id]
        uses = {user: {"attachment_id": kept.ATTACHMENTS[volume_id], "mountpoint": "/dev/vdb"} for user in users}
        return {
            "id": volume_id, "status": status, "attach_status": "attached" if users else "detached", "size": 1,
            "multiattach": False, "attachments": uses, "availability_zone": "nova", "bootable": True,
            "volume_image_metadata": {}, "migration_status": None, "shared_targets": False, "service_uuid": None,
            "display_name": "v", "display_description": "", "encrypted": False, "snapshot_id": None,
            "volume_type_id": None,
        }  # fmt: skip

    cinder.API.get = get
    cinder.API.attachment_create = lambda *_args, **_named: {"id": str(uuid.uuid4()), "connection_info": {}}
    cinder.API.attachment_get = lambda *_args, **_named: {"connection_info": {}}
    cinder.API.create_snapshot_force = lambda *_args, **_named: {"id": str(uuid.uuid4())}
    limits = {"totalSnapshotsUsed": 0, "maxTotalSnapshots": 10}
    cinder.API.get_absolute_limits = lambda *_args, **_named: limits
    for name in ("begin_detaching", "roll_detaching", "attachment_delete", "attachment_complete", "attachment_update"):
        setattr(cinder.API, name, _none)
    cinder.is_microversion_supported = _none


class Asking:
    """The real Nova with those servers."""

    def __init__(self, folder: Path) -> None:
        self._theirs = Theirs(folder)
        _without_neighbours()
        self._objects: Any = importlib.import_module("nova.objects")
        contexts: Any = importlib.import_module("nova.context")
        self._context = contexts.RequestContext(cloud.MEMBER, cloud.PROJECT, is_admin=True)
        cells = {each.name: each for each in self._objects.CellMappingList.get_all(self._context)}
        with contexts.target_cell(self._context, cells["cell1"]) as within:
            self._add_volume(within)
            self._add_flavors(within)
        self._add_waiting()
        self._cell = folder / "cell1.sqlite"
        self._files = kept.Files([folder / f"{name}.sqlite" for name in ("api", "cell0", "cell1")])

    def _add_volume(self, context: Any) -> None:
        self._objects.BlockDeviceMapping(
            context, instance_uuid=asked.IMAGE, volume_id=asked.DATA, uuid=asked.DATA_DEVICE, boot_index=None,
            delete_on_termination=False, attachment_id=asked.DATA_ATTACHMENT, tag=None, connection_info="{}",
            source_type="volume", destination_type="volume", volume_size=1, device_name="/dev/vdb",
        ).create()  # fmt: skip

    def _add_flavors(self, context: Any) -> None:
        """Let the resize that is to be confirmed have been one."""
        instance = self._objects.Instance.get_by_uuid(context, asked.IMAGE, expected_attrs=["flavor"])
        instance.old_flavor = instance.new_flavor = instance.flavor
        instance.save()

    def _add_waiting(self) -> None:
        objects = self._objects
        networks = importlib.import_module("nova.network.model").NetworkInfo()
        flavor = objects.Flavor.get_by_flavor_id(self._context, "2")
        instance = objects.Instance(
            self._context, uuid=asked.WAITING, user_id=cloud.MEMBER, project_id=cloud.PROJECT, image_ref=cloud.IMAGE,
            kernel_id="", ramdisk_id="", hostname="waiting", launch_index=0, key_name=None, power_state=0,
            vm_state="building", task_state="scheduling", memory_mb=2048, vcpus=2, root_gb=20, ephemeral_gb=0,
            instance_type_id=flavor.id, reservation_id="r-1", availability_zone=None, display_name="waiting",
            display_description="d", locked=False, locked_by=None, root_device_name="/dev/vda", config_drive="",
            auto_disk_config=False, progress=0, cleaned=False, hidden=False, user_data=None, metadata={"a": "b"},
            system_metadata={"image_base_image_ref": cloud.IMAGE}, flavor=flavor, old_flavor=None, new_flavor=None,
            access_ip_v4=None, access_ip_v6=None, architecture=None, os_type=None, vm_mode=None, key_data=None,
            shutdown_terminate=False, disable_terminate=False, default_ephemeral_device=None, default_swap_device=None,
            info_cache=objects.InstanceInfoCache(network_info=networks, instance_uuid=asked.WAITING),
            security_groups=objects.SecurityGroupList(objects=[]), ec2_ids=objects.EC2Ids(),
            pci_requests=objects.InstancePCIRequests(requests=[]),
            keypairs=objects.KeyPairList(objects=[]), numa_topology=None, vcpu_model=None, trusted_certs=None,
            services=objects.ServiceList(objects=[]), fault=None, device_metadata=None, migration_context=None,
            pci_devices=objects.PciDeviceList(objects=[]), resources=None, deleted=False,
            tags=objects.TagList(objects=[]),
        )  # fmt: skip
        objects.BuildRequest(
            self._context, instance=instance, instance_uuid=asked.WAITING, project_id=cloud.PROJECT,
            block_device_mappings=objects.BlockDeviceMappingList(objects=[]), tags=objects.TagList(objects=[]),
        ).create()  # fmt: skip
        objects.InstanceMapping(
            self._context, instance_uuid=asked.WAITING, cell_mapping=None, project_id=cloud.PROJECT,
            user_id=cloud.MEMBER, queued_for_delete=False,
        ).create()  # fmt: skip

    def answers(self, *, is_all: bool) -> dict[str, Answer]:
        """Ask everything; return what was answered."""
        found: dict[str, Answer] = {}
        now = None
        for each in asked.everything(is_all=is_all):
            situation, request, caller, version = each
            if now is not situation.name:
                self._restore(situation)
                now = situation.name
            path = f"/servers/{situation.server}{request.path}".format(migration=self._theirs.names["migration"])
            answer = self._theirs.ask(request.method, path, request.body, caller=caller, version=version)
            found[asked.key(each)] = answer[0], kept.message(answer[1])
            if request.method != "GET" and not 400 <= answer[0] < 500:
                now = None
        return found

    def _restore(self, situation: Situation) -> None:
        self._files.restore()
        changes = {name: value for name, value in situation.changes.items() if name not in ("launched", "locked")}
        if "locked" in situation.changes:
            changes |= {"locked": True, "locked_by": "owner"}
        if not situation.changes.get("launched", True):
            changes["launched_at"] = None
        if "host" in changes:
            changes |= {"node": None, "compute_id": None}
        if changes:
            names = ", ".join(f"{name} = ?" for name in changes)
            with closing(sqlite3.connect(self._cell)) as connection, connection:
                statement = f"UPDATE instances SET {names} WHERE uuid = ?"
                connection.execute(statement, (*changes.values(), situation.server))
        for caller, path, body in situation.before:
            self._theirs.ask("POST", f"/servers/{situation.server}{path}", body, caller=caller, version=cloud.MAXIMUM)


def main() -> None:
    """Make the cloud, ask everything, and write down what was answered."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    answers = Asking(folder).answers(is_all=sys.argv[2:] == ["all"])
    (folder / "theirs.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()

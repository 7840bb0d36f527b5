"""Our API with that cloud, asked in this process: on SQLite, without agents, conductors or a bus."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from nova_lite import errors
from nova_lite.db.repositories import actions, build_requests, hosts, instances, mappings
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.conductor import HostReport
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import HostResources, PowerState
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.migration import MigrationKind, Progress
from nova_lite.model.states import TaskState, VmState
from nova_lite.rpc.compute import ComputeClient
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud, NoVolumes, configuration
from tests.functional.compute_api.factories import NOON, make_instance, make_spec
from tests.integration.answers import cloud

_FLAVOR = Flavor("2", "m1.small", 2, 2048, 20, extra_specs={"a": "b"})
_OFF: dict[str, Any] = {"host": None, "node": None, "node_name": None}
#: What is special about each server.
_SPECIAL: dict[str, dict[str, Any]] = {
    "active": {"tags": ("x",), "requested_zone": "nova", "is_locked": True, "locked_reason": "x"},
    "error": {
        "vm_state": VmState.ERROR,
        "power_state": PowerState.NOSTATE,
        "launched_at": None,
        "availability_zone": None,
        "fault": Fault(500, "No valid host", NOON, "why"),
        **_OFF,
    },
    "shelved": {
        "vm_state": VmState.SHELVED_OFFLOADED,
        "power_state": PowerState.SHUTDOWN,
        "availability_zone": "",
        **_OFF,
    },
    "building": {
        "vm_state": VmState.BUILDING,
        "task_state": TaskState.SPAWNING,
        "power_state": PowerState.NOSTATE,
        "launched_at": None,
    },
    "resized": {"vm_state": VmState.RESIZED},
    "volume": {
        "image_id": "",
        "volumes": (BlockDevice(cloud.DEVICE, cloud.VOLUME, "/dev/vda", cloud.ATTACHMENT, boot_index=0),),
    },
    "deleted": {},
}


class Ours:
    """Our API over databases in ``folder``, with the volumes of ``volumes``."""

    def __init__(self, folder: Path, volumes: type[NoVolumes] = NoVolumes) -> None:
        # Nobody is there who could say; each question would wait for its whole deadline.
        self._silence = mock.patch.object(ComputeClient, "uptime", side_effect=errors.Timeout("There is no agent."))
        self._silence.start()
        self.cloud = Cloud(folder, cells=(CELL1,), volumes=volumes(configuration(folder, None, {})))
        self.cloud.images.images = {IMAGE_ID: self.cloud.images.images[IMAGE_ID]}
        self._add_hosts()
        names = self._through_the_api()
        self._servers = {name: self._add_server(name) for name in cloud.SERVERS}
        self.names = {**cloud.SERVERS, "image": IMAGE_ID, **names, **self._add_history()}

    def close(self) -> None:
        """Close the databases."""
        self.cloud.close()
        self._silence.stop()

    def ask(self, caller: str, path: str, version: int) -> tuple[int, Any]:
        """Look at ``path``; return the status and the body, None for none."""
        plain, _, query = path.partition("?")
        headers = {"X-OpenStack-Nova-API-Version": f"2.{version}"}
        client = self.cloud.client(caller, f"2.{version}")
        answer = client.request("GET", plain.replace("%20", " "), query_string=query, headers=headers)
        return answer.status_code, answer.json if answer.content else None

    def hypervisor(self, version: int) -> object:
        """Return the id that the first hypervisor has in version 2.N."""
        return self.ask(cloud.CALLERS[0], "/os-hypervisors", version)[1]["hypervisors"][0]["id"]

    def _add_hosts(self) -> None:
        cell = self.cloud.cells.get(CELL1).db
        for host, node in cloud.NODES.items():
            cpu: dict[str, object] = {"arch": "x86_64", "topology": {"sockets": 1}}
            resources = HostResources(8, 16384, 100, "QEMU", 7002000, f"{host}.lan", "192.0.2.1", cpu)
            with cell.writer() as session:
                hosts.register(session, HostReport(host, node, resources))
            with self.cloud.api_db.writer() as session:
                mappings.add_host(session, host, CELL1)
        for uuid, binary in ((CELL1, "nova-conductor"), (CELL0_UUID, "nova-scheduler")):
            with self.cloud.cells.get(uuid).db.writer() as session:
                hosts.beat(session, cloud.CONTROL, binary)
        self.cloud.cells.forget()

    def _through_the_api(self) -> dict[str, Any]:
        # The flavors are those of every cloud but for one.
        assert self.cloud.client(cloud.CALLERS[0], "2.1").delete("/flavors/0").status_code == 202
        self._post("/flavors/9/action", {"addTenantAccess": {"tenant": "t"}})
        for caller in cloud.CALLERS:
            self._post("/os-keypairs", {"keypair": {"name": "k", "public_key": cloud.KEY}}, caller)
        group = self._post("/os-server-groups", {"server_group": {"name": "g", "policies": ["anti-affinity"]}})
        made = self._post("/os-aggregates", {"aggregate": {"name": "racks", "availability_zone": "east"}})
        number = made["aggregate"]["id"]
        self._post(f"/os-aggregates/{number}/action", {"set_metadata": {"metadata": {"x": "y"}}})
        return {"group": group["server_group"]["id"], "aggregate": number}

    def _post(self, path: str, body: object, caller: str = cloud.CALLERS[0]) -> Any:
        answer = self.cloud.client(caller, "2.1").post(path, body)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json if answer.content else None

    def _add_server(self, name: str) -> Instance:
        facts: dict[str, Any] = {
            "uuid": cloud.SERVERS[name],
            "user_id": cloud.MEMBER,
            "project_id": cloud.PROJECT,
            "host": "h1",
            "node": cloud.NODES["h1"],
            "node_name": "h1.lan",
            "metadata": {"a": "b"},
            "flavor": _FLAVOR,
            "launched_at": NOON,
            "availability_zone": "nova",
            "description": "d",
            "power_state": PowerState.RUNNING,
            "key_name": "k",
            "reservation_id": "r-1",
            "display_name": name,
            "hostname": name,
        }
        instance = make_instance(**{**facts, **_SPECIAL[name]})
        uuid = CELL0_UUID if name == "error" else CELL1
        spec = make_spec(instance, hints={"build_near_host_ip": ["192.0.2.1"]} if name == "active" else {})
        with self.cloud.api_db.writer() as session:
            mappings.add_instance(
                session, instance.uuid, project_id=cloud.PROJECT, user_id=cloud.MEMBER, vcpus=2, ram_mib=2048
            )
            build_requests.add(session, [instance], replace(spec, availability_zone=instance.requested_zone))
        with self.cloud.cells.get(uuid).db.writer() as session:
            instances.add(session, instance)
        with self.cloud.api_db.writer() as session:
            assert mappings.settle(session, instance.uuid, uuid)
        return instance

    def _add_history(self) -> dict[str, Any]:
        """Let actions happen, and a server be deleted; return the number of its migration."""
        with self.cloud.cells.get(CELL1).db.writer() as session:
            for name, action, request in (
                ("active", "reboot", cloud.FAILED),
                ("active", "start", cloud.RUNNING),
                ("deleted", "delete", cloud.DELETED),
            ):
                of = {"instance_uuid": cloud.SERVERS[name], "request_id": request}
                event = f"compute_{action}_instance"
                actions.begin(session, **of, action=action, user_id=cloud.MEMBER, project_id=cloud.PROJECT, event=event)
                if request == cloud.FAILED:
                    actions.finish(session, **of, error="It does not answer.", host="h1", traceback="there")
            instances.change(session, cloud.SERVERS["deleted"], terminated_at=NOON)
            instances.mark_deleted(session, cloud.SERVERS["deleted"])
        with self.cloud.api_db.writer() as session:
            mappings.queue_for_delete(session, cloud.SERVERS["deleted"])
        live = self.cloud.add_migration(
            self._servers["active"],
            uuid=cloud.MIGRATIONS[0],
            progress=Progress(
                memory_total=10,
                memory_processed=1,
                memory_remaining=9,
                disk_total=1,
                disk_processed=1,
                disk_remaining=0,
            ),
        )
        self.cloud.add_migration(
            self._servers["resized"], uuid=cloud.MIGRATIONS[1], kind=MigrationKind.RESIZE, status="finished"
        )
        return {"migration": live.number}

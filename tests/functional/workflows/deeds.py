"""What the user and the operator of a story's cloud ask for, of servers, volumes and hosts."""

import contextlib
import itertools
import uuid as uuids
from dataclasses import dataclass, field
from typing import Any

import requests
from falcon.testing import TestClient
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.boot_holdings import freeing
from nova_lite.cells import setup, volume_images
from nova_lite.cells.operations import Requester
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import hosts, instances, mappings, workflows
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_files import POOLS
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.volumes import VolumeUser
from nova_lite.web.policy import RulePolicy
from tests.functional.workflows.sabotage import Saboteur

#: Seconds a story may take to come to rest.
DEADLINE_S = 480.0
_names = itertools.count(1)
#: Who makes images of servers by another way than by asking for them.
_IMAGER = Requester("admin", "admin", "req-image")
#: Seconds between two looks of a host at its guests: where nobody waits for them, and where a story does.
SELDOM_S, OFTEN_S = 5.0, 1.0


@dataclass
class Deeds:
    """A cloud of which things are asked, and what a story has to clean up for it."""

    cloud: Cloud
    saboteur: Saboteur
    watch: Watch
    image: str
    api_conf: cfg.ConfigOpts
    used: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    disabled: dict[str, str] = field(default_factory=dict)
    forced_down: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = clouds.wsgi(self.cloud)
        self._image_directory = ImageDirectory(self.cloud.settings.image_dir)
        self._looks_s = SELDOM_S

    @property
    def client(self) -> TestClient:
        return self._client

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send one request; return the status code and the body."""
        answer = self._client.simulate_request(
            method, f"/v2.1{path}", json=body, headers={"OpenStack-API-Version": "compute 2.96"}
        )
        return answer.status_code, answer.json if answer.content else None

    def boot(self, count: int = 1, **more: object) -> list[str]:
        """Ask for equal servers and return the ids of all."""
        name = f"vm{next(_names)}"
        server = {"name": name, "flavorRef": "1", "imageRef": self.image, "networks": "none", **more}
        if count > 1:
            server |= {"min_count": count, "max_count": count, "return_reservation_id": True}
        known = self.watch.servers()
        status, body = self.ask("POST", "/servers", {"server": server})
        assert status == 202, body
        made = [str(body["server"]["id"])] if count == 1 else sorted(self.watch.servers() - known)
        assert len(made) == count
        self.used += made
        return made

    def delete(self, server: str) -> int:
        """Ask for a server to be deleted; return the status code."""
        return self.ask("DELETE", f"/servers/{server}")[0]

    def rescue(self, server: str) -> None:
        """Ask for a server to be booted from another disk."""
        status, body = self.ask("POST", f"/servers/{server}/action", {"rescue": {"adminPass": "x"}})
        assert (status, body) == (200, {"adminPass": "x"})

    def rebuild(self, server: str, *, new_image: bool = False) -> None:
        """Ask for a server to be made anew, from its image or from another one."""
        image = self.other_image() if new_image else self.image
        status, body = self.ask("POST", f"/servers/{server}/action", {"rebuild": {"imageRef": image, "name": "anew"}})
        assert status == 202, body
        shown = body["server"]["image"]
        assert (body["server"]["status"], shown and shown["id"]) == ("REBUILD", shown and image)

    def other_image(self) -> str:
        """Return an image that no server is made of."""
        url = f"{self.cloud.image_url}/v2/images"
        other = {"name": "other", "disk_format": "raw", "container_format": "bare"}
        found = requests.get(url, params={"name": "other"}, timeout=480).json()["images"]
        image = str((found or [requests.post(url, json=other, timeout=480).json()])[0]["id"])
        if not found:
            kind = {"Content-Type": "application/octet-stream"}
            requests.put(f"{url}/{image}/file", b"\0" * 512, headers=kind, timeout=480).raise_for_status()
        return image

    def boot_volume(self) -> dict[str, object]:
        """Have a volume with the image in it, and return what more a server is asked for to boot from it."""
        with VolumeUser(self.cloud.volume_url) as storage:
            self.volumes.append(storage.volume(image=self.image))
        mapping = {"boot_index": 0, "uuid": self.volumes[-1], "source_type": "volume", "destination_type": "volume"}
        return {"imageRef": "", "block_device_mapping_v2": [mapping]}

    def evacuate(self, server: str, host: str | None = None) -> None:
        """Say that the server's host is down, which it is not, and ask for the server to be made anew elsewhere."""
        _, body = self.ask("GET", f"/servers/{server}")
        self.force_down(body["server"]["OS-EXT-SRV-ATTR:host"])
        status, body = self.ask("POST", f"/servers/{server}/action", {"evacuate": {"host": host} if host else {}})
        assert (status, body) == (200, None)

    def force_down(self, host: str) -> None:
        """Say that a host is down, where a story waits for it to clean up; when it is over that is taken back."""
        self._have_hosts_look(OFTEN_S)
        _, body = self.ask("GET", f"/os-services?host={host}&binary=nova-compute")
        service = str(body["services"][0]["id"])
        self.forced_down.append(service)
        code, body = self.ask("PUT", f"/os-services/{service}", {"forced_down": True})
        assert code == 200, body

    def raise_hosts(self) -> None:
        """Take back that hosts are down."""
        while self.forced_down:
            code, body = self.ask("PUT", f"/os-services/{self.forced_down.pop()}", {"forced_down": False})
            assert code == 200, body

    def soft_delete(self, server: str) -> int:
        """Ask for a server to be deleted so that it can be restored; return the status code."""
        self.api_conf.set_override("reclaim_instance_interval", 3600)
        try:
            return self.delete(server)
        finally:
            self.api_conf.clear_override("reclaim_instance_interval")

    def act(self, server: str, action: str, details: object = None) -> None:
        """Ask for an action on a server."""
        status, body = self.ask("POST", f"/servers/{server}/action", {action: details})
        assert status in (202, 204), body

    def shelve(self, server: str, *, stays_on_host: bool = False) -> None:
        """Ask for a server to be shelved; one that ``stays_on_host`` is not offloaded at once."""
        for conf in self._cell_confs():
            conf.set_override("shelved_offload_time", -1 if stays_on_host else 0)
        self.act(server, "shelve")

    def _cell_confs(self) -> list[cfg.ConfigOpts]:
        return [runner.tools.conf for runner in self.saboteur.runners if isinstance(runner.tools, CellTools)]

    def resize(self, server: str) -> None:
        """Ask for a server, booted with the smallest flavor, to be twice as large."""
        self.act(server, "resize", {"flavorRef": "2"})

    def reset_moving(self, server: str) -> None:
        """Ask for a server to be twice as large, and set its state while it moves."""
        self.resize(server)
        self.act(server, "os-resetState", {"state": "error"})

    def migrate_live(self, server: str, host: str | None = None, block: object = "auto") -> None:
        """Ask for a running server to go to another host."""
        self.act(server, "os-migrateLive", {"host": host, "block_migration": block})

    def regroup(self, server: str) -> None:
        """Put the server's host into an aggregate and, should it be there already, take it out."""
        _, body = self.ask("GET", f"/servers/{server}")
        host = body["server"]["OS-EXT-SRV-ATTR:host"]
        self.ask("POST", "/os-aggregates", {"aggregate": {"name": "racks"}})
        _, body = self.ask("GET", "/os-aggregates")
        (racks,) = [found for found in body["aggregates"] if found["name"] == "racks"]
        action = "remove_host" if host in racks["hosts"] else "add_host"
        status, body = self.ask("POST", f"/os-aggregates/{racks['id']}/action", {action: {"host": host}})
        assert status == 200, body

    def cache_image(self) -> None:
        """Have every host of an aggregate fetch the image."""
        self.ask("POST", "/os-aggregates", {"aggregate": {"name": "stores"}})
        _, body = self.ask("GET", "/os-aggregates")
        (stores,) = [found for found in body["aggregates"] if found["name"] == "stores"]
        for host in set(self.cloud.agents) - set(stores["hosts"]):
            self.ask("POST", f"/os-aggregates/{stores['id']}/action", {"add_host": {"host": host}})
        status, _ = self.ask("POST", f"/os-aggregates/{stores['id']}/images", {"cache": [{"id": self.image}]})
        assert status == 202

    def disable_host(self, server: str) -> None:
        """Disable the server's host, and see Placement hear of it; when the story is over it is enabled again."""
        _, body = self.ask("GET", f"/servers/{server}")
        host = body["server"]["OS-EXT-SRV-ATTR:host"]
        _, body = self.ask("GET", f"/os-hypervisors/detail?hypervisor_hostname_pattern={host}")
        (hypervisor,) = body["hypervisors"]
        self._switch(hypervisor["service"]["id"], "disabled")
        self.disabled[hypervisor["service"]["id"]] = hypervisor["id"]

    def attach_volume(self, server: str) -> None:
        """Ask for a new volume to be attached to a server."""
        with VolumeUser(self.cloud.volume_url) as storage:
            self.volumes.append(storage.volume())
        wanted = {"volumeAttachment": {"volumeId": self.volumes[-1]}}
        code, body = self.ask("POST", f"/servers/{server}/os-volume_attachments", wanted)
        assert code == 200, body

    def detach_volume(self, server: str) -> None:
        """Ask for the volume that a server has to be detached."""
        _, body = self.ask("GET", f"/servers/{server}/os-volume_attachments")
        (held,) = body["volumeAttachments"]
        code, body = self.ask("DELETE", f"/servers/{server}/os-volume_attachments/{held['volumeId']}")
        assert code == 202, body

    def extend_volume(self, server: str) -> None:
        """Say that the volume that a server has is larger."""
        event = {"name": "volume-extended", "server_uuid": server, "tag": self.volumes[-1]}
        code, body = self.ask("POST", "/os-server-external-events", {"events": [event]})
        assert code == 200, body

    def swap_volume(self, server: str) -> None:
        """Have the volume that a server has migrated, and return when its next one is reserved, or that was refused."""
        url, volume_id = f"/volumes/{self.volumes[-1]}", self.volumes[-1]
        with VolumeUser(self.cloud.volume_url) as storage:
            host = storage.ask("GET", url)["volume"]["os-vol-host-attr:host"]
            there = next(pool.host for pool in POOLS if pool.host != host)
            storage.ask("POST", f"{url}/action", {"os-migrate_volume": {"host": there}})

            def is_known() -> bool:
                _, body = self.ask("GET", f"/servers/{server}/os-instance-actions")
                status = storage.ask("GET", url)["volume"]["migration_status"]
                is_begun = body is None or "swap_volume" in {done["action"] for done in body["instanceActions"]}
                return is_begun or status not in {"starting", "migrating"}

            clouds.eventually(is_known, f"volume {volume_id} is swapped")

    def give_up_volume(self) -> None:
        """Have a volume reserved, as for a server that is then not written down, and freed again."""
        ghost = str(uuids.uuid4())
        with VolumeUser(self.cloud.volume_url) as storage:
            self.volumes.append(storage.volume())
            wanted = {"volume_uuid": self.volumes[-1], "instance_uuid": ghost}
            reserved = storage.ask("POST", "/attachments", {"attachment": wanted})["attachment"]["id"]
        device = BlockDevice(str(uuids.uuid4()), self.volumes[-1], "/dev/vdb", reserved)
        caller = Caller("admin", "admin", frozenset(), "req-volumes", RulePolicy(self.api_conf, []))
        with contextlib.closing(Database(self.cloud.settings.database("api"))) as api_db, api_db.writer() as session:
            workflows.add(session, ApiWorkflowRow, freeing(caller, [(ghost, [device])]), timeout_s=DEADLINE_S)

    def abandon_image(self, server: str) -> None:
        """Have an image and snapshots made of a server with its guest frozen, as by an API that then dies."""
        image, snapshot, database = self._imaged(server)
        self.abandoned.append(snapshot)
        made = {"id": image, "name": "half", "disk_format": "raw", "container_format": "bare", "instance_uuid": server}
        requests.post(f"{self.cloud.image_url}/v2/images", json=made, timeout=480).raise_for_status()
        with contextlib.closing(database), database.writer() as session:
            volume_images.give_up(session, server, image, _IMAGER, "It was made to fail.")

    def keep_image(self, server: str) -> None:
        """Have snapshots made of a server with its guest frozen, as the API does for an image that is kept."""
        image, snapshot, database = self._imaged(server)
        self.snapshots.append(snapshot)
        with contextlib.closing(database), database.writer() as session:
            volume_images.keep(session, server, image, [snapshot], _IMAGER, thaws=True)

    def _imaged(self, server: str) -> tuple[str, str, Database]:
        """Freeze a server's guest, make a snapshot of its volume; return the image's id, its own, and the cell."""
        _, body = self.ask("GET", f"/servers/{server}")
        driver = clouds.fake_driver(self.cloud, body["server"]["OS-EXT-SRV-ATTR:host"])
        image, database = str(uuids.uuid4()), self._cell_of(server)
        with database.writer() as session:
            volume_images.begin(session, server, image, _IMAGER, freezes=True, timeout_s=DEADLINE_S)
        driver.freeze(server)
        wanted = {"volume_id": self.volumes[-1], "force": True, "metadata": {"image_id": image}}
        with VolumeUser(self.cloud.volume_url) as storage:
            return image, str(storage.ask("POST", "/snapshots", {"snapshot": wanted})["snapshot"]["id"]), database

    def _cell_of(self, server: str) -> Database:
        for name in self.cloud.settings.cell_names:
            database = Database(self.cloud.settings.database(name))
            with contextlib.suppress(errors.NotFound), database.reader() as session:
                instances.get(session, server)
                return database
            database.close()
        raise AssertionError(f"no cell has server {server}")

    def _switch(self, service: str, status: str) -> None:
        code, body = self.ask("PUT", f"/os-services/{service}", {"status": status})
        assert code == 200, body

    def lose_host(self) -> None:
        """Delete the service of a host that was there once and carries nothing, and see Placement forget it."""
        host, node = f"ghost{next(_names)}", str(uuids.uuid4())
        with contextlib.closing(Database(self.cloud.settings.database("api"))) as api_db:
            cells = {cell.name: cell for cell in setup.cells(api_db)}
            name = self.cloud.settings.cell_names[0]
            with api_db.writer() as session:
                mappings.add_host(session, host, cells[name].uuid)
        with contextlib.closing(Database(self.cloud.settings.database(name))) as cell_db, cell_db.writer() as session:
            resources = HostResources(1, 1, 1, "QEMU", 1, host, "127.0.0.1", {})
            hosts.register(session, HostReport(host, node, resources))
        url = f"{self.cloud.placement_url}/resource_providers"
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.36"}
        part = str(uuids.uuid4())
        for body in (
            {"uuid": node, "name": host},
            {"uuid": part, "name": f"{host}_NUMA0", "parent_provider_uuid": node},
            {"uuid": str(uuids.uuid4()), "name": f"{host}_0000:81:00.0", "parent_provider_uuid": part},
        ):
            made = requests.post(url, json=body, headers=headers, timeout=480)
            assert made.status_code == 200, made.text
        _, body = self.ask("GET", f"/os-services?host={host}")
        self.lost.append(f"{url}/{node}")
        assert self.ask("DELETE", f"/os-services/{body['services'][0]['id']}")[0] == 204

    def _have_hosts_look(self, interval_s: float) -> None:
        """Have every host compare its guests with its cell's word as often as that from now on."""
        if interval_s == self._looks_s:
            return
        self._looks_s = interval_s
        for agent in self.cloud.agents.values():
            agent._conf.set_override("sync_power_state_interval", interval_s)
            agent._repairs.reconsider()

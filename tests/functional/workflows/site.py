"""One embedded cloud for all stories of faults: its user, its conductors under sabotage, and how each story ends."""

import contextlib
import itertools
import time
import uuid as uuids
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from falcon.testing import TestClient
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api import app
from nova_lite.api.services.boot_holdings import freeing
from nova_lite.api.services.server_deletion import ServerDeletionService
from nova_lite.cells import setup, volume_images
from nova_lite.cells.operations import Requester
from nova_lite.compute.service import Agent
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.conductor import saga
from nova_lite.conductor.service import Conductor
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import actions, hosts, instances, mappings, workflows
from nova_lite.embedded import cloud as embedded
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import QUEUED, ImageDirectory, StoredImage
from nova_lite.embedded.volume_files import POOLS
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import eventually
from nova_lite.testing.volumes import VolumeUser, disagreements
from nova_lite.web.policy import RulePolicy
from tests.functional.workflows.sabotage import Role, Saboteur

#: Seconds a story may take to come to rest.
DEADLINE_S = 480.0
_names = itertools.count(1)
#: Who makes images of servers by another way than by asking for them.
_IMAGER = Requester("admin", "admin", "req-image")
#: Seconds between two looks of a host at its guests: where nobody waits for them, and where a story does.
_SELDOM_S, _OFTEN_S = 5.0, 1.0
#: Seconds that a story waits before it has hosts look often: each look is three messages, of each host.
_PATIENCE_S = 5.0
#: Quick where a real cloud is patient; leases are long, for the stories say when they run out.
_OPTIONS = {
    "DEFAULT": {
        "report_interval": "10",
        "sync_power_state_interval": str(_SELDOM_S),
        "allow_resize_to_same_host": "true",
    },
    "conductor": {"lease": "30", "scan_interval": "0.5"},
    "quota": {"instances": "-1", "cores": "-1", "ram": "-1", "recount_interval": "1"},
    "rpc": {"call_monitor_timeout": "10"},
    "cells": {"refresh_interval": "60"},
}


@dataclass
class Site:
    """A cloud at which things go wrong."""

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
    #: Servers of earlier stories that are deleted, and were not looked for since.
    cleaned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = clouds.wsgi(self.cloud)
        self._image_directory = ImageDirectory(self.cloud.settings.image_dir)
        self._looks_s = _SELDOM_S

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
        self._have_hosts_look(_OFTEN_S)
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

    def _see_images_end(self) -> None:
        """Check that no guest stands still, and that nothing is left of images that were not to be."""
        for host in self.cloud.agents:
            driver = clouds.fake_driver(self.cloud, host)
            assert not driver.frozen & {guest.uuid for guest in driver.guests()}
        if self.abandoned:
            with VolumeUser(self.cloud.volume_url) as storage:
                eventually(lambda: not _among(storage, self.abandoned), "snapshots of images that are not to be gone")
        self.abandoned.clear()

    def _cell_of(self, server: str) -> Database:
        for name in self.cloud.settings.cell_names:
            database = Database(self.cloud.settings.database(name))
            with contextlib.suppress(errors.NotFound), database.reader() as session:
                instances.get(session, server)
                return database
            database.close()
        raise AssertionError(f"no cell has server {server}")

    def _remove_volumes(self) -> None:
        """Remove the story's volumes, which nobody has any more."""
        if not self.volumes:  # nor snapshots, then
            return
        with VolumeUser(self.cloud.volume_url) as storage:
            while self.snapshots:
                storage.ask("DELETE", f"/snapshots/{self.snapshots.pop()}")
            eventually(lambda: not storage.ask("GET", "/snapshots")["snapshots"], "snapshots gone")
            while self.volumes:
                storage.ask("DELETE", f"/volumes/{self.volumes[-1]}")
                storage.wait(self.volumes.pop(), "GONE")

    def _switch(self, service: str, status: str) -> None:
        code, body = self.ask("PUT", f"/os-services/{service}", {"status": status})
        assert code == 200, body

    def _is_marked(self, provider: str) -> bool:
        url = f"{self.cloud.placement_url}/resource_providers/{provider}/traits"
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.36"}
        return "COMPUTE_STATUS_DISABLED" in requests.get(url, headers=headers, timeout=480).json()["traits"]

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

    def break_hosts(self, times: int, error: Exception | None = None, *, method: str = "spawn") -> FaultScript:
        """Have the next ``times`` builds fail on whatever host they come to, with the guest made; return the script."""
        script = self.faults()
        script.fail(method, error or errors.Unavailable("The disk broke"), times=times, after=True)
        return script

    def faults(self, script: FaultScript | None = None) -> FaultScript:
        """Give all hosts one script of faults, and return it."""
        script = script or FaultScript()
        for host in self.cloud.agents:
            clouds.fake_driver(self.cloud, host).faults = script
        return script

    def restart(self, host: str) -> None:
        """Replace a host's agent by a new one, on a new driver that finds the guests the old one left."""
        old = self.cloud.agents[host]
        conf = old._conf
        old.stop()
        new = Agent(conf)
        new.start()
        assert new.ready.wait(480)
        self.cloud.agents[host] = new

    def events(self, server: str) -> list[tuple[str | None, str | None]]:
        """Return the result and the host of each event of what was first done to a server, oldest first."""
        return [(event["result"], event["host"]) for event in self.told_events(server)]

    def told_events(self, server: str) -> list[dict[str, Any]]:
        """Return each event of what was first done to a server as administrators see it, oldest first."""
        _, body = self.ask("GET", f"/servers/{server}/os-instance-actions")
        request = body["instanceActions"][-1]["request_id"]
        _, body = self.ask("GET", f"/servers/{server}/os-instance-actions/{request}")
        return sorted(body["instanceAction"]["events"], key=lambda event: str(event["start_time"]))

    def rest(self, deadline_s: float = DEADLINE_S, *, is_end: bool = True) -> None:
        """Wait until nothing is under way and, where the story or a part of it ends, until the three truths agree."""
        began = time.monotonic()
        end = began + deadline_s
        while not self._is_at_rest():
            self.saboteur.pass_time()
            if time.monotonic() > end:
                work = self.saboteur.at_work() or self.watch.open_work() or self.saboteur.planned()
                raise AssertionError(f"not at rest after {deadline_s} s: {work}")
            if time.monotonic() > began + _PATIENCE_S:
                self._have_hosts_look(_OFTEN_S)
            time.sleep(0.01)
        if is_end:
            self._see_servers_agree(end)
            self._see_neighbours_agree(end)
        self._have_hosts_look(_SELDOM_S)

    def _is_at_rest(self) -> bool:
        return not self.saboteur.at_work() and self.watch.is_quiet() and not self.saboteur.planned()

    def _have_hosts_look(self, interval_s: float) -> None:
        """Have every host compare its guests with its cell's word as often as that from now on."""
        if interval_s == self._looks_s:
            return
        self._looks_s = interval_s
        for agent in self.cloud.agents.values():
            agent._conf.set_override("sync_power_state_interval", interval_s)
            agent._repairs.reconsider()

    def _see_servers_agree(self, end: float) -> None:
        """Wait until the three truths agree: about the servers of this story, and of those before it."""
        while findings := self.watch.audit():
            self._have_hosts_look(_OFTEN_S)
            assert time.monotonic() < end, (findings, f"cleaned up since the last look: {self.cleaned}")
            time.sleep(0.05)
        self.cleaned.clear()

    def _see_neighbours_agree(self, end: float) -> None:
        """Wait until block storage agrees, and check that nothing is left of what images and hosts were to lose."""
        while self.volumes and (found := disagreements(self.cloud)):  # what is being filled goes on meanwhile
            assert time.monotonic() < end, found
            time.sleep(0.05)
        self._see_images_end()
        for url in self.lost:
            assert requests.get(url, headers={"X-Auth-Token": "admin"}, timeout=480).status_code == 404
        self.lost.clear()
        assert not [image.id for image in self._image_directory.images() if image.status == QUEUED]
        assert all(self._is_marked(provider) for provider in self.disabled.values())

    def _images_of(self, server: str) -> list[StoredImage]:
        """Return the images that were made of a server."""
        return [image for image in self._image_directory.images() if image.properties.get("instance_uuid") == server]

    def status(self, server: str) -> str:
        """Return a server's status, ``GONE`` when there is none."""
        code, body = self.ask("GET", f"/servers/{server}")
        return "GONE" if code == 404 else str(body["server"]["status"])

    def outcome(self, server: str) -> str:
        """Return a server's status, with how many volumes it has where it has any."""
        code, body = self.ask("GET", f"/servers/{server}")
        if code == 404:
            return "GONE"
        volumes = body["server"]["os-extended-volumes:volumes_attached"]
        return str(body["server"]["status"]) + (f" with {len(volumes)}" if volumes else "")

    def reason(self, server: str) -> str:
        """Return why a server is in ERROR, as its user reads it."""
        _, body = self.ask("GET", f"/servers/{server}")
        return str(body["server"]["fault"]["message"])

    def last_error(self, server: str) -> str | None:
        """Return how the last action on a server ended: its error as users read it, or None."""
        for name in self.cloud.settings.cell_names:
            database = Database(self.cloud.settings.database(name))
            try:
                with database.reader() as session:
                    done = actions.of_instance(session, server)
                    if done:
                        found = actions.of_request(session, server, done[0].request_id)
                        assert found is not None
                        return found.events[-1].details
            finally:
                database.close()
        return None

    def clean(self) -> None:
        """Delete every server of the story; whatever happened to it, that works and leaves nothing.

        Whether it left nothing is seen with the servers of the next story, at the latest when the cloud ends.
        """
        self.saboteur.clear()
        self.faults()
        for server in self.used:
            assert self.delete(server) in (204, 404)
            for image in self._images_of(server):
                if not image.name.endswith("-shelved"):  # that goes with its server
                    requests.delete(f"{self.cloud.image_url}/v2/images/{image.id}", timeout=480).raise_for_status()
        self.rest(is_end=False)
        if not self.disabled:
            self._see_neighbours_agree(time.monotonic() + DEADLINE_S)
        self._remove_volumes()
        assert not any(self._images_of(server) for server in self.used)
        self.raise_hosts()
        assert [self.status(server) for server in self.used] == ["GONE"] * len(self.used)
        for service in self.disabled:
            self._switch(service, "enabled")
        enabled = list(self.disabled.values())
        self.disabled.clear()
        if enabled:
            self.rest()
        assert not any(self._is_marked(provider) for provider in enabled)
        self.cleaned += self.used
        self.used.clear()

    def see_all_cleaned(self) -> None:
        """Check that nothing is left of the last stories either."""
        if self.cleaned:
            self.rest()


def _among(storage: VolumeUser, snapshots: Collection[str]) -> list[str]:
    return [each["id"] for each in storage.ask("GET", "/snapshots")["snapshots"] if each["id"] in snapshots]


@contextlib.contextmanager
def opened(directory: Path, *, cells: int = 2, hosts_per_cell: int = 2, **more: str) -> Iterator[Site]:
    """Run a cloud whose conductors are under sabotage; ``more`` options go into its default group."""
    saboteur = Saboteur()

    class WatchedConductor(Conductor):
        def __init__(self, conf: cfg.ConfigOpts) -> None:
            super().__init__(conf)
            saboteur.watch(self)

    api_confs: list[cfg.ConfigOpts] = []

    class KnownDeletion(ServerDeletionService):
        def __init__(self, conf: cfg.ConfigOpts, *more: Any) -> None:
            super().__init__(conf, *more)
            api_confs.append(conf)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "Conductor", WatchedConductor)
        patch.setattr(app, "ServerDeletionService", KnownDeletion)
        patch.setattr(saga, "_BACKOFF_S", (0.01, 0.02, 0.05, 0.1))
        patch.setattr(workflows, "_NUDGE_GRACE_S", 0.2)
        options = {**_OPTIONS, "DEFAULT": {**_OPTIONS["DEFAULT"], **more}}
        with (
            clouds.running(directory, cells=cells, hosts=hosts_per_cell, options=options) as cloud,
            Watch(cloud) as watch,
        ):
            images = requests.get(f"{cloud.image_url}/v2/images", timeout=480).json()["images"]
            site = Site(cloud, saboteur, watch, image=str(images[0]["id"]), api_conf=api_confs[0])
            yield site
            site.see_all_cleaned()


@dataclass(frozen=True)
class Story:
    """How a workflow comes about: a server in the state it starts from, then the request that begins it.

    ``ends`` is the ``outcome`` when all goes well, ``fails`` are those when the workflow fails for good. ``made_with``
    tells what more the server is asked for.
    """

    begin: Callable[[Site, str], object]
    ends: str
    fails: tuple[str, ...]
    before: Callable[[Site, str], object] | None = None
    made_with: Callable[[Site], Mapping[str, object]] = lambda site: {}


#: How each workflow is told; ``schedule`` and ``create`` begin with the boot itself.
STORIES: Mapping[tuple[Role, str], Story] = {
    ("super", "schedule"): Story(lambda site, server: None, "ACTIVE", ("ERROR",)),
    ("cell", "create"): Story(lambda site, server: None, "ACTIVE", ("ERROR",)),
    ("super", "delete"): Story(lambda site, server: site.delete(server), "GONE", ("GONE",)),
    # Where the API's own workflow comes to the cell after the cell's has failed, it begins another one.
    ("cell", "delete"): Story(lambda site, server: site.delete(server), "GONE", ("ERROR", "GONE")),
    ("super", "delete-softly"): Story(lambda site, server: site.soft_delete(server), "SOFT_DELETED", ("SOFT_DELETED",)),
    ("cell", "delete-softly"): Story(lambda site, server: site.soft_delete(server), "SOFT_DELETED", ("ERROR",)),
    # What fails when the cell has begun is done there all the same, and what fails there leaves it deleted.
    ("super", "restore"): Story(
        lambda site, server: site.act(server, "restore"),
        "ACTIVE",
        ("SOFT_DELETED", "ACTIVE"),
        before=lambda site, server: site.soft_delete(server),
    ),
    ("cell", "restore"): Story(
        lambda site, server: site.act(server, "restore"),
        "ACTIVE",
        ("SOFT_DELETED",),
        before=lambda site, server: site.soft_delete(server),
    ),
    ("cell", "rescue"): Story(lambda site, server: site.rescue(server), "RESCUE", ("ACTIVE",)),
    ("cell", "unrescue"): Story(
        lambda site, server: site.act(server, "unrescue"),
        "ACTIVE",
        ("RESCUE",),
        before=lambda site, server: site.rescue(server),
    ),
    # The host that is said to be down hears all the same: it turns its guest off, and cleans up when that is over.
    ("super", "evacuate"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ("ACTIVE",)),
    ("cell", "evacuate"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ("ACTIVE", "SHUTOFF")),
    ("cell", "complete-evacuation"): Story(lambda site, server: site.evacuate(server), "SHUTOFF", ()),
    ("super", "rebuild"): Story(lambda site, server: site.rebuild(server, new_image=True), "ACTIVE", ("ACTIVE",)),
    ("cell", "rebuild"): Story(lambda site, server: site.rebuild(server), "ACTIVE", ("ACTIVE", "ERROR")),
    ("super", "reimage"): Story(
        lambda site, server: site.rebuild(server, new_image=True),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        made_with=Site.boot_volume,
    ),
    ("cell", "reimage"): Story(
        lambda site, server: site.rebuild(server, new_image=True),
        "ACTIVE with 1",
        ("ACTIVE with 1", "ERROR with 1"),
        made_with=Site.boot_volume,
    ),
    ("super", "reset-state"): Story(
        lambda site, server: site.reset_moving(server), "ERROR", ("ACTIVE", "VERIFY_RESIZE")
    ),
    ("super", "cache-images"): Story(lambda site, server: site.cache_image(), "ACTIVE", ("ACTIVE",)),
    ("super", "free-volumes"): Story(lambda site, server: site.give_up_volume(), "ACTIVE", ("ACTIVE",)),
    ("super", "forget-host"): Story(lambda site, server: site.lose_host(), "ACTIVE", ("ACTIVE",)),
    ("super", "mirror-aggregates"): Story(lambda site, server: site.regroup(server), "ACTIVE", ("ACTIVE",)),
    ("cell", "mirror-status"): Story(lambda site, server: site.disable_host(server), "ACTIVE", ("ACTIVE",)),
    ("cell", "stop"): Story(lambda site, server: site.act(server, "os-stop"), "SHUTOFF", ("ACTIVE", "SHUTOFF")),
    ("cell", "start"): Story(
        lambda site, server: site.act(server, "os-start"),
        "ACTIVE",
        ("SHUTOFF",),
        before=lambda site, server: site.act(server, "os-stop"),
    ),
    ("cell", "reboot"): Story(lambda site, server: site.act(server, "reboot", {"type": "SOFT"}), "ACTIVE", ("ERROR",)),
    **{
        (role, kind): story
        for role in ("super", "cell")
        for kind, story in {
            "live-migrate": Story(lambda site, server: site.migrate_live(server), "ACTIVE", ("ACTIVE",)),
            "move": Story(lambda site, server: site.resize(server), "VERIFY_RESIZE", ("ACTIVE",)),
            "confirm-resize": Story(
                lambda site, server: site.act(server, "confirmResize"),
                "ACTIVE",
                (),
                before=lambda site, server: site.resize(server),
            ),
            "revert-resize": Story(
                lambda site, server: site.act(server, "revertResize"),
                "ACTIVE",
                ("VERIFY_RESIZE", "ACTIVE"),
                before=lambda site, server: site.resize(server),
            ),
        }.items()
    },
    ("cell", "reboot-hard"): Story(
        lambda site, server: site.act(server, "reboot", {"type": "HARD"}), "ACTIVE", ("ERROR",)
    ),
    ("cell", "pause"): Story(lambda site, server: site.act(server, "pause"), "PAUSED", ("ACTIVE", "PAUSED")),
    ("cell", "unpause"): Story(
        lambda site, server: site.act(server, "unpause"),
        "ACTIVE",
        ("PAUSED", "ACTIVE"),
        before=lambda site, server: site.act(server, "pause"),
    ),
    ("cell", "suspend"): Story(lambda site, server: site.act(server, "suspend"), "SUSPENDED", ("ACTIVE", "SHUTOFF")),
    ("cell", "resume"): Story(
        lambda site, server: site.act(server, "resume"),
        "ACTIVE",
        ("SUSPENDED", "ACTIVE"),
        before=lambda site, server: site.act(server, "suspend"),
    ),
    ("super", "shelve"): Story(lambda site, server: site.shelve(server), "SHELVED_OFFLOADED", ()),
    ("cell", "shelve"): Story(lambda site, server: site.shelve(server), "SHELVED_OFFLOADED", ("ACTIVE",)),
    **{
        (role, "shelve-offload"): Story(
            lambda site, server: site.act(server, "shelveOffload"),
            "SHELVED_OFFLOADED",
            (),
            before=lambda site, server: site.shelve(server, stays_on_host=True),
        )
        for role in ("super", "cell")
    },
    **{
        (role, "unshelve"): Story(
            lambda site, server: site.act(server, "unshelve"),
            "ACTIVE",
            ("SHELVED_OFFLOADED",),
            before=lambda site, server: site.shelve(server),
        )
        for role in ("super", "cell")
    },
    ("cell", "unshelve-here"): Story(
        lambda site, server: site.act(server, "unshelve"),
        "ACTIVE",
        ("SHELVED",),
        before=lambda site, server: site.shelve(server, stays_on_host=True),
    ),
    ("cell", "attach-volume"): Story(lambda site, server: site.attach_volume(server), "ACTIVE with 1", ("ACTIVE",)),
    ("cell", "detach-volume"): Story(
        lambda site, server: site.detach_volume(server),
        "ACTIVE",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "extend-volume"): Story(
        lambda site, server: site.extend_volume(server),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "swap-volume"): Story(
        lambda site, server: site.swap_volume(server),
        "ACTIVE with 1",
        ("ACTIVE with 1",),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "undo-volume-image"): Story(
        lambda site, server: site.abandon_image(server),
        "ACTIVE with 1",
        (),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "thaw-guest"): Story(
        lambda site, server: site.keep_image(server),
        "ACTIVE with 1",
        (),
        before=lambda site, server: site.attach_volume(server),
    ),
    ("cell", "snapshot"): Story(
        lambda site, server: site.act(server, "createImage", {"name": "snap"}), "ACTIVE", ("ACTIVE",)
    ),
    ("cell", "backup"): Story(
        lambda site, server: site.act(server, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}),
        "ACTIVE",
        ("ACTIVE",),
    ),
}
BORN_BY_IT = (("super", "schedule"), ("cell", "create"))


def tell(site: Site, role: Role, kind: str, sabotage: Callable[[Callable[[], str]], None], count: int = 1) -> list[str]:
    """Bring servers to where the workflow begins, sabotage it, begin it, wait until all is at rest; return them.

    ``sabotage`` is given a function that returns the (first) server, for deeds that need it once they happen.
    """
    story = STORIES[role, kind]
    if (role, kind) in BORN_BY_IT:
        sabotage(lambda: min(site.watch.servers() - known))
        if site.saboteur.is_on_detour:
            site.break_hosts(1)
        known = site.watch.servers()
        servers = site.boot(count)
    else:
        servers = site.boot(count, **story.made_with(site))
        site.rest(is_end=False)
        if story.before is not None:
            for server in servers:
                story.before(site, server)
            site.rest(is_end=False)
        sabotage(lambda: servers[0])
        if site.saboteur.is_on_detour:
            method = {"unshelve": "spawn", "live-migrate": "check_landing"}.get(kind, "check_reach")
            site.break_hosts(1, errors.HostFailed("It cannot do that."), method=method)
        for server in servers:
            story.begin(site, server)
    site.rest()
    return servers

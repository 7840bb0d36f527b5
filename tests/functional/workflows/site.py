"""One embedded cloud for all stories of faults: its user, its conductors under sabotage, and how each story ends."""

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api import app
from nova_lite.api.services.server_deletion import ServerDeletionService
from nova_lite.compute.service import Agent
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.conductor import saga
from nova_lite.conductor.service import Conductor
from nova_lite.db.repositories import actions, workflows
from nova_lite.embedded import cloud as embedded
from nova_lite.embedded.image_directory import QUEUED, StoredImage
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import eventually
from nova_lite.testing.volumes import VolumeUser, disagreements
from tests.functional.workflows.deeds import DEADLINE_S, OFTEN_S, SELDOM_S, Deeds
from tests.functional.workflows.sabotage import Saboteur

#: Seconds that a story waits before it has hosts look often: each look is three messages, of each host.
_PATIENCE_S = 5.0
#: Quick where a real cloud is patient; leases are long, for the stories say when they run out.
_OPTIONS = {
    "DEFAULT": {
        "report_interval": "10",
        "sync_power_state_interval": str(SELDOM_S),
        "allow_resize_to_same_host": "true",
    },
    "conductor": {"lease": "30", "scan_interval": "0.5"},
    "quota": {"instances": "-1", "cores": "-1", "ram": "-1", "recount_interval": "1"},
    "rpc": {"call_monitor_timeout": "10"},
    "cells": {"refresh_interval": "60"},
}


@dataclass
class Site(Deeds):
    """A cloud at which things go wrong."""

    #: Servers of earlier stories that are deleted, and were not looked for since.
    cleaned: list[str] = field(default_factory=list)

    def _see_images_end(self) -> None:
        """Check that no guest stands still, and that nothing is left of images that were not to be."""
        for host in self.cloud.agents:
            driver = clouds.fake_driver(self.cloud, host)
            assert not driver.frozen & {guest.uuid for guest in driver.guests()}
        if self.abandoned:
            with VolumeUser(self.cloud.volume_url) as storage:
                eventually(lambda: not _among(storage, self.abandoned), "snapshots of images that are not to be gone")
        self.abandoned.clear()

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

    def _is_marked(self, provider: str) -> bool:
        url = f"{self.cloud.placement_url}/resource_providers/{provider}/traits"
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.36"}
        return "COMPUTE_STATUS_DISABLED" in requests.get(url, headers=headers, timeout=480).json()["traits"]

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
                self._have_hosts_look(OFTEN_S)
            time.sleep(0.01)
        if is_end:
            self._see_servers_agree(end)
            self._see_neighbours_agree(end)
        self._have_hosts_look(SELDOM_S)

    def _is_at_rest(self) -> bool:
        return not self.saboteur.at_work() and self.watch.is_quiet() and not self.saboteur.planned()

    def _see_servers_agree(self, end: float) -> None:
        """Wait until the three truths agree: about the servers of this story, and of those before it."""
        while findings := self.watch.audit():
            self._have_hosts_look(OFTEN_S)
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

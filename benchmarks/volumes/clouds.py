"""The clouds whose servers get volumes: those of the other benchmarks, told of one block storage service."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import requests

from benchmarks.moves.clouds import FLEET, MovingRealCloud
from benchmarks.scheduling.cloud import USER, Options
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.place import REPOSITORY
from nova_lite.embedded import configuration
from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.site import ADDRESS, Site, environment, wait_listening

__all__ = ["CLOUDS", "FLEET", "OurVolumeCloud", "RealVolumeCloud", "Storage", "start_storage"]

#: Names of clouds: each has buses of its own from the start.
CLOUDS = ("ours-volumes", "real-volumes")
PROGRAM = "volumes"
#: Seconds that volumes get to be made.
_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Storage:
    """The running block storage service."""

    url: str

    def make(self, count: int) -> list[str]:
        """Return the ids of so many new volumes, which are there to be attached."""
        with closing(requests.Session()) as session:
            session.trust_env = False
            session.headers.update({"X-Auth-Token": USER})
            made = [self._made(session) for _ in range(count)]
            wait_until(lambda: self._are_there(session, made), "the volumes", timeout_s=_LIMIT_S)
        return made

    def _made(self, session: requests.Session) -> str:
        answer = session.post(f"{self.url}/volumes", json={"volume": {"size": 1}}, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["volume"]["id"])

    def _are_there(self, session: requests.Session, wanted: Sequence[str]) -> bool:
        answer = session.get(f"{self.url}/volumes/{wanted[-1]}", timeout=60)
        return bool(answer.json()["volume"]["status"] == "available")


def start_storage(site: Site) -> Storage:
    """Start the block storage service."""
    port, identity = site.port("volumes"), site.port("identity")
    directory = site.folder("data", "volumes")
    argv = (
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.volumes.service",
        str(port),
        str(identity),
        str(directory),
    )
    site.processes.start(Program(PROGRAM, argv, environment(PYTHONPATH=str(REPOSITORY)), str(REPOSITORY)))
    wait_listening(site, PROGRAM, port, timeout_s=60)
    return Storage(f"http://{ADDRESS}:{port}/v3")


def _credentials(site: Site) -> dict[str, object]:
    return configuration.credentials(f"http://{ADDRESS}:{site.port('identity')}")


class OurVolumeCloud(OurCloud):
    """Ours, told of the block storage service."""

    def _write(self, process: str, bus: str | None, *options: Options) -> None:
        ours = _credentials(self._site)
        super()._write(process, bus, *options, {"cinder": ours, "service_user": ours})


class RealVolumeCloud(MovingRealCloud):
    """The real Nova, told of the same."""

    def _write(self, process: str, bus: str, *options: Options) -> None:
        ours = _credentials(self._site)
        url = f"http://{ADDRESS}:{self._site.port('volumes')}/v3/%(project_id)s"
        # Its configuration files take a percent sign as it is.
        cinder = {**ours, "endpoint_template": url, "catalog_info": "block-storage:cinder:publicURL"}
        service = {**ours, "send_service_user_token": True}
        super()._write(process, bus, *options, {"cinder": cinder, "service_user": service})

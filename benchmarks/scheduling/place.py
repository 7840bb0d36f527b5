"""Where clouds are put: one MariaDB, one RabbitMQ, one image service, all on the loopback."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from benchmarks.placement import peers
from benchmarks.placement.peers import Stage
from benchmarks.scheduling.cloud import Fleet, Surroundings, Where
from tests.integration.stack.keystone import uwsgi
from tests.integration.stack.processes import Program
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import ADDRESS, Site, environment, wait_listening

REPOSITORY = Path(__file__).resolve().parents[2]


class Place:
    """The servers that clouds stand on."""

    def __init__(self, stage: Stage, rabbitmq: RabbitMQ) -> None:
        self.site = stage.site
        self.mariadb = stage.mariadb
        self.rabbitmq = rabbitmq

    def where(self, cell: str, cell0: str) -> Where:
        """Return how to look into databases of these names."""
        return Where(self.mariadb.url(cell), cell, cell0)


def all_ready(site: Site, cloud: str, fleet: Fleet) -> bool:
    """Return whether every process that carries several hosts of a cloud says that all of them take work."""
    if fleet.processes is None:
        return True
    return all(site.path("data", cloud, f"hosts-{number}", "ready").exists() for number in range(len(fleet.shares)))


@contextlib.contextmanager
def opened(clouds: Sequence[str]) -> Iterator[tuple[Place, Surroundings]]:
    """Yield a place for clouds of these names; afterwards no process and no file is left of it, or of them."""
    vhosts = [f"{cloud}-{bus}" for cloud in clouds for bus in ("api", "cell1")]
    with peers.stage() as stage:
        rabbitmq = RabbitMQ(stage.site, vhosts)
        rabbitmq.start()
        place = Place(stage, rabbitmq)
        yield place, images(place)


def images(place: Place) -> Surroundings:
    """Start the image service; return what clouds are told of it."""
    port = place.site.port("images")
    directory = place.site.folder("data", "images")
    argv = uwsgi(Path(sys.prefix), port, "benchmarks.scheduling.images", 1, 4)
    variables = environment(PYTHONPATH=str(REPOSITORY), IMAGES=str(directory))
    place.site.processes.start(Program("images", argv, variables, str(REPOSITORY)))
    wait_listening(place.site, "images", port, timeout_s=30)
    url = f"http://{ADDRESS}:{port}"
    deadline = time.monotonic() + 30
    while not (found := requests.get(f"{url}/v2/images", timeout=10).json()["images"]):
        if time.monotonic() > deadline:
            raise TimeoutError("the image service has no image")
        time.sleep(0.05)
    return Surroundings(url, found[0]["id"], REPOSITORY)

"""One Placement of several workers for each kind of database, and the look at the truth after every story."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.conftest import started
from tests.integration.races.client import Client
from tests.integration.races.truth import Truth
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.placement import Placement

BACKENDS = ("mariadb", "postgresql")


@dataclass(frozen=True, slots=True)
class Size:
    """How long the stories are: NOVA_LITE_RACES multiplies them, NOVA_LITE_RACES_SEED makes others of them."""

    factor: float
    seed: int

    def __call__(self, count: int) -> int:
        """Return ``count``, multiplied."""
        return max(1, round(count * self.factor))

    def random(self, *what: object) -> random.Random:
        """Return a source of randomness for one part of a story."""
        return random.Random(f"{self.seed} {what}")


@pytest.fixture(scope="session")
def size() -> Size:
    return Size(float(os.environ.get("NOVA_LITE_RACES", "1")), int(os.environ.get("NOVA_LITE_RACES_SEED", "1")))


@dataclass(frozen=True, slots=True)
class Stage:
    """One Placement on one database. Each of its servers is one worker, so that a test can tell which one it asks."""

    backend: str
    placement: Placement
    truth: Truth
    url: str


@pytest.fixture(scope="session", params=BACKENDS)
def stage(request: pytest.FixtureRequest, neighbours: Neighbours) -> Iterator[Stage]:
    """Three workers on one database server."""
    server = request.getfixturevalue(request.param)
    server.create(["placement_races"])
    url = server.url("placement_races")
    placement = Placement(neighbours.site, f"races-{request.param}", url, servers=3, processes=1)
    truth = Truth(url)
    try:
        placement.prepare()
        started(placement.start)
        yield Stage(request.param, placement, truth, url)
    finally:
        placement.stop()
        truth.close()
        server.drop(["placement_races"])


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    """A client of every worker; afterwards nothing may have failed, and the database must be as it must be."""
    client = Client(stage.placement.ports)
    yield client
    assert not client.failures, f"{len(client.failures)} answers of failure, the first: {client.failures[0]}"
    assert stage.truth.problems() == []

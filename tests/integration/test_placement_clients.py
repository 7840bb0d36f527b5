"""Our Placement client, and what operators' commands do with it, against the real Placement."""

from collections.abc import Iterator

import pytest

from nova_lite.clients.placement import PlacementClient
from tests.contract.clients.placement import PlacementSuite, client_of
from tests.integration.conftest import started
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.real_placement import RealPlacement


@pytest.fixture(scope="module")
def placement(neighbours: Neighbours, mariadb: MariaDB) -> Iterator[RealPlacement]:
    real = RealPlacement(neighbours.site, mariadb, name="placement-for-clients")
    started(real.start)
    yield real
    real.stop()


@pytest.fixture
def client(placement: RealPlacement) -> PlacementClient:
    return client_of(placement.url)


class TestTheirs(PlacementSuite):
    """The real one."""

"""The stories of hosts' trees, told to the real Placement: what ours answers is not what makes them true."""

from collections.abc import Iterator

import pytest

from tests.functional.hosts.conftest import home  # noqa: F401 - a fixture
from tests.functional.hosts.test_provider_tree import *  # noqa: F403 - each story is run here once more
from tests.integration.conftest import started
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.real_placement import RealPlacement


@pytest.fixture(scope="module")
def placement_url(neighbours: Neighbours, mariadb: MariaDB) -> Iterator[str]:
    real = RealPlacement(neighbours.site, mariadb, name="placement-for-hosts")
    started(real.start)
    yield real.url
    real.stop()

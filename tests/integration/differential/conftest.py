"""The real Placement and ours, side by side."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import started
from tests.integration.differential.driver import Pair
from tests.integration.differential.servers import Servers
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours


@pytest.fixture(scope="module")
def pair(neighbours: Neighbours, mariadb: MariaDB) -> Iterator[Pair]:
    """Both servers, without providers."""
    servers = Servers(neighbours.site, mariadb)
    try:
        started(servers.start)
        yield servers.pair
    finally:
        servers.stop()

"""A real guest is resized, migrates live and is evacuated between real hosts, by the ``openstack`` command.

What more there is to moves is shown by ``moves_of_guests.py``, which takes longer. By hand, too:
``python -m pytest tests/integration/moves_in_short.py``.
"""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import started
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.libvirt_hosts import SHARING, RealHosts
from tests.integration.stack.real_servers import LARGE, Server, in_their_zone
from tests.integration.stack.services import CELLS

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def hosts(_running: Deployment) -> Iterator[RealHosts]:
    """Two real hosts more in the deployment, in a zone of their own."""
    hosts = RealHosts(_running.site, _running.neighbours, cell=CELLS[1], names=SHARING)
    try:
        _running.heal()
        started(hosts.start_all)
        with _running.connect(ADMIN) as admin, in_their_zone(_running, hosts, admin.compute):
            yield hosts
    finally:
        hosts.stop_all()


def test_a_guest_is_resized_migrates_live_and_is_evacuated(deployment: Deployment, hosts: RealHosts) -> None:
    server = Server(deployment, hosts, "moving")
    before = server.tells(lambda told: True, "anything")

    server.act("resize", options=("--flavor", LARGE))
    server.reaches("VERIFY_RESIZE")
    resized = server.tells(lambda told: told.boots == before.boots + 1, "one boot more")
    assert (before.disk_gib, resized.disk_gib) == (1, 2)
    server.act("resize", "confirm")
    server.reaches("ACTIVE")
    server.is_alone_on(server.host)

    home = server.host
    away = next(name for name in SHARING if name != home)
    for target in (away, home):
        server.act("migrate", options=("--live-migration", "--shared-migration", "--host", target))
        server.arrives(target)
        server.is_alone_on(target)
        moved = server.tells(lambda told: told.uptime_s > resized.uptime_s, "how long it has been up")  # noqa: B023
        assert (moved.boots, moved.boot_id) == (resized.boots, resized.boot_id)
        resized = moved

    server.is_evacuated(away)
    server.delete()

"""Real guests move between real hosts, by the ``openstack`` command; the guests say themselves what became of them.

It takes minutes, and is no part of the suite (nor is ``moves_in_short.py``, which takes two or so):
``python -m pytest tests/integration/moves_of_guests.py``.
"""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import started
from tests.integration.stack.clients import Truth, openstack
from tests.integration.stack.deployment import IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.libvirt_hosts import APART, SHARING, RealHosts
from tests.integration.stack.processes import wait_until
from tests.integration.stack.real_servers import LARGE, LARGER, Server, in_their_zone, only
from tests.integration.stack.services import CELLS

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def hosts(_running: Deployment) -> Iterator[RealHosts]:
    """Three real hosts more in the deployment, in a zone of their own."""
    hosts = RealHosts(_running.site, _running.neighbours, cell=CELLS[1])
    try:
        _running.heal()
        started(hosts.start_all)
        with _running.connect(ADMIN) as admin, in_their_zone(_running, hosts, admin.compute):
            yield hosts
    finally:
        hosts.stop_all()


@pytest.fixture(scope="module")
def servers() -> list[Server]:
    """The server that tests share; none where one of them spoilt it."""
    return []


@pytest.fixture
def server(_running: Deployment, hosts: RealHosts, servers: list[Server]) -> Iterator[Server]:
    """A server whose guest is up; it is another one after a test that failed."""
    if not servers:
        servers.append(Server(_running, hosts, "vm"))
        servers[0].tells(lambda told: True, "anything")
    server = servers.pop()
    yield server
    if server.shown().status == "ACTIVE":
        servers.append(server)
    else:
        server.delete()


def neighbour(server: Server) -> str:
    """Return the host that shares its disks with the server's."""
    return next(name for name in SHARING if name != server.host)


def test_resize_and_confirm(server: Server) -> None:
    before = server.tells(lambda told: True, "anything")
    with only(server, *SHARING):
        server.act("resize", options=("--flavor", LARGE, "--wait"))
        server.reaches("VERIFY_RESIZE")
    after = server.tells(lambda told: told.boots == before.boots + 1, "one boot more")
    assert (before.disk_gib, after.disk_gib) == (1, 2)
    server.act("resize", "confirm")
    server.reaches("ACTIVE")
    server.is_alone_on(server.host)


def test_migrate_and_revert_with_the_agent_killed_under_way(server: Server) -> None:
    before, source = server.tells(lambda told: True, "anything"), server.host
    target = neighbour(server)
    server.act("migrate", options=("--host", target))
    wait_until(lambda: source not in server.hosts.libvirt.having(server.id, running=True), "power off", timeout_s=60)
    server.hosts.kill(target)
    server.hosts.start(target)
    server.reaches("VERIFY_RESIZE")
    assert server.host == target
    server.is_alone_on(target)
    server.tells(lambda told: told.boots == before.boots + 1, "one boot more")
    server.act("migrate", "revert")
    server.reaches("ACTIVE")
    server.is_alone_on(source)
    server.tells(lambda told: told.boots == before.boots + 1, "a boot of the old disk")


def test_a_migration_to_a_host_that_sees_none_of_the_disks(server: Server) -> None:
    before, source = server.tells(lambda told: True, "anything"), server.host
    for target in (APART, source):
        server.act("migrate", options=("--host", target))
        server.reaches("VERIFY_RESIZE")
        assert server.host == target
        after = server.tells(lambda told: told.boots == before.boots + 1, "one boot more of the same disk")  # noqa: B023
        assert after.boot_id != before.boot_id
        server.act("migrate", "confirm")
        server.reaches("ACTIVE")
        server.is_alone_on(target)
        assert server.files_on(*(SHARING if target == APART else (APART,))) == []
        before = after


def test_a_resize_to_a_host_that_sees_none_of_the_disks_is_reverted(server: Server) -> None:
    before, source = server.tells(lambda told: True, "anything"), server.host
    flavor = LARGE if before.disk_gib == 1 else LARGER
    with only(server, APART):
        server.act("resize", options=("--flavor", flavor))
        server.reaches("VERIFY_RESIZE")
    assert server.host == APART
    after = server.tells(lambda told: told.boots == before.boots + 1, "one boot more of a larger disk")
    assert after.disk_gib == before.disk_gib + 1
    server.act("resize", "revert")
    server.reaches("ACTIVE")
    server.is_alone_on(source)
    assert server.files_on(APART) == []
    server.tells(lambda told: (told.boots, told.disk_gib) == (before.boots + 1, before.disk_gib), "the old disk's boot")


@pytest.mark.parametrize("storage", ["shared", "block"])
def test_live_migration_there_and_back(server: Server, storage: str) -> None:
    before, source = server.tells(lambda told: True, "anything"), server.host
    there = neighbour(server) if storage == "shared" else APART
    how = ("--live-migration", f"--{storage}-migration")
    for target in (there, source):
        server.act("migrate", options=(*how, "--host", target, "--wait"))
        server.reaches("ACTIVE")
        assert server.host == target
        server.is_alone_on(target)
        after = server.tells(lambda told: told.uptime_s > before.uptime_s, "how long it has been up")  # noqa: B023
        assert (after.boots, after.boot_id) == (before.boots, before.boot_id)
        before = after


def test_rescue_and_unrescue(server: Server) -> None:
    before = server.tells(lambda told: True, "anything")
    server.act("rescue")
    server.reaches("RESCUE")
    # Both disks are alike: the guest takes its system from whichever it finds first.
    rescued = server.tells(lambda told: told.boot_id != before.boot_id, "another boot")
    server.act("unrescue")
    server.reaches("ACTIVE")
    after = server.tells(lambda told: told.boot_id not in (before.boot_id, rescued.boot_id), "its own disk's boot")
    assert after.boots in (before.boots + 1, before.boots + 2)


def test_a_snapshot_boots(server: Server) -> None:
    boots = server.tells(lambda told: True, "anything").boots
    openstack(server.deployment, "admin", "server", "image", "create", "--name", "moved", "--wait", server.id)
    other = Server(server.deployment, server.hosts, "of-snapshot", of="moved")
    other.tells(lambda told: told.boots == boots + 1, "one boot more than the server it is a copy of")
    other.delete()
    openstack(server.deployment, "admin", "image", "delete", "moved")


def test_shelve_and_unshelve(server: Server) -> None:
    boots = server.tells(lambda told: True, "anything").boots
    server.act("shelve", options=("--offload", "--wait"))
    server.reaches("SHELVED_OFFLOADED")
    assert server.hosts.libvirt.having(server.id) == []
    assert Truth(server.deployment).allocations(server.id) == {}
    server.act("unshelve", options=("--wait",))
    server.reaches("ACTIVE")
    server.is_alone_on(server.host)
    server.tells(lambda told: told.boots == boots + 1, "one boot more of the same disk")


def test_rebuild(server: Server) -> None:
    before, host = server.tells(lambda told: True, "anything"), server.host
    server.act("rebuild", options=("--image", IMAGE, "--wait"))
    server.reaches("ACTIVE")
    server.is_alone_on(host)
    after = server.tells(lambda told: told.boot_id != before.boot_id, "a boot of a fresh disk")
    assert after.boots == 1


def test_a_host_that_returns_after_its_servers_were_evacuated_starts_none(server: Server) -> None:
    server.is_evacuated(neighbour(server))

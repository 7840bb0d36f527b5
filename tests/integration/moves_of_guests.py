"""Real guests move between real hosts, by the ``openstack`` command; the guests say themselves what became of them.

A guest counts its boots in a file on its disk and tells that on its console again and again, with the identity the
kernel has from one boot to the next, its uptime and the size of its disk. It takes minutes, and is no part of the
suite: ``python -m pytest tests/integration/moves_of_guests.py``.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import started
from tests.integration.stack.clients import Truth, openstack, openstack_json
from tests.integration.stack.deployment import IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.libvirt_hosts import APART, SHARING, RealHosts
from tests.integration.stack.processes import wait_until
from tests.integration.stack.services import CELLS

pytestmark = pytest.mark.timeout(600)

_ZONE = "real"
_SMALL, _LARGE, _LARGER = "moves.small", "moves.large", "moves.larger"
_PATIENCE_S = 180.0
_KIB_OF_GIB = 1024**2

#: What the command must be told to name hosts; from 2.95 on evacuated servers are left off.
_VERSION = ("--os-compute-api-version", "2.94")

_TELLS = """#!/bin/sh
echo boot >>/root/boots
sync
while :; do
    size=$(sed -n 's/^ *[0-9]* *[0-9]* *\\([0-9]*\\) vda$/\\1/p' /proc/partitions)
    id=$(cat /proc/sys/kernel/random/boot_id)
    echo "tells $(wc -l </root/boots) $id $(cut -d. -f1 /proc/uptime) $size end" >/dev/console
    sleep 1
done
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a guest told of itself last."""

    boots: int
    boot_id: str
    uptime_s: int
    disk_gib: int


class Server:
    """One server, driven by the ``openstack`` command as its user and its operator."""

    def __init__(self, deployment: Deployment, hosts: RealHosts, name: str, *, of: str = IMAGE) -> None:
        self.deployment = deployment
        self.hosts = hosts
        self.name = name
        data = deployment.site.write(_TELLS, "data", "tells.sh")
        where = ["--availability-zone", f"{_ZONE}:{SHARING[0]}", "--nic", "none", "--config-drive", "true"]
        # A copy of a server's disk may be larger than a new one's.
        what = ["--flavor", _SMALL if of == IMAGE else _LARGE, "--image", of, "--user-data", str(data)]
        self.id: str = openstack_json(deployment, "admin", "server", "create", *what, *where, "--wait", name)["id"]
        self._connection = deployment.connect(ADMIN)

    def act(self, *words: str, options: tuple[str, ...] = ()) -> None:
        """Run ``openstack server WORDS... OPTIONS... ID``."""
        openstack(self.deployment, "admin", *_VERSION, "server", *words, *options, self.id)

    def shown(self) -> Any:
        """Return the server as its operator sees it."""
        return self._connection.compute.get_server(self.id)

    @property
    def host(self) -> str:
        return str(self.shown().compute_host)

    def reaches(self, status: str) -> None:
        """Wait until the server has a status and nothing is done to it; one that fails, or stays, is told of."""

        def reached() -> bool:
            server = self.shown()
            if server.status == "ERROR" != status:
                pytest.fail(f"{self.name}: {server.fault}")
            return bool(server.status == status and server.task_state is None)

        wait_until(reached, f"{self.name} {status}", timeout_s=_PATIENCE_S, interval_s=0.3, hint=str(self.hosts.names))

    def last(self) -> Told | None:
        """Return what the guest told last, if it has told anything where it is."""
        console = self._connection.compute.get_server_console_output(self.id)["output"]
        found = re.findall(r"tells (\d+) (\S{36}) (\d+) (\d+) end", console)
        if not found:
            return None
        boots, boot_id, uptime_s, kib = found[-1]
        return Told(int(boots), boot_id, int(uptime_s), int(kib) // _KIB_OF_GIB)

    def tells(self, condition: Callable[[Told], bool], what: str) -> Told:
        """Return what the guest tells once it tells what is waited for."""
        found: list[Told] = []

        def told() -> bool:
            last = self.last()
            if last is not None and condition(last):
                found.append(last)
            return bool(found)

        wait_until(told, f"{self.name} telling {what}", timeout_s=_PATIENCE_S, interval_s=0.3)
        return found[0]

    def is_alone_on(self, host: str) -> None:
        """Check that the guest runs on one host, that no other has one of it, and who holds what in Placement."""
        assert self.hosts.libvirt.having(self.id, running=True) == [host]
        assert self.hosts.libvirt.having(self.id) == [host]
        assert list(Truth(self.deployment).allocations(self.id)) == [host]

    def files_on(self, *hosts: str) -> list[str]:
        """Return what these hosts have of the guest in their directories."""
        folders = {self.hosts.guests_folder(name) for name in hosts}
        return [str(path) for folder in folders for path in folder.glob(f"*{self.id}*")]

    def delete(self) -> None:
        """Delete the server; no host has anything of it then."""
        openstack(self.deployment, "admin", "server", "delete", "--wait", self.id)
        self._connection.close()
        assert self.hosts.libvirt.having(self.id) == []
        assert self.files_on(*self.hosts.names) == []


@pytest.fixture(scope="module")
def hosts(_running: Deployment) -> Iterator[RealHosts]:
    """Three real hosts more in the deployment, in a zone of their own."""
    hosts = RealHosts(_running.site, _running.neighbours, cell=CELLS[1])
    try:
        _running.heal()
        started(hosts.start_all)
        with _running.connect(ADMIN) as admin:
            yield from _in_their_zone(_running, hosts, admin.compute)
    finally:
        hosts.stop_all()


def _in_their_zone(deployment: Deployment, hosts: RealHosts, compute: Any) -> Iterator[RealHosts]:
    def up() -> bool:
        return {each.host for each in compute.services() if each.state == "up"} >= set(hosts.names)

    wait_until(up, "the agents of the real hosts", timeout_s=60, interval_s=0.2)
    deployment.services.manage("manage", "cell_v2", "discover_hosts")
    aggregate = compute.create_aggregate(name=_ZONE, availability_zone=_ZONE)
    flavors = [
        compute.create_flavor(name=name, ram=128, vcpus=1, disk=disk)
        for disk, name in enumerate((_SMALL, _LARGE, _LARGER), start=1)
    ]
    for name in hosts.names:
        compute.add_host_to_aggregate(aggregate, name)
    try:
        yield hosts
    finally:
        deployment.delete_all_servers()
        for name in hosts.names:
            compute.remove_host_from_aggregate(aggregate, name)
        compute.delete_aggregate(aggregate)
        for flavor in flavors:
            compute.delete_flavor(flavor)
        hosts.stop_all()
        for service in compute.services():
            if service.host in hosts.names:
                compute.delete_service(service)


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


@contextlib.contextmanager
def only(server: Server, *hosts: str) -> Iterator[None]:
    """Have new guests go to some of the hosts only."""
    others = [name for name in server.hosts.names if name not in hosts]
    for name in others:
        _set(server, name, "--disable")
    try:
        yield
    finally:
        for name in others:
            _set(server, name, "--enable")


def test_resize_and_confirm(server: Server) -> None:
    before = server.tells(lambda told: True, "anything")
    with only(server, *SHARING):
        server.act("resize", options=("--flavor", _LARGE, "--wait"))
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
    flavor = _LARGE if before.disk_gib == 1 else _LARGER
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
    before, source = server.tells(lambda told: True, "anything"), server.host
    target = neighbour(server)
    server.hosts.kill(source)
    server.hosts.libvirt.cut_power(source)
    _set(server, source, "--down")
    # Not --wait: the command would wait for ever, for it never finds the status it waits for.
    server.act("evacuate", options=("--host", target))
    wait_until(lambda: server.host == target, "the server on another host", timeout_s=_PATIENCE_S)
    server.reaches("ACTIVE")
    server.tells(lambda told: told.boot_id != before.boot_id, "another boot")
    server.hosts.libvirt.boot(source)
    assert server.hosts.libvirt.domains(source, running=True) == set()
    server.hosts.start(source)
    _set(server, source, "--up")
    wait_until(lambda: server.id not in server.hosts.libvirt.domains(source), "the old guest removed", timeout_s=120)
    server.is_alone_on(target)


def _set(server: Server, host: str, option: str) -> None:
    """Tell that a host is down, or up again."""
    openstack(server.deployment, "admin", *_VERSION, "compute", "service", "set", option, host, "nova-compute")

"""Servers on real hosts as the ``openstack`` command drives them, with guests that say themselves what became of them.

A guest counts its boots in a file on its disk and tells that on its console again and again, with the identity the
kernel has from one boot to the next, its uptime and the size of its disk.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.stack.clients import Truth, openstack, openstack_json
from tests.integration.stack.deployment import IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.libvirt_hosts import SHARING, RealHosts
from tests.integration.stack.processes import wait_until

_ZONE = "real"
SMALL, LARGE, LARGER = "moves.small", "moves.large", "moves.larger"
#: A slow machine is given several times that.
PATIENCE_S = 600.0
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
        what = ["--flavor", SMALL if of == IMAGE else LARGE, "--image", of, "--user-data", str(data)]
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

        wait_until(reached, f"{self.name} {status}", timeout_s=PATIENCE_S, interval_s=0.3, hint=str(self.hosts.names))

    def arrives(self, host: str) -> None:
        """Wait until the server is at rest on a host."""
        wait_until(lambda: self.host == host, f"{self.name} on {host}", timeout_s=PATIENCE_S, interval_s=0.3)
        self.reaches("ACTIVE")

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

        wait_until(told, f"{self.name} telling {what}", timeout_s=PATIENCE_S, interval_s=0.3)
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

    def is_evacuated(self, target: str) -> None:
        """Cut its host's power and have the server evacuated; see that the host starts no guest when it is back."""
        before, source = self.tells(lambda told: True, "anything"), self.host
        self.hosts.kill(source)
        self.hosts.libvirt.cut_power(source)
        set_service(self, source, "--down")
        # Not --wait: the command would wait for ever, for it never finds the status it waits for.
        self.act("evacuate", options=("--host", target))
        wait_until(lambda: self.host == target, "the server on another host", timeout_s=PATIENCE_S)
        self.reaches("ACTIVE")
        after = self.tells(lambda told: told.boot_id != before.boot_id, "another boot")
        keeps_disks = {source, target} <= set(SHARING)
        assert after.boots == (before.boots + 1 if keeps_disks else 1)
        self.hosts.libvirt.boot(source)
        assert self.hosts.libvirt.domains(source, running=True) == set()
        self.hosts.start(source)
        set_service(self, source, "--up")
        wait_until(
            lambda: self.id not in self.hosts.libvirt.domains(source), "the old guest removed", timeout_s=PATIENCE_S
        )
        self.is_alone_on(target)

    def delete(self) -> None:
        """Delete the server; no host has anything of it then."""
        openstack(self.deployment, "admin", "server", "delete", "--wait", self.id)
        self._connection.close()
        assert self.hosts.libvirt.having(self.id) == []
        assert self.files_on(*self.hosts.names) == []


@contextlib.contextmanager
def in_their_zone(deployment: Deployment, hosts: RealHosts, compute: Any) -> Iterator[None]:
    """Have the agents of real hosts in a zone of their own, with flavors for it; afterwards all of that is gone."""

    def up() -> bool:
        return {each.host for each in compute.services() if each.state == "up"} >= set(hosts.names)

    wait_until(up, "the agents of the real hosts", timeout_s=PATIENCE_S, interval_s=0.2)
    deployment.services.manage("manage", "cell_v2", "discover_hosts")
    aggregate = compute.create_aggregate(name=_ZONE, availability_zone=_ZONE)
    flavors = [
        compute.create_flavor(name=name, ram=128, vcpus=1, disk=disk)
        for disk, name in enumerate((SMALL, LARGE, LARGER), start=1)
    ]
    for name in hosts.names:
        compute.add_host_to_aggregate(aggregate, name)
    try:
        yield
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


@contextlib.contextmanager
def only(server: Server, *hosts: str) -> Iterator[None]:
    """Have new guests go to some of the hosts only."""
    others = [name for name in server.hosts.names if name not in hosts]
    for name in others:
        set_service(server, name, "--disable")
    try:
        yield
    finally:
        for name in others:
            set_service(server, name, "--enable")


def set_service(server: Server, host: str, option: str) -> None:
    """Tell that a host is down, or up again."""
    openstack(server.deployment, "admin", *_VERSION, "compute", "service", "set", option, host, "nova-compute")

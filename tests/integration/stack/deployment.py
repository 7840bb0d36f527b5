"""A whole deployment: neighbours, databases, two cells, services, hosts, flavors, an image, and clients' settings."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import openstack

from nova_lite.db.repositories import hosts as host_rows
from nova_lite.storage import Database
from tests.integration.stack.keystone import ADMIN, DEMO, OTHER, READER, Account, side_by_side
from tests.integration.stack.libvirt import guest_image
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.processes import wait_until
from tests.integration.stack.services import CELLS, COMMON, CONSOLES, DATABASES, HOSTS, METADATA, Host, Services
from tests.integration.stack.site import Site

#: Name of the image that boots, and of a flavor it fits into.
IMAGE = "tiny-guest"
FLAVOR = "m1.tiny"
_ACCOUNTS = (ADMIN, DEMO, OTHER, READER)


class Deployment:
    """Everything, started and stopped as one. ``start`` after ``stop`` goes on with the state kept on disk.

    ``say`` is told how far a start is.
    """

    def __init__(
        self,
        site: Site,
        neighbours: Neighbours | None = None,
        *,
        hosts: tuple[Host, ...] = HOSTS,
        settings: str = COMMON,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.site = site
        self.neighbours = neighbours or Neighbours(site)
        self.services = Services(
            site,
            self.neighbours.rabbitmq,
            self.neighbours.mariadb,
            self.neighbours.keystone,
            hosts=hosts,
            settings=settings,
        )
        self._say = say
        #: The processes that ran when all was well last, by name.
        self._well: dict[str, int | None] = {}

    def start(self) -> None:
        """Start what does not run yet; return when every host takes work."""
        self._start_neighbours()
        self._say("nova_lite's databases, cells and endpoints")
        self._once("databases", self._make_databases)
        self._once("catalog", self._add_to_catalog)
        self._say(f"nova_lite: {len(self.services.names)} processes")
        side_by_side([partial(self.services.start, name) for name in self.services.control])
        side_by_side([partial(self.services.start, host.name) for host in self.services.hosts])
        self._once("image", self._add_images)
        self._write_clouds()
        wait_until(
            self._hosts_reported, "every host reporting to its cell", timeout_s=60, interval_s=0.2, hint=self._logs()
        )
        self._once("hosts", lambda: self.services.manage("manage", "cell_v2", "discover_hosts"))
        self._once("flavors", self._add_flavors)
        self._wait_all_report()

    def stop(self) -> None:
        """Stop everything that runs, services before what they use."""
        try:
            self.stop_services()
        finally:
            self.neighbours.stop()

    def stop_services(self) -> None:
        """Stop nova_lite's own processes."""
        side_by_side([partial(self._stop_service, name) for name in self.services.names])

    def heal(self) -> None:
        """Start again whatever does not run; return when every host takes work."""
        self.neighbours.libvirt.start()
        if self._running() != self._well:
            self.neighbours.start()
            side_by_side([partial(self.services.start, name) for name in self.services.names])
        self._wait_all_report()

    def delete_all_servers(self) -> None:
        """Delete every server of every project and wait until none is left."""
        with self.connect(ADMIN) as admin:
            for server in admin.compute.servers(details=False, all_projects=True):
                admin.compute.delete_server(server, ignore_missing=True)
            wait_until(
                lambda: not list(admin.compute.servers(details=False, all_projects=True)),
                "every server deleted",
                timeout_s=60,
                interval_s=0.2,
                hint=self._logs(),
            )

    def connect(self, account: Account, **options: Any) -> openstack.connection.Connection:
        """Return an openstacksdk connection of ``account``; close it, or use it in a ``with``."""
        return openstack.connection.Connection(**self.neighbours.keystone.cloud(account), **options)

    @property
    def clouds_file(self) -> Path:
        """Return the ``clouds.yaml`` with one cloud a user: admin, demo, other, reader."""
        return self.site.path("clouds.yaml")

    def _start_neighbours(self) -> None:
        """Start what nova_lite needs, and write its configuration."""
        side_by_side([self.neighbours.start, partial(_build_image, self.site)])
        self.services.write_configuration(self.neighbours.libvirt.uri)

    def _stop_service(self, name: str) -> None:
        self.services.stop(name)

    def _once(self, what: str, work: Callable[[], None]) -> None:
        """Do ``work`` unless an earlier start of this directory did."""
        done = self.site.path("data", "done", what)
        if not done.exists():
            work()
            done.write_text("")

    def _make_databases(self) -> None:
        self.neighbours.mariadb.create(DATABASES)
        manage = self.services.manage
        syncs = {}
        for configuration, category in DATABASES.values():
            local = ["--local_cell"] if category == "db" else []
            syncs[configuration, category] = partial(manage, configuration, category, "sync", *local)
        side_by_side(list(syncs.values()))
        mariadb, rabbitmq = self.neighbours.mariadb, self.neighbours.rabbitmq
        manage("manage", "cell_v2", "map_cell0", "--database_connection", mariadb.url("nova_lite_cell0"))
        for cell in CELLS:
            where = ["--transport-url", rabbitmq.url(cell), "--database_connection", mariadb.url(f"nova_lite_{cell}")]
            manage("manage", "cell_v2", "create_cell", "--name", cell, *where)

    def _add_to_catalog(self) -> None:
        self.neighbours.keystone.add_endpoint("compute", "nova_lite", self.services.api_url)
        self.neighbours.keystone.add_endpoint("placement", "placement", self.services.placement_url)

    def _add_images(self) -> None:
        self.neighbours.glance.upload(IMAGE, guest_image(self.site))

    def _add_flavors(self) -> None:
        with self.connect(ADMIN) as admin:
            admin.compute.create_flavor(name=FLAVOR, ram=128, vcpus=1, disk=1, id="1")
            admin.compute.create_flavor(name="m1.small", ram=256, vcpus=1, disk=1, id="2")

    def _hosts_reported(self) -> bool:
        self.services.require()
        return self._reported() == {host.name for host in self.services.hosts}

    def _reported(self) -> set[str]:
        found: set[str] = set()
        for cell in CELLS:
            database = Database(self.neighbours.mariadb.url(f"nova_lite_{cell}"))
            with database.reader() as session:
                found |= set(host_rows.node_hosts(session).values())
            database.close()
        return found

    def _wait_all_report(self) -> None:
        with self.connect(ADMIN) as admin:
            wait_until(
                partial(self._all_report, admin), "every service up", timeout_s=60, interval_s=0.2, hint=self._logs()
            )
        self._well = self._running()

    def _running(self) -> dict[str, int | None]:
        return {name: self.site.processes.pid(name) for name in self.site.processes.names()}

    def _all_report(self, admin: openstack.connection.Connection) -> bool:
        """Return whether every service has reported since its process was last started."""
        self.services.require()
        seen = {service.host: service for service in admin.compute.services()}
        return all(
            name in seen and seen[name].state == "up" and _epoch(seen[name].updated_at) >= self._started_at(name)
            for name in self.services.names
            if name not in ("api", "placement", CONSOLES, METADATA)
        )

    def _started_at(self, name: str) -> float:
        return self.site.processes.started_at(name)

    def _write_clouds(self) -> None:
        clouds = {account.user: self.neighbours.keystone.cloud(account) for account in _ACCOUNTS}
        # JSON is YAML.
        self.clouds_file.write_text(json.dumps({"clouds": clouds}, indent=2))

    def _logs(self) -> str:
        return f"Logs: {self.site.path('log')}, at {time.strftime('%H:%M:%S')}"


def _build_image(site: Site) -> None:
    guest_image(site)


def _epoch(shown: str | None) -> float:
    """Return a time that the Compute API shows, which is UTC, in seconds since 1970."""
    return datetime.fromisoformat(shown).replace(tzinfo=UTC).timestamp() if shown else 0.0

"""The whole multi-node cloud: neighbours, databases, cells, services and hosts, each on its machine."""

import contextlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import openstack

from nova_lite.db.repositories import hosts as host_rows
from nova_lite.storage import Database
from tests.integration.stack.glance import Glance
from tests.integration.stack.keystone import ADMIN, DEMO, OTHER, Account, Keystone, side_by_side
from tests.integration.stack.libvirt import Libvirt
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import StackError, wait_until
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import Site
from tests.multinode.layout import CELLS, CONTROLLER, HOSTS, PORTS, machines
from tests.multinode.network import Network
from tests.multinode.programs import Programs

IMAGE = "tiny-guest"
FLAVOR = "m1.tiny"
_ACCOUNTS = (ADMIN, DEMO, OTHER)
_BUS = "nova_lite"
#: What a machine's directory holds beside its logs, which outlive ``down``.
_STATE = ("data", "etc", "run")


class Cloud:
    """Everything, started and stopped as one. Talk to it from its client machine."""

    def __init__(self, directory: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.directory = directory.resolve()
        self._say = say
        self.network = Network(self.directory, machines())
        self.sites = {
            name: Site(self.directory / name, address=machine.address, within=self.network.within(name), ports=PORTS)
            for name, machine in self.network.machines.items()
        }
        self.databases = {name: MariaDB(self.sites[name]) for name in (CONTROLLER, *CELLS)}
        self.buses = {name: RabbitMQ(self.sites[name], [_BUS]) for name in (CONTROLLER, *CELLS)}
        self.keystone = Keystone(self.sites[CONTROLLER], self.databases[CONTROLLER])
        self.glance = Glance(self.sites[CONTROLLER], self.databases[CONTROLLER], self.keystone)
        self.libvirts = {host.name: Libvirt(self.sites[host.name]) for host in HOSTS if host.driver == "libvirt"}
        self.programs = Programs(self.sites, self.databases, self.buses, self.keystone)

    # -- starting -----------------------------------------------------------------------------------------------------

    def start(self, image: Path) -> None:
        """Start what does not run yet; return when every host takes work."""
        self._say("a broker and a database server for the controller and each cell, Keystone, Glance, libvirtd")
        self._start_neighbours()
        self.programs.write_configuration({name: libvirt.uri for name, libvirt in self.libvirts.items()})
        self._say("databases, cells, catalog")
        side_by_side(
            [
                lambda: self._once("databases", self._make_databases),
                lambda: self._once("catalog", self._add_to_catalog),
                lambda: self._once("image", lambda: self._upload(image)),
            ]
        )
        self._say("services of the controller and the cells, agents")
        side_by_side([partial(self.programs.start, name) for name in self.programs.names])
        self._write_clouds()
        self._say("wait until every host reports")
        wait_until(self._hosts_reported, "every host reporting to its cell", timeout_s=90, interval_s=0.2)
        self._once("hosts", lambda: self.programs.manage("manage", "cell_v2", "discover_hosts"))
        self._once("flavors", self._add_flavors)
        self.wait_up()

    def heal(self) -> None:
        """Start again whatever does not run; return when every service reports."""
        self._start_neighbours()
        side_by_side([partial(self.programs.start, name) for name in self.programs.names])
        self.wait_up()

    def wait_up(self) -> None:
        """Return once every service has reported since it was started."""
        wait_until(self._all_report, "every service up", timeout_s=60, interval_s=0.2, hint=f"Logs: {self.directory}")

    def _start_neighbours(self) -> None:
        # A copy takes a tenth of the time that making them takes.
        self.databases[CONTROLLER].install()
        for cell in CELLS:
            self.databases[cell].install(like=self.databases[CONTROLLER])

        def identity_and_images() -> None:
            self.databases[CONTROLLER].start()
            side_by_side([self.keystone.start, self.glance.prepare])
            self.glance.start()

        side_by_side(
            [
                identity_and_images,
                *(bus.start for bus in self.buses.values()),
                *(self.databases[cell].start for cell in CELLS),
                *(libvirt.start for libvirt in self.libvirts.values()),
            ]
        )

    def _once(self, what: str, work: Callable[[], None]) -> None:
        """Do ``work`` unless an earlier start did."""
        done = self.sites[CONTROLLER].path("data", "done", what)
        if not done.exists():
            work()
            done.write_text("")

    def _make_databases(self) -> None:
        manage = self.programs.manage
        above = self.databases[CONTROLLER]
        above.create(["nova_lite_api", "nova_lite_cell0", "nova_lite_placement"])
        for cell in CELLS:
            self.databases[cell].create(["nova_lite"])
        side_by_side(
            [
                partial(manage, "manage", "api_db", "sync"),
                partial(manage, "manage", "db", "sync", "--local_cell"),
                partial(manage, "placement", "placement_db", "sync"),
                *(partial(manage, f"{cell}-conductor", "db", "sync", "--local_cell") for cell in CELLS),
            ]
        )
        manage("manage", "cell_v2", "map_cell0", "--database_connection", above.url("nova_lite_cell0"))
        for cell in CELLS:
            bus, database = self.buses[cell].url(_BUS), self.databases[cell].url("nova_lite")
            where = ["--transport-url", bus, "--database_connection", database]
            manage("manage", "cell_v2", "create_cell", "--name", cell, *where)

    def _add_to_catalog(self) -> None:
        self.keystone.add_endpoint("compute", "nova_lite", self.programs.api_url)
        self.keystone.add_endpoint("placement", "placement", self.programs.placement_url)

    def _upload(self, path: Path) -> None:
        self.glance.upload(IMAGE, path)

    def _add_flavors(self) -> None:
        with self.connect(ADMIN) as admin:
            admin.compute.create_flavor(name=FLAVOR, ram=128, vcpus=1, disk=1, id="1")

    # -- stopping -----------------------------------------------------------------------------------------------------

    def stop(self) -> list[str]:
        """End everything and remove the machines; return what would not end. Only logs stay.

        Works whatever of it was started, by whom, and how far that came.
        """
        for libvirt in self.libvirts.values():
            # What it cannot end ends with its machine.
            with contextlib.suppress(StackError, OSError):
                libvirt.stop()
        everything = [(site, name) for site in self.sites.values() for name in site.processes.names()]
        neighbours = {"mariadb", "rabbitmq", "epmd", "keystone", "glance"}
        for wanted in (False, True):
            side_by_side([partial(_stop, site, name) for site, name in everything if (name in neighbours) is wanted])
        self.network.remove()
        left = [f"{machine}/{name}" for machine, site in self.sites.items() for name in site.processes.names()]
        if not left:
            self._forget()
        return left

    def _forget(self) -> None:
        for site in self.sites.values():
            for part in _STATE:
                shutil.rmtree(site.directory / part, ignore_errors=True)
        self.clouds_file.unlink(missing_ok=True)

    # -- using it -----------------------------------------------------------------------------------------------------

    @property
    def clouds_file(self) -> Path:
        """Return the ``clouds.yaml`` with one cloud a user: admin, demo, other."""
        return self.directory / "clouds.yaml"

    def connect(self, account: Account, **options: Any) -> openstack.connection.Connection:
        """Return an openstacksdk connection of ``account``; close it, or use it in a ``with``."""
        return openstack.connection.Connection(**self.keystone.cloud(account), **options)

    @contextlib.contextmanager
    def cell_database(self, cell: str) -> Any:
        """Yield a cell's database, opened from here."""
        database = Database(self.databases[cell].url("nova_lite"))
        try:
            yield database
        finally:
            database.close()

    def _write_clouds(self) -> None:
        clouds = {account.user: self.keystone.cloud(account) for account in _ACCOUNTS}
        # JSON is YAML.
        self.clouds_file.write_text(json.dumps({"clouds": clouds}, indent=2))

    def _hosts_reported(self) -> bool:
        self.programs.require()
        for cell in CELLS:
            with self.cell_database(cell) as database, database.reader() as session:
                reported = set(host_rows.node_hosts(session).values())
            if reported != {host.name for host in HOSTS if host.cell == cell}:
                return False
        return True

    def _all_report(self) -> bool:
        self.programs.require()
        with self.connect(ADMIN) as admin:
            seen = {service.host: service for service in admin.compute.services()}
        return all(
            name in seen and seen[name].state == "up" and _epoch(seen[name].updated_at) >= self._started_at(name)
            for name in self.programs.names
            if name not in ("api", "placement")
        )

    def _started_at(self, name: str) -> float:
        return self.programs.site(name).processes.started_at(name)


def _stop(site: Site, name: str) -> None:
    site.processes.stop(name, timeout_s=30)


def _epoch(shown: str | None) -> float:
    """Return a time that the Compute API shows, which is UTC, in seconds since 1970."""
    return datetime.fromisoformat(shown).replace(tzinfo=UTC).timestamp() if shown else 0.0

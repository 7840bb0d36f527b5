"""The real Nova of one cell with its Placement: API under uWSGI, super conductor, scheduler, cell conductor, computes.

The same MariaDB, RabbitMQ and image service as ours, the same numbers of processes; the fake driver that it ships.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from benchmarks.placement.peers import PROCESSES, THREADS
from benchmarks.scheduling.cloud import USER, Fleet, Options, Surroundings, Where, ini
from benchmarks.scheduling.place import Place, all_ready
from tests.integration.stack.keystone import side_by_side, uwsgi
from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.real_nova import PASTE, PIPELINE, nova_venv
from tests.integration.stack.real_placement import RealPlacement
from tests.integration.stack.site import ADDRESS, environment, run, wait_listening

_CONTROL = ("super-conductor", "scheduler", "conductor")
#: Seconds that hosts get to come up, one of them, and all.
_HOST_S, _HOSTS_S = 6.0, 180.0


class RealCloud:
    """The real Nova with one cell."""

    kind = "real"

    def __init__(self, place: Place, surroundings: Surroundings, fleet: Fleet, name: str) -> None:
        self._place = place
        self._site = place.site
        self._surroundings = surroundings
        self.fleet = fleet
        self.name = name
        self.port = self._site.port(f"{name}-api")
        self._placement = RealPlacement(
            place.site, place.mariadb, processes=PROCESSES, threads=THREADS, name=f"{name}-placement"
        )

    @property
    def where(self) -> Where:
        return self._place.where(self._database("cell1"), self._database("cell0"))

    @property
    def agents(self) -> Sequence[str]:
        return [f"{self.name}-hosts-{number}" for number in range(len(self.fleet.shares))]

    @property
    def programs(self) -> Sequence[str]:
        return [f"{self.name}-{name}" for name in ("placement", *_CONTROL, "api")] + list(self.agents)

    def start(self) -> None:
        """Make its databases, start its processes, return when every host takes work."""
        self._write_configuration()
        self._place.mariadb.create([self._database(name) for name in ("api", "cell0", "cell1")])
        self._manage("api", "api_db", "sync")
        self._manage("api", "cell_v2", "map_cell0", "--database_connection", self._url("cell0"))
        syncs = [partial(self._manage, name, "db", "sync", "--local_cell") for name in ("super-conductor", "conductor")]
        side_by_side([*syncs, self._placement.start])
        where = ("--transport-url", self._bus("cell1"), "--database_connection", self._url("cell1"))
        self._manage("api", "cell_v2", "create_cell", "--name", "cell1", *where)
        for name in _CONTROL:
            program = "nova-scheduler" if name == "scheduler" else "nova-conductor"
            self._run(name, str(nova_venv() / "bin" / program), self._configuration(name))
        self._serve()
        self._start_hosts()
        self._manage("api", "cell_v2", "discover_hosts")

    def stop(self) -> None:
        """End its processes, hosts first."""
        side_by_side([partial(self._stop, name) for name in self.agents])
        side_by_side([partial(self._stop, name) for name in self.programs if name not in self.agents])

    # -- processes ----------------------------------------------------------------------------------------------------

    def _stop(self, name: str) -> None:
        # It takes its time, and there is nothing worth waiting for.
        self._site.processes.stop(name, timeout_s=5)

    def _run(self, name: str, *command: str | Path) -> None:
        *program, configuration = (str(word) for word in command)
        argv = (*program, "--config-file", configuration)
        variables = environment(PYTHONPATH=str(self._surroundings.repository))
        self._site.processes.start(Program(f"{self.name}-{name}", argv, variables))

    def _serve(self) -> None:
        argv = uwsgi(nova_venv(), self.port, "nova.wsgi.osapi_compute", PROCESSES, THREADS)
        variables = environment(
            OS_NOVA_CONFIG_DIR=str(self._configuration("api").parent), PYTHONPATH=str(self._surroundings.repository)
        )
        self._site.processes.start(Program(f"{self.name}-api", argv, env=variables))
        wait_listening(self._site, f"{self.name}-api", self.port, timeout_s=120)

    def _start_hosts(self) -> None:
        python = nova_venv() / "bin"
        for number, names in enumerate(self.fleet.shares):
            file = self._write_host(number, names)
            if self.fleet.processes is None:
                self._run(f"hosts-{number}", python / "nova-compute", file)
            else:
                self._run(f"hosts-{number}", python / "python", "-m", "benchmarks.scheduling.real_hosts", file)
        limit_s = _HOSTS_S + _HOST_S * self.fleet.hosts
        wait_until(self._hosts_are_there, "every host of the real Nova", timeout_s=limit_s, interval_s=0.5)

    def _hosts_are_there(self) -> bool:
        for name in self.programs:
            self._site.processes.require(name)
        if not all_ready(self._site, self.name, self.fleet):
            return False
        engine = self.where.engine()
        with engine.connect() as connection:
            nodes = connection.scalar(sa.text("SELECT COUNT(*) FROM compute_nodes WHERE deleted = 0"))
            # Once its inventory is told, too, a host can be chosen.
            inventories = connection.scalar(
                sa.text(f"SELECT COUNT(*) FROM {self._placement.database}.inventories WHERE total = :ram"),
                {"ram": self.fleet.room[1]},
            )
        return bool(nodes == inventories == self.fleet.hosts)

    def _manage(self, process: str, *arguments: str) -> None:
        argv = [str(nova_venv() / "bin" / "nova-manage"), "--config-file", str(self._configuration(process))]
        run([*argv, *arguments], log=self._site.path("log", f"{self.name}-manage-{process}.log"), timeout_s=600)

    # -- configuration ------------------------------------------------------------------------------------------------

    def _database(self, name: str) -> str:
        return f"{self.name.replace('-', '_')}_{name}"

    def _url(self, name: str) -> str:
        return self._place.mariadb.url(self._database(name))

    def _bus(self, name: str) -> str:
        return self._place.rabbitmq.url(f"{self.name}-{name}")

    def _configuration(self, process: str) -> Path:
        # The API reads nova.conf of its directory.
        return self._site.path("etc", f"{self.name}-{process}", "nova.conf")

    def _write_configuration(self) -> None:
        paste = self._configuration("api").with_name("api-paste.ini")
        auth = "benchmarks.listing.beside_nova:noauth"
        paste.write_text(PASTE.format(pipeline=PIPELINE.format(auth="noauth"), noauth=auth))
        above: Options = {
            "api_database": {"connection": self._url("api")},
            "database": {"connection": self._url("cell0")},
        }
        one: Options = {"conductor": {"workers": 1}, "scheduler": {"workers": 1}}
        self._write("api", "api", above, {"wsgi": {"api_paste_config": paste}})
        self._write("super-conductor", "api", above, one)
        self._write("scheduler", "api", above, one, {"filter_scheduler": self.fleet.weights})
        self._write("conductor", "cell1", {"database": {"connection": self._url("cell1")}}, one)

    def _write_host(self, number: int, names: Sequence[str]) -> Path:
        state = self._site.folder("data", self.name, f"hosts-{number}")
        (state / "hosts").write_text("\n".join(names))
        own = {
            "host": names[0],
            "compute_driver": "fake.FakeDriver",
            "reserved_host_memory_mb": 0,
            "report_interval": self.fleet.report_s,
        }
        self._write(f"hosts-{number}", "cell1", {"DEFAULT": own})
        return self._configuration(f"hosts-{number}")

    def _write(self, process: str, bus: str, *options: Options) -> None:
        placement = self._placement.url
        shared: Options = {
            "DEFAULT": {
                "my_ip": ADDRESS,
                "host": process,
                "state_path": self._site.folder("data", self.name, process),
                "transport_url": self._bus(bus),
                "service_down_time": max(60, 6 * self.fleet.report_s),
            },
            "placement": {
                "auth_type": "admin_token",
                "endpoint": placement,
                "endpoint_override": placement,
                "token": USER,
            },
            "glance": {"api_servers": self._surroundings.image_url},
            "quota": dict.fromkeys(("instances", "cores", "ram"), -1),
            "oslo_concurrency": {"lock_path": self._site.folder("data", self.name, process, "locks")},
            "oslo_messaging_notifications": {"driver": "noop"},
        }
        self._configuration(process).write_text(ini(shared, *options))

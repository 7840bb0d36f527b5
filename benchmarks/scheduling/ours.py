"""Our cloud of one cell, as shipped: uWSGI files, commands, RabbitMQ, MariaDB; only the hosts are imitated."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.placement.peers import PROCESSES, THREADS
from benchmarks.scheduling.cloud import USER, Fleet, Options, Surroundings, Where, ini
from benchmarks.scheduling.place import Place, all_ready
from nova_lite.db.repositories import hosts as host_rows
from nova_lite.storage import Database
from tests.integration.stack.keystone import side_by_side
from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.site import ADDRESS, environment, run, wait_listening

#: Databases, with the category of ``nova-lite-manage`` that makes their tables.
_DATABASES = {"api": "api_db", "cell0": "db", "cell1": "db", "placement": "placement_db"}
_CONTROL = ("super-conductor", "scheduler", "conductor")
#: Seconds that hosts get to come up, one of them, and all.
_HOST_S, _HOSTS_S = 0.2, 120.0


class OurCloud:
    """nova_lite with one cell."""

    kind = "ours"

    def __init__(self, place: Place, surroundings: Surroundings, fleet: Fleet, name: str) -> None:
        self._place = place
        self._site = place.site
        self._repository = surroundings.repository
        self._surroundings = surroundings
        self.fleet = fleet
        self.name = name
        self.port = self._site.port(f"{name}-api")
        self._placement_port = self._site.port(f"{name}-placement")

    @property
    def where(self) -> Where:
        return self._place.where(self._database("cell1"), self._database("cell0"))

    @property
    def placement_port(self) -> int:
        return self._placement_port

    @property
    def api_url(self) -> str:
        return self._place.mariadb.url(self._database("api"))

    @property
    def placement_database(self) -> str:
        return self._database("placement")

    @property
    def agents(self) -> Sequence[str]:
        return [f"{self.name}-hosts-{number}" for number in range(len(self.fleet.shares))]

    @property
    def programs(self) -> Sequence[str]:
        return [f"{self.name}-{name}" for name in ("placement", *_CONTROL, "api")] + list(self.agents)

    def configuration(self, process: str) -> Path:
        """Return the configuration file of one process."""
        return self._site.path("etc", f"{self.name}-{process}.conf")

    def start(self) -> None:
        """Make its databases, start its processes, return when every host takes work."""
        self._write_configuration()
        self._place.mariadb.create([self._database(name) for name in _DATABASES])
        files = {"api": "manage", "cell0": "manage", "cell1": "conductor", "placement": "placement"}
        local = {"cell0": ("--local_cell",), "cell1": ("--local_cell",)}
        jobs = [
            partial(self._manage, files[name], category, "sync", *local.get(name, ()))
            for name, category in _DATABASES.items()
        ]
        side_by_side(jobs)
        url = self._place.mariadb.url
        self._manage("manage", "cell_v2", "map_cell0", "--database_connection", url(self._database("cell0")))
        where = ("--transport-url", self._bus("cell1"), "--database_connection", url(self._database("cell1")))
        self._manage("manage", "cell_v2", "create_cell", "--name", "cell1", *where)
        self._serve("placement", self._placement_port)
        for name in _CONTROL:
            module = "scheduler" if name == "scheduler" else "conductor"
            self._run(name, f"nova_lite.cmd.{module}", self.configuration(name))
        self._serve("api", self.port)
        self._start_hosts()
        self._manage("manage", "cell_v2", "discover_hosts")

    def stop(self) -> None:
        """End its processes, hosts first."""
        side_by_side([partial(self._stop, name) for name in self.agents])
        side_by_side([partial(self._stop, name) for name in self.programs if name not in self.agents])

    # -- processes ----------------------------------------------------------------------------------------------------

    def _stop(self, name: str) -> None:
        self._site.processes.stop(name, timeout_s=20)

    def _run(self, name: str, module: str, configuration: Path) -> None:
        argv = (sys.executable, "-W", "ignore", "-m", module, "--config-file", str(configuration))
        self._site.processes.start(Program(f"{self.name}-{name}", argv, self._variables(), str(self._repository)))

    def _serve(self, name: str, port: int) -> None:
        program = Path(sys.prefix) / "bin" / "uwsgi"
        if not program.exists():
            raise Missing(f"{program} is not there (pip install uWSGI)")
        prefix = f"NOVA_LITE_{name.upper()}"
        settings = {
            "NOVA_LITE_CONFIG_FILES": str(self.configuration(name)),
            f"{prefix}_LISTEN": f"{ADDRESS}:{port}",
            f"{prefix}_PROCESSES": str(PROCESSES),
            f"{prefix}_THREADS": str(THREADS),
        }
        ini = self._repository / "etc" / f"nova-lite-{name}-uwsgi.ini"
        argv = (str(program), "--ini", str(ini), "--virtualenv", sys.prefix, "--pythonpath", str(self._repository))
        self._site.processes.start(
            Program(f"{self.name}-{name}", argv, self._variables() | settings, str(self._repository))
        )
        wait_listening(self._site, f"{self.name}-{name}", port, timeout_s=60)

    def _start_hosts(self) -> None:
        for number, names in enumerate(self.fleet.shares):
            file = self._write_host(number, names)
            carried = self.fleet.processes is not None
            self._run(
                f"hosts-{number}", "benchmarks.scheduling.our_hosts" if carried else "nova_lite.cmd.compute", file
            )
        limit_s = _HOSTS_S + _HOST_S * self.fleet.hosts
        wait_until(self._hosts_are_there, "every host taking work", timeout_s=limit_s, interval_s=0.2)

    def _hosts_are_there(self) -> bool:
        for name in self.programs:
            self._site.processes.require(name)
        if not all_ready(self._site, self.name, self.fleet):
            return False
        database = Database(self._place.mariadb.url(self._database("cell1")))
        with database.reader() as session:
            count = len(host_rows.node_hosts(session))
        database.close()
        return count == self.fleet.hosts

    def _manage(self, process: str, *arguments: str) -> None:
        argv = [sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.manage"]
        argv += ["--config-file", str(self.configuration(process)), *arguments]
        log = self._site.path("log", f"{self.name}-manage-{process}.log")
        run(argv, log=log, env=self._variables(), cwd=self._repository, timeout_s=300)

    def _variables(self) -> dict[str, str]:
        return environment(PYTHONPATH=str(self._repository), PYTHONFAULTHANDLER="1")

    # -- configuration ------------------------------------------------------------------------------------------------

    def _database(self, name: str) -> str:
        return f"{self.name.replace('-', '_')}_{name}"

    def _bus(self, name: str) -> str:
        return self._place.rabbitmq.url(f"{self.name}-{name}")

    def _write_configuration(self) -> None:
        url = self._place.mariadb.url
        above: Options = {"api_database": {"connection": url(self._database("api"))}}
        noauth: Options = {"api": {"auth_strategy": "noauth2"}}
        self._write("api", "api", above, noauth)
        self._write("super-conductor", "api", above)
        self._write("scheduler", "api", above, {"filter_scheduler": self.fleet.weights})
        self._write("manage", "api", above, {"database": {"connection": url(self._database("cell0"))}})
        self._write("conductor", "cell1", {"database": {"connection": url(self._database("cell1"))}})
        placement = {"connection": url(self._database("placement"))}
        self._write("placement", None, noauth, {"placement_database": placement})

    def _write_host(self, number: int, names: Sequence[str]) -> Path:
        vcpus, ram, disk = self.fleet.room
        state = self._site.folder("data", self.name, f"hosts-{number}")
        (state / "hosts").write_text("\n".join(names))
        own = {
            "host": names[0],
            "compute_driver": "fake",
            "reserved_host_memory_mb": 0,
            "report_interval": self.fleet.report_s,
        }
        self._write(f"hosts-{number}", "cell1", {"DEFAULT": own, "fake": {"vcpus": vcpus, "ram": ram, "disk": disk}})
        return self.configuration(f"hosts-{number}")

    def _write(self, process: str, bus: str | None, *options: Options) -> None:
        common = {
            "host": process,
            "state_path": self._site.folder("data", self.name, process),
            # Hosts of large clouds report seldom here.
            "service_down_time": max(60, 6 * self.fleet.report_s),
        }
        shared: Options = {
            "DEFAULT": common | ({"transport_url": self._bus(bus)} if bus else {}),
            "placement": {"endpoint_override": f"http://{ADDRESS}:{self._placement_port}", "noauth_token": USER},
            "glance": {"endpoint_override": self._surroundings.image_url, "anonymous": True},
            "quota": dict.fromkeys(("instances", "cores", "ram"), -1),
        }
        self.configuration(process).write_text(ini(shared, *options))

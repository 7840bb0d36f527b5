"""The processes of nova_lite itself: their configuration files, how each is started, stopped and killed."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests.integration.stack.keystone import NOVA, PLACEMENT, Account, Keystone
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import ADDRESS, Site, environment, listens, run

REPOSITORY = Path(__file__).resolve().parents[3]
CELLS = ("cell1", "cell2")
#: Database of the deployment → the configuration and the category of ``nova-lite-manage`` that make its tables.
DATABASES = {
    "nova_lite_api": ("manage", "api_db"),
    "nova_lite_cell0": ("manage", "db"),
    "nova_lite_cell1": ("cell1", "db"),
    "nova_lite_cell2": ("cell2", "db"),
    "nova_lite_placement": ("placement", "placement_db"),
}
#: Seconds a service gets to end after SIGTERM.
STOP_S = 60.0

#: What every process has: recovery within seconds, so that tests of faults need not wait long.
COMMON = """\
report_interval = 2
service_down_time = 45
shutdown_timeout = 15
sync_power_state_interval = 3
[service]
graceful_shutdown_timeout = 20
[conductor]
lease = 3
scan_interval = 1
[rpc]
call_timeout = 20
call_monitor_timeout = 5
[cells]
timeout = 20
[quota]
instances = 400
cores = 800
ram = 400000
"""


@dataclass(frozen=True, slots=True)
class Host:
    """One compute host of the deployment."""

    name: str
    cell: str
    driver: str


HOSTS = (
    Host("cell1-virt", "cell1", "libvirt"),
    Host("cell1-fake", "cell1", "fake"),
    Host("cell2-fake1", "cell2", "fake"),
    Host("cell2-fake2", "cell2", "fake"),
)
#: Services in the order they start; agents come last.
CONTROL = ("placement", "super-conductor", "scheduler", "cell1-conductor", "cell2-conductor", "api")
CONSOLES, METADATA = "console-proxy", "metadata"
#: What guests' proxies sign with, where there is a metadata service.
METADATA_SECRET = "of the proxies"
#: What the shipped uWSGI files serve.
_SERVED = ("api", "placement", METADATA)
#: Which of a site's addresses of the loopback is that of screens on the machine's own libvirtd.
_SCREENS = 250


class Services:
    """Every process of nova_lite in one deployment, by name: those of ``CONTROL`` and one agent a host."""

    def __init__(
        self,
        site: Site,
        rabbitmq: RabbitMQ,
        mariadb: MariaDB,
        keystone: Keystone,
        *,
        hosts: tuple[Host, ...] = HOSTS,
        settings: str = COMMON,
    ) -> None:
        self._site = site
        self._settings = settings
        self._rabbitmq = rabbitmq
        self._mariadb = mariadb
        self._keystone = keystone
        self.hosts = hosts
        #: Whether there is a Cinder to have volumes of, from the next writing of configurations on.
        self.has_volumes = False
        #: What the console proxy gives to browsers; without it there is none. As above.
        self.web: Path | None = None
        #: Whether there is a metadata service. As above.
        self.tells_guests = False
        self.api_port = site.port("api")
        self.placement_port = site.port("placement")
        self.api_url = f"http://{ADDRESS}:{self.api_port}/v2.1"
        self.placement_url = f"http://{ADDRESS}:{self.placement_port}"

    @property
    def urls(self) -> dict[str, str]:
        """Return where those that listen for clients do, by the names of their processes."""
        found = {"api": self.api_url, "placement": self.placement_url}
        for name in set(self.control) & {CONSOLES, METADATA}:
            found[name] = f"http://{ADDRESS}:{self._site.port(name)}"
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Return every process in the order they start."""
        return (*self.control, *(host.name for host in self.hosts))

    @property
    def control(self) -> tuple[str, ...]:
        """Return the processes that are no agents."""
        return (*CONTROL, *([CONSOLES] if self.web else []), *([METADATA] if self.tells_guests else []))

    def guests_folder(self, host: str) -> Path:
        """Return where ``host`` keeps its guests' files; a fake host has one JSON file a guest there."""
        return self._site.folder("data", host, "instances")

    # -- configuration ------------------------------------------------------------------------------------------------

    def configuration(self, name: str) -> Path:
        """Return the configuration file of process ``name``."""
        return self._site.path("etc", "nova_lite", f"{name}.conf")

    def write_configuration(self, libvirt_uri: str = "") -> None:
        """Write the configuration of every process; without libvirt hosts there is no URI.

        Nothing of a cell names the API's database or bus.
        """
        above = self._section("api_database", connection=self._mariadb.url("nova_lite_api"))
        clients = self._clients()
        token = self._checks_tokens_as(NOVA)
        self._write("api", "api", above + clients + token + self._section("api", auth_strategy="keystone"))
        self._write("super-conductor", "api", above + clients)
        self._write("scheduler", "api", above + clients)
        cell0 = self._section("database", connection=self._mariadb.url("nova_lite_cell0"))
        self._write("manage", "api", above + cell0)
        placement = self._section("placement_database", connection=self._mariadb.url("nova_lite_placement"))
        token = self._checks_tokens_as(PLACEMENT)
        self._write("placement", None, placement + token + self._section("api", auth_strategy="keystone"))
        for cell in CELLS:
            database = self._section("database", connection=self._mariadb.url(f"nova_lite_{cell}"))
            self._write(cell, cell, database + clients, host=f"{cell}-conductor")
        consoles = ""
        if self.web:
            port = self._site.port(CONSOLES)
            consoles = self._section("vnc", novncproxy_base_url=f"http://{ADDRESS}:{port}/vnc_lite.html")
            consoles += self._section("serial_console", enabled="true", base_url=f"ws://{ADDRESS}:{port}/")
            listens_at = self._section("vnc", novncproxy_host=ADDRESS, novncproxy_port=str(port))
            self._write(CONSOLES, "api", above + listens_at, extra=f"web = {self.web}\n")
        if self.tells_guests:
            proxies = {"service_metadata_proxy": "true", "metadata_proxy_shared_secret": METADATA_SECRET}
            self._write(METADATA, None, above + self._section("neutron", **proxies))
        libvirt = self._section("libvirt", virt_type="qemu", connection_uri=libvirt_uri)
        if libvirt_uri:
            consoles += self._screens_at(self._site.loopback(_SCREENS))
        for host in self.hosts:
            options = f"compute_driver = {host.driver}\ninstances_path = {self.guests_folder(host.name)}\n"
            self._write(host.name, host.cell, clients + libvirt + consoles, extra=options)

    def _write(self, name: str, bus: str | None, groups: str, *, host: str | None = None, extra: str = "") -> None:
        state = self._site.folder("data", host or name)
        lines = [
            "[DEFAULT]",
            f"host = {host or name}",
            f"state_path = {state}",
            *([f"transport_url = {self._rabbitmq.url(bus)}"] if bus else []),
        ]
        self.configuration(name).write_text("\n".join(lines) + "\n" + extra + self._settings + groups)

    def _section(self, group: str, **options: str) -> str:
        return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())

    def _screens_at(self, address: str) -> str:
        """Return where a host's guests show their screens: two libvirtd at one address may choose one port at once."""
        return self._section("vnc", server_listen=address, server_proxyclient_address=address)

    def _clients(self) -> str:
        """Return the groups that say how other services are called."""
        groups = ("placement", "glance", *(("cinder", "service_user") if self.has_volumes else ()))
        return "".join(self._credentials(group) for group in groups)

    def _credentials(self, group: str) -> str:
        return self._section(group) + self._keystone.credentials(NOVA)

    def _checks_tokens_as(self, account: Account) -> str:
        where = self._section("keystone_authtoken", www_authenticate_uri=self._keystone.url)
        return where + self._keystone.credentials(account)

    # -- databases and cells ------------------------------------------------------------------------------------------

    def manage(self, configuration: str, *arguments: str) -> None:
        """Run ``nova-lite-manage``; raises StackError when it does not succeed."""
        argv = [*_python("nova_lite.cmd.manage"), "--config-file", str(self.configuration(configuration)), *arguments]
        log = self._site.path("log", f"manage-{configuration}.log")
        run(argv, log=log, env=_environment(), cwd=REPOSITORY)

    def asked(self, configuration: str, *arguments: str) -> tuple[int, str]:
        """Run ``nova-lite-manage``; return its exit code and what it printed on standard output."""
        argv = [*_python("nova_lite.cmd.manage"), "--config-file", str(self.configuration(configuration)), *arguments]
        with self._site.path("log", f"manage-{configuration}.log").open("ab") as log:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                cwd=REPOSITORY,
                timeout=480,
                check=False,
                text=True,
            )
        return done.returncode, done.stdout

    # -- processes ----------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start one process; what uWSGI serves answers when this returns, the others are on their way."""
        self._site.processes.start(self._program(name))
        if name in _SERVED:
            port = self._site.port(name)
            hint = f"Log: {self._site.processes.log(name)}"
            wait_until(lambda: self._listens(name, port), f"{name} listening", timeout_s=60, hint=hint)

    def start_doomed(self, name: str, moment: str) -> None:
        """Start a process, not an API, that kills itself at a moment (``doomed.py``)."""
        self._start_within(name, "tests.integration.stack.doomed", moment)

    def start_held(self, name: str, moment: str, gate: Path) -> None:
        """Start a process, not an API, that stands still at a moment until the file ``gate`` is there (``held.py``)."""
        self._start_within(name, "tests.integration.stack.held", moment, str(gate))

    def _start_within(self, name: str, *words: str) -> None:
        program = self._program(name)
        at = program.argv.index("-m") + 1
        self._site.processes.start(replace(program, argv=(*program.argv[:at], *words, *program.argv[at:])))

    def stop(self, name: str) -> int | None:
        """Ask a process to end; return how it did, None if another run of the script had started it."""
        self._site.processes.stop(name, timeout_s=STOP_S)
        return self._site.processes.exit_code(name)

    def kill(self, name: str) -> None:
        """End a process and its workers at once."""
        self._site.processes.kill(name)

    def kill_worker(self, name: str) -> None:
        """End one worker of a WSGI server at once; its master starts another."""
        workers = self._site.processes.workers(name)
        if workers:
            os.kill(workers[0], signal.SIGKILL)

    def workers(self, name: str) -> list[int]:
        """Return the worker processes of a WSGI server."""
        return self._site.processes.workers(name)

    def is_running(self, name: str) -> bool:
        """Return whether a process runs."""
        return self._site.processes.pid(name) is not None

    def require(self) -> None:
        """Raise StackError, naming the log, when a process has ended by itself."""
        for name in self.names:
            self._site.processes.require(name)

    def _listens(self, name: str, port: int) -> bool:
        self._site.processes.require(name)
        return listens(port)

    def _program(self, name: str) -> Program:
        if name in _SERVED:
            return self._wsgi_program(name)
        configuration = name.removesuffix("-conductor") if name.endswith("-conductor") and name[:4] == "cell" else name
        modules = {"scheduler": "scheduler", CONSOLES: "console_proxy", **{host.name: "compute" for host in self.hosts}}
        argv = [*_python(f"nova_lite.cmd.{modules.get(name, 'conductor')}")]
        argv += ["--config-file", str(self.configuration(configuration))]
        return Program(name, tuple(argv), env=_environment(), cwd=str(REPOSITORY))

    def _wsgi_program(self, name: str) -> Program:
        """Return the shipped uWSGI file, told where to listen and how many workers to have."""
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        prefix = f"NOVA_LITE_{name.upper()}"
        variables = {
            "NOVA_LITE_CONFIG_FILES": str(self.configuration(name)),
            f"{prefix}_LISTEN": f"{ADDRESS}:{self._site.port(name)}",
            f"{prefix}_PROCESSES": "2",
            f"{prefix}_THREADS": "4",
        }
        argv = (
            str(uwsgi),
            "--ini",
            str(REPOSITORY / "etc" / f"nova-lite-{name}-uwsgi.ini"),
            "--virtualenv",
            sys.prefix,
            "--pythonpath",
            str(REPOSITORY),
        )
        return Program(name, argv, env=_environment() | variables, cwd=str(REPOSITORY))


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def _environment() -> dict[str, str]:
    return environment(PYTHONPATH=str(REPOSITORY), PYTHONFAULTHANDLER="1")

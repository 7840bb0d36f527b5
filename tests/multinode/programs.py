"""nova_lite's own processes on their machines: configuration files, and the command of each."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.integration.stack.keystone import NOVA, Keystone
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Missing, Program, wait_until
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.services import COMMON, REPOSITORY, STOP_S
from tests.integration.stack.site import Site, environment, listens, run
from tests.multinode.layout import CELLS, CONTROLLER, HOSTS, ComputeHost

#: Process → the machine it runs on.
MACHINE_OF = {
    "placement": CONTROLLER,
    "super-conductor": CONTROLLER,
    "scheduler": CONTROLLER,
    **{f"{cell}-conductor": cell for cell in CELLS},
    "api": CONTROLLER,
    **{host.name: host.name for host in HOSTS},
}
#: What a daemon writes when it begins to work.
_AT_WORK = ("started", "takes work")


class Programs:
    """Every process of nova_lite, by name."""

    def __init__(
        self,
        sites: Mapping[str, Site],
        databases: Mapping[str, MariaDB],
        buses: Mapping[str, RabbitMQ],
        keystone: Keystone,
    ) -> None:
        self._sites = sites
        self._databases = databases
        self._buses = buses
        self._keystone = keystone
        above = sites[CONTROLLER]
        self.api_url = f"http://{above.address}:{above.port('api')}/v2.1"
        self.placement_url = f"http://{above.address}:{above.port('placement')}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return every process in the order they start."""
        return tuple(MACHINE_OF)

    def site(self, name: str) -> Site:
        """Return the machine that process ``name`` runs on."""
        return self._sites[MACHINE_OF[name]]

    def guests_folder(self, host: str) -> Path:
        """Return where ``host`` keeps its guests' files; a fake host has one JSON file a guest there."""
        return self._sites[host].folder("data", "instances")

    # -- configuration ------------------------------------------------------------------------------------------------

    def configuration(self, name: str) -> Path:
        """Return the configuration file of process ``name``, or that of operators' commands: ``manage``."""
        return self._sites[MACHINE_OF.get(name, CONTROLLER)].path("etc", "nova_lite", f"{name}.conf")

    def write_configuration(self, libvirt_uris: Mapping[str, str]) -> None:
        """Write every configuration file. Nothing of a cell names the API's database or bus."""
        own = self._databases[CONTROLLER]
        above = _section("api_database", connection=own.url("nova_lite_api"))
        clients = self._credentials("placement") + self._credentials("glance")
        token = self._credentials("keystone_authtoken", www_authenticate_uri=self._keystone.url)
        keystone = token + _section("api", auth_strategy="keystone")
        self._write("api", CONTROLLER, above + clients + keystone)
        self._write("super-conductor", CONTROLLER, above + clients)
        self._write("scheduler", CONTROLLER, above + clients)
        self._write("manage", CONTROLLER, above + _section("database", connection=own.url("nova_lite_cell0")))
        placement = _section("placement_database", connection=own.url("nova_lite_placement"))
        self._write("placement", None, placement + keystone)
        for cell in CELLS:
            database = _section("database", connection=self._databases[cell].url("nova_lite"))
            self._write(f"{cell}-conductor", cell, database + clients)
        for host in HOSTS:
            self._write_host(host, clients, libvirt_uris.get(host.name))

    def _write_host(self, host: ComputeHost, clients: str, libvirt_uri: str | None) -> None:
        site = self._sites[host.name]
        options = f"compute_driver = {host.driver}\ninstances_path = {self.guests_folder(host.name)}\n"
        libvirt = _section("libvirt", virt_type="qemu", connection_uri=libvirt_uri) if libvirt_uri else ""
        self._write(host.name, host.cell, clients + libvirt, extra=f"{options}my_ip = {site.address}\n")

    def _write(self, name: str, bus: str | None, groups: str, *, extra: str = "") -> None:
        state = self._sites[MACHINE_OF.get(name, CONTROLLER)].folder("data", name)
        lines = ["[DEFAULT]", f"host = {name}", f"state_path = {state}"]
        if bus is not None:
            lines.append(f"transport_url = {self._buses[bus].url('nova_lite')}")
        self.configuration(name).write_text("\n".join(lines) + "\n" + extra + COMMON + groups)

    def _credentials(self, group: str, **options: str) -> str:
        return _section(group, **options) + self._keystone.credentials(NOVA)

    # -- commands and processes ---------------------------------------------------------------------------------------

    def manage(self, name: str, *arguments: str) -> None:
        """Run ``nova-lite-manage`` with the configuration of ``name`` on its machine; raises StackError on failure."""
        site = self._sites[MACHINE_OF.get(name, CONTROLLER)]
        argv = [*site.within, *_python("nova_lite.cmd.manage"), "--config-file", str(self.configuration(name))]
        run([*argv, *arguments], log=site.path("log", f"manage-{name}.log"), env=_environment(), cwd=REPOSITORY)

    def start(self, name: str) -> None:
        """Start one process; the two APIs answer when this returns, the others are on their way."""
        site = self.site(name)
        site.processes.start(self._program(name))
        if name in ("api", "placement"):
            hint = f"Log: {site.processes.log(name)}"
            wait_until(lambda: self._listens(name), f"{name} listening", timeout_s=90, hint=hint)

    def wait_working(self, name: str, *, since: int) -> None:
        """Wait until a daemon says that it works, in what its log has beyond ``since`` bytes."""
        site = self.site(name)

        def says() -> bool:
            site.processes.require(name)
            with site.processes.log(name).open("rb") as log:
                log.seek(since)
                text = log.read().decode(errors="replace")
            return any(words in text for words in _AT_WORK)

        wait_until(says, f"{name} at work", timeout_s=60, hint=f"Log: {site.processes.log(name)}")

    def logged(self, name: str) -> int:
        """Return how many bytes a process has logged."""
        return self.site(name).processes.log(name).stat().st_size

    def stop(self, name: str) -> None:
        """Ask a process to end and wait for it."""
        self.site(name).processes.stop(name, timeout_s=STOP_S)

    def restart_api(self, quota: str = "") -> None:
        """Start the Compute API anew, with other quotas than its configuration has if ``quota`` says so."""
        self.configuration("api").with_name("api-quota.conf").write_text(f"[quota]\n{quota}\n")
        self.stop("api")
        self.start("api")

    def kill(self, name: str) -> None:
        """End a process and its workers at once."""
        self.site(name).processes.kill(name)

    def require(self) -> None:
        """Raise StackError, naming the log, when a process has ended by itself."""
        for name in self.names:
            self.site(name).processes.require(name)

    def _listens(self, name: str) -> bool:
        site = self.site(name)
        site.processes.require(name)
        return listens(site.port(name), site.address)

    def _program(self, name: str) -> Program:
        if name in ("api", "placement"):
            return self._wsgi_program(name)
        kind = "conductor" if name.endswith("conductor") else "scheduler" if name == "scheduler" else "compute"
        argv = (*_python(f"nova_lite.cmd.{kind}"), "--config-file", str(self.configuration(name)))
        return Program(name, argv, env=_environment(), cwd=str(REPOSITORY))

    def _files(self, name: str) -> list[Path]:
        own = self.configuration(name)
        return [path for path in (own, own.with_name(f"{name}-quota.conf")) if path.exists()]

    def _wsgi_program(self, name: str) -> Program:
        """Return the shipped uWSGI file, told where to listen and how many workers to have."""
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        site = self.site(name)
        prefix = f"NOVA_LITE_{name.upper()}"
        variables = {
            "NOVA_LITE_CONFIG_FILES": ";".join(str(path) for path in self._files(name)),
            f"{prefix}_LISTEN": f"{site.address}:{site.port(name)}",
            f"{prefix}_PROCESSES": "2",
            f"{prefix}_THREADS": "4",
        }
        shipped = REPOSITORY / "etc" / f"nova-lite-{name}-uwsgi.ini"
        argv = (str(uwsgi), "--ini", str(shipped), "--virtualenv", sys.prefix, "--pythonpath", str(REPOSITORY))
        return Program(name, argv, env=_environment() | variables, cwd=str(REPOSITORY))


def _section(group: str, **options: str) -> str:
    return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def _environment() -> dict[str, str]:
    return environment(PYTHONPATH=str(REPOSITORY), PYTHONFAULTHANDLER="1")

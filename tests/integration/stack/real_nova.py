"""The API of the real Nova under uWSGI, with cells of databases only: what ours is compared with when it lists.

There are no agents, no conductors and no message bus: nothing that reads needs them.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.stack.kept import Kept
from tests.integration.stack.keystone import side_by_side, uwsgi
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, run, wait_listening
from tests.integration.stack.venv import cached_venv

REQUIREMENTS = ("nova==34.0.0", "uwsgi==2.0.31", "PyMySQL")
_REPOSITORY = Path(__file__).resolve().parents[3]
PIPELINE = "compute_req_id faultwrap sizelimit {auth} keystonecontext osapi_compute_app_v21"
PASTE = """\
[composite:osapi_compute]
use = call:nova.api.openstack.urlmap:urlmap_factory
/: versions
/v2.1/+: v21
[composite:v21]
use = call:nova.api.auth:pipeline_factory_v21
keystone = {pipeline}
[filter:compute_req_id]
paste.filter_factory = nova.api.compute_req_id:ComputeReqIdMiddleware.factory
[filter:faultwrap]
paste.filter_factory = nova.api.openstack:FaultWrapper.factory
[filter:sizelimit]
paste.filter_factory = oslo_middleware:RequestBodySizeLimiter.factory
[filter:noauth]
paste.filter_factory = {noauth}
[filter:keystonecontext]
paste.filter_factory = nova.api.auth:NovaKeystoneContext.factory
[app:osapi_compute_app_v21]
paste.app_factory = nova.api.openstack.compute:APIRouterV21.factory
[app:versions]
paste.app_factory = nova.api.openstack.compute.versions:Versions.factory
"""


def nova_venv() -> Path:
    """Return the real Nova's environment, made or brought up to date first; raises Missing when that fails."""
    return cached_venv("nova-venv", REQUIREMENTS, "The real Nova")


def told_by(module: str, folder: Path, *arguments: str, name: str = "theirs", timeout_s: int = 3600) -> Any:
    """Run our ``module`` by the real Nova's Python in a process of its own; return what it leaves in ``name``.json."""
    argv = [str(nova_venv() / "bin" / "python"), "-m", module, str(folder), *arguments]
    run(argv, log=folder / "theirs.log", env=environment(PYTHONPATH=str(_REPOSITORY)), timeout_s=timeout_s)
    return json.loads((folder / f"{name}.json").read_text())


class RealNova:
    """One API server with an API database, cell0 and so many cells, all in one MariaDB.

    ``noauth`` names the paste filter, importable from the repository, that says who calls.
    """

    def __init__(
        self,
        site: Site,
        mariadb: MariaDB,
        *,
        noauth: str,
        cells: int,
        processes: int = 1,
        threads: int = 1,
        name: str = "real-nova",
    ) -> None:
        self._site = site
        self._mariadb = mariadb
        self._noauth = noauth
        self._processes = processes
        self._threads = threads
        self.name = name
        self.cells = tuple(f"cell{number}" for number in range(1, cells + 1))
        self.port = site.port(name)

    def url(self, database: str) -> str:
        """Return the URL of ``api``, ``cell0`` or a cell's database."""
        return self._mariadb.url(self._database(database))

    def make(self, seed: Callable[[Path], None] | None = None) -> None:
        """Make the databases and map the cells; ``seed`` is then given the environment's Python."""
        venv = nova_venv()
        databases = ("api", "cell0", *self.cells)
        self._mariadb.create([self._database(name) for name in databases])
        self._write_paste()
        for name in ("cell0", *self.cells):
            self._write_configuration(name)
        side_by_side([partial(self._make_tables, name) for name in databases])
        self._manage("cell0", "cell_v2", "map_cell0", "--database_connection", self.url("cell0"))
        side_by_side([partial(self._map, name) for name in self.cells])
        if seed is not None:
            seed(venv / "bin" / "python")

    def start(self) -> None:
        """Start the server; its databases are there and MariaDB is up. Return once it listens."""
        argv = uwsgi(nova_venv(), self.port, "nova.wsgi.osapi_compute", self._processes, self._threads)
        variables = environment(OS_NOVA_CONFIG_DIR=str(self._folder("cell0")), PYTHONPATH=str(_REPOSITORY))
        self._site.processes.start(Program(self.name, argv, env=variables))
        wait_listening(self._site, self.name, self.port, timeout_s=60)

    def stop(self) -> None:
        """Stop the server; its databases stay."""
        self._site.processes.stop(self.name)

    def configuration(self, cell: str = "cell0") -> Path:
        """Return the configuration file of one cell; cell0's is the API's, too."""
        return self._folder(cell) / "nova.conf"

    def _make_tables(self, name: str) -> None:
        kept = Kept(self._mariadb, "nova-api" if name == "api" else "nova-cell", REQUIREMENTS)
        if not kept.load(self._database(name)):
            words = ("api_db", "sync") if name == "api" else ("db", "sync", "--local_cell")
            self._manage("cell0" if name == "api" else name, *words)
            kept.save(self._database(name))

    def _database(self, name: str) -> str:
        return f"{self.name.replace('-', '_')}_{name}"

    def _folder(self, cell: str) -> Path:
        return self._site.folder("etc", f"{self.name}-{cell}")

    def _write_paste(self) -> None:
        pipeline = PIPELINE.format(auth="noauth")
        text = PASTE.format(pipeline=pipeline, noauth=self._noauth)
        (self._folder("cell0") / "api-paste.ini").write_text(text)

    def _write_configuration(self, cell: str) -> None:
        pool = max(5, self._threads)
        text = f"""\
[DEFAULT]
debug = false
my_ip = {ADDRESS}
host = api
transport_url = fake:/
state_path = {self._site.folder("data", self.name)}
service_down_time = 86400
[wsgi]
api_paste_config = {self._folder("cell0") / "api-paste.ini"}
[api_database]
connection = {self.url("api")}
max_pool_size = {pool}
[database]
connection = {self.url(cell)}
max_pool_size = {pool}
[oslo_concurrency]
lock_path = {self._site.folder("data", self.name, "locks")}
[oslo_messaging_notifications]
driver = noop
"""
        self.configuration(cell).write_text(text)

    def _map(self, cell: str) -> None:
        # No two cells may share a bus, not even one that is never used.
        options = ("--name", cell, "--database_connection", self.url(cell), "--transport-url", f"fake://{cell}/")
        self._manage("cell0", "cell_v2", "create_cell", *options)

    def _manage(self, cell: str, *arguments: str) -> None:
        manage = [str(nova_venv() / "bin" / "nova-manage"), "--config-file", str(self.configuration(cell))]
        run([*manage, *arguments], log=self._site.path("log", f"{self.name}-manage-{cell}.log"), timeout_s=300)

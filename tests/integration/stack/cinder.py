"""A real Cinder: API under uWSGI, scheduler and one volume service, whose volumes are in a real Ceph, or pretended."""

import json
import shutil
import urllib.request
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from tests.integration.stack import ceph
from tests.integration.stack.glance import Glance
from tests.integration.stack.kept import Kept
from tests.integration.stack.keystone import ADMIN, NOVA, REGION, Account, Keystone, side_by_side, uwsgi
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.rabbitmq import RabbitMQ
from tests.integration.stack.site import Site, environment, listens, run
from tests.integration.stack.venv import cached_venv

CINDER = Account("cinder", "service", ("admin", "service"))
#: Cinder as of the release of the other neighbours. An environment of its own, for it is three times as big as the
#: others' and most tests do not need it.
REQUIREMENTS = ("cinder==29.0.0", "uwsgi==2.0.31", "PyMySQL")
_VHOST = "cinder"
_REPOSITORY = Path(__file__).resolve().parents[3]
PROCESSES = ("cinder-api", "cinder-volume", "cinder-scheduler")


class Storage(Protocol):
    """Where Cinder's volumes are."""

    def prepare(self, venv: Path) -> None:
        """Have Cinder's environment import what the driver needs; raises Missing."""

    def backend(self, pool: str) -> str:
        """Return the group of Cinder's configuration with which a back end has its volumes in a pool."""


class Cinder:
    """A block storage service; its database is in MariaDB, its bus is a virtual host of the broker."""

    def __init__(
        self, site: Site, mariadb: MariaDB, rabbitmq: RabbitMQ, keystone: Keystone, glance: Glance, storage: Storage
    ) -> None:
        self._site = site
        self._storage = storage
        self._mariadb = mariadb
        self._rabbitmq = rabbitmq
        self._keystone = keystone
        self._glance = glance
        #: Whether it tells the Compute API of what becomes of volumes; else it finds none.
        self.tells_compute = False
        #: The pools its volumes are in, each a back end of that name.
        self.pools: tuple[str, ...] = ceph.POOLS[:1]
        self.port = site.port("cinder")
        self.url = f"http://{site.address}:{self.port}"

    def prepare(self) -> None:
        """Make the database's schema, once. Needs MariaDB alone."""
        done = self._site.path("data", "cinder", "synced")
        if done.exists():
            return
        venv = self._venv()
        self._mariadb.create(["cinder"])
        manage = [str(venv / "bin" / "cinder-manage"), "--config-file", str(self._write_configuration(venv, "")), "db"]
        kept = Kept(self._mariadb, "cinder", REQUIREMENTS)
        if not kept.load("cinder"):
            run([*manage, "sync"], log=self._site.path("log", "cinder-manage.log"), env=self._environment(venv))
            kept.save("cinder")
        done.write_text("")

    def start(self) -> None:
        """Start Cinder and put it into the catalog; all it needs must be up. Return once volumes can be made."""
        venv = self._venv()
        self.prepare()
        listed = self._site.path("data", "cinder", "listed")
        if not listed.exists():
            self._keystone.add_account(CINDER)
            self._keystone.add_endpoint("block-storage", "cinder", f"{self.url}/v3")
            self._rabbitmq.add_vhost(_VHOST)
            listed.write_text("")
        configuration = self._write_configuration(venv, self._rabbitmq.url(_VHOST))
        variables = self._environment(venv)
        argv = uwsgi(venv, self.port, "cinder.wsgi.api", 1, 6, f"--pyargv=--config-file {configuration}")
        self._site.processes.start(Program("cinder-api", argv, env=variables))
        for name in ("cinder-scheduler", "cinder-volume"):
            argv = (str(venv / "bin" / name), "--config-file", str(configuration))
            self._site.processes.start(Program(name, argv, env=variables))
        hint = f"Log: {self._site.processes.log('cinder-api')}"
        wait_until(self._answers, "Cinder answering", timeout_s=60, hint=hint)
        ready = self._site.processes.log("cinder-scheduler")
        # The scheduler itself would wait a minute for the back ends of whatever ran here before.
        wait_until(self._backend_is_known, "Cinder's back end known to its scheduler", timeout_s=60, hint=str(ready))

    def stop(self) -> None:
        """Stop Cinder; what it knows stays."""
        side_by_side([partial(self._stop, name) for name in PROCESSES])

    def is_running(self) -> bool:
        """Return whether all of it runs."""
        return all(self._site.processes.pid(name) is not None for name in PROCESSES)

    def _stop(self, name: str) -> None:
        self._site.processes.stop(name)

    def _answers(self) -> bool:
        self._site.processes.require("cinder-api")
        return listens(self.port, self._site.address)

    def _backend_is_known(self) -> bool:
        for name in PROCESSES:
            self._site.processes.require(name)
        return len(self.call("GET", "/scheduler-stats/get_pools")["pools"]) == len(self.pools)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request as the administrator, without a service token; return the decoded body of the answer."""
        request = urllib.request.Request(f"{self.url}/v3{path}", method=method)
        request.add_header("X-Auth-Token", self._token)
        request.add_header("OpenStack-API-Version", "volume 3.70")
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=240) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    @cached_property
    def _token(self) -> str:
        return self._keystone.token(ADMIN)

    def _environment(self, venv: Path) -> dict[str, str]:
        # It looks for the programs it runs with more rights, "sudo" and its own, in the search path.
        folder = self._site.folder("data", "cinder", "bin")
        sudo = folder / "sudo"
        sudo.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n')
        sudo.chmod(0o755)
        found = environment()
        path = f"{folder}:{venv / 'bin'}:{found.get('PATH', '')}"
        return found | {"PATH": path, "PYTHONPATH": str(_REPOSITORY)}

    def _venv(self) -> Path:
        venv = cinder_venv()
        self._storage.prepare(venv)
        return venv

    def _write_configuration(self, venv: Path, bus: str) -> Path:
        data = self._site.folder("data", "cinder")
        for name in ("coordination", "lock", "conversion"):
            (data / name).mkdir(exist_ok=True)
        folder = self._site.folder("etc", "cinder")
        region = REGION if self.tells_compute else "Elsewhere"
        for name in ("api-paste.ini", "resource_filters.json", "rootwrap.conf"):
            shutil.copy(venv / "etc" / "cinder" / name, folder)
        # What it runs with more rights is its environment's, too.
        rootwrap = folder / "rootwrap.conf"
        rootwrap.write_text(rootwrap.read_text().replace("exec_dirs=", f"exec_dirs={venv / 'bin'},"))
        shutil.copytree(venv / "etc" / "cinder" / "rootwrap.d", folder / "rootwrap.d", dirs_exist_ok=True)
        text = f"""\
[DEFAULT]
auth_strategy = keystone
my_ip = {self._site.address}
host = cinder
transport_url = {bus}
api_paste_config = {folder}/api-paste.ini
rootwrap_config = {folder}/rootwrap.conf
resource_query_filters_file = {folder}/resource_filters.json
state_path = {data}
image_conversion_dir = {data}/conversion
enabled_backends = {",".join(self.pools)}
glance_api_servers = {self._glance.url}
report_interval = 2
rpc_response_timeout = 20
backend_stats_polling_interval = 5
scheduler_driver_init_wait_time = 1
quota_volumes = 500
quota_snapshots = 500
quota_gigabytes = 5000
{"".join(map(self._storage.backend, self.pools))}
[database]
connection = {self._mariadb.url("cinder")}
[coordination]
backend_url = file://{data}/coordination
[oslo_concurrency]
lock_path = {data}/lock
[oslo_messaging_notifications]
driver = noop
[nova]
{self._keystone.credentials(NOVA).replace(REGION, region)}
[keystone_authtoken]
www_authenticate_uri = {self._keystone.url}
service_token_roles = service
service_token_roles_required = true
{self._keystone.credentials(CINDER)}
"""
        path = folder / "cinder.conf"
        path.write_text(text)
        return path


def cinder_venv() -> Path:
    """Return Cinder's environment, made first where there is none; raises Missing when that fails."""
    return cached_venv("cinder-venv", REQUIREMENTS, "Cinder")

"""The real Nova with that cloud, asked in its own process: its API on SQLite, without agents, conductors or a bus.

``python -m tests.integration.answers.theirs FOLDER``, by its Python. What it answered, and at which versions it was
asked, which is where it says of itself that something changes, is in ``FOLDER/theirs.json`` then; with ``all`` behind
that it is asked at every version.
"""

import datetime
import importlib
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.listing import beside_nova
from tests.integration.answers import cloud, theirs_seeded

_CONFIGURATION = """\
[DEFAULT]
transport_url = fake://
state_path = {folder}
service_down_time = 86400000
host = api
[api_database]
connection = sqlite:///{folder}/api.sqlite
[database]
connection = sqlite:///{folder}/cell0.sqlite
"""
_IMAGE = {
    "id": cloud.IMAGE,
    "name": "tiny",
    "status": "active",
    "size": 8 << 20,
    "created_at": datetime.datetime(2026, 1, 1, 10, tzinfo=datetime.UTC),
    "updated_at": datetime.datetime(2026, 1, 2, 10, tzinfo=datetime.UTC),
    "min_ram": 0,
    "min_disk": 0,
    "properties": {"hw_machine_type": "q35"},
}
Answer = tuple[int, Any]


class Theirs:
    """The real Nova's API over databases in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        configuration = folder / "nova.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder))
        config: Any = importlib.import_module("nova.config")
        config.parse_args(["answers", "--config-file", str(configuration)])
        logging.disable(logging.CRITICAL)
        self._make_tables()
        _without_neighbours()
        routes: Any = importlib.import_module("nova.api.openstack.compute.routes")
        self._router = routes.APIRouterV21()
        self._app = _prefixed(self._pipeline())
        self._blank: Callable[..., Any] = importlib.import_module("webob").Request.blank
        self.names = {**cloud.SERVERS, "image": cloud.IMAGE, **theirs_seeded.seed(self.ask)}

    def _make_tables(self) -> None:
        migration: Any = importlib.import_module("nova.db.migration")
        contexts: Any = importlib.import_module("nova.context")
        objects: Any = importlib.import_module("nova.objects")
        objects.register_all()
        migration.db_sync(database="api")
        context = contexts.get_admin_context()
        cells = {"cell0": (objects.CellMapping.CELL0_UUID, "none:///")}
        cells["cell1"] = ("ce110001-0000-4000-8000-000000000000", "fake://cell1/")
        for name, (uuid, bus) in cells.items():
            file = self._folder / f"{name}.sqlite"
            made = objects.CellMapping(
                context,
                uuid=uuid,
                name=name,
                transport_url=bus,
                database_connection=f"sqlite:///{file}",
                disabled=False,
            )
            made.create()
            if name == "cell0":
                with contexts.target_cell(context, made) as within:
                    migration.db_sync(database="main", context=within)
            else:
                # The tables are the same, and to make them costs seconds.
                shutil.copyfile(self._folder / "cell0.sqlite", file)

    def _pipeline(self) -> beside_nova.Wsgi:
        """Return the API behind what knows callers and makes errors of exceptions."""
        app: Any = self._router
        for module, maker in (("nova.api.auth", "NovaKeystoneContext"), ("nova.api.openstack", "FaultWrapper")):
            app = getattr(importlib.import_module(module), maker)(app)
        return beside_nova.noauth(None)(app)

    def ask(self, method: str, path: str, body: object = None, *, caller: str, version: int) -> Answer:
        """Send one request; return its status and its body, None for none."""
        request = self._blank(f"/v2.1{path}", method=method)
        request.headers["X-Auth-Token"] = caller
        request.headers["OpenStack-API-Version"] = f"compute 2.{version}"
        request.headers["X-OpenStack-Nova-API-Version"] = f"2.{version}"
        if body is not None:
            request.body = json.dumps(body).encode()
            request.headers["Content-Type"] = "application/json"
        answer = request.get_response(self._app)
        return answer.status_int, json.loads(answer.body) if answer.body else None

    def hypervisor(self, version: int) -> object:
        """Return the id that the first hypervisor has in version 2.N."""
        return self.ask("GET", "/os-hypervisors", caller=cloud.CALLERS[0], version=version)[1]["hypervisors"][0]["id"]

    def versions(self, path: str) -> list[int]:
        """Return the versions 2.N from which on the API declares to take or answer something else."""
        plain = path.partition("?")[0].format(**{**self.names, "hypervisor": 1}).replace("%20", " ")
        found = self._router.map.match(plain, {"REQUEST_METHOD": "GET"})
        method = getattr(found["controller"].controller, found["action"])
        spans = [(getattr(method, "min_version", None), getattr(method, "max_version", None))]
        for name in ("response_body_schemas", "request_query_schemas"):
            declared = getattr(method, name, None)
            spans += [] if declared is None else [(since, until) for _, since, until in declared._schemas]
        first = {1} | {_minor(since) for since, _ in spans} | {_minor(until) + 1 for _, until in spans if until}
        return sorted({cloud.MAXIMUM, *(each for each in first if 1 <= each <= cloud.MAXIMUM)})


def _minor(version: Any) -> int:
    """Return N of 2.N, whichever way that is written; 1 for none."""
    if version is None or not str(getattr(version, "ver_minor", version)):
        return 1
    return int(getattr(version, "ver_minor", str(version).rpartition(".")[2]))


def _without_neighbours() -> None:
    """Let images be those of the cloud, and let nobody be asked for networks, projects or uptimes."""
    beside_nova.without_networks()
    identity: Any = importlib.import_module("nova.api.openstack.identity")
    identity.verify_project_id = lambda _context, _project: True
    glance: Any = importlib.import_module("nova.image.glance")
    errors: Any = importlib.import_module("nova.exception")

    def get(_self: object, _context: object, image_id: str, **_more: object) -> dict[str, Any]:
        if image_id != cloud.IMAGE:
            raise errors.ImageNotFound(image_id=image_id)
        return dict(_IMAGE)

    glance.API.get = get
    glance.API.get_all = lambda _self, _context, **_more: [dict(_IMAGE)]
    glance.generate_glance_url = lambda _context: "http://images.example"
    hosts: Any = importlib.import_module("nova.compute.api")

    def no_uptime(_self: object, _context: object, host: str) -> str:
        raise errors.ComputeServiceUnavailable(host=host)

    hosts.HostAPI.get_host_uptime = no_uptime


def _prefixed(app: beside_nova.Wsgi) -> beside_nova.Wsgi:
    """Return ``app`` below ``/v2.1``, as the paste file has it."""

    def inner(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/v2.1", environ["PATH_INFO"].removeprefix("/v2.1")
        return app(environ, start_response)

    return inner


def main() -> None:
    """Make the cloud, ask everything, and write down what was answered."""
    folder = Path(sys.argv[1])
    theirs = Theirs(folder)
    everything = list(range(1, cloud.MAXIMUM + 1))
    versions = {path: everything if sys.argv[2:] == ["all"] else theirs.versions(path) for path in cloud.PATHS}
    answers: dict[str, Answer] = {}
    for caller, path, version in cloud.requests(versions):
        url = path.format(**theirs.names, hypervisor=theirs.hypervisor(version) if "{hypervisor}" in path else "")
        answers[cloud.key(caller, path, version)] = theirs.ask("GET", url, caller=caller, version=version)
    (folder / "theirs.json").write_text(json.dumps({"versions": versions, "answers": answers}))


if __name__ == "__main__":
    main()

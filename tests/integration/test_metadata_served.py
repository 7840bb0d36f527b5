"""The metadata service as its shipped uWSGI file runs it, asked over HTTP as a proxy asks; and one of a single cell."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.db import migrate
from nova_lite.db.repositories import build_requests, instances, mappings
from nova_lite.metadata.askers import signature
from nova_lite.model.host import Cell
from nova_lite.model.request_spec import RequestSpec
from nova_lite.storage import Database
from tests.guests import INSTANCE
from tests.integration.conftest import started
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.processes import Program
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, tool, wait_listening

_SECRET = "of the proxies"
_CELL = "7b1f6a52-3c3f-4d0e-9c58-0d6f5f0a1b2c"
_KINDS = {"everywhere": False, "in-a-cell": True}


def _cloud(data: Path) -> tuple[str, str]:
    """Return the URLs of an API database and of a cell's that has one server; made by the histories."""
    api_url, cell_url = f"sqlite:///{data}/api.db", f"sqlite:///{data}/cell.db"
    api, cell = Database(api_url), Database(cell_url)
    migrate.sync(api, "api")
    migrate.sync(cell, "cell")
    with api.writer() as session:
        mappings.add_cell(session, Cell(_CELL, "cell", "kombu+memory:///cell", cell_url))
        mappings.add_instance(session, INSTANCE.uuid, project_id="demo", user_id="alice", vcpus=1, ram_mib=64)
        spec = RequestSpec("demo", "alice", INSTANCE.flavor, INSTANCE.image_id)
        build_requests.add(session, [INSTANCE], spec)
    with api.writer() as session:
        assert mappings.settle(session, INSTANCE.uuid, _CELL)
    with cell.writer() as session:
        instances.add(session, INSTANCE)
    api.close()
    cell.close()
    return api_url, cell_url


def _program(site: Site, name: str, api_url: str, cell_url: str, *, per_cell: bool) -> Program:
    settings = site.write(
        f"[api_database]\nconnection = {'' if per_cell else api_url}\n"
        f"[database]\nconnection = {cell_url if per_cell else ''}\n"
        f"[api]\nlocal_metadata_per_cell = {per_cell}\nmetadata_cache_expiration = 0\n"
        f"[neutron]\nservice_metadata_proxy = true\nmetadata_proxy_shared_secret = {_SECRET}\n",
        *("etc", "nova_lite", f"{name}.conf"),
    )
    variables = {
        "NOVA_LITE_CONFIG_FILES": str(settings),
        "NOVA_LITE_METADATA_LISTEN": f"{ADDRESS}:{site.port(name)}",
        "NOVA_LITE_METADATA_PROCESSES": "2",
        "NOVA_LITE_METADATA_THREADS": "2",
        "PYTHONPATH": str(REPOSITORY),
    }
    ini = REPOSITORY / "etc" / "nova-lite-metadata-uwsgi.ini"
    argv = (f"{sys.prefix}/bin/uwsgi", "--ini", str(ini), "--virtualenv", sys.prefix, "--pythonpath", str(REPOSITORY))
    return Program(name, argv, env=environment(**variables), cwd=str(REPOSITORY))


@pytest.fixture(params=list(_KINDS))
def url(request: pytest.FixtureRequest, neighbours: Neighbours) -> Iterator[str]:
    started(lambda: tool("curl", package="curl"))
    site, name = neighbours.site, f"metadata-{request.param}"
    api_url, cell_url = _cloud(site.folder("data", name))
    program = _program(site, name, api_url, cell_url, per_cell=_KINDS[request.param])
    started(lambda: site.processes.start(program))
    wait_listening(site, name, site.port(name), timeout_s=120)
    yield f"http://{ADDRESS}:{site.port(name)}"
    site.processes.stop(name)
    with sqlite3.connect(cell_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT sealed_password FROM instances").fetchall() == [("sealed",)]


def curl(url: str, *options: str) -> tuple[int, str]:
    """Return status and body of what curl is answered; status 0 where the connection was closed instead."""
    argv = ["curl", "-s", "--max-time", "120", "-w", "\n%{http_code}", *options, url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=480, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_what_curl_sees(url: str) -> None:
    def header(name: str, value: str) -> tuple[str, str]:
        return "-H", f"{name}: {value}"

    signed = header("X-Instance-ID-Signature", signature(_SECRET, INSTANCE.uuid))
    own = (*header("X-Instance-ID", INSTANCE.uuid), *signed, *header("X-Tenant-ID", "demo"))
    mine = f"{url}/openstack/latest"
    assert curl(url)[0] == 200
    assert curl(f"{mine}/meta_data.json")[0] == 400
    status, body = curl(f"{mine}/meta_data.json", *own)
    assert (status, re.findall(r'"uuid":"([^"]*)"', body)) == (200, [INSTANCE.uuid])
    assert curl(f"{url}/latest/meta-data/instance-id", *own) == (200, f"i-{INSTANCE.uuid[:8]}")
    assert curl(f"{mine}/../../../../../../etc/passwd", "--path-as-is", *own) == (404, "")
    # Whichever of two headers the server hands on, or both: nobody is let in by what another one says.
    assert curl(f"{mine}/meta_data.json", *own, *header("X-Instance-ID", _CELL))[0] == 403
    assert curl(f"{mine}/meta_data.json", *header("X-Instance-ID", _CELL), *own)[0] in (200, 403)
    assert curl(f"{mine}/meta_data.json", *own[:4], *header("X-Tenant-ID", "mallory"))[0] == 404
    assert curl(f"{mine}/meta_data.json", *own, *header("X-Tenant-ID", "x" * 30_000))[0] == 0
    assert curl(f"{mine}/password", *own, "-d", "s" * 2000)[0] == 400
    assert curl(f"{mine}/password", *own, "-d", "sealed")[0] == 200
    assert curl(f"{mine}/password", *own, "-H", "Transfer-Encoding: chunked", "-d", "more")[0] in (400, 409, 411)
    assert curl(f"{mine}/password", *own) == (200, "sealed")

"""Where stories are told: in this process, or under a real server that NOVA_LITE_SUITE names.

``uwsgi`` (workers that load the application themselves), ``uwsgi-prefork`` (forked after loading) and ``mod_wsgi`` run
the ``served.py`` of the stories' folder by the shipped configuration, with several processes and threads. What a client
asks goes there by HTTP. The folder's ``in_process.txt`` lists the stories that reach into the process of the API and so
have to be told there.
"""

import contextlib
import http.client
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from oslo_config import cfg

from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, run, tool, wait_listening

VARIABLE = "NOVA_LITE_SUITE"
SERVERS = ("inprocess", "uwsgi", "uwsgi-prefork", "mod_wsgi")
#: Folder of stories → what its API goes by in the shipped files.
KINDS = {"compute_api": "api", "placement_api": "placement"}
#: Where Apache's modules are.
MODULES = Path("/usr/lib/apache2/modules")
_REPOSITORY = Path(__file__).resolve().parents[2]
_PROCESSES, _THREADS = 2, 3
#: Headers that are of one connection, not of the answer.
_OF_CONNECTIONS = frozenset({"connection", "keep-alive", "transfer-encoding"})
#: Account of Apache's workers, and its number.
ACCOUNT, _NUMBER = "www-data", "33"
#: Put before a command, has it end with whoever started it, however that ends.
TIED = ("setpriv", "--pdeathsig", "TERM")


def chosen() -> str:
    """Return where stories are told."""
    name = os.environ.get(VARIABLE) or SERVERS[0]
    if name not in SERVERS:
        raise ValueError(f"{VARIABLE}={name}: it is one of {', '.join(SERVERS)}")
    return name


def reaching_in(folder: Path, server: str) -> dict[str, str]:
    """Return which stories of ``folder`` cannot be told to ``server``: a module, or ``module::test`` → why.

    A reason that begins with a server's name and a colon is one at that server only.
    """
    text = (folder / "in_process.txt").read_text()
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    found = dict((line.split(maxsplit=1)) for line in lines)
    elsewhere = tuple(f"{other}: " for other in SERVERS if other != server)
    return {name: reason for name, reason in found.items() if not reason.startswith(elsewhere)}


def keep_what_can_be_told(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, where stories are told to a server, what is no such story or reaches into the process of the API."""
    server = chosen()
    if server == SERVERS[0]:
        return
    folders = {Path(__file__).with_name(name) for name in KINDS}
    inside = {folder: reaching_in(folder, server).keys() for folder in folders}

    def stays(item: pytest.Item) -> bool:
        parts = item.nodeid.partition("[")[0].rpartition("/")[2].split("::")
        names = {"::".join(parts[:count]) for count in range(1, len(parts) + 1)}
        return item.path.parent in folders and not inside[item.path.parent] & names

    kept = [item for item in items if stays(item)]
    config.hook.pytest_deselected(items=[item for item in items if not stays(item)])
    items[:] = kept


class Server:
    """A running server, the way to it, and a directory for what its workers ask of this process."""

    def __init__(self, port: int, directory: Path) -> None:
        self.directory = directory
        self._port = port

    def gateway(self, story: Callable[[], Mapping[str, Any]]) -> "Gateway":
        """Return a WSGI application that has the server answer; ``story`` is what its worker has to know just then."""
        return Gateway(self._port, story)


class Gateway:
    """A WSGI application that sends each request to a server and answers what it answers."""

    def __init__(self, port: int, story: Callable[[], Mapping[str, Any]]) -> None:
        self._port = port
        self._story = story

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer, body = self._send(env, json.dumps(self._story()))
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_CONNECTIONS]
        start_response(f"{answer.status} {answer.reason or 'None'}", headers)
        return [body]

    def _send(self, env: Mapping[str, Any], story: str) -> tuple[http.client.HTTPResponse, bytes]:
        path = quote(env["PATH_INFO"].encode("latin-1"), safe="/:;=@!$&'()*+,~")
        if env.get("QUERY_STRING"):
            path += f"?{env['QUERY_STRING'].replace(' ', '+')}"
        with contextlib.closing(http.client.HTTPConnection(ADDRESS, self._port, timeout=480)) as connection:
            connection.putrequest(env["REQUEST_METHOD"], path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("X-Story", story)
            for name, value in env.items():
                if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                    connection.putheader(name.replace("_", "-"), value)
                elif name.startswith("HTTP_"):
                    connection.putheader(name[5:].replace("_", "-"), value.encode("latin-1"))
            body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer, answer.read()


def overrides(conf: cfg.ConfigOpts) -> dict[str, dict[str, Any]]:
    """Return what was overridden in ``conf``, by group."""
    groups = {"DEFAULT": conf._opts, **{name: group._opts for name, group in conf._groups.items()}}
    found = {
        group: {name: info["override"] for name, info in opts.items() if "override" in info}
        for group, opts in groups.items()
    }
    return {group: values for group, values in found.items() if values}


@contextlib.contextmanager
def running(server: str, folder: str) -> Iterator[Server]:
    """Run a server for the stories of a folder while the block runs."""
    # Paths of sockets are short, so this is not below pytest's own directory.
    site = Site(Path(tempfile.mkdtemp(prefix="nova-lite-suite-")))
    kind = KINDS[folder]
    try:
        port = site.port(kind)
        program = (
            _uwsgi(site, folder, is_lazy=server == "uwsgi") if server.startswith("uwsgi") else _apache(site, folder)
        )
        site.processes.start(program)
        wait_listening(site, program.name, port, timeout_s=120)
        yield Server(port, site.directory)
    finally:
        for name in site.processes.names():
            site.processes.stop(name)
        shutil.rmtree(site.directory, ignore_errors=True)


def _uwsgi(site: Site, folder: str, *, is_lazy: bool) -> Program:
    kind = KINDS[folder]
    shipped = (_REPOSITORY / f"etc/nova-lite-{kind}-uwsgi.ini").read_text()
    text = shipped.replace(f"nova_lite.{kind}.wsgi:application", f"{__package__}.{folder}.served:application")
    assert text != shipped
    if not is_lazy:
        text = text.replace("lazy-apps = true\n", "")
    file = site.write(text, "etc", "api.ini")
    values = {"LISTEN": f"{ADDRESS}:{site.port(kind)}", "PROCESSES": str(_PROCESSES), "THREADS": str(_THREADS)}
    if is_lazy:
        values["RELOAD"] = str(site.write("", "run", "reload"))
    variables = {f"NOVA_LITE_{kind.upper()}_{name}": value for name, value in values.items()}
    program = str(Path(sys.prefix) / "bin/uwsgi")
    argv = (*TIED, program, "--ini", str(file), "--virtualenv", sys.prefix, "--pythonpath", str(_REPOSITORY))
    return Program(kind, argv, env=environment(**variables, PYTHONPATH=str(_REPOSITORY)), cwd=str(_REPOSITORY))


def as_apaches_account() -> tuple[str, ...]:
    """Return the command that runs another one which takes us for Apache's account: root it would not work for."""
    if os.geteuid() != 0:
        return ()
    return "unshare", "--user", f"--map-user={_NUMBER}", f"--map-group={_NUMBER}"


def _apache(site: Site, folder: str) -> Program:
    kind = KINDS[folder]
    script = Path(__file__).with_name(folder) / "served.py"
    shipped = (_REPOSITORY / "etc/nova-lite-apache.conf").read_text()
    text = shipped.replace(f"${{NOVA_LITE_PACKAGES}}/nova_lite/{kind}/wsgi.py", str(script))
    text = text.replace(f"${{NOVA_LITE_PACKAGES}}/nova_lite/{kind}", str(script.parent))
    assert "wsgi.py" in text.replace(str(script), "", 1)
    assert str(script) in text
    return under_mod_wsgi(site, text, packages=_REPOSITORY)


def under_mod_wsgi(site: Site, text: str, *, packages: Path, **variables: str) -> Program:
    """Return Apache with ``text``, the shipped site; ``packages`` has the scripts, ``variables`` are its environment.

    Where we are root it takes itself for its account, and still may read files. mod_wsgi brings the system's Python, of
    which it gets an environment of its own; the packages are those of this one.
    """
    program = tool("apache2", package="apache2")
    home = site.path("home")
    run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(home)], log=site.path("log", "venv.log"))
    modules = [name for name in ("mpm_event", "authz_core", "wsgi") if (MODULES / f"mod_{name}.so").exists()]
    main = [
        f"ServerRoot {site.directory}",
        f"PidFile {site.path('run', 'apache.pid')}",
        f"ErrorLog {site.path('log', 'errors.log')}",
        f"Mutex file:{site.folder('run')}",
        "ServerName localhost",
        f"User {ACCOUNT}",
        f"Group {ACCOUNT}",
        "WSGISocketPrefix " + str(site.path("run", "wsgi")),
        *(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in modules),
        f"Define NOVA_LITE_API_LISTEN {ADDRESS}:{site.port('api')}",
        f"Define NOVA_LITE_PLACEMENT_LISTEN {ADDRESS}:{site.port('placement')}",
        f"Define NOVA_LITE_USER {ACCOUNT}",
        f"Define NOVA_LITE_PYTHON_HOME {home}",
        f"Define NOVA_LITE_PYTHON_PATH {_REPOSITORY}:{sysconfig.get_path('purelib')}",
        f"Define NOVA_LITE_PACKAGES {packages}",
        text.replace("processes=4 threads=8", f"processes={_PROCESSES} threads={_THREADS}"),
    ]
    file = site.write("\n".join(main) + "\n", "etc", "apache.conf")
    argv = (*as_apaches_account(), *TIED, program, "-DFOREGROUND", "-f", str(file))
    return Program("api", argv, env=environment(**variables))

"""Where stories are told: in this process, or under a real server that NOVA_LITE_SUITE names.

``uwsgi`` (workers that load the application themselves), ``uwsgi-prefork`` (forked after loading) and ``mod_wsgi`` run
``served.py`` by the shipped configuration, with several processes and threads. What a client asks goes there by HTTP.
``in_process.txt`` lists the stories that reach into the process of the API and so have to be told there.
"""

import contextlib
import http.client
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oslo_config import cfg

from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, run, tool, wait_listening

VARIABLE = "NOVA_LITE_SUITE"
SERVERS = ("inprocess", "uwsgi", "uwsgi-prefork", "mod_wsgi")
_REPOSITORY = Path(__file__).resolve().parents[3]
_MODULES = Path("/usr/lib/apache2/modules")
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


def reaching_in() -> dict[str, str]:
    """Return which stories have to be told in process: a module, or ``module::test`` → why."""
    text = (Path(__file__).parent / "in_process.txt").read_text()
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict((line.split(maxsplit=1)) for line in lines)


class Fakes:
    """Answers the workers of a server for what is faked, by asking the clouds of this process."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.clouds: dict[str, Any] = {}
        self._listener = Listener(address, backlog=64)
        threading.Thread(target=self._serve, name="fakes", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                return
            threading.Thread(target=self._answer, args=(connection,), name="fake", daemon=True).start()

    def _answer(self, connection: "Connection[Any, Any]") -> None:
        with connection, contextlib.suppress(EOFError, OSError):
            ((directory, _), *steps), name, args, kwargs = connection.recv()
            try:
                found = reduce(_step, steps, self.clouds[directory])
                connection.send((True, getattr(found, name)(*args, **kwargs)))
            except Exception as exc:  # noqa: BLE001 - whatever it is, the worker that asked hears it
                connection.send((False, exc))


def _step(thing: Any, step: tuple[str, tuple[Any, ...]]) -> Any:
    name, args = step
    return getattr(thing, name)(*args) if args or name == "as_service" else getattr(thing, name)


class Server:
    """A running server, and the way to it."""

    def __init__(self, port: int, fakes: Fakes) -> None:
        self._port = port
        self._fakes = fakes

    def application(self, cloud: Any) -> "Gateway":
        """Return a WSGI application that has the server answer as the API of ``cloud``."""
        self._fakes.clouds[str(cloud.directory)] = cloud
        return Gateway(self._port, cloud, self._fakes.address)


class Gateway:
    """A WSGI application that sends each request to a server and answers what it answers."""

    def __init__(self, port: int, cloud: Any, fakes: str) -> None:
        self._port = port
        self._cloud = cloud
        self._fakes = fakes

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        story = {
            "directory": str(self._cloud.directory),
            "options": _overrides(self._cloud.conf),
            "fakes": self._fakes,
        }
        answer, body = self._send(env, json.dumps(story))
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


def _overrides(conf: cfg.ConfigOpts) -> dict[str, dict[str, Any]]:
    """Return what was overridden in ``conf``, by group."""
    groups = {"DEFAULT": conf._opts, **{name: group._opts for name, group in conf._groups.items()}}
    found = {
        group: {name: info["override"] for name, info in opts.items() if "override" in info}
        for group, opts in groups.items()
    }
    return {group: values for group, values in found.items() if values}


@contextlib.contextmanager
def running(kind: str) -> Iterator[Server]:
    """Run a server while the block runs."""
    # Paths of sockets are short, so this is not below pytest's own directory.
    site = Site(Path(tempfile.mkdtemp(prefix="nova-lite-suite-")))
    fakes = Fakes(str(site.path("fakes")))
    try:
        port = site.port("api")
        site.processes.start(_uwsgi(site, kind) if kind.startswith("uwsgi") else _apache(site))
        wait_listening(site, "api", port, timeout_s=120)
        yield Server(port, fakes)
    finally:
        site.processes.stop("api")
        fakes.close()
        shutil.rmtree(site.directory, ignore_errors=True)


def _uwsgi(site: Site, kind: str) -> Program:
    shipped = (_REPOSITORY / "etc/nova-lite-api-uwsgi.ini").read_text()
    text = shipped.replace("nova_lite.api.wsgi:application", f"{__package__}.served:application")
    assert text != shipped
    file = site.write(text, "etc", "api.ini")
    variables = {
        "NOVA_LITE_API_LISTEN": f"{ADDRESS}:{site.port('api')}",
        "NOVA_LITE_API_PROCESSES": str(_PROCESSES),
        "NOVA_LITE_API_THREADS": str(_THREADS),
        "PYTHONPATH": str(_REPOSITORY),
    }
    if kind == "uwsgi":
        variables["NOVA_LITE_API_RELOAD"] = str(site.write("", "run", "reload"))
    program = str(Path(sys.prefix) / "bin/uwsgi")
    argv = (*TIED, program, "--ini", str(file), "--virtualenv", sys.prefix, "--pythonpath", str(_REPOSITORY))
    return Program("api", argv, env=environment(**variables), cwd=str(_REPOSITORY))


def as_apaches_account() -> tuple[str, ...]:
    """Return the command that runs another one which takes us for Apache's account: root it would not work for."""
    if os.geteuid() != 0:
        return ()
    return "unshare", "--user", f"--map-user={_NUMBER}", f"--map-group={_NUMBER}"


def _apache(site: Site) -> Program:
    script = Path(__file__).with_name("served.py")
    shipped = (_REPOSITORY / "etc/nova-lite-apache.conf").read_text()
    text = shipped.replace("${NOVA_LITE_PACKAGES}/nova_lite/api/wsgi.py", str(script))
    text = text.replace("${NOVA_LITE_PACKAGES}/nova_lite/api", str(script.parent))
    assert "wsgi.py" in text.partition(str(script))[2]
    return under_mod_wsgi(site, text, packages=_REPOSITORY)


def under_mod_wsgi(site: Site, text: str, *, packages: Path, **variables: str) -> Program:
    """Return Apache with ``text``, the shipped site; ``packages`` has the scripts, ``variables`` are its environment.

    Where we are root it takes itself for its account, and still may read files. mod_wsgi brings the system's Python, of
    which it gets an environment of its own; the packages are those of this one.
    """
    program = tool("apache2", package="apache2")
    home = site.path("home")
    run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(home)], log=site.path("log", "venv.log"))
    modules = [name for name in ("mpm_event", "authz_core", "wsgi") if (_MODULES / f"mod_{name}.so").exists()]
    main = [
        f"ServerRoot {site.directory}",
        f"PidFile {site.path('run', 'apache.pid')}",
        f"ErrorLog {site.path('log', 'errors.log')}",
        f"Mutex file:{site.folder('run')}",
        "ServerName localhost",
        f"User {ACCOUNT}",
        f"Group {ACCOUNT}",
        "WSGISocketPrefix " + str(site.path("run", "wsgi")),
        *(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in modules),
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

"""An API on a SQLite database, under uWSGI by the shipped file, alone or behind Apache; a client that may shout."""

import contextlib
import http.client
import json
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.functional import suite
from tests.integration.conftest import started
from tests.integration.reloads import touch
from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, tool, wait_listening


class Served:
    """The Compute API (``kind`` ``api``) or Placement, with two workers of two threads."""

    def __init__(self, kind: Literal["api", "placement"]) -> None:
        self.kind = kind
        # Paths of sockets are short, so this is not below pytest's own directory.
        self.site = Site(Path(tempfile.mkdtemp(prefix="nova-lite-wsgi-")))
        self._url = f"sqlite:///{self.site.folder('data') / f'{kind}.db'}"
        database = Database(self._url)
        migrate.sync(database, kind)
        database.close()
        self.port = self.site.port(kind)
        self.socket = self.site.path("run", f"{kind}.socket")
        self.reload_file = self.site.write("", "run", "reload")

    def configure(self, more: str = "", *, auth: str = "noauth2") -> None:
        """Write the configuration; ``more`` comes after what is needed."""
        text = f"[DEFAULT]\nhost = api\ntransport_url = kombu+memory:///api\n[api]\nauth_strategy = {auth}\n"
        text += f"[{self.kind}_database]\nconnection = {self._url}\n{more}"
        self.site.write(text, "etc", "nova-lite.conf")

    def start(self, *, is_lazy: bool = True, **instead: str) -> None:
        """Start it by the shipped file, and wait until it serves. ``is_lazy``: each worker loads the application.

        ``instead`` are other values of some options of the file.
        """
        self.launch(is_lazy=is_lazy, **instead)
        wait_listening(self.site, self.kind, self.port, timeout_s=60)
        assert self.ask("/healthcheck")[0] == 200

    def launch(self, *, is_lazy: bool, **instead: str) -> None:
        """Start it, and wait for nothing."""
        text = (REPOSITORY / f"etc/nova-lite-{self.kind}-uwsgi.ini").read_text()
        for name, value in instead.items():
            option = name.replace("_", "-")
            text, count = re.subn(rf"(?m)^{option} = .*", f"{option} = {value}", text)
            assert count == 1, option
        # A word of each worker that has done what comes before it.
        file = self.site.write(text + "hook-post-fork = print:hears\n", "etc", f"{self.kind}.ini")
        values = {"LISTEN": f"{ADDRESS}:{self.port}", "SOCKET": str(self.socket), "PROCESSES": "2", "THREADS": "2"}
        if is_lazy:
            values["RELOAD"] = str(self.reload_file)
        variables = {f"NOVA_LITE_{self.kind.upper()}_{name}": value for name, value in values.items()}
        variables["NOVA_LITE_CONFIG_FILES"] = str(self.site.path("etc", "nova-lite.conf"))
        variables["PYTHONPATH"] = str(REPOSITORY)
        uwsgi = str(Path(sys.prefix) / "bin/uwsgi")
        argv = (*suite.TIED, uwsgi, "--ini", str(file), "--virtualenv", sys.prefix, "--pythonpath", str(REPOSITORY))
        self.site.processes.start(Program(self.kind, argv, env=environment(**variables), cwd=str(REPOSITORY)))

    def ask(self, path: str, token: str | None = "alice:demo", **headers: str) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and JSON of an answer."""
        with contextlib.closing(http.client.HTTPConnection(ADDRESS, self.port, timeout=120)) as connection:
            connection.request("GET", path, headers={**({"X-Auth-Token": token} if token else {}), **headers})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(content)

    def shout(self, request: bytes) -> list[int]:
        """Send bytes as they are and return the status of each answer until the server closes."""
        with socket.create_connection((ADDRESS, self.port), timeout=60) as connection:
            heard = b""
            # A server that has heard enough answers before the end, and hangs up.
            with contextlib.suppress(OSError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(65536):
                    heard += part
        return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", heard, re.MULTILINE)]

    def told(self) -> str:
        """Return what it has logged."""
        return self.site.processes.log(self.kind).read_text(errors="replace")

    def wait_hearing(self, spawned: int = 0) -> None:
        """Wait until ``spawned`` workers were made, in all, and each hears signals: not from its first instant."""

        def all_hear() -> bool:
            told = self.told()
            count = told.count("spawned uWSGI worker")
            return told.count('running "print:hears" (post-fork)') == count >= spawned

        wait_until(all_hear, "workers that hear", timeout_s=60, hint=self.told()[-2000:])

    def has_loaded(self) -> bool:
        """Return whether each of its workers, which load the application themselves, has done so."""
        told = self.told()
        return all(f"pid: {worker} (default app)" in told for worker in self.workers())

    def workers(self) -> set[int]:
        """Return the process numbers of the workers."""
        pid = self.site.processes.pid(self.kind)
        return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def touch(self) -> None:
        """Touch the file that has workers load anew one by one, once it is heard: not while a worker still loads."""
        wait_until(self.has_loaded, "workers that have loaded", timeout_s=60)
        touch(self.reload_file)

    @contextlib.contextmanager
    def behind_apache(self, path: str) -> Iterator[int]:
        """Run Apache before uWSGI's own protocol, below ``path``, by the shipped file's comments; yield its port."""
        program = []
        started(lambda: program.append(tool("apache2", package="apache2")))
        site, port = self.site, self.site.port("apache")
        said = (REPOSITORY / "etc/nova-lite-apache.conf").read_text().partition("#   ProxyPass")[2]
        lines = ("ProxyPass" + said.partition("\n\n")[0]).replace("\n#", "\n").partition("</Location>")
        text = (lines[0] + lines[1]).replace("/run/nova_lite/api.socket", str(self.socket))
        main = [
            f"ServerRoot {site.directory}",
            f"PidFile {site.path('run', 'apache.pid')}",
            f"ErrorLog {site.path('log', 'errors.log')}",
            f"Mutex file:{site.folder('run')}",
            f"Listen {ADDRESS}:{port}",
            "ServerName localhost",
            f"User {suite.ACCOUNT}",
            f"Group {suite.ACCOUNT}",
            *(
                f"LoadModule {name}_module {suite.MODULES}/mod_{name}.so"
                for name in ("mpm_event", "authz_core", "headers", "proxy", "proxy_uwsgi")
            ),
            text.replace("/compute", path).replace("nova-lite-api", f"nova-lite-{self.kind}"),
        ]
        file = site.write("\n".join(main) + "\n", "etc", "apache.conf")
        argv = (*suite.as_apaches_account(), *suite.TIED, *program, "-DFOREGROUND", "-f", str(file))
        site.processes.start(Program("apache", argv, env=environment()))
        wait_listening(site, "apache", port)
        yield port
        site.processes.stop("apache")

"""The Compute API under real servers, by the shipped files: reloaded, behind a proxy, shouted at, without Keystone."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.functional.compute_api import suite
from tests.integration.conftest import started
from tests.integration.stack.processes import Program, birth, wait_until
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, listens, tool, wait_listening

_MODULES = Path("/usr/lib/apache2/modules")
#: Modules of stories that CI tells under each server: the nouns clients use most, and what is sent to break it.
STORIES = (
    "test_bombs", "test_cors", "test_flavors", "test_keypairs", "test_monitoring", "test_proxies", "test_quota_sets",
    "test_server_metadata", "test_server_tags", "test_servers", "test_tokens", "test_versions",
)  # fmt: skip


#: What a client may not have believed.
FORGED = ("Forwarded", "X-Forwarded-Host", "X-Forwarded-Prefix")


class Served:
    """The Compute API on a SQLite database, under uWSGI with two workers of two threads."""

    def __init__(self, directory: Path) -> None:
        self.site = Site(directory)
        data = self.site.folder("data")
        database = Database(f"sqlite:///{data}/api.db")
        migrate.sync(database, "api")
        database.close()
        self.port = self.site.port("api")
        self.socket = self.site.path("run", "api.socket")
        self.reload_file = self.site.write("", "run", "reload")

    def configure(self, more: str = "") -> None:
        """Write the configuration; ``more`` comes after what is needed."""
        text = "[DEFAULT]\nhost = api\ntransport_url = kombu+memory:///api\n[api]\nauth_strategy = noauth2\n"
        text += f"[api_database]\nconnection = sqlite:///{self.site.path('data', 'api.db')}\n{more}"
        self.site.write(text, "etc", "api.conf")

    def start(self, *, is_lazy: bool = True, **instead: str) -> None:
        """Start it by the shipped file, and wait until it serves. ``is_lazy``: each worker loads the application.

        ``instead`` are other values of some options of the file.
        """
        self.launch(is_lazy=is_lazy, **instead)
        wait_listening(self.site, "api", self.port, timeout_s=60)
        assert self.ask("/live")[0] == 200

    def launch(self, *, is_lazy: bool, **instead: str) -> None:
        """Start it, and wait for nothing."""
        text = (REPOSITORY / "etc/nova-lite-api-uwsgi.ini").read_text()
        for name, value in instead.items():
            option = name.replace("_", "-")
            text, count = re.subn(rf"(?m)^{option} = .*", f"{option} = {value}", text)
            assert count == 1, option
        # A word of each worker that has done what comes before it.
        file = self.site.write(text + "hook-post-fork = print:hears\n", "etc", "api.ini")
        variables = {
            "NOVA_LITE_CONFIG_FILES": str(self.site.path("etc", "api.conf")),
            "NOVA_LITE_API_LISTEN": f"{ADDRESS}:{self.port}",
            "NOVA_LITE_API_SOCKET": str(self.socket),
            "NOVA_LITE_API_PROCESSES": "2",
            "NOVA_LITE_API_THREADS": "2",
            "PYTHONPATH": str(REPOSITORY),
        }
        if is_lazy:
            variables["NOVA_LITE_API_RELOAD"] = str(self.reload_file)
        uwsgi = str(Path(sys.prefix) / "bin/uwsgi")
        argv = (*suite.TIED, uwsgi, "--ini", str(file), "--virtualenv", sys.prefix, "--pythonpath", str(REPOSITORY))
        self.site.processes.start(Program("api", argv, env=environment(**variables), cwd=str(REPOSITORY)))

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
        return self.site.processes.log("api").read_text(errors="replace")

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
        pid = self.site.processes.pid("api")
        return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    # Paths of sockets are short, so this is not below pytest's own directory.
    made = Served(Path(tempfile.mkdtemp(prefix="nova-lite-wsgi-")))
    yield made
    made.site.processes.stop("api")
    told = made.told()
    shutil.rmtree(made.site.directory, ignore_errors=True)
    # Whoever is killed because it would not end loses what it is asked meanwhile.
    assert "NO MERCY" not in told, told[-4000:]


@pytest.fixture
def uwsgi(served: Served) -> Served:
    """It runs, with two workers that load the application themselves."""
    if not served.site.processes.names():
        served.configure("[oslo_middleware]\nenable_proxy_headers_parsing = true\n")
        served.start()
    return served


def _flavors(token: str = "alice:demo", more: bytes = b"") -> bytes:
    return b"GET /v2.1/flavors HTTP/1.1\r\nHost: a\r\nX-Auth-Token: %s\r\n%s\r\n" % (token.encode(), more)


def _post(headers: bytes, body: bytes) -> bytes:
    return b"POST /v2.1/os-keypairs HTTP/1.1\r\nHost: a\r\nX-Auth-Token: alice:demo\r\n" + headers + b"\r\n" + body


_JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        pytest.param(_flavors(), {200}, id="a good one"),
        pytest.param(_flavors(more=b"X-Long: " + b"a" * 30_000 + b"\r\n"), {200}, id="a long header"),
        pytest.param(_flavors(more=b"X-Long: " + b"a" * 200_000 + b"\r\n"), {400, 413, 431}, id="a header too long"),
        pytest.param(_flavors(more=b"X-Many: a\r\n" * 20_000), {400, 413, 431}, id="many headers"),
        pytest.param(_flavors(more=b"X-\x00: \x00\r\n"), {200, 400}, id="nul in a header"),
        pytest.param(b"GET /v2.1/" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", {400, 413, 414, 431}, id="a long path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n", {400}, id="TLS"),
        pytest.param(_post(_JSON + b"Content-Length: -1\r\n", b"{}"), {400, 413}, id="length below zero"),
        pytest.param(_post(_JSON + b"Content-Length: 2, 2\r\n", b"{}"), {400}, id="two lengths in one"),
        pytest.param(_post(_JSON + b"Content-Length: 2\r\nContent-Length: 4\r\n", b"{}{}"), {400}, id="two lengths"),
        pytest.param(
            _post(_JSON + b"Content-Length: 9" * 50 + b"\r\n", b"{}"), {400, 413}, id="a length of many digits"
        ),
        pytest.param(_post(_JSON + b"Content-Length: 500\r\n", b"{}"), {400}, id="less than the length"),
        pytest.param(_post(_JSON + b"Content-Length: 20000000\r\n", b"{}".ljust(10 << 20)), {413}, id="ten megabytes"),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b"20000\r\n" + b" " * 0x20000 + b"\r\n0\r\n\r\n"),
            {413},
            id="a large chunk",
        ),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
            {400, 413},
            id="no length of a chunk",
        ),
        pytest.param(
            _post(_JSON + b"Transfer-Encoding: chunked\r\n", b'2\r\n{"\r\n4\r\nkeyp\r\n'),
            {400},
            id="chunks without end",
        ),
    ],
)
def test_one_clear_answer_to_whatever_is_sent(uwsgi: Served, request_: bytes, statuses: set[int]) -> None:
    before = uwsgi.workers()
    found = uwsgi.shout(request_)
    assert len(found) <= 1, found
    assert set(found) <= statuses, found
    # uWSGI closes the connection on what is no HTTP, or too long for it, without a word.
    assert found or not {200, 413} & statuses or len(request_) > 65535
    assert uwsgi.ask("/v2.1/flavors")[0] == 200
    assert uwsgi.workers() == before


def test_no_request_hides_in_another(uwsgi: Served) -> None:
    """Where length and chunks contradict each other, what one of them hides is not taken for a request."""
    hidden = _flavors()
    for headers, body in (
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (5 + len(hidden)), b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + hidden),
        (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(hidden), hidden),
        (b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n", b"{}" + hidden),
        (b"Content-Length: 2\r\n", b"{}" + hidden),
    ):
        found = uwsgi.shout(_post(_JSON + headers, body))
        assert len(found) <= 1, (headers, found)
        assert set(found) <= {400, 411, 413}, (headers, found)


def test_chunks_are_a_body(uwsgi: Served) -> None:
    body = b'{"keypair": {"name": "chunked"}}'
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert uwsgi.shout(_post(_JSON + b"Transfer-Encoding: chunked\r\n", chunks)) == [200]


def _hup(uwsgi: Served) -> None:
    uwsgi.wait_hearing()
    os.kill(uwsgi.site.processes.pid("api") or 0, signal.SIGHUP)


def _touch(uwsgi: Served) -> None:
    # uWSGI passes over a worker that still loads.
    wait_until(uwsgi.has_loaded, "workers that have loaded", timeout_s=60)
    wait_until(lambda: _is_touched(uwsgi), "a newer time of the file", timeout_s=30)


def _is_touched(uwsgi: Served) -> bool:
    """Touch the file; times of files are compared in whole seconds."""
    before = int(uwsgi.reload_file.stat().st_mtime)
    uwsgi.reload_file.touch()
    return int(uwsgi.reload_file.stat().st_mtime) > before


@pytest.mark.parametrize("reload", [_hup, _touch], ids=["SIGHUP", "worker by worker"])
def test_a_reload_loses_no_request(uwsgi: Served, reload: Callable[[Served], None]) -> None:
    _reload_beside_clients(uwsgi, reload)


def _reload_beside_clients(uwsgi: Served, reload: Callable[[Served], None]) -> None:
    before, failed, answered, done = uwsgi.workers(), list[object](), list[int](), threading.Event()

    def go_on_asking() -> None:
        while not done.is_set():
            try:
                status = uwsgi.ask("/v2.1/flavors/detail")[0]
            except (OSError, http.client.HTTPException) as exc:
                failed.append(exc)
            else:
                answered.append(status)

    clients = [threading.Thread(target=go_on_asking) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        reload(uwsgi)
        wait_until(lambda: len(uwsgi.workers() - before) == 2, "two new workers", timeout_s=120)
        count = len(answered)
        wait_until(lambda: len(answered) > count + 20, "answers of the new workers", timeout_s=120)
    finally:
        done.set()
        for client in clients:
            client.join()
    assert failed == [], uwsgi.told()[-4000:]
    assert set(answered) == {200}
    assert not uwsgi.workers() & before


def test_a_request_under_way_is_answered_before_a_reload(uwsgi: Served) -> None:
    """A client sends half of its request, then the server is told to load anew, then comes the rest."""
    body = b'{"keypair": {"name": "slow"}}'
    request = _post(_JSON + b"Content-Length: %d\r\n" % len(body), body)
    before = uwsgi.workers()
    with socket.create_connection((ADDRESS, uwsgi.port), timeout=120) as connection:
        connection.sendall(request[:-5])
        # One who comes later is answered, so the slow one is at a worker by now.
        assert uwsgi.ask("/live")[0] == 200
        _hup(uwsgi)
        connection.sendall(request[-5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    wait_until(lambda: len(uwsgi.workers() - before) == 2, "two new workers", timeout_s=120)


def test_a_request_under_way_is_answered_before_the_end(uwsgi: Served) -> None:
    """As above, but the server is told to stop; who comes later finds nobody, and a load balancer asks another."""
    body = b'{"keypair": {"name": "last"}}'
    request = _post(_JSON + b"Content-Length: %d\r\n" % len(body), body)
    with socket.create_connection((ADDRESS, uwsgi.port), timeout=120) as connection:
        connection.sendall(request[:-5])
        assert uwsgi.ask("/live")[0] == 200
        count = uwsgi.told().count("graceful shutdown triggered")
        uwsgi.site.processes.send("api", signal.SIGTERM)
        wait_until(lambda: uwsgi.told().count("graceful shutdown triggered") > count, "a stop", timeout_s=60)
        connection.sendall(request[-5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    uwsgi.site.processes.wait_ended("api", timeout_s=60)
    assert uwsgi.site.processes.exit_code("api") == 0
    assert not listens(uwsgi.port)
    uwsgi.site.processes.stop("api")  # nothing is left of it; the next test starts another


@pytest.fixture
def apache(uwsgi: Served) -> Iterator[int]:
    """Apache before uWSGI's own protocol, at /compute, as the comments of the shipped file say; its port."""
    program = []
    started(lambda: program.append(tool("apache2", package="apache2")))
    site, port = uwsgi.site, uwsgi.site.port("apache")
    said = (REPOSITORY / "etc/nova-lite-apache.conf").read_text().partition("#   ProxyPass")[2].partition("\n\n")[0]
    lines = ("ProxyPass" + said).replace("\n#", "\n").partition("</Location>")
    text = (lines[0] + lines[1]).replace("/run/nova_lite/api.socket", str(uwsgi.socket))
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
            f"LoadModule {name}_module {_MODULES}/mod_{name}.so"
            for name in ("mpm_event", "authz_core", "headers", "proxy", "proxy_uwsgi")
        ),
        text,
    ]
    file = site.write("\n".join(main) + "\n", "etc", "apache.conf")
    argv = (*suite.as_apaches_account(), *suite.TIED, *program, "-DFOREGROUND", "-f", str(file))
    site.processes.start(Program("apache", argv, env=environment()))
    wait_listening(site, "apache", port)
    yield port
    site.processes.stop("apache")


def test_below_a_path_behind_a_proxy(uwsgi: Served, apache: int) -> None:
    with contextlib.closing(http.client.HTTPConnection(ADDRESS, apache, timeout=60)) as connection:
        connection.request(
            "GET", "/compute/v2.1/", headers={"Host": "cloud.example", **dict.fromkeys(FORGED, "/evil.example")}
        )
        answer = json.loads(connection.getresponse().read())
    assert answer["version"]["links"][0]["href"] == "https://cloud.example/compute/v2.1/"


def test_workers_that_still_load_end_when_told_to(uwsgi: Served) -> None:
    """A worker hears what it is told while it loads, and so does not serve on until it is killed."""
    uwsgi.wait_hearing()
    spawned = uwsgi.told().count("spawned uWSGI worker")
    _hup(uwsgi)
    uwsgi.wait_hearing(spawned + 2)
    uwsgi.site.processes.stop("api", timeout_s=240)
    assert "goodbye to uWSGI." in uwsgi.told()


def test_workers_forked_after_loading_have_connections_of_their_own(served: Served) -> None:
    served.site.processes.stop("api")
    served.configure()
    served.start(is_lazy=False, socket_timeout="3")
    statuses: list[int] = []

    def asks() -> None:
        statuses.extend(served.ask("/v2.1/flavors")[0] for _ in range(25))

    clients = [threading.Thread(target=asks) for _ in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 150
    assert {pid for pid in served.workers() if _has_open(pid, "api.db")} == served.workers()
    assert not _has_open(served.site.processes.pid("api") or 0, "api.db")
    _reload_beside_clients(served, _hup)


def test_who_stops_in_the_middle_of_a_request_holds_nobody_up_for_long(served: Served) -> None:
    """The server of the test before waits three seconds for the next byte."""
    if not served.site.processes.names():
        served.configure()
        served.start(is_lazy=False, socket_timeout="3")
    before = served.workers()
    request = _post(_JSON + b"Content-Length: 100\r\n", b"{")
    with (
        socket.create_connection((ADDRESS, served.port), timeout=60) as in_headers,
        socket.create_connection((ADDRESS, served.port), timeout=60) as in_body,
    ):
        in_headers.sendall(request[:40])
        in_body.sendall(request)
        # One who comes later is answered, so the slow ones are at workers by now.
        assert served.ask("/live")[0] == 200
        _hup(served)
        wait_until(lambda: len(served.workers() - before) == 2, "two new workers", timeout_s=120)
        assert served.ask("/v2.1/flavors")[0] == 200
    assert "NO MERCY" not in served.told()


def _shared(pid: int | None) -> list[Path]:
    """Return the directories that the workers of a server share."""
    found = [each.parent for each in Path("/tmp").glob("nova-lite-api.*/server")]
    return [each for each in found if (each / "server").read_text().startswith(f"{pid} ")]


def test_what_a_killed_server_left_goes_when_the_next_one_begins(uwsgi: Served) -> None:
    (left,) = _shared(uwsgi.site.processes.pid("api"))
    uwsgi.site.processes.kill("api")
    assert left.exists()
    uwsgi.start()
    assert not left.exists()
    assert len(_shared(uwsgi.site.processes.pid("api"))) == 1


def test_a_server_that_still_loads_ends_when_told_to(served: Served) -> None:
    served.site.processes.stop("api")
    served.configure()
    count = served.told().count("*** Operational MODE")
    served.launch(is_lazy=False)
    wait_until(lambda: served.told().count("*** Operational MODE") > count, "a server that loads", timeout_s=60)
    served.site.processes.send("api", signal.SIGTERM)
    served.site.processes.wait_ended("api", timeout_s=60)


def _has_open(pid: int, name: str) -> bool:
    found = False
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= link.readlink().name == name
    return found


def test_without_keystone_clients_are_told_to_come_back(uwsgi: Served) -> None:
    uwsgi.site.processes.stop("api")
    nowhere = f"http://{ADDRESS}:{uwsgi.site.port('nobody')}"
    account = (
        "username = nova\npassword = x\nuser_domain_id = default\nproject_name = service\nproject_domain_id = default"
    )
    uwsgi.configure(
        f"[api]\nauth_strategy = keystone\n[keystone_authtoken]\nwww_authenticate_uri = {nowhere}\n"
        f"auth_url = {nowhere}\nauth_type = password\nhttp_request_max_retries = 0\n{account}\n"
    )
    uwsgi.start()
    status, headers, body = uwsgi.ask("/v2.1/servers", "gAAAAABtoken")
    assert (status, headers["retry-after"]) == (503, "5")
    assert body["serviceUnavailable"]["message"] == "The identity service does not answer."
    status, headers, _ = uwsgi.ask("/v2.1/servers", None)
    assert (status, headers["www-authenticate"]) == (401, f'Keystone uri="{nowhere}"')
    assert uwsgi.ask("/v2.1/", None)[0] == 200


def test_a_server_ends_with_the_suite_that_is_killed() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, *suite.TIED, "sleep", "3600"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        pid = int(killed.stdout.readline())
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "a server", timeout_s=30)
        born = birth(pid)
        killed.kill()
    wait_until(lambda: birth(pid) != born, "its end", timeout_s=30)


@pytest.mark.parametrize("server", ["uwsgi-prefork", "mod_wsgi"])
def test_the_stories_hold_under(server: str) -> None:
    """The stories of the Compute API, told to a server with several processes and threads; the rest by hand."""
    if server == "mod_wsgi":
        started(lambda: tool("apache2", package="apache2"))
        if not (_MODULES / "mod_wsgi.so").exists():
            started(lambda: tool("mod_wsgi.so", package="libapache2-mod-wsgi-py3", folders=[str(_MODULES)]))
    stories = [f"tests/functional/compute_api/{name}.py" for name in STORIES]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-q",
            "--timeout",
            "300",
            *stories,
        ],
        cwd=REPOSITORY,
        env=environment(NOVA_LITE_SUITE=server, PYTHONPATH=str(REPOSITORY)),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    # Nothing is told in process without a word.
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 150, done.stdout[-500:]

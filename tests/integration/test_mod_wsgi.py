"""Both APIs under Apache and mod_wsgi, by the shipped file: Placement below a path, the Compute API loaded anew."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from nova_lite.db import migrate
from nova_lite.storage import Database
from tests.functional import suite
from tests.integration.conftest import started
from tests.integration.reloads import half_sent, lose_nothing, touch
from tests.integration.stack.processes import wait_until
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, listens, tool, wait_listening

_PAGE = "https://horizon.example"


class Apache:
    """Apache with the shipped site, on SQLite databases; the scripts are copies."""

    def __init__(self, directory: Path) -> None:
        self.site = Site(directory)
        text = "[DEFAULT]\nhost = api\ntransport_url = kombu+memory:///api\n[api]\nauth_strategy = noauth2\n"
        text += f"[oslo_middleware]\nenable_proxy_headers_parsing = true\n[cors]\nallowed_origin = {_PAGE}\n"
        kinds: tuple[Literal["api", "placement"], ...] = ("api", "placement")
        for kind in kinds:
            url = f"sqlite:///{self.site.path('data', f'{kind}.db')}"
            database = Database(url)
            migrate.sync(database, kind)
            database.close()
            text += f"[{kind}_database]\nconnection = {url}\n"
            shutil.copy(REPOSITORY / f"nova_lite/{kind}/wsgi.py", self.script(kind))
        self.configuration = self.site.write(text, "etc", "nova-lite.conf")

    def script(self, kind: str) -> Path:
        """Return the file that Apache loads for an API."""
        return self.site.path("nova_lite", kind, "wsgi.py")

    def start(self) -> None:
        """Start it, and wait until both APIs serve."""
        shipped = (REPOSITORY / "etc/nova-lite-apache.conf").read_text()
        text = "Define NOVA_LITE_PLACEMENT_PATH /placement\n" + shipped
        files = str(self.configuration)
        packages = self.site.directory
        self.site.processes.start(
            suite.under_mod_wsgi(self.site, text, packages=packages, NOVA_LITE_CONFIG_FILES=files)
        )
        wait_listening(self.site, "api", self.site.port("api"), timeout_s=60)

    def ask(
        self, api: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str]]:
        """Return status and headers of an answer."""
        with contextlib.closing(http.client.HTTPConnection(ADDRESS, self.site.port(api), timeout=240)) as connection:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"X-Auth-Token": "admin:admins", **sent})
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    def told(self) -> str:
        """Return what its applications have logged."""
        return self.site.path("log", "errors.log").read_text(errors="replace")

    def has_loaded(self, pid: int) -> bool:
        """Return whether a worker of the Compute API has answered from the database."""
        links = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.add(link.readlink())
        return self.site.path("data", "api.db") in links

    def workers(self) -> set[int]:
        """Return the processes that serve the Compute API."""
        pid = self.site.processes.pid("api")
        children = {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        # A name has no more room than "/usr/sbin/apache2" had.
        return {each for each in children if b"wsgi:nova-lite-a" in Path(f"/proc/{each}/cmdline").read_bytes()}


@pytest.fixture(scope="module")
def apache() -> Iterator[Apache]:
    started(lambda: tool("apache2", package="apache2"))
    if not (suite.MODULES / "mod_wsgi.so").exists():
        started(lambda: tool("mod_wsgi.so", package="libapache2-mod-wsgi-py3", folders=[str(suite.MODULES)]))
    # Paths of sockets are short, so this is not below pytest's own directory.
    made = Apache(Path(tempfile.mkdtemp(prefix="nova-lite-apache-")))
    made.start()
    yield made
    made.site.processes.stop("api")
    shutil.rmtree(made.site.directory, ignore_errors=True)


def test_placement_below_a_path_behind_a_proxy(apache: Apache) -> None:
    status, headers = apache.ask(
        "placement",
        "/placement/resource_providers",
        "POST",
        json.dumps({"name": "host"}).encode(),
        Content_Type="application/json",
        X_Forwarded_Proto="https",
        Host="cloud.example",
        Origin=_PAGE,
    )
    assert status == 201
    assert headers["location"].startswith("https://cloud.example/placement/resource_providers/")
    assert headers["access-control-allow-origin"] == _PAGE
    status, headers = apache.ask("placement", "/placement/resource_providers", Origin="https://evil.example")
    assert status == 200
    assert "access-control-allow-origin" not in headers
    assert apache.ask("placement", "/resource_providers")[0] == 404


def test_placement_is_sent_no_more_than_it_takes(apache: Apache) -> None:
    kind = "application/json"
    status, _ = apache.ask("placement", "/placement/traits", "POST", Content_Type=kind, Content_Length="20000000")
    assert status == 413


@pytest.mark.parametrize(("api", "path"), [("api", "/v2.1/"), ("placement", "/placement/")])
def test_nothing_is_sent_back_as_it_came(apache: Apache, api: str, path: str) -> None:
    assert apache.ask(api, path, "TRACE")[0] == 405


def _touch(apache: Apache) -> None:
    touch(apache.script("api"))


def _usr1(apache: Apache) -> None:
    for pid in apache.workers():
        os.kill(pid, signal.SIGUSR1)


def test_a_request_under_way_is_answered_before_the_end(apache: Apache) -> None:
    port = apache.site.port("api")

    def ask() -> int:
        return apache.ask("api", "/v2.1/flavors")[0]

    assert ask() == 200
    with half_sent(port, ask):
        apache.site.processes.send("api", signal.SIGWINCH)
        wait_until(lambda: not listens(port), "no more connections", timeout_s=60)
    apache.site.processes.wait_ended("api", timeout_s=60)
    assert apache.site.processes.exit_code("api") == 0
    apache.site.processes.stop("api")
    apache.start()


@pytest.mark.parametrize("reload", [_touch, _usr1], ids=["touch", "SIGUSR1"])
def test_a_reload_loses_no_request(apache: Apache, reload: Callable[[Apache], None]) -> None:
    assert apache.ask("api", "/v2.1/flavors")[0] == 200
    before = apache.workers()
    assert len(before) == 2

    def reload_loaded() -> None:
        # Who loads the script only after a touch has nothing to load anew.
        wait_until(lambda: all(apache.has_loaded(pid) for pid in before), "workers that have loaded", timeout_s=60)
        reload(apache)

    # A touch is noticed by a worker when it is asked.
    lose_nothing(
        reload_loaded,
        ask=lambda: apache.ask("api", "/v2.1/flavors/detail")[0],
        workers=apache.workers,
        log=apache.told,
    )

"""Boots while Placement, the scheduler or a conductor fails: none lives without a claim, and all go on by themselves.

The embedded cloud runs as it is; what Placement answers passes through ``Weather`` on its way to HTTP.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt.faults import FaultScript
from nova_lite.conductor import saga
from nova_lite.conductor.service import Conductor
from nova_lite.db.cell_tables import ComputeNodeRow
from nova_lite.embedded import cloud as embedded
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.http import Wsgi
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.placement import app as placement_app
from nova_lite.scheduler.service import Scheduler
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser, eventually

#: Hosts of the cloud in two cells, and servers asked for in one story.
_HOSTS, _ASKED = 6, 8
#: Seconds after which nobody waits for an answer of Placement any more, and how long answers take that are late.
_TIMEOUT_S, _LATE_S = 2.5, 4

_build_placement = placement_app.build

#: What happens to a request instead of, or after, being answered.
Mishap = Callable[["Weather", dict[str, Any], Any], Iterable[bytes]]


class Weather:
    """Stands before Placement. ``mishap`` comes over every request for which ``strikes`` says so."""

    def __init__(self, app: Wsgi) -> None:
        self.app = app
        self.struck = 0
        self.mishap: Mishap | None = None
        self.strikes: Callable[[dict[str, Any]], bool] = lambda environ: True

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        mishap = self.mishap
        if mishap is None or not self.strikes(environ):
            return self.app(environ, start_response)
        self.struck += 1
        return mishap(self, environ, start_response)

    def clear(self) -> None:
        """Let all requests through."""
        self.mishap, self.struck, self.strikes = None, 0, lambda environ: True


def _answer(start_response: Any, status: str, **error: str) -> Iterable[bytes]:
    body = json.dumps({"errors": [{"title": status, "detail": "made up by a test", **error}]}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def away(weather: Weather, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Do not even look at the request."""
    return _answer(start_response, "503 Service Unavailable")


def broken(weather: Weather, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Do as asked, and lose the answer."""
    answered: list[Any] = []

    def said(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        answered.append(status)
        return lambda text: None

    list(weather.app(environ, said))
    return _answer(start_response, "500 Internal Server Error")


def contended(weather: Weather, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Refuse as a Placement does in which others change the same at the same time."""
    return _answer(start_response, "409 Conflict", code="placement.concurrent_update")


def late(weather: Weather, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Do as asked when nobody waits for it any more."""
    time.sleep(_LATE_S)
    return weather.app(environ, start_response)


def _is_asked_for_servers(environ: dict[str, Any]) -> bool:
    return str(environ["PATH_INFO"]).startswith(("/allocations/", "/allocation_candidates"))


def _is_claim(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] == "PUT" and str(environ["PATH_INFO"]).startswith("/allocations/")


class Part:
    """One process of the cloud, which can be stopped alone; another one takes its place when it is started again."""

    def __init__(self, kind: type[Conductor] | type[Scheduler], conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self._kind = kind
        self._running: Conductor | Scheduler | None = None

    def start(self) -> None:
        self._running = self._kind(self.conf)
        self._running.start()

    def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()


class Stage:
    """A cloud, the weather before its Placement, and its parts by name."""

    def __init__(self) -> None:
        self.cloud: Cloud
        self.weather: Weather
        self.parts: dict[str, Part] = {}

    def conductor(self, conf: cfg.ConfigOpts) -> Part:
        name = "super-conductor" if conf.api_database.connection else f"{conf.host.partition('-')[0]}-conductor"
        return self.parts.setdefault(name, Part(Conductor, conf))

    def scheduler(self, conf: cfg.ConfigOpts) -> Part:
        return self.parts.setdefault("scheduler", Part(Scheduler, conf))

    def placement(self, *args: Any, **more: Any) -> Weather:
        self.weather = Weather(_build_placement(*args, **more))
        return self.weather


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage()
    options = {
        "quota": {"instances": "-1", "cores": "-1", "ram": "-1"},
        "placement": {"timeout": str(_TIMEOUT_S)},
        "rpc": {"call_monitor_timeout": "10"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "Conductor", stage.conductor)
        patch.setattr(embedded, "Scheduler", stage.scheduler)
        patch.setattr(placement_app, "build", stage.placement)
        patch.setattr(saga, "_BACKOFF_S", (0.02, 0.05, 0.1, 0.2))
        with clouds.running(tmp_path_factory.mktemp("cloud"), hosts=_HOSTS // 2, options=options) as cloud:
            stage.cloud = cloud
            yield stage


@pytest.fixture
def user(stage: Stage) -> Iterator[ComputeUser]:
    """Someone whose servers are gone after each story, as are all traces of them."""
    someone = ComputeUser(stage.cloud.compute_url)
    yield someone
    stage.weather.clear()
    for host in stage.cloud.agents:
        clouds.fake_driver(stage.cloud, host).faults = FaultScript()
    for server in _servers(someone):
        assert someone.ask("DELETE", f"/servers/{server}").status == 204
    eventually(lambda: not _servers(someone), "all servers gone")
    _at_peace(stage.cloud)
    with closing(clouds.database(stage.cloud, "cell1")) as one, closing(clouds.database(stage.cloud, "cell2")) as two:
        for database in (one, two):
            with database.writer() as session:
                session.execute(sa.update(ComputeNodeRow).values(failed_builds=0, last_failed_build=None))
    someone.close()


@pytest.fixture
def image(stage: Stage) -> str:
    return ImageDirectory(stage.cloud.settings.image_dir).images()[0].id


def _servers(user: ComputeUser) -> dict[str, str]:
    """Return server → status of all there are."""
    answer = user.ask("GET", "/servers/detail")
    assert answer.status == 200, answer.json
    return {server["id"]: server["status"] for server in answer.json["servers"]}


def _boot_all(stage: Stage, image: str, count: int = _ASKED) -> list[str]:
    """Ask for servers, several at a time; return their ids in the order they were accepted."""

    def boot(number: int) -> str:
        someone = ComputeUser(stage.cloud.compute_url)
        try:
            return someone.boot(f"vm{number}", image)
        finally:
            someone.close()

    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(boot, range(count)))


def _all(user: ComputeUser, servers: list[str], status: str) -> None:
    """Wait until all servers have ended so."""
    wanted = dict.fromkeys(servers, status)

    def look() -> dict[str, str] | None:
        found = {server: status for server, status in _servers(user).items() if server in wanted}
        return found if "BUILD" not in found.values() else None

    assert eventually(look, "every server built or refused") == wanted


def _at_peace(cloud: Cloud) -> None:
    with Watch(cloud) as watch:
        eventually(lambda: watch.audit() == [] or None, "an empty audit")


@pytest.mark.parametrize("mishap", [away, broken, contended, late], ids=lambda mishap: mishap.__name__)
def test_no_boot_without_a_claim_and_none_lost(stage: Stage, user: ComputeUser, image: str, mishap: Mishap) -> None:
    """Placement fails whoever asks it, until many have asked; then it is well again, and so are all boots."""
    weather = stage.weather
    weather.strikes = _is_claim if mishap in (broken, contended) else _is_asked_for_servers
    weather.mishap = mishap
    servers = _boot_all(stage, image)
    eventually(lambda: weather.struck >= _ASKED, "many requests failed")
    assert set(_servers(user).values()) == {"BUILD"}
    assert not any(agent.driver.guests() for agent in stage.cloud.agents.values())
    weather.clear()
    _all(user, servers, "ACTIVE")
    _at_peace(stage.cloud)


def test_a_placement_of_which_every_other_answer_is_wrong(stage: Stage, user: ComputeUser, image: str) -> None:
    dice, guard = random.Random(8), threading.Lock()

    def any_of_them(weather: Weather, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with guard:
            chosen = dice.choice((away, broken, contended if _is_claim(environ) else away))
        return chosen(weather, environ, start_response)

    def strikes(environ: dict[str, Any]) -> bool:
        with guard:
            return dice.random() < 0.4

    stage.weather.strikes, stage.weather.mishap = strikes, any_of_them
    servers = _boot_all(stage, image)
    gone = servers[::4]
    for server in gone:
        assert user.ask("DELETE", f"/servers/{server}").status == 204
    eventually(lambda: stage.weather.struck >= 2 * _ASKED, "many requests failed")
    stage.weather.clear()
    _all(user, [server for server in servers if server not in gone], "ACTIVE")
    for server in gone:
        user.wait_gone(server)
    _at_peace(stage.cloud)


def test_a_dry_run_is_told_to_come_again(stage: Stage, user: ComputeUser, image: str) -> None:
    stage.weather.mishap = away
    server = {"name": "vm", "flavorRef": "1", "imageRef": image, "networks": "none"}
    answer = user.ask("POST", "/servers?dry_run=1", {"server": server})
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert _servers(user) == {}


def test_boots_wait_for_the_scheduler(stage: Stage, user: ComputeUser, image: str) -> None:
    part = stage.parts["scheduler"]
    part.stop()
    try:
        servers = _boot_all(stage, image)
        assert _servers(user) == dict.fromkeys(servers, "BUILD")
        assert user.ask("DELETE", f"/servers/{servers[0]}").status == 204
        user.wait_gone(servers[0])
    finally:
        part.start()
    _all(user, servers[1:], "ACTIVE")
    _at_peace(stage.cloud)


@pytest.mark.parametrize("name", ["super-conductor", "cell1-conductor"])
def test_boots_and_deletions_wait_for_a_conductor(stage: Stage, user: ComputeUser, image: str, name: str) -> None:
    part = stage.parts[name]
    is_of_cell = name == "cell1-conductor"
    part.stop()
    try:
        servers = [
            user.boot(f"vm{number}", image, availability_zone="nova:cell1-host1") for number in range(_ASKED // 2)
        ]
        if is_of_cell:
            for server in servers:
                eventually(lambda server=server: _task(user, server) == "spawning", "in its cell")  # type: ignore[misc]
            # The other cell does not wait.
            user.wait(user.boot("other", image, availability_zone="nova:cell2-host1"), "ACTIVE")
        assert {_servers(user)[server] for server in servers} == {"BUILD"}
        gone = servers.pop(2)
        assert user.ask("DELETE", f"/servers/{gone}").status == 204
        if is_of_cell:
            assert _task(user, gone) == "deleting"
        else:
            user.wait_gone(gone)  # it was nowhere yet
    finally:
        part.start()
    _all(user, servers, "ACTIVE")
    user.wait_gone(gone)
    _at_peace(stage.cloud)


def _task(user: ComputeUser, server: str) -> str | None:
    task: str | None = user.server(server)["OS-EXT-STS:task_state"]
    return task


class TestHostsThatFail:
    """Some hosts fail at whatever they build, the others do not."""

    def test_servers_live_where_hosts_work_and_later_ones_go_there_at_once(
        self, stage: Stage, user: ComputeUser, image: str
    ) -> None:
        """Two of three hosts in one cell, one of three in the other: two alternates are enough."""
        broken_ones = {host: self._break(stage, host) for host in ("cell1-host1", "cell1-host3", "cell2-host2")}
        servers: list[str] = []
        known: dict[str, int] = {}
        while not known and len(servers) < 10 * _ASKED:  # nobody need choose one of those that are broken
            servers += _boot_all(stage, image)
            _all(user, servers, "ACTIVE")
            _at_peace(stage.cloud)
            # One that nobody chose yet is not known to be broken.
            known = {host: script.calls("spawn") for host, script in broken_ones.items() if script.calls("spawn")}
        assert known
        assert not broken_ones.keys() & {user.server(server)["OS-EXT-SRV-ATTR:host"] for server in servers}

        later = _boot_all(stage, image)
        _all(user, later, "ACTIVE")
        assert {host: broken_ones[host].calls("spawn") for host in known} == known

    def test_hosts_that_work_again_get_servers_again(self, stage: Stage, user: ComputeUser, image: str) -> None:
        host = "cell1-host2"
        script = self._break(stage, host)
        assert any(self._host(user, image) and script.calls("spawn") for _ in range(2 * _HOSTS)), "never tried"
        script.clear()
        # It is shunned although it works again, until it is seen to.
        assert host not in {self._host(user, image) for _ in range(_HOSTS)}
        assert self._host(user, image, zone=f"nova:{host}") == host
        assert any(self._host(user, image) == host for _ in range(3 * _HOSTS)), "never tried again"

    def test_where_all_hosts_fail_the_reason_says_what_was_tried(
        self, stage: Stage, user: ComputeUser, image: str
    ) -> None:
        for host in stage.cloud.agents:
            self._break(stage, host)
        servers = _boot_all(stage, image)
        _all(user, servers, "ERROR")
        for server in servers:
            fault = user.server(server)["fault"]
            assert "3 hosts were tried. The last failure: The host could not start" in fault["message"]
            tried = {line.partition(":")[0] for line in fault["details"].splitlines()}
            assert len(tried & set(stage.cloud.agents)) == 3
        _at_peace(stage.cloud)

    def _host(self, user: ComputeUser, image: str, zone: str = "nova") -> str:
        """Return the host of a server that is booted now."""
        server = user.wait(user.boot("vm", image, availability_zone=zone), "ACTIVE")
        return str(server["OS-EXT-SRV-ATTR:host"])

    def _break(self, stage: Stage, host: str) -> FaultScript:
        driver = clouds.fake_driver(stage.cloud, host)
        driver.faults = FaultScript()
        driver.faults.fail("spawn", errors.Unavailable("The disk broke"), times=None, after=True)
        return driver.faults

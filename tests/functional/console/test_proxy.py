"""Stories of the console proxy, by sockets: what it relays, whom it refuses, and what it never says."""

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from nova_lite import config, errors
from nova_lite.console.meters import Meters
from nova_lite.console.relay import Bounds
from nova_lite.console.service import ConsoleProxy
from nova_lite.db.cell_tables import ConsoleTokenRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import console_tokens
from nova_lite.model.console import Console, ConsoleToken
from nova_lite.model.states import TaskState
from nova_lite.testing.cloud import eventually
from nova_lite.web.health import Health
from nova_lite.web.metrics import Metrics
from tests.functional.compute_api.cloud import CELL1, CELL2
from tests.functional.console.conftest import PAGE, PATIENCE_S, Site, opened, refusal


def wrong(path: str) -> str:
    return path.replace("token=", "token=bad")


@pytest.mark.parametrize("cell_uuid", [CELL1, CELL2], ids=["one cell", "another cell"])
@pytest.mark.parametrize("group", ["vnc", "serial_console"])
def test_bytes_go_both_ways(site: Site, cell_uuid: str, group: str) -> None:
    server = site.boot(cell_uuid)
    kind, greeting = {"vnc": ("novnc", b"RFB 003.008\n"), "serial_console": ("serial", b"\r\nlogin: ")}[group]
    with site.open(site.path(server, kind), group=group, subprotocols=[Subprotocol("binary")]) as browser:
        assert browser.subprotocol == "binary"
        assert browser.recv(PATIENCE_S) == greeting
        if group == "vnc":
            _shake_hands(browser, greeting)
        browser.send(b"root\n")
        assert browser.recv(PATIENCE_S) == b"root\n"
        browser.send("text, too")
        assert browser.recv(PATIENCE_S) == b"text, too"
        sent = bytes(range(256)) * 4096
        teller = threading.Thread(target=browser.send, args=(sent,))
        teller.start()
        heard = b""
        while len(heard) < len(sent):
            data = browser.recv(PATIENCE_S)
            assert isinstance(data, bytes)
            heard += data
        teller.join()
        assert heard == sent


def _shake_hands(browser: ClientConnection, version: bytes) -> None:
    """Begin as clients of VNC do, up to the facts of the screen."""
    browser.send(version)
    assert browser.recv(PATIENCE_S) == b"\x01\x01"
    browser.send(b"\x01")
    assert browser.recv(PATIENCE_S) == bytes(4)
    browser.send(b"\x01")
    screen = browser.recv(PATIENCE_S)
    assert isinstance(screen, bytes)
    assert int.from_bytes(screen[20:24]) == len(screen) - 24 > 0


@pytest.mark.parametrize("way", ["query", "path of noVNC", "cookie"])
def test_a_token_comes_in_several_ways(site: Site, way: str) -> None:
    path = site.path(site.boot())
    token = path.partition("token=")[2]
    target, headers = {
        "query": (f"/websockify?token={token}", {}),
        "path of noVNC": (f"/websockify?{urlencode({'path': f'?token={token}'})}", {}),
        "cookie": ("/websockify", {"Cookie": f"theme=dark; token={token}"}),
    }[way]
    with site.open(target, additional_headers=headers) as browser:
        assert browser.subprotocol is None
        assert browser.recv(PATIENCE_S)


def test_a_token_that_is_wrong_or_missing_opens_nothing(site: Site) -> None:
    path = site.path(site.boot())
    assert refusal(site, wrong(path)) == 403
    assert refusal(site, "/websockify") == 403
    assert refusal(site, "/?token=") == 403
    # One in the query counts, whatever is in a cookie.
    good = path.partition("token=")[2]
    assert refusal(site, wrong(path), additional_headers={"Cookie": f"token={good}"}) == 403
    opened(site, path)


def test_a_token_that_has_expired_opens_nothing(site: Site) -> None:
    server = site.boot()
    path = site.path(server)
    with site.cloud.cells.get(CELL1).db.writer() as session:
        for row in session.query(ConsoleTokenRow).filter_by(instance_uuid=server.uuid):
            row.expires_at = utcnow() - timedelta(seconds=1)
    assert refusal(site, path) == 403


@pytest.mark.parametrize("task", [TaskState.POWERING_OFF, TaskState.DELETING, TaskState.MIGRATING])
def test_a_token_that_was_revoked_opens_nothing(site: Site, task: TaskState) -> None:
    server = site.boot()
    path = site.path(server)
    site.change(server, task_state=task)
    site.change(server, task_state=None)
    assert refusal(site, path) == 403


@pytest.mark.parametrize("moved", [{"host": "h2"}, {"epoch": 2}], ids=["elsewhere", "made anew"])
def test_a_server_that_went_without_a_word_is_not_found_by_its_token(site: Site, moved: dict[str, Any]) -> None:
    server = site.boot()
    path = site.path(server)
    site.change(server, **moved)
    assert refusal(site, path) == 403


def test_the_guest_that_came_to_the_port_of_another_is_not_shown(site: Site) -> None:
    mine, theirs = site.boot(), site.boot()
    path = site.path(mine)
    host = site.hosts[CELL1]
    now = host._consoles.find(theirs.uuid, "novnc")
    host.told = replace(now, port=now.port)
    try:
        assert refusal(site, path) == 403
    finally:
        host.told = None
    host.driver.power_off(mine.uuid, timeout_s=0)
    assert refusal(site, path) == 403
    host.driver.power_on(mine.uuid)  # its console listens elsewhere now
    assert refusal(site, path) == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1", None),
        ("http://127.0.0.1:8080", None),
        ("http://dashboard.example", None),
        ("https://127.0.0.1", 403),
        ("http://evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_others_open_nothing(site: Site, origin: str, status: int | None) -> None:
    path = site.path(site.boot())
    if status is None:
        opened(site, path, origin=Origin(origin))
    else:
        assert refusal(site, path, origin=Origin(origin)) == status


def test_pages_for_browsers(site: Site) -> None:
    status, headers, body = site.get("/vnc_lite.html?path=%3Ftoken%3Dabc")
    assert (status, body.decode()) == (200, PAGE)
    assert headers["Content-Type"] == "text/html"
    assert headers["Referrer-Policy"] == "no-referrer"
    for path in ("/", "/missing.html", "/../secret", "/%2e%2e/secret", "//evil.example/%2e%2e", "/%00", "/web"):
        status, headers, body = site.get(path)
        assert (status, body) == (404, b""), path
        assert "Location" not in headers


def test_a_console_ends_with_its_guest(site: Site) -> None:
    server = site.boot()
    with site.open(site.path(server)) as browser:
        browser.recv(PATIENCE_S)
        site.hosts[CELL1].driver.power_off(server.uuid, timeout_s=0)
        with pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE_S)
        assert browser.close_code == 1000


@pytest.mark.parametrize(
    ("bounds", "why"),
    [(Bounds(0.2, None), "nothing was said for too long"), (Bounds(None, 0.2), "its token has expired")],
    ids=["silence", "the end"],
)
def test_a_console_is_closed_in_time(site: Site, monkeypatch: pytest.MonkeyPatch, bounds: Bounds, why: str) -> None:
    monkeypatch.setattr(site.proxy.listener, "_bounds", lambda meant: bounds)
    with site.open(site.path(site.boot())) as browser:
        assert list(browser) in ([], [b"RFB 003.008\n"])
        assert (browser.close_code, browser.close_reason) == (1000, why)


def test_when_a_console_is_closed(site: Site) -> None:
    conf, listener = site.cloud.conf, site.proxy.listener
    console = Console("novnc", "127.0.0.1", 5900, "http://x/")
    meant = ConsoleToken("x", "h1", 1, console, utcnow() + timedelta(seconds=600))
    assert listener._bounds(meant) == Bounds(3600, None)
    conf.set_override("idle_timeout", 0, group="console")
    conf.set_override("enforce_session_timeout", True, group="consoleauth")
    try:
        found = listener._bounds(meant)
    finally:
        conf.clear_override("idle_timeout", group="console")
        conf.clear_override("enforce_session_timeout", group="consoleauth")
    assert found.idle_s is None
    assert found.session_s is not None
    assert 0 < found.session_s <= 600


def test_there_are_no_more_sessions_than_permitted(site: Site) -> None:
    paths = [site.path(site.boot()) for _ in range(2)]
    eventually(lambda: len(site.proxy.listener.sessions) == 0, "nobody")
    site.cloud.conf.set_override("max_sessions", 1, group="console")
    try:
        with site.open(paths[0]) as browser:
            browser.recv(PATIENCE_S)
            assert refusal(site, paths[1]) == 503
        eventually(lambda: len(site.proxy.listener.sessions) == 0, "the first left")
        opened(site, paths[1])
    finally:
        site.cloud.conf.clear_override("max_sessions", group="console")


def test_a_console_that_is_not_there_is_closed(site: Site) -> None:
    server = site.boot()
    found = site.hosts[CELL1]._consoles.find(server.uuid, "novnc")
    host = site.hosts[CELL1]
    host.told = replace(found, port=1)
    try:
        with site.open(site.path(server)) as browser, pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE_S)
        assert browser.close_reason == "it cannot be reached"
    finally:
        host.told = None


def test_no_token_is_ever_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        path = site.path(site.boot())
        with site.open(path) as browser:
            browser.recv(PATIENCE_S)
        assert refusal(site, wrong(path)) == 403
        assert refusal(site, path, origin=Origin("http://evil.example")) == 403
        site.get(f"/vnc_lite.html{path.lstrip('/')}")
        malformed = HTTPConnection("127.0.0.1", site.proxy.ports["vnc"], timeout=PATIENCE_S)
        malformed.connect()
        malformed.sock.sendall(f"GET {path} no protocol\r\n\r\n".encode())
        malformed.sock.recv(1024)
        malformed.close()
        site.cloud.client("admin:admins").get(f"/os-console-auth-tokens/{path.partition('token=')[2]}")
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    said = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in ours)
    assert "opens the novnc console of instance" in said
    assert "opens no console: the token is not known" in said
    assert path.partition("token=")[2] not in said
    assert "token=" not in said


def test_its_numbers(site: Site) -> None:
    metrics = Metrics("console-test")
    meters = Meters(metrics, site.proxy)
    eventually(lambda: len(site.proxy.listener.sessions) == 0, "nobody")
    site.proxy.tally.take()
    with site.open(site.path(site.boot())) as browser:
        browser.recv(PATIENCE_S)
        browser.send(b"RFB 003.008\n")
        browser.recv(PATIENCE_S)
        meters.refresh()
        assert b"nova_lite_console_sessions 1.0" in metrics.render()
    assert refusal(site, "/websockify") == 403

    def told() -> bool:
        meters.refresh()
        numbers = metrics.render()
        return all(
            line in numbers
            for line in (
                b'nova_lite_console_connections_total{outcome="served"} 1.0',
                b'nova_lite_console_connections_total{outcome="refused"} 1.0',
                b'nova_lite_console_bytes_total{way="in"} 12.0',
                b'nova_lite_console_bytes_total{way="out"} 14.0',
                b"nova_lite_console_sessions 0.0",
            )
        )

    eventually(told, "its numbers")
    assert Health(site.proxy.checks(), patience_s=PATIENCE_S).complaints() == {}


def test_it_leaves_with_a_word(site: Site) -> None:
    another = ConsoleProxy(site.cloud.conf)
    another.start()
    with Site(site.cloud, site.hosts, another).open(site.path(site.boot())) as browser:
        browser.recv(PATIENCE_S)
        another.stop()
        with pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE_S)
        assert browser.close_code == 1001


def test_an_address_that_is_taken(site: Site) -> None:
    port = site.proxy.ports["vnc"]
    site.cloud.conf.set_override("novncproxy_port", port, group="vnc")
    try:
        with pytest.raises(errors.Misconfigured, match="cannot be had"):
            ConsoleProxy(site.cloud.conf).start()
    finally:
        site.cloud.conf.set_override("novncproxy_port", 0, group="vnc")


def test_a_proxy_without_anything_to_do(tmp_path: Path) -> None:
    conf = config.load(files=[])
    with pytest.raises(errors.Misconfigured, match="api_database"):
        ConsoleProxy(conf)
    conf.set_override("connection", f"sqlite:///{tmp_path / 'api'}", group="api_database")
    conf.set_override("enabled", False, group="vnc")
    with pytest.raises(errors.Misconfigured, match="nothing to do"):
        ConsoleProxy(conf)


@pytest.mark.parametrize("lost", ["the API database", "a cell's database"])
def test_while_a_database_is_away_nothing_opens(site: Site, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    """It is told apart from a token that opens nothing, and passes."""

    def fail(*args: Any, **named: Any) -> None:
        raise errors.Unavailable("The database does not answer.", cause="secret of a driver")

    path = site.path(site.boot())
    with monkeypatch.context() as patch:
        if lost == "the API database":
            patch.setattr(site.proxy._cells, "all", fail)
        else:
            patch.setattr(console_tokens, "get", fail)
        assert refusal(site, path) == 503
    site.proxy._fanout.look_again(site.proxy._cells.all())
    opened(site, path)

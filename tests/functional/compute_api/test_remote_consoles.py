"""Consoles: who gets a token for which, what it stands for, and when it is no more."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from oslo_config import cfg

from nova_lite import config
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.compute.actions.consoles import Consoles
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.db.api_tables import IdempotencyKeyRow
from nova_lite.db.cell_tables import ConsoleTokenRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.model.guest import GuestSpec
from nova_lite.model.instance import Instance
from nova_lite.model.states import ENDING_CONSOLES, TaskState, VmState
from nova_lite.rpc import compute
from tests.functional.compute_api.cloud import CELL1, Client, Cloud


class Host:
    """A host of a cell with imitated guests, that answers for their consoles."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.driver = FakeDriver("h1")
        self._consoles = Consoles(conf, self.driver)

    def console(self, instance_uuid: str, kind: str) -> dict[str, Any]:
        found = self._consoles.find(instance_uuid, kind)
        return {"kind": found.kind, "host": found.host, "port": found.port, "base_url": found.base_url}

    def run(self, server: Instance) -> None:
        self.driver.spawn(GuestSpec(server.uuid, "vm", 1, 1, 64, 1), None)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("consoles"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def conf() -> cfg.ConfigOpts:
    conf = config.load(files=[])
    conf.set_override("enabled", True, group="serial_console")
    return conf


@pytest.fixture(scope="module")
def host(cloud: Cloud, conf: cfg.ConfigOpts) -> Iterator[Host]:
    found = Host(conf)
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", found)
    serving.start()
    yield found
    serving.stop()
    found.driver.close()


def running(cloud: Cloud, host: Host, **values: Any) -> Instance:
    server = cloud.add_server(CELL1, **{"host": "h1", "epoch": 1, **values})
    host.run(server)
    return server


def ask(caller: Client, server: Instance, protocol: str = "vnc", kind: str = "novnc") -> Any:
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    return caller.post(f"/servers/{server.uuid}/remote-consoles", body)


def token_in(url: str) -> str:
    """Return the token of a URL, as a browser or noVNC finds it."""
    query = parse_qs(urlsplit(url).query)
    (path,) = query.get("path", [f"?{urlsplit(url).query}"])
    return parse_qs(path.partition("?")[2])["token"][0]


def kept(cloud: Cloud, server: Instance) -> list[Any]:
    """Return what the cell's database has of tokens for a server."""
    rows = cloud.rows(cloud.cells.get(CELL1).db, ConsoleTokenRow)
    return [row for row in rows if row.instance_uuid == server.uuid]


def test_a_console_is_opened_with_a_token_that_is_kept_nowhere(cloud: Cloud, client: Client, host: Host) -> None:
    server, before = running(cloud, host), utcnow()
    answer = ask(client, server)
    assert answer.status_code == 200, answer.text
    console = answer.json["remote_console"]
    assert (console["protocol"], console["type"]) == ("vnc", "novnc")
    assert console["url"].startswith("http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3D")
    token = token_in(console["url"])
    (row,) = kept(cloud, server)
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert before <= row.expires_at - timedelta(seconds=600) <= utcnow()
    assert token.encode() not in cloud.cell_files[CELL1].read_bytes()
    assert token_in(ask(client, server).json["remote_console"]["url"]) != token

    serial = ask(client, server, "serial", "serial").json["remote_console"]
    assert serial["url"] == f"ws://127.0.0.1:6083/?token={token_in(serial['url'])}"


@pytest.mark.parametrize(
    ("action", "kind", "status"),
    [("VNC", "novnc", 200), ("Serial", "serial", 200), ("VNC", "xvpvnc", 400), ("SPICE", "spice-html5", 400)],
)
def test_before_2_6_actions_did_it(cloud: Cloud, host: Host, action: str, kind: str, status: int) -> None:
    server = running(cloud, host)
    url, body = f"/servers/{server.uuid}/action", {f"os-get{action}Console": {"type": kind}}
    answer = cloud.client(version="2.5").post(url, body)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json["console"]["type"] == kind
        assert token_in(answer.json["console"]["url"])
    else:
        assert answer.json["badRequest"]["message"] == f"Unavailable console type {kind}."
    assert cloud.client(version="2.6").post(url, body).status_code == 404
    old = cloud.client(version="2.5").post(f"/servers/{server.uuid}/remote-consoles", {})
    assert old.status_code == 404
    assert cloud.client(version="2.5").post(url, {"os-getRDPConsole": {"type": "rdp-html5"}}).status_code == 410
    wrong = cloud.client(version="2.5").post(url, {f"os-get{action}Console": {"type": "x"}})
    assert wrong.status_code == 400


def test_an_answer_that_opens_a_console_is_kept_for_nobody(cloud: Cloud, host: Host) -> None:
    """Not even sealed, as other answers to named requests are: such a request is refused, and leaves no key."""
    server = running(cloud, host)
    url, body = f"/servers/{server.uuid}/action", {"os-getVNCConsole": {"type": "novnc"}}
    for _ in range(2):
        refused = cloud.client(version="2.5").request("POST", url, json=body, headers={"Idempotency-Key": "mine"})
        assert refused.status_code == 400
        assert "Idempotency-Key" in refused.json["badRequest"]["message"]
        assert "Idempotent-Replayed" not in refused.headers
    new = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    path = f"/servers/{server.uuid}/remote-consoles"
    refused = cloud.client().request("POST", path, json=new, headers={"Idempotency-Key": "mine"})
    assert refused.status_code == 400
    assert kept(cloud, server) == []
    assert cloud.rows(cloud.api_db, IdempotencyKeyRow) == []
    assert cloud.client(version="2.5").post(url, body).status_code == 200


@pytest.mark.parametrize(
    ("protocol", "kind", "version", "message"),
    [
        ("vnc", "xvpvnc", "2.6", "Unavailable console type xvpvnc."),
        ("rdp", "rdp-html5", "2.6", "Unavailable console type rdp-html5."),
        ("mks", "webmks", "2.8", "Unavailable console type webmks."),
        ("spice", "spice-html5", "2.99", "Unavailable console type spice-html5."),
        ("spice", "spice-direct", "2.99", "Unavailable console type spice-direct."),
        ("vnc", "serial", "2.99", "Invalid console type serial"),
        ("mks", "webmks", "2.7", None),
        ("spice", "spice-direct", "2.98", None),
        ("vnc", "telnet", "2.99", None),
    ],
)
def test_kinds_that_there_are_not(
    cloud: Cloud, host: Host, protocol: str, kind: str, version: str, message: str | None
) -> None:
    server = running(cloud, host)
    answer = ask(cloud.client(version=version), server, protocol, kind)
    assert answer.status_code == 400
    if message is not None:
        assert answer.json["badRequest"]["message"] == message
    assert kept(cloud, server) == []


def test_spice_goes_to_its_own_proxies(
    cloud: Cloud, client: Client, admin: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = config.load(files=[])
    conf.set_override("enabled", True, group="spice")
    monkeypatch.setattr(host, "_consoles", Consoles(conf, host.driver))
    server = running(cloud, host)
    direct = ask(client, server, "spice", "spice-direct").json["remote_console"]["url"]
    assert direct.startswith("http://127.0.0.1:13002/nova?token=")
    shown = admin.get(f"/os-console-auth-tokens/{token_in(direct)}").json["console"]
    assert shown["tls_port"] is None
    before = cloud.client("admin:admins", version="2.98").get(f"/os-console-auth-tokens/{token_in(direct)}")
    assert "tls_port" not in before.json["console"]
    page = ask(client, server, "spice", "spice-html5").json["remote_console"]["url"]
    assert page.startswith("http://127.0.0.1:6082/spice_auto.html?token=")
    assert "tls_port" not in admin.get(f"/os-console-auth-tokens/{token_in(page)}").json["console"]


def test_tokens_expire(cloud: Cloud, client: Client, admin: Client, host: Host) -> None:
    server = running(cloud, host)
    cloud.conf.set_override("token_ttl", 0, group="consoleauth")
    token = token_in(ask(client, server).json["remote_console"]["url"])
    assert admin.get(f"/os-console-auth-tokens/{token}").status_code == 404
    cloud.conf.clear_override("token_ttl", group="consoleauth")
    # One that has expired stays for as long as somebody may have a console open with it, and wonder.
    ask(client, running(cloud, host))
    assert len(kept(cloud, server)) == 1
    with cloud.cells.get(CELL1).db.writer() as session:
        session.query(ConsoleTokenRow).filter_by(instance_uuid=server.uuid).update(
            {"expires_at": utcnow() - timedelta(days=2)}
        )
    ask(client, running(cloud, host))
    assert kept(cloud, server) == []


@pytest.mark.parametrize("task", sorted(ENDING_CONSOLES))
def test_who_is_on_the_way_gets_none(cloud: Cloud, client: Client, host: Host, task: TaskState) -> None:
    server = running(cloud, host, task_state=task)
    answer = ask(client, server)
    assert answer.status_code == 409
    assert answer.json["conflictingRequest"]["message"].endswith(f"while it is in task_state {task}")
    assert kept(cloud, server) == []


def test_who_has_no_guest_that_runs_gets_none(cloud: Cloud, client: Client, host: Host) -> None:
    waiting, elsewhere = cloud.add_server(None), cloud.add_server(CELL1)
    for server in (waiting, elsewhere):
        answer = ask(client, server)
        message = answer.json["conflictingRequest"]["message"]
        assert (answer.status_code, message) == (409, f"Instance {server.uuid} is not ready")
    building = cloud.add_server(CELL1, host="h1", vm_state=VmState.BUILDING, task_state=TaskState.SPAWNING)
    assert ask(client, building).status_code == 409
    off = running(cloud, host, vm_state=VmState.STOPPED)
    host.driver.power_off(off.uuid, timeout_s=0)
    assert ask(client, off).status_code == 409
    lost = cloud.add_server(CELL1, host="h1")
    assert ask(client, lost).status_code == 404


def test_others_servers_have_no_consoles(cloud: Cloud, host: Host) -> None:
    server = running(cloud, host)
    assert ask(cloud.client("eve:other"), server).status_code == 404


def test_a_host_may_have_no_screens(cloud: Cloud, client: Client, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    server = running(cloud, host)
    conf = config.load(files=[])
    conf.set_override("enabled", False, group="vnc")
    monkeypatch.setattr(host, "_consoles", Consoles(conf, host.driver))
    assert ask(client, server).status_code == 400
    monkeypatch.setattr(host, "_consoles", Consoles(config.load(files=[]), host.driver))
    monkeypatch.setattr(host.driver, "console_ports", lambda uuid, protocol: None)  # made when it had none
    assert ask(client, server).json["badRequest"]["message"] == "Unavailable console type novnc."


@pytest.mark.parametrize("action", ["stop", "suspend", "shelve", "delete"])
def test_what_ends_a_console_revokes_its_tokens(
    cloud: Cloud, client: Client, admin: Client, host: Host, action: str
) -> None:
    server, other = running(cloud, host), running(cloud, host)
    tokens = [token_in(ask(client, each).json["remote_console"]["url"]) for each in (server, other)]
    requester = Requester("alice", "demo", "req-00000000-0000-4000-8000-000000000000")
    with cloud.cells.get(CELL1).db.writer() as session:
        if action == "delete":
            operations.begin_delete(session, server.uuid, requester, timeout_s=60)
        else:
            operations.begin(session, server.uuid, action, requester, timeout_s=60)
    codes = [admin.get(f"/os-console-auth-tokens/{token}").status_code for token in tokens]
    assert codes == [404, 200]


@pytest.mark.parametrize("task", [TaskState.REBUILDING, TaskState.MIGRATING, TaskState.RESIZE_PREP])
def test_so_does_whatever_has_its_guest_made_anew_or_moved(
    cloud: Cloud, client: Client, host: Host, task: TaskState
) -> None:
    server = running(cloud, host)
    assert ask(client, server).status_code == 200
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.change(session, server.uuid, expect_task=None, task_state=task)
    assert kept(cloud, server) == []


def test_a_server_that_goes_while_its_host_is_asked_gets_none(
    cloud: Cloud, client: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = running(cloud, host)
    answer_of = host.console

    def console(instance_uuid: str, kind: str) -> dict[str, Any]:
        with cloud.cells.get(CELL1).db.writer() as session:
            instances.change(session, server.uuid, host="h2", epoch=2)
        return answer_of(instance_uuid, kind)

    monkeypatch.setattr(host, "console", console)
    assert ask(client, server).status_code == 409
    assert kept(cloud, server) == []

"""Real processes killed, and the broker restarted, while servers are booted and deleted: nothing is lost or doubled."""

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any

import pytest

from tests.integration.stack.clients import Answer, Truth, call
from tests.integration.stack.deployment import FLAVOR, IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.processes import wait_until

pytestmark = pytest.mark.timeout(900)

#: Seconds after which everything must have ended, however it was disturbed.
SETTLED_S = 600
#: Seconds between two looks at what takes long: a look is work that what is looked at has to wait for.
_LOOK_S = 0.3
#: Which process dies, and after how many accepted boots.
VICTIMS = {
    "api": 3,
    "placement": 4,
    "super-conductor": 5,
    "scheduler": 3,
    "cell1-conductor": 5,
    "cell2-conductor": 4,
    "cell1-fake": 5,
}


@dataclass
class Load:
    """Requests from several clients at once. What was accepted is remembered by server UUID."""

    deployment: Deployment
    token: str
    image_id: str
    flavor_id: str
    accepted: list[str] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, method: str, path: str, body: object = None) -> Answer | None:
        """Send one request as the administrator; None when the connection broke before an answer came."""
        url = self.deployment.services.api_url + path
        try:
            return call(url, method=method, token=self.token, body=body, version="compute 2.74")
        except (urllib.error.URLError, HTTPException, OSError):
            return None

    def boot(self, number: int) -> None:
        """Ask for one server and note what came of it."""
        body = {
            "name": f"load-{number}",
            "imageRef": self.image_id,
            "flavorRef": self.flavor_id,
            "networks": "none",
        }
        answer = self.request("POST", "/servers", {"server": body})
        with self._lock:
            if answer is None:
                self.unanswered += 1
            elif answer.status == 202:
                self.accepted.append(answer.body["server"]["id"])
            else:
                self.refused.append(answer)

    def delete(self, uuid: str) -> None:
        """Ask for a server's end until somebody promises it."""
        deadline = time.monotonic() + SETTLED_S
        while True:
            answer = self.request("DELETE", f"/servers/{uuid}")
            if answer is not None and answer.status in (204, 404):
                return
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)

    def server(self, uuid: str) -> dict[str, Any] | None:
        """Return a server as shown, None when it is gone; raises when the API does not answer."""
        answer = self.request("GET", f"/servers/{uuid}")
        assert answer is not None
        assert answer.status in (200, 404), answer
        shown: dict[str, Any] | None = answer.body["server"] if answer.status == 200 else None
        return shown

    def everything(self) -> dict[str, dict[str, Any]]:
        """Return every server there is by UUID; fails when one is listed twice."""
        answer = self.request("GET", "/servers/detail?all_tenants=1")
        assert answer is not None
        assert answer.status == 200, answer
        servers = answer.body["servers"]
        uuids = [server["id"] for server in servers]
        assert len(set(uuids)) == len(uuids), "a server is listed twice"
        return {server["id"]: server for server in servers}


@pytest.fixture
def load(deployment: Deployment) -> Iterator[Load]:
    """A load generator on a deployment whose libvirt host takes no servers."""
    with deployment.connect(ADMIN) as admin:
        image_id = admin.image.find_image(IMAGE, ignore_missing=False).id
        flavor_id = admin.compute.find_flavor(FLAVOR, ignore_missing=False).id
        real = [service for service in admin.compute.services() if service.host == "cell1-virt"]
        for service in real:
            admin.compute.disable_service(service)
        yield Load(deployment, deployment.neighbours.keystone.token(ADMIN), image_id, flavor_id)
        for service in real:
            admin.compute.enable_service(service)


def begin(jobs: list[Callable[[], None]], clients: int) -> list[threading.Thread]:
    """Work off ``jobs`` in that many threads; return them started."""
    waiting = iter(jobs)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            job()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def finish(threads: list[threading.Thread]) -> None:
    """Wait for the clients."""
    for thread in threads:
        thread.join(timeout=SETTLED_S)
    assert not any(thread.is_alive() for thread in threads), "a client got no answer"


def boot_some(load: Load, count: int) -> list[str]:
    """Boot servers in peace; return their UUIDs once all are ACTIVE."""
    before = len(load.accepted)
    finish(begin([partial(load.boot, number) for number in range(count)], clients=4))
    uuids = load.accepted[before:]
    assert len(uuids) == count, load.refused
    wait_until(
        lambda: all(status_of(load, uuid) == "ACTIVE" for uuid in uuids),
        "all ACTIVE",
        timeout_s=SETTLED_S,
        interval_s=_LOOK_S,
    )
    return uuids


def status_of(load: Load, uuid: str) -> str:
    """Return a server's status, or GONE."""
    server = load.server(uuid)
    return "GONE" if server is None else str(server["status"])


def check_settled(load: Load, gone: list[str]) -> None:
    """Wait until everything has ended, then compare what the API says with hosts and Placement."""
    truth = Truth(load.deployment)
    wait_until(lambda: not truth.open_workflows(), "no workflow at work", timeout_s=SETTLED_S, interval_s=0.2)
    for uuid in load.accepted:
        status = status_of(load, uuid)
        assert status == "GONE" if uuid in gone else status in ("ACTIVE", "ERROR"), f"{uuid} is {status}"
    servers = load.everything()
    assert set(load.accepted) - set(gone) <= set(servers), "an accepted server was lost"
    assert len(servers) <= len(load.accepted) - len(gone) + load.unanswered, "a server came from nowhere"
    for uuid, server in servers.items():
        if server["status"] == "ERROR":
            assert server["fault"]["message"], f"{uuid} is in ERROR without a reason"
    expected = {
        uuid: [server["OS-EXT-SRV-ATTR:host"]] for uuid, server in servers.items() if server["status"] == "ACTIVE"
    }
    wait_until(
        lambda: truth.guests() == expected,
        "one guest a server",
        timeout_s=30,
        interval_s=0.2,
        hint=f"guests {truth.guests()}, expected {expected}",
    )
    assert truth.holders() == expected


@pytest.mark.parametrize("victim", list(VICTIMS))
def test_a_killed_process_loses_nothing(load: Load, victim: str) -> None:
    """Servers are booted and others deleted; the victim is killed amid that and started again."""
    services = load.deployment.services
    doomed = boot_some(load, 6)
    jobs: list[Callable[[], None]] = []
    for number in range(12):
        jobs.append(partial(load.boot, 100 + number))
        if number % 2 == 0:
            jobs.append(partial(load.delete, doomed[number // 2]))
    clients = begin(jobs, clients=4)
    enough = len(doomed) + VICTIMS[victim]
    wait_until(lambda: len(load.accepted) >= enough, "boots accepted", timeout_s=60, interval_s=0.001)

    services.kill(victim)
    services.start(victim)

    finish(clients)
    if victim != "api":
        assert load.unanswered == 0
    check_settled(load, doomed)


@pytest.mark.parametrize("name", ["api", "placement"])
def test_a_killed_worker_costs_its_own_requests_at_most(load: Load, name: str) -> None:
    """The server goes on with its other worker, and replaces the dead one."""
    clients = begin([partial(load.boot, number) for number in range(16)], clients=4)
    wait_until(lambda: len(load.accepted) >= 4, "boots accepted", timeout_s=60, interval_s=0.001)

    load.deployment.services.kill_worker(name)

    finish(clients)
    assert load.unanswered <= 4
    assert load.refused == []
    check_settled(load, [])


def test_the_broker_restarts_amid_fifty_boots(load: Load) -> None:
    """None is lost and none is done twice: what was accepted becomes ACTIVE, each with one guest and one allocation."""
    clients = begin([partial(load.boot, number) for number in range(50)], clients=4)
    wait_until(lambda: len(load.accepted) >= 20, "boots accepted", timeout_s=60, interval_s=0.001)

    load.deployment.neighbours.rabbitmq.restart()

    finish(clients)
    assert load.unanswered == 0
    assert [answer for answer in load.refused if answer.status != 503] == []
    assert len(load.accepted) >= 45, load.refused
    check_settled(load, [])
    assert {status_of(load, uuid) for uuid in load.accepted} == {"ACTIVE"}


def test_deleting_wins_over_building(load: Load) -> None:
    """Servers are deleted at whatever step of their boot they have come to; nothing of them stays."""

    def boot_and_delete(number: int) -> None:
        body = {"name": f"brief-{number}", "imageRef": load.image_id, "flavorRef": load.flavor_id, "networks": "none"}
        answer = load.request("POST", "/servers", {"server": body})
        assert answer is not None
        assert answer.status == 202, answer
        uuid = answer.body["server"]["id"]
        load.accepted.append(uuid)
        time.sleep((number % 8) * 0.02)  # each at another moment of its boot
        load.delete(uuid)

    finish(begin([partial(boot_and_delete, number) for number in range(32)], clients=8))

    assert len(load.accepted) == 32
    gone = list(load.accepted)
    wait_until(
        lambda: all(status_of(load, uuid) == "GONE" for uuid in gone),
        "all gone",
        timeout_s=SETTLED_S,
        interval_s=_LOOK_S,
    )
    check_settled(load, gone)


def test_the_database_restarts_amid_boots(load: Load) -> None:
    """While it is away clients are told to come again; what was accepted before goes on afterwards."""
    clients = begin([partial(load.boot, number) for number in range(40)], clients=4)
    wait_until(lambda: len(load.accepted) >= 8, "boots accepted", timeout_s=60, interval_s=0.001)

    load.deployment.neighbours.mariadb.stop()
    wait_until(
        lambda: bool(load.refused) or not any(thread.is_alive() for thread in clients), "a refusal", timeout_s=60
    )
    load.deployment.neighbours.mariadb.start()

    finish(clients)
    assert load.unanswered == 0
    assert {answer.status for answer in load.refused} == {503}
    # A commit whose answer was lost with the connection may have been done: then the client was told 503 all the same.
    load.unanswered = len(load.refused)
    check_settled(load, [])


def hosts_of(load: Load) -> set[str | None]:
    """Return the hosts that carry servers."""
    return {server["OS-EXT-SRV-ATTR:host"] for server in load.everything().values()}


def attempts(load: Load, uuid: str) -> list[tuple[str, str]]:
    """Return on which hosts a server was built, and how that ended."""
    path = f"/servers/{uuid}/os-instance-actions"
    listed = load.request("GET", path)
    assert listed is not None
    assert listed.status == 200, listed
    shown = load.request("GET", f"{path}/{listed.body['instanceActions'][-1]['request_id']}")
    assert shown is not None
    assert shown.status == 200, shown
    return [(event["host"], event["result"]) for event in shown.body["instanceAction"]["events"]]


def test_a_host_that_lost_its_disk_hands_its_builds_on(load: Load) -> None:
    """Every build that comes to it fails and goes on to its neighbour, though the conductor at it is killed."""
    services = load.deployment.services
    folder = services.guests_folder("cell2-fake1")
    aside = folder.with_name("aside")
    folder.rename(aside)
    try:
        clients = begin([partial(load.boot, number) for number in range(24)], clients=4)
        wait_until(lambda: len(load.accepted) >= 10, "boots accepted", timeout_s=60, interval_s=0.001)
        services.kill("cell2-conductor")
        services.start("cell2-conductor")
        finish(clients)
        wait_until(
            lambda: {status_of(load, uuid) for uuid in load.accepted} == {"ACTIVE"}, "all ACTIVE", timeout_s=SETTLED_S
        )
    finally:
        aside.rename(folder)
    assert "cell2-fake1" not in hosts_of(load)
    assert any(("cell2-fake1", "Error") in attempts(load, uuid) for uuid in load.accepted)
    check_settled(load, [])


def test_a_host_that_is_dead_is_waited_for_until_it_counts_as_down(load: Load) -> None:
    """The other host of its cell than in the story before: that one is shunned for its failed builds."""
    services = load.deployment.services
    services.kill("cell2-fake2")
    clients = begin([partial(load.boot, number) for number in range(12)], clients=4)
    finish(clients)
    try:
        wait_until(
            lambda: {status_of(load, uuid) for uuid in load.accepted} == {"ACTIVE"}, "all ACTIVE", timeout_s=SETTLED_S
        )
    finally:
        services.start("cell2-fake2")
    assert "cell2-fake2" not in hosts_of(load)
    assert any(("cell2-fake2", "Error") in attempts(load, uuid) for uuid in load.accepted)
    check_settled(load, [])

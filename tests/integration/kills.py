"""Mixed load on a real deployment whose processes are killed at random, then an audit that must find nothing.

``python -m tests.integration.kills --minutes 10 --seed 7`` starts a deployment of its own, loads it, kills, waits until
all work has ended, audits, and returns 0 when nothing is wrong. Everything random comes from the seed, but for how long
anything takes. Guests are imitated; processes, databases, bus and Placement are real.
"""

# ruff: noqa: T201 - a command speaks to people.

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.integration.stack.clients import Answer, Truth, call
from tests.integration.stack.deployment import FLAVOR, IMAGE, Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.processes import StackError, wait_until
from tests.integration.stack.site import Site

#: Seconds in which all work must have ended once nothing is killed any more.
SETTLED_S = 240.0
#: Seconds between two kills, at least and at most, and those that a process stays dead.
_BETWEEN_S, _DEAD_S = (1.0, 5.0), (0.1, 3.0)
_VERSION = "compute 2.96"
#: Processes that are killed. The libvirt host's is not: it takes no servers.
VICTIMS = (
    "api",
    "placement",
    "super-conductor",
    "scheduler",
    "cell1-conductor",
    "cell2-conductor",
    "cell1-fake",
    "cell2-fake1",
    "cell2-fake2",
)
#: What may be done to a server that shows a status, and how often in proportion.
_DEEDS: Mapping[str, Mapping[str, int]] = {
    "ACTIVE": {
        "stop": 3,
        "resize": 3,
        "migrate": 2,
        "snapshot": 1,
        "reboot": 1,
        "shelve": 2,
        "rebuild": 1,
        "live": 2,
        "delete": 2,
    },
    "SHUTOFF": {"start": 4, "resize": 1, "delete": 1},
    "VERIFY_RESIZE": {"confirm": 3, "revert": 3, "delete": 1},
    "SHELVED_OFFLOADED": {"unshelve": 4, "delete": 1},
    "SHELVED": {"unshelve": 4, "delete": 1},
    "ERROR": {"delete": 1},
}


@dataclass
class Cloud:
    """A deployment under load: what was asked, and what came of it."""

    deployment: Deployment
    token: str
    image_id: str
    flavors: tuple[str, str]
    most: int
    done: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _names: int = 0

    def ask(self, method: str, path: str, body: object = None) -> Answer | None:
        """Send one request; None when the connection broke before an answer came."""
        url = self.deployment.services.api_url + path
        try:
            return call(url, method=method, token=self.token, body=body, version=_VERSION)
        except (urllib.error.URLError, HTTPException, OSError):
            return None

    def servers(self) -> list[dict[str, Any]] | None:
        """Return every server as listed; None when nobody answers."""
        answer = self.ask("GET", "/servers/detail?all_tenants=1")
        return list(answer.body["servers"]) if answer is not None and answer.status == 200 else None

    def note(self, deed: str, answer: Answer | None) -> None:
        with self._lock:
            self.done[f"{deed}: {'no answer' if answer is None else answer.status}"] += 1

    def boot(self) -> None:
        """Ask for a server."""
        with self._lock:
            self._names += 1
            name = f"kills-{self._names}"
        server = {"name": name, "imageRef": self.image_id, "flavorRef": self.flavors[0], "networks": "none"}
        self.note("boot", self.ask("POST", "/servers", {"server": server}))

    def do(self, deed: str, server: Mapping[str, Any]) -> None:
        """Do something to a server."""
        uuid = server["id"]
        if deed == "delete":
            self.note(deed, self.ask("DELETE", f"/servers/{uuid}"))
            return
        other = next(flavor for flavor in self.flavors if flavor != self._flavor_of(server))
        bodies: dict[str, object] = {
            "stop": {"os-stop": None},
            "start": {"os-start": None},
            "reboot": {"reboot": {"type": "HARD"}},
            "resize": {"resize": {"flavorRef": other}},
            "migrate": {"migrate": {}},
            "confirm": {"confirmResize": None},
            "revert": {"revertResize": None},
            "snapshot": {"createImage": {"name": f"of-{uuid[:8]}"}},
            "shelve": {"shelve": None},
            "unshelve": {"unshelve": None},
            "rebuild": {"rebuild": {"imageRef": self.image_id}},
            "live": {"os-migrateLive": {"host": None, "block_migration": "auto"}},
        }
        self.note(deed, self.ask("POST", f"/servers/{uuid}/action", bodies[deed]))

    def _flavor_of(self, server: Mapping[str, Any]) -> str:
        """Return the flavor, one of ours, that a server has; shown are its numbers only."""
        return self.flavors[0] if server["flavor"]["original_name"] == FLAVOR else self.flavors[1]


def load(cloud: Cloud, rng: random.Random, stopping: threading.Event) -> None:
    """Be a user: boot, and do one thing after the other to whatever servers there are."""
    while not stopping.is_set():
        servers = cloud.servers()
        if servers is None:
            stopping.wait(0.5)
            continue
        idle = [server for server in servers if server["OS-EXT-STS:task_state"] is None]
        if len(servers) < cloud.most and (not idle or rng.random() < 0.4):
            cloud.boot()
        elif idle:
            server = rng.choice(idle)
            deeds = _DEEDS.get(server["status"], {"delete": 1})
            cloud.do(rng.choices(list(deeds), list(deeds.values()))[0], server)
        stopping.wait(rng.uniform(0.0, 0.4))


def kill(cloud: Cloud, rng: random.Random, stopping: threading.Event, told: Callable[[str], None]) -> None:
    """Kill one process after the other, and start it again."""
    services, began = cloud.deployment.services, time.monotonic()
    while not stopping.wait(rng.uniform(*_BETWEEN_S)):
        victim = rng.choice(VICTIMS)
        services.kill(victim)
        told(f"{time.monotonic() - began:7.1f} s  killed {victim}")
        try:
            stopping.wait(rng.uniform(*_DEAD_S))
        finally:
            services.start(victim)


def run(
    deployment: Deployment, *, seconds: float, seed: int, users: int, most: int, told: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Load, kill, settle; return what the audit found."""
    cloud = _prepared(deployment, most)
    stopping = threading.Event()
    threads = [
        threading.Thread(target=load, args=(cloud, random.Random(f"{seed}-{user}"), stopping), daemon=True)
        for user in range(users)
    ]
    failures: list[BaseException] = []

    def killing() -> None:
        try:
            kill(cloud, random.Random(seed), stopping, told)
        except BaseException as exc:  # noqa: BLE001 - told by whoever waits for this thread
            failures.append(exc)

    threads.append(threading.Thread(target=killing, daemon=True))
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stopping.set()
    for thread in threads:
        thread.join(timeout=120)
    if failures:
        raise failures[0]
    told(f"asked: {dict(sorted(cloud.done.items()))}")
    settle(cloud, told)
    return audit(deployment, told)


def settle(cloud: Cloud, told: Callable[[str], None]) -> None:
    """Wait until no work is open; fail when it does not end."""
    truth, began = Truth(cloud.deployment), time.monotonic()
    cloud.deployment.services.require()
    try:
        wait_until(lambda: not truth.open_workflows(), "all work ended", timeout_s=SETTLED_S, interval_s=0.5)
    except StackError:
        told(f"left: {truth.open_workflows()}")
        raise
    statuses = Counter(server["status"] for server in cloud.servers() or ())
    told(f"at rest after {time.monotonic() - began:.1f} s: {dict(statuses)}")


def audit(deployment: Deployment, told: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return what the audit finds, once agents have had the time to compare their guests with their cells."""
    deadline = time.monotonic() + SETTLED_S
    while True:
        code, out = deployment.services.asked("super-conductor", "audit", "--grace", "1", "--verbose", "-f", "json")
        found: list[dict[str, Any]] = json.loads(out)
        if (code == 0 and not found) or time.monotonic() > deadline:
            told(f"the audit returned {code} and found {len(found)}")
            return found or ([] if code == 0 else [{"Finding": f"exit code {code}"}])
        time.sleep(2)


def _prepared(deployment: Deployment, most: int) -> Cloud:
    with deployment.connect(ADMIN) as admin:
        image_id = admin.image.find_image(IMAGE, ignore_missing=False).id
        small = admin.compute.find_flavor(FLAVOR, ignore_missing=False)
        large = admin.compute.find_flavor("kills.large", ignore_missing=True) or admin.compute.create_flavor(
            name="kills.large", ram=small.ram * 2, vcpus=small.vcpus + 1, disk=small.disk
        )
        for service in admin.compute.services():
            if service.host == "cell1-virt" and service.status == "enabled":
                admin.compute.disable_service(service)
    return Cloud(
        deployment, deployment.neighbours.keystone.token(ADMIN), image_id, (str(small.id), str(large.id)), most
    )


def main() -> int:
    """Run with a deployment of its own; 0: the audit found nothing, 1: it did, or work did not end."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.kills", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to load and kill, by default 10")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what everything random is made of")
    parser.add_argument("--users", type=int, default=6, help="clients at once, by default 6")
    parser.add_argument("--servers", type=int, default=30, help="servers at once, at most; by default 30")
    parser.add_argument("--dir", type=Path, help="directory of the deployment, which is kept; by default a new one")
    arguments = parser.parse_args()
    directory = arguments.dir or Path(tempfile.mkdtemp(prefix="nova-lite-kills-"))
    deployment = Deployment(Site(directory))
    print(f"seed {arguments.seed}, in {directory}", flush=True)
    try:
        deployment.start()
        found = run(
            deployment,
            seconds=arguments.minutes * 60,
            seed=arguments.seed,
            users=arguments.users,
            most=arguments.servers,
            told=lambda text: print(text, flush=True),
        )
    except StackError as exc:
        print(f"failed: {exc}", file=sys.stderr)
        found = [{"Finding": "work that did not end"}]
    finally:
        deployment.stop()
    for row in found:
        print(json.dumps(row))
    if not found and arguments.dir is None:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

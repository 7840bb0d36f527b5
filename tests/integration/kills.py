"""Mixed load on a real deployment whose processes are killed at random, then an audit that must find nothing.

``python -m tests.integration.kills --minutes 10 --seed 7`` starts a deployment of its own, loads it, kills, waits until
all work has ended, audits, and returns 0 when nothing is wrong. Now and then a host is cut off, dead or only said to be
so, its servers are evacuated, and it comes back. Everything random comes from the seed, but for how long anything
takes. Guests are imitated; processes, databases, bus and Placement are real.
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
SETTLED_S = 600.0
#: Seconds between two kills, at least and at most, and those that a process stays dead.
_BETWEEN_S, _DEAD_S = (1.0, 5.0), (0.1, 3.0)
#: The same of hosts that are cut off; how many of them are dead, not only said to be.
_BETWEEN_CUTS_S, _CUT_OFF_S, _DEAD_SHARE = (5.0, 20.0), (5.0, 20.0), 0.7
_VERSION = "compute 2.96"
#: The libvirt host.
REAL_HOST = "cell1-virt"
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
#: Hosts that are cut off, never two at once: there must be one in the same cell for their servers to go to.
CUT_OFF = ("cell2-fake1", "cell2-fake2")
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
        "pause": 1,
        "suspend": 1,
        "rescue": 1,
        "delete": 2,
    },
    "PAUSED": {"unpause": 4, "delete": 1},
    "SUSPENDED": {"resume": 4, "delete": 1},
    "RESCUE": {"unrescue": 4, "delete": 1},
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
    #: Held by whoever has stopped the host.
    hosts: Mapping[str, threading.Lock] = field(default_factory=lambda: {host: threading.Lock() for host in CUT_OFF})
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
            "evacuate": {"evacuate": {}},
            "rescue": {"rescue": {"adminPass": "secret"}},
            **{deed: {deed: None} for deed in ("pause", "unpause", "suspend", "resume", "unrescue")},
        }
        self.note(deed, self.ask("POST", f"/servers/{uuid}/action", bodies[deed]))

    def evacuate_all(self, host: str) -> None:
        """Say that a host is down, and have its servers made anew elsewhere, but for those that are busy."""
        if not self.declare(host, is_down=True):
            return
        for server in self.servers() or ():
            if server["OS-EXT-SRV-ATTR:host"] == host and server["OS-EXT-STS:task_state"] is None:
                self.do("evacuate", server)

    def take_back(self, host: str) -> None:
        """Say that a host is down no more, until somebody hears."""
        wait_until(lambda: self.declare(host, is_down=False), f"{host} is up", timeout_s=SETTLED_S, interval_s=0.5)

    def declare(self, host: str, *, is_down: bool) -> bool:
        """Say that a host is down, or is not any more; return whether somebody heard."""
        listed = self.ask("GET", f"/os-services?host={host}&binary=nova-compute")
        if listed is None or listed.status != 200:
            return False
        answer = self.ask("PUT", f"/os-services/{listed.body['services'][0]['id']}", {"forced_down": is_down})
        return answer is not None and answer.status == 200

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
    services = cloud.deployment.services
    while not stopping.wait(rng.uniform(*_BETWEEN_S)):
        victim, dead_s = rng.choice(VICTIMS), rng.uniform(*_DEAD_S)
        mine = cloud.hosts.get(victim, threading.Lock())
        if not mine.acquire(blocking=False):
            continue  # it is cut off
        try:
            services.kill(victim)
            told(f"killed {victim}")
            stopping.wait(dead_s)
        finally:
            services.start(victim)
            mine.release()


def cut_off(cloud: Cloud, rng: random.Random, stopping: threading.Event, told: Callable[[str], None]) -> None:
    """Lose one host after the other: it dies, or is only said to have, its servers go elsewhere, and it comes back."""
    services = cloud.deployment.services
    while not stopping.wait(rng.uniform(*_BETWEEN_CUTS_S)):
        host, is_dead, away_s = rng.choice(CUT_OFF), rng.random() < _DEAD_SHARE, rng.uniform(*_CUT_OFF_S)
        with cloud.hosts[host]:
            if is_dead:
                services.kill(host)
            try:
                told(f"cut off {host}, which is {'dead' if is_dead else 'alive'}")
                end = time.monotonic() + away_s
                while time.monotonic() < end and not stopping.wait(1.0):
                    cloud.evacuate_all(host)
            finally:
                services.start(host)
                cloud.take_back(host)
                told(f"{host} is back")


def run(
    deployment: Deployment, *, seconds: float, seed: int, users: int, most: int, told: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Load, kill, settle; return what the audit found."""
    cloud = prepared(deployment, most)
    stopping = threading.Event()
    threads = [
        threading.Thread(target=load, args=(cloud, random.Random(f"{seed}-{user}"), stopping), daemon=True)
        for user in range(users)
    ]
    failures: list[BaseException] = []
    began = time.monotonic()

    def breaking(how: Callable[..., None], name: str) -> None:
        try:
            how(
                cloud,
                random.Random(f"{seed}{name}"),
                stopping,
                lambda text: told(f"{time.monotonic() - began:7.1f} s  {text}"),
            )
        except BaseException as exc:  # noqa: BLE001 - told by whoever waits for this thread
            failures.append(exc)

    threads += [
        threading.Thread(target=breaking, args=args, daemon=True) for args in ((kill, "-kills"), (cut_off, "-cuts"))
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stopping.set()
    for thread in threads:
        thread.join(timeout=SETTLED_S)
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads):
        raise StackError("somebody still waits for an answer")
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


def prepared(deployment: Deployment, most: int) -> Cloud:
    """Return the deployment with what the load needs; its libvirt host takes no servers any more."""
    with deployment.connect(ADMIN) as admin:
        image_id = admin.image.find_image(IMAGE, ignore_missing=False).id
        small = admin.compute.find_flavor(FLAVOR, ignore_missing=False)
        large = admin.compute.find_flavor("kills.large", ignore_missing=True) or admin.compute.create_flavor(
            name="kills.large", ram=small.ram * 2, vcpus=small.vcpus + 1, disk=small.disk
        )
        for service in admin.compute.services():
            if service.host == REAL_HOST and service.status == "enabled":
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

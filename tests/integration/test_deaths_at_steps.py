"""Real processes that kill themselves at named steps of what servers go through, each once, and are started again.

Whatever dies where, the server ends as it was asked to be, with one guest and what it is due, and the audit finds
nothing. Every step of every workflow, in one process: ``tests/functional/workflows/test_every_step.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytest

from tests.integration import kills
from tests.integration.kills import Cloud
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.processes import wait_until

pytestmark = pytest.mark.timeout(1800)

#: Where all servers begin; its neighbour in the cell takes those that move.
HOST = "cell2-fake1"
#: Seconds in which a process must have come to the step it dies at.
DEATH_S = 600.0


@dataclass(frozen=True)
class Death:
    """Which process dies, at which moment (``stack/doomed.py``) of what is done, and how the server ends."""

    deed: str
    victim: str
    moment: str
    ends: str


DEATHS = (
    Death("boot", "super-conductor", "super:schedule:choose hosts:middle", "ACTIVE"),
    Death("boot", "scheduler", "scheduler:place:after", "ACTIVE"),
    Death("boot", "cell2-conductor", "cell:create:spawn guest:middle", "ACTIVE"),
    Death("boot", HOST, "driver:spawn:after", "ACTIVE"),
    Death("resize", "super-conductor", "super:move:hand to cell:middle", "VERIFY_RESIZE"),
    Death("resize", "cell2-conductor", "cell:move:start guest:middle", "VERIFY_RESIZE"),
    Death("resize", HOST, "driver:set_aside:after", "VERIFY_RESIZE"),
    Death("live", "cell2-conductor", "cell:live-migrate:send guest:middle", "ACTIVE"),
    Death("live", HOST, "driver:transfer:before", "ACTIVE"),
    Death("delete", "super-conductor", "super:delete:delete in cell:middle", "GONE"),
    Death("delete", "cell2-conductor", "cell:delete:destroy guest:middle", "GONE"),
    Death("delete", HOST, "driver:destroy:after", "GONE"),
)


@pytest.fixture
def cloud(deployment: Deployment) -> Iterator[Cloud]:
    yield kills.prepared(deployment, most=1)
    with deployment.connect(ADMIN) as admin:
        for service in admin.compute.services():
            if service.host == kills.REAL_HOST:
                admin.compute.enable_service(service)


def test_what_dies_at_a_step_is_taken_up_where_it_was(cloud: Cloud) -> None:
    """Whatever can die of a deed dies, each process once, while it is done to as many servers as there are deaths."""
    servers = [boot(cloud) for death in DEATHS if death.deed != "boot"]
    assert [end_of(cloud, server, "ACTIVE") for server in servers] == ["ACTIVE"] * len(servers)
    for deed, group in groupby(DEATHS, lambda death: death.deed):
        deaths = list(group)
        subjects = None if deed == "boot" else [servers.pop() for _ in deaths]
        subjects = die_amid(cloud, deaths, subjects)
        assert [end_of(cloud, server, deaths[0].ends) for server in subjects] == [deaths[0].ends] * len(deaths), deed
    told: list[str] = []
    kills.settle(cloud, told.append)
    assert kills.audit(cloud.deployment, told.append) == [], told


def boot(cloud: Cloud) -> str:
    """Ask for a server on the host; return its UUID."""
    flavor, zone = cloud.flavors[0], f"nova:{HOST}"
    body = {"name": "doomed", "imageRef": cloud.image_id, "flavorRef": flavor, "networks": "none"}
    answer = cloud.ask("POST", "/servers", {"server": {**body, "availability_zone": zone}})
    assert answer is not None
    assert answer.status == 202, answer
    return str(answer.body["server"]["id"])


def die_amid(cloud: Cloud, deaths: list[Death], servers: list[str] | None) -> list[str]:
    """Do a deed, to ``servers`` or as many new ones; start again what dies amid it; return the servers."""
    services = cloud.deployment.services
    for death in deaths:
        services.kill(death.victim)
        services.start_doomed(death.victim, death.moment)
    if servers is None:
        servers = [boot(cloud) for _ in deaths]
    else:
        for server in servers:
            cloud.do(deaths[0].deed, shown(cloud, server))
    doomed = list(deaths)

    def all_have_died() -> bool:
        # At once: another may come to where it dies only when this one works again.
        for death in [each for each in doomed if not services.is_running(each.victim)]:
            services.start(death.victim)
            doomed.remove(death)
        return not doomed

    wait_until(all_have_died, f"{[death.moment for death in deaths]} all have happened", timeout_s=DEATH_S)
    return servers


def shown(cloud: Cloud, server: str) -> dict[str, Any]:
    """Return a server as shown; one that is gone shows just that."""
    answer = cloud.ask("GET", f"/servers/{server}")
    assert answer is not None
    assert answer.status in (200, 404), answer
    body: dict[str, Any] = answer.body["server"] if answer.status == 200 else {"status": "GONE"}
    return body


def end_of(cloud: Cloud, server: str, wanted: str) -> str:
    """Return what a server shows once that is what is ``wanted``, or ERROR."""

    def is_over() -> bool:
        found = shown(cloud, server)
        return found["status"] in (wanted, "ERROR") and found.get("OS-EXT-STS:task_state") is None

    wait_until(is_over, f"{server} {wanted}", timeout_s=kills.SETTLED_S, interval_s=0.1)
    return str(shown(cloud, server)["status"])

"""Stories of daemons that are watched: whether they are ready, and what their numbers tell."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from oslo_config import cfg
from prometheus_client.parser import text_string_to_metric_families

from nova_lite.compute.meters import Meters as AgentMeters
from nova_lite.compute.service import Agent
from nova_lite.conductor.meters import Meters as ConductorMeters
from nova_lite.conductor.service import Conductor
from nova_lite.embedded import cloud as embedded
from nova_lite.embedded.cloud import Cloud
from nova_lite.scheduler.meters import Meters as SchedulerMeters
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.service import Scheduler
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import ComputeUser, eventually
from nova_lite.web.health import Health
from nova_lite.web.metrics import Metrics

_PATIENCE_S = 480.0


@dataclass
class Daemons:
    """What runs in the cloud of this module."""

    conductors: list[Conductor] = field(default_factory=list)
    schedulers: list[Scheduler] = field(default_factory=list)
    #: That of the scheduler.
    conf: cfg.ConfigOpts = field(init=False)

    def conductor(self, conf: cfg.ConfigOpts) -> Conductor:
        self.conductors.append(Conductor(conf))
        return self.conductors[-1]

    def scheduler(self, conf: cfg.ConfigOpts) -> Scheduler:
        self.conf = conf
        self.schedulers.append(Scheduler(conf))
        return self.schedulers[-1]

    def led(self, *, above: bool) -> Conductor:
        """Return a conductor of a cell, or the one above cells."""
        return next(each for each in self.conductors if each.is_super is above)


@pytest.fixture(scope="module")
def daemons() -> Daemons:
    return Daemons()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, daemons: Daemons) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "Conductor", daemons.conductor)
        patch.setattr(embedded, "Scheduler", daemons.scheduler)
        with clouds.running(tmp_path_factory.mktemp("cloud")) as running:
            yield running


class Numbers:
    """What a daemon told the last time it was asked."""

    def __init__(self, meters_of: Any, service: Any) -> None:
        self._metrics = Metrics("test")
        self._meters = meters_of(self._metrics, service)

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels; 0 without any."""
        self._meters.refresh()
        samples = [
            sample
            for family in text_string_to_metric_families(self._metrics.render().decode())
            for sample in family.samples
            if sample.name == f"nova_lite_{name}" and labels.items() <= sample.labels.items()
        ]
        return float(sum(sample.value for sample in samples))


def agent(cloud: Cloud) -> Agent:
    return next(iter(cloud.agents.values()))


def test_daemons_of_a_cloud_that_works_are_ready(cloud: Cloud, daemons: Daemons) -> None:
    services: list[Conductor | Scheduler | Agent] = [*daemons.conductors, *daemons.schedulers, *cloud.agents.values()]
    assert [Health(each.checks(), patience_s=_PATIENCE_S).complaints() for each in services] == [{}] * len(services)
    assert set(daemons.led(above=True).checks()) == {"database", "bus", "placement", "cells"}
    assert set(daemons.led(above=False).checks()) == {"database", "bus", "placement"}


def test_an_agent_that_takes_no_work_yet_says_so(cloud: Cloud) -> None:
    checks = agent(cloud).checks()
    agent(cloud).ready.clear()
    try:
        complaints = Health(checks, patience_s=_PATIENCE_S).complaints()
    finally:
        agent(cloud).ready.set()
    assert complaints == {"host": "This host takes no work yet."}


def test_numbers_follow_a_server(cloud: Cloud, daemons: Daemons, user: ComputeUser, image: str) -> None:
    scheduler = Numbers(SchedulerMeters, daemons.schedulers[0])
    above = Numbers(ConductorMeters, daemons.led(above=True))
    cells = [Numbers(ConductorMeters, each) for each in daemons.conductors if not each.is_super]
    hosts = [Numbers(AgentMeters, each) for each in cloud.agents.values()]
    before = scheduler.of("scheduler_claims_total", outcome="made")
    server = user.boot("watched", image)
    user.wait(server, "ACTIVE")
    assert scheduler.of("scheduler_claims_total", outcome="made") == before + 1
    assert scheduler.of("scheduler_servers_total", outcome="placed") >= 1
    eventually(lambda: above.of("workflows_ended_total", kind="schedule", outcome="done") >= 1, "it was scheduled")
    eventually(
        lambda: sum(cell.of("workflows_ended_total", kind="create", outcome="done") for cell in cells) >= 1,
        "it was built",
    )
    eventually(lambda: sum(cell.of("workflows", kind="create") for cell in cells) == 0, "nothing is under way")
    assert sum(cell.of("cell_used", resource="servers") for cell in cells) >= 1
    assert sum(cell.of("cell_capacity", resource="hypervisors") for cell in cells) == len(cloud.agents)
    assert sum(cell.of("services", binary="nova-compute", state="up") for cell in cells) == len(cloud.agents)
    assert above.of("services", binary="nova-conductor", state="up") >= 1
    assert sum(host.of("agent_guests", power_state="running") for host in hosts) >= 1
    for host in hosts:
        assert host.of("agent_takes_work") == 1
        assert host.of("agent_report_age_seconds") >= 0
    assert {each.of("database_up") for each in (above, *cells)} == {1.0}
    user.ask("DELETE", f"/servers/{server}")
    user.wait_gone(server)


def test_a_scheduler_that_is_stopped_answers_what_it_was_asked(
    daemons: Daemons, user: ComputeUser, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one here: what is asked meanwhile waits for the next."""
    (scheduler,) = daemons.schedulers
    asked, going_on, place = threading.Event(), threading.Event(), SchedulerEndpoint.place

    def held(endpoint: SchedulerEndpoint, *args: Any, **more: Any) -> Any:
        asked.set()
        assert going_on.wait(_PATIENCE_S)
        return place(endpoint, *args, **more)

    monkeypatch.setattr(SchedulerEndpoint, "place", held)
    server = user.boot("asked", image)
    assert asked.wait(_PATIENCE_S)
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    assert scheduler.under_way() == ["place"]
    going_on.set()
    stopping.join(_PATIENCE_S)
    assert not stopping.is_alive()
    assert scheduler.under_way() == []
    user.wait(server, "ACTIVE")
    late = user.boot("late", image)
    successor = daemons.scheduler(daemons.conf)
    successor.start()
    try:
        user.wait(late, "ACTIVE")
        for each in (server, late):
            user.ask("DELETE", f"/servers/{each}")
            user.wait_gone(each)
    finally:
        successor.stop()

"""Images come to the hosts of an aggregate while there is time; who gets none is named."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nova_lite import concurrency, config
from nova_lite.cells import setup
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes
from nova_lite.conductor.saga import Work
from nova_lite.conductor.spanning.cache_images import fetch_images
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db import migrate
from nova_lite.db.repositories import aggregates, hosts, mappings
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.compute import TOPIC
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database
from tests.contract.db.factories import make_workflow


@dataclass
class Clock:
    """Time that passes only where somebody says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Host:
    """An agent that needs ``takes_s`` for an image."""

    clock: Clock
    takes_s: float = 0.0
    fetched: list[str] = field(default_factory=list)

    def cache_image(self, image_id: str) -> None:
        self.fetched.append(image_id)
        self.clock.now += self.takes_s


@dataclass
class Site:
    """An aggregate of two hosts in one cell, and of one that no cell knows."""

    work: Work[SuperTools]
    clock: Clock
    hosts: dict[str, Host]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    clock = Clock()
    conf = config.load(files=[])
    conf.set_override("timeout", 60.0, "cells")
    api_db, cell_db = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("api", "cell"))
    migrate.sync(api_db, "api")
    migrate.sync(cell_db, "cell")
    url = f"kombu+memory:///{uuid.uuid4()}"
    cell = setup.create_cell(api_db, name="one", transport_url=url, connection=str(cell_db.url))
    names = ("host1", "host2")
    with api_db.writer() as session:
        racks = aggregates.add(session, "racks", {})
        for name in (*names, "stranger"):
            aggregates.add_host(session, racks.id, name)
        for name in names:
            mappings.add_host(session, name, cell.uuid)
    with cell_db.writer() as session:
        for name in names:
            resources = HostResources(1, 1, 1, "QEMU", 1, name, "127.0.0.1", {})
            hosts.register(session, HostReport(name, str(uuid.uuid4()), resources))
            hosts.beat(session, name, hosts.AGENT)
    bus = Bus(conf, url)
    agents = {name: Host(clock) for name in names}
    servers = [bus.serve(TOPIC, name, agent) for name, agent in agents.items()]
    for server in servers:
        server.start()
    cells = Cells(conf, api_db)
    fanout = Fanout(conf, cells)
    tools = SuperTools(conf, api_db, cells, fanout, SchedulerClient(bus), PlacementClient(conf), Volumes(conf))
    workflow = replace(make_workflow(), kind="cache-images", subject=racks.uuid, inputs={"images": ["one", "two"]})
    monkeypatch.setattr(concurrency, "monotonic", clock)
    yield Site(Work(workflow, tools, seconds_left=100.0), clock, agents)
    monkeypatch.undo()
    for server in servers:
        server.stop()
    fanout.close()
    cells.close()
    bus.close()
    api_db.close()
    cell_db.close()


def test_every_host_gets_every_image(site: Site) -> None:
    found = fetch_images(site.work)
    assert {name: host.fetched for name, host in site.hosts.items()} == {
        "host1": ["one", "two"],
        "host2": ["one", "two"],
    }
    assert found == {
        "passed_over": {"stranger": "Host stranger is in no cell."},
        "fetched": {"host1": ["one", "two"], "host2": ["one", "two"], "stranger": []},
    }


def test_who_has_no_turn_before_the_deadline_is_passed_over(site: Site) -> None:
    site.hosts["host1"].takes_s = 100.0
    found = fetch_images(site.work)
    assert (site.hosts["host1"].fetched, site.hosts["host2"].fetched) == (["one"], [])
    assert found is not None
    assert found["passed_over"] == {
        "host1": "The time for bringing images is over.",
        "host2": "The time for bringing images is over.",
        "stranger": "Host stranger is in no cell.",
    }

"""Whatever schedulers remember: a host that was disabled before a request came is not chosen, one that is back is."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from nova_lite import concurrency, config
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase
from nova_lite.db.repositories import aggregates, hosts, mappings
from nova_lite.errors import NovaLiteError
from nova_lite.model.candidates import Candidates
from nova_lite.model.conductor import HostReport
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.hosts import Hosts
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.scheduler.survey import Surveyor
from nova_lite.scheduler.waiting import Waiting
from nova_lite.storage import Database, retried
from tests.contract.db.factories import make_resources

CELL = "22222222-2222-4222-8222-222222222222"
HOSTS = ("h0", "h1", "h2")


class GenerousPlacement:
    """Offers every host and grants every claim."""

    def candidates(self, _: object) -> Candidates:
        nodes = [node(host) for host in HOSTS]
        plain = {
            "allocation_requests": [{"allocations": {one: {"resources": {"VCPU": 1}}}} for one in nodes],
            "provider_summaries": {one: {"root_provider_uuid": one, "resources": {}} for one in nodes},
        }
        return msgspec.convert(plain, Candidates)

    def claim(self, *_: object, **__: object) -> bool:
        return True


class Everybody:
    """Waits for a host."""

    def missing(self, _: object) -> list[str]:
        return []


class Deployment:
    """A cell with three hosts, and schedulers that share nothing but the databases."""

    def __init__(self, folder: Path) -> None:
        self.api = Database(f"sqlite:///{folder / 'api.sqlite'}")
        self.cell = Database(f"sqlite:///{folder / 'cell.sqlite'}")
        ApiBase.metadata.create_all(self.api.engine)
        CellBase.metadata.create_all(self.cell.engine)
        with self.api.writer() as session:
            mappings.add_cell(session, Cell(CELL0_UUID, "cell0", "none:///", f"sqlite:///{folder / 'cell0.sqlite'}"))
            mappings.add_cell(session, Cell(CELL, "one", "rabbit://host/one", str(self.cell.url)))
            for host in HOSTS:
                mappings.add_host(session, host, CELL)
            self.racks = aggregates.add(session, "racks", {"availability_zone": "east"}).id
        with self.cell.writer() as session:
            for host in HOSTS:
                resources = make_resources(hypervisor_hostname=host)
                hosts.register(session, HostReport(host, node(host), resources))
        self._close: list[Callable[[], None]] = [self.api.close, self.cell.close]

    def scheduler(self) -> SchedulerEndpoint:
        """Return one more, with caches of its own."""
        conf = config.load(files=[])
        # However busy the machine is, hosts are up and the cell answers.
        conf.set_override("service_down_time", 86400.0)
        conf.set_override("timeout", 60.0, "cells")
        api = Database(str(self.api.url))
        cells = Cells(conf, api)
        fanout = Fanout(conf, cells)
        self._close = [fanout.close, cells.close, api.close, *self._close]
        placement = cast(PlacementClient, GenerousPlacement())
        surveyor = Surveyor(conf, Hosts(conf, api, cells, fanout), placement)
        return SchedulerEndpoint(conf, surveyor, placement, cast(Waiting, Everybody()))

    @retried
    def change(self, host: str, **values: bool) -> None:
        """Do what the API does when an operator disables, enables or fences a host."""
        with self.cell.writer() as session:
            (service,) = hosts.services(session, down_after_s=60, host=host)
            hosts.change_service(session, service.uuid, **values)

    def close(self) -> None:
        for close in self._close:
            close()


def node(host: str) -> str:
    return f"{HOSTS.index(host):0>36}"


def chosen(scheduler: SchedulerEndpoint, **values: Any) -> str | None:
    """Return the host that a new server gets, None when there is none."""
    spec = RequestSpec("project", "user", Flavor("1", "tiny", 1, 512, 1), "image", **values)
    answer = scheduler.place(msgspec.to_builtins(spec), ["server"])
    return answer["placed"][0]["selections"][0]["host"] if answer["placed"] else None


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("what", ["disabled", "forced_down"])
def test_every_scheduler_knows_at_the_next_request(deployment: Deployment, what: str) -> None:
    schedulers = [deployment.scheduler() for _ in range(3)]
    for scheduler in schedulers:
        assert chosen(scheduler) in HOSTS
    for round_ in range(6):
        only = HOSTS[round_ % 3]
        for host in HOSTS:
            deployment.change(host, **{what: host != only})
        for scheduler in schedulers:
            assert chosen(scheduler) == only
    deployment.change("h2", **{what: True})
    for scheduler in schedulers:
        assert chosen(scheduler) is None


def test_every_scheduler_knows_zones_at_the_next_request(deployment: Deployment) -> None:
    schedulers = [deployment.scheduler() for _ in range(2)]
    for host in HOSTS:
        with deployment.api.writer() as session:
            aggregates.add_host(session, deployment.racks, host)
        for scheduler in schedulers:
            assert chosen(scheduler, availability_zone="east") == host
        with deployment.api.writer() as session:
            aggregates.remove_host(session, deployment.racks, host)
        for scheduler in schedulers:
            assert chosen(scheduler, availability_zone="east") is None


def test_a_host_disabled_before_a_request_is_never_chosen_while_others_come_and_go(deployment: Deployment) -> None:
    """Two schedulers place without a pause while hosts are disabled and enabled; one host stays enabled."""
    schedulers = [deployment.scheduler() for _ in range(2)]
    disabled: dict[str, int] = {}
    over = threading.Event()
    wrong: list[str] = []
    decisions = [0, 0]

    def place(number: int) -> None:
        while not over.is_set():
            before = dict(disabled)
            try:
                host = chosen(schedulers[number])
            except NovaLiteError as exc:
                wrong.append(str(exc))
                return
            decisions[number] += 1
            # Was it disabled all the time since before the request came?
            if host is None or (host in before and disabled.get(host) == before[host]):
                wrong.append(f"{host} at {before}")

    threads = [threading.Thread(target=place, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(40):
            host = HOSTS[turn % 2]
            deployment.change(host, disabled=True)
            disabled[host] = turn
            seen, until = list(decisions), concurrency.monotonic() + 480
            while not wrong and any(map(int.__eq__, decisions, seen)) and concurrency.monotonic() < until:
                over.wait(0.001)
            # First that it may be chosen, then that it can.
            del disabled[host]
            deployment.change(host, disabled=False)
    finally:
        over.set()
        for thread in threads:
            thread.join(480)
    assert wrong == []
    assert min(decisions) >= 40

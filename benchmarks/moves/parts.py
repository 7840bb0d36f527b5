"""The parts of the benchmark: what is done to servers in both clouds, and a real guest that moves in ours."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.moves import deeds, guest
from benchmarks.moves.clouds import FLEET, MovingRealCloud, start_networks
from benchmarks.moves.deeds import Deed
from benchmarks.moves.report import Report, Row
from benchmarks.placement.peers import cpu_s
from benchmarks.scheduling import boots, figures, idle
from benchmarks.scheduling.cloud import Cloud, Surroundings
from benchmarks.scheduling.figures import Cpu
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.place import Place

PARTS = ("moves", "guest")
CLIENTS = 8
#: What is timed, in this order; the last leaves no server.
CASES: Mapping[str, Deed] = {
    "resize and confirm": deeds.resize_and_confirm,
    "live migrate": deeds.migrate_live,
    "delete": deeds.delete,
}
#: Seconds that one server gets.
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: servers of our cloud and of the real one, and how often a guest moves."""

    ours: int
    real: int
    guest_moves: int


QUICK = Effort(80, 24, 2)
WHOLE = Effort(240, 80, 10)


class Parts:
    """Runs parts at one place."""

    def __init__(self, place: Place, surroundings: Surroundings, report: Report, effort: Effort) -> None:
        self._place = place
        self._surroundings = surroundings
        self._report = report
        self._effort = effort

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {name: getattr(self, name) for name in PARTS}

    def moves(self) -> None:
        """Imitated hosts, both clouds: one after the other, neither sees the other's load."""
        start_networks(self._place.site)
        real = MovingRealCloud(self._place, self._surroundings, FLEET, "real-moves")
        ours = OurCloud(self._place, self._surroundings, FLEET, "ours-moves")
        for cloud, servers in ((real, self._effort.real), (ours, self._effort.ours)):
            with self._running(cloud):
                self._life(cloud, servers)
        for case in CASES:
            found = {row.kind: row.summary for row in self._report.rows if row.case == case}
            if len(found) == 2 and found["real"].per_s:
                self._report.ratios[f"{case} a second"] = found["ours"].per_s / found["real"].per_s

    def guest(self) -> None:
        """A real guest, in our cloud alone."""
        for found in guest.moves(self._place, self._surroundings, self._effort.guest_moves):
            self._report.guests.append(found)
            print(found.told(), flush=True)

    def _life(self, cloud: Cloud, servers: int) -> None:
        boots.add_flavor(cloud)
        deeds.add_larger_flavor(cloud)
        image = self._surroundings.image_id
        booted = boots.drive(cloud, image, servers=servers, clients=CLIENTS, limit_s=_LIMIT_S)
        if booted.outcomes != {"active": servers}:
            self._tell(f"{cloud.kind}: {figures.told(booted.outcomes)} of the servers to begin with")
        for case, deed in CASES.items():
            self._time(cloud, case, deed)

    def _time(self, cloud: Cloud, case: str, deed: Deed) -> None:
        before = self._cpu(cloud)
        run = deeds.drive(cloud, deeds.servers_of(cloud), deed, clients=CLIENTS, limit_s=_LIMIT_S)
        row = Row(case, cloud.kind, figures.summary(run, self._cpu(cloud).since(before)))
        self._report.rows.append(row)
        print(row.told(), flush=True)
        if row.summary.failed:
            self._tell(f"{case}, {cloud.kind}: {figures.told(run.outcomes)}; {boots.fault(cloud)}")

    def _cpu(self, cloud: Cloud) -> Cpu:
        def used(names: Sequence[str]) -> float:
            return cpu_s(itertools.chain.from_iterable(idle.pids_of(self._place, name) for name in names))

        services = [name for name in cloud.programs if name not in cloud.agents]
        return Cpu(used(services), used(cloud.agents), used(["rabbitmq"]), used(["mariadb"]))

    @contextlib.contextmanager
    def _running(self, cloud: Cloud) -> Iterator[None]:
        began = time.perf_counter()
        print(f"starting {cloud.name}: {cloud.fleet.hosts} hosts", flush=True)
        try:
            cloud.start()
            self._tell(f"{cloud.name} took {time.perf_counter() - began:.0f} s to start")
            yield
        finally:
            cloud.stop()

    def _tell(self, text: str) -> None:
        self._report.checks.append(text)
        print(text, flush=True)

"""The parts of the benchmark: round trips by one client, and by several at once, in both clouds."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.moves import deeds
from benchmarks.moves.clouds import start_networks
from benchmarks.moves.report import Report, Row
from benchmarks.moves.timing import Timing
from benchmarks.scheduling.cloud import Cloud, Surroundings
from benchmarks.scheduling.figures import Run
from benchmarks.scheduling.place import Place
from benchmarks.volumes.clouds import FLEET, OurVolumeCloud, RealVolumeCloud, start_storage
from benchmarks.volumes.round_trips import LOOKS, round_trip

PARTS = ("attach",)
#: Clients at once, for each case.
CASES: Mapping[str, int] = {"1 client": 1, "8 clients": 8}
#: Seconds that one server gets.
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How many servers there are in each cloud; each gets and loses its volume once a case and ``round``."""

    servers: int
    ours: int
    real: int


QUICK = Effort(16, 3, 1)
WHOLE = Effort(24, 10, 2)


class Parts:
    """Runs parts at one place."""

    def __init__(self, place: Place, surroundings: Surroundings, report: Report, effort: Effort) -> None:
        self._place = place
        self._surroundings = surroundings
        self._report = report
        self._effort = effort
        self._timing = Timing(place, surroundings, report)

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {name: getattr(self, name) for name in PARTS}

    def attach(self) -> None:
        """Both clouds with the same volumes: one after the other, neither sees the other's load."""
        start_networks(self._place.site)
        volumes = start_storage(self._place.site).make(self._effort.servers)
        real = RealVolumeCloud(self._place, self._surroundings, FLEET, "real-volumes")
        ours = OurVolumeCloud(self._place, self._surroundings, FLEET, "ours-volumes")
        for cloud, rounds in ((real, self._effort.real), (ours, self._effort.ours)):
            with self._timing.running(cloud):
                self._life(cloud, volumes, rounds)
        self._report.ratios.update(ratios(self._report.rows))

    def _life(self, cloud: Cloud, volumes: Sequence[str], rounds: int) -> None:
        self._timing.boot(cloud, self._effort.servers, clients=max(CASES.values()), limit_s=_LIMIT_S)
        has = dict(zip(deeds.servers_of(cloud), volumes, strict=False))
        # What opens on first use is not timed.
        _run(cloud, has, list(has)[:2], clients=1)
        for case, clients in CASES.items():
            before = self._timing.cpu(cloud)
            run = _run(cloud, has, list(has) * rounds, clients=clients)
            self._timing.add(cloud, case, run, self._timing.cpu(cloud).since(before))


def _run(cloud: Cloud, has: Mapping[str, str], servers: Sequence[str], *, clients: int) -> Run:
    locks = {server_id: threading.Lock() for server_id in has}

    def deed(doing: deeds.Doing, server_id: str) -> str:
        with locks[server_id]:
            return round_trip(doing, server_id, has[server_id])

    return deeds.drive(cloud, servers, deed, clients=clients, limit_s=_LIMIT_S, look=LOOKS[cloud.kind])


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Return for each case how many times as many round trips a second ours makes as the real one."""
    found: dict[str, float] = {}
    for case in CASES:
        per_s = {row.kind: row.summary.per_s for row in rows if row.case == case}
        if len(per_s) == 2 and per_s["real"]:
            found[f"attach and detach, {case}, a second"] = per_s["ours"] / per_s["real"]
    return found

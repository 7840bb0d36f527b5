"""The parts of the benchmark: what is done to servers in both clouds, and a real guest that moves in ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.moves import deeds, guest
from benchmarks.moves.clouds import FLEET, MovingRealCloud, start_networks
from benchmarks.moves.deeds import Deed
from benchmarks.moves.report import Report
from benchmarks.moves.timing import Timing
from benchmarks.scheduling.cloud import Cloud, Surroundings
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
        self._timing = Timing(place, surroundings, report)

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {name: getattr(self, name) for name in PARTS}

    def moves(self) -> None:
        """Imitated hosts, both clouds: one after the other, neither sees the other's load."""
        start_networks(self._place.site)
        real = MovingRealCloud(self._place, self._surroundings, FLEET, "real-moves")
        ours = OurCloud(self._place, self._surroundings, FLEET, "ours-moves")
        for cloud, servers in ((real, self._effort.real), (ours, self._effort.ours)):
            with self._timing.running(cloud):
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
        self._timing.boot(cloud, servers, clients=CLIENTS, limit_s=_LIMIT_S)
        deeds.add_larger_flavor(cloud)
        for case, deed in CASES.items():
            before = self._timing.cpu(cloud)
            run = deeds.drive(cloud, deeds.servers_of(cloud), deed, clients=CLIENTS, limit_s=_LIMIT_S)
            self._timing.add(cloud, case, run, self._timing.cpu(cloud).since(before))

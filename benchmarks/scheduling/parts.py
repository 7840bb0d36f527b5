"""The parts of the benchmark, each with clouds of its own."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.placement.figures import percentile
from benchmarks.placement.peers import cpu_s
from benchmarks.scheduling import boots, figures, filling, idle
from benchmarks.scheduling.cloud import Cloud, Fleet, Surroundings
from benchmarks.scheduling.decisions import Asking, Waiting
from benchmarks.scheduling.figures import Cpu, Run
from benchmarks.scheduling.ours import OurCloud
from benchmarks.scheduling.place import Place
from benchmarks.scheduling.real import RealCloud
from benchmarks.scheduling.report import Fact, Ratio, Report, Row, line
from nova_lite.model.request_spec import Decision

_AnyCloud = TypeVar("_AnyCloud", OurCloud, RealCloud)
#: The parts there are, in the order they are run; a quick run leaves out the last.
PARTS = ("small", "hundred", "packed", "wide", "huge")
QUICK_PARTS = PARTS[:-1]
#: Names of clouds: each has buses of its own from the start.
CLOUDS = tuple(f"{kind}-{part}" for part in PARTS for kind in ("ours", "real"))
#: The goals: how many times the real one's boots a second; how much of the rate must be left on large and full clouds;
#: decisions a second of one scheduler; how many times our agent's memory the real one's takes.
BOOTS, FLAT, DECISIONS, MEMORY = 15.0, 0.8, 100.0, 2.0
CLIENTS = (8, 64)
#: A cloud is full here.
FULL = 0.98
#: Servers of one request.
MANY = 100
#: The last slots, and those who want them at once.
LAST, WANTING = 50, 200
#: Hosts share processes so that each carries a few hundred at most.
_CARRIERS = 4
_WARM_UP = 16
#: Servers that decisions may be asked for, at most: one a host must leave room for more.
_DECISIONS = 4000
#: Seconds that one server gets, and a request for many.
_BOOT_S, _MANY_S = 300.0, 600.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: servers booted by 8 and by 64 clients, in our clouds and in the real one; seconds of rest."""

    ours: tuple[int, int]
    real: tuple[int, int]
    real_at_100: bool
    slots: int
    rest_s: float
    asked_s: float


QUICK = Effort((150, 250), (24, 64), real_at_100=False, slots=6, rest_s=60.0, asked_s=5.0)
WHOLE = Effort((300, 500), (60, 200), real_at_100=True, slots=12, rest_s=180.0, asked_s=15.0)


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

    # -- beside the real one

    def small(self) -> None:
        """Four hosts, a process each, as shipped: both clouds at rest, then booting in turns."""
        with self._real("small", Fleet(4)) as real, self._ours("small", Fleet(4)) as ours:
            for cloud in (real, ours):
                self._warm_up(cloud)
            self._rest(real, ours)
            for cloud in (real, ours):
                self._both_crowds(cloud, "boots")
            self._compare(4)
            if self._effort.real_at_100:
                self._many(ours, real)

    def hundred(self) -> None:
        """A hundred hosts in four processes: ours until it is full; the real one beside it in a whole run."""
        slots = self._effort.slots
        with self._ours("hundred", Fleet(100, _CARRIERS, slots)) as ours:
            self._warm_up(ours)
            first, _ = self._both_crowds(ours, "boots")
            self._many(ours)
            so_far = _WARM_UP + sum(self._effort.ours) + MANY
            left = figures.slots(100, slots, FULL) - so_far
            last = self._boot(ours, "filling to 98 %", servers=left, clients=CLIENTS[0])
            self._tenths("spread", first, last, figures.slots(100, slots, 0.1))
        self._flat(100)
        if self._effort.real_at_100:
            with self._real("hundred", Fleet(100, _CARRIERS)) as real:
                self._warm_up(real)
                self._both_crowds(real, "boots")
                self._many_of(real)
            self._compare(100)

    # -- ours alone

    def packed(self) -> None:
        """The fullest host first, until 50 slots are left; then 200 want one of them at once."""
        slots = 4
        with self._ours("packed", Fleet(100, _CARRIERS, slots, packs=True)) as ours:
            self._warm_up(ours)
            run = self._boot(ours, "packed", servers=100 * slots - LAST - _WARM_UP, clients=CLIENTS[0])
            self._tenths("packed", run, run, figures.slots(100, slots, 0.1))
            self._last_slots(ours)

    def wide(self) -> None:
        """A thousand hosts."""
        self._large("wide", 1_000, 250)

    def huge(self) -> None:
        """Five thousand hosts, empty and all but full."""
        self._large("huge", 5_000, 1_250, fills=True)

    def _large(self, name: str, hosts: int, each: int, *, fills: bool = False) -> None:
        # A heartbeat every ten seconds from each would keep one processor busy.
        fleet = Fleet(hosts, hosts // each, slots=2, report_s=hosts // 20)
        with self._ours(name, fleet) as ours:
            self._warm_up(ours)
            first, _ = self._both_crowds(ours, "boots")
            self._decide(ours)
            if fills:
                filled = filling.fill(self._place, ours, FULL)
                self._tell(f"claimed {filled} of {hosts * 2} slots in Placement")
                last = self._boot(ours, "98 % claimed", servers=100, clients=CLIENTS[0])
                self._tenths(f"{hosts} hosts", first, last, len(last.boots))
                self._decide(ours, "98 % claimed")
        self._flat(hosts)

    # -- what is measured

    def _warm_up(self, cloud: Cloud) -> None:
        boots.add_flavor(cloud)
        run = boots.drive(cloud, self._surroundings.image_id, servers=_WARM_UP, clients=4, limit_s=_BOOT_S)
        if len(run.active) != _WARM_UP:
            self._tell(f"warming up, {cloud.name}: {figures.told(run.outcomes)}; {boots.fault(cloud)}")

    def _both_crowds(self, cloud: Cloud, case: str) -> tuple[Run, Run]:
        few, many = self._effort.real if cloud.kind == "real" else self._effort.ours
        return (
            self._boot(cloud, case, servers=few, clients=CLIENTS[0]),
            self._boot(cloud, case, servers=many, clients=CLIENTS[1]),
        )

    def _boot(self, cloud: Cloud, case: str, *, servers: int, clients: int) -> Run:
        before = self._cpu(cloud)
        run = boots.drive(cloud, self._surroundings.image_id, servers=servers, clients=clients, limit_s=_BOOT_S)
        found = figures.summary(run, self._cpu(cloud).since(before))
        row = Row(case, cloud.fleet.hosts, clients, cloud.kind, found)
        self._report.rows.append(row)
        print(line(row), flush=True)
        if found.failed:
            self._tell(f"{case}, {cloud.name}: {figures.told(run.outcomes)}; {boots.fault(cloud)}")
        return run

    def _cpu(self, cloud: Cloud) -> Cpu:
        def used(names: Sequence[str]) -> float:
            return cpu_s(itertools.chain.from_iterable(idle.pids_of(self._place, name) for name in names))

        services = [name for name in cloud.programs if name not in cloud.agents]
        return Cpu(used(services), used(cloud.agents), used(["rabbitmq"]), used(["mariadb"]))

    def _compare(self, hosts: int) -> None:
        for clients in CLIENTS:
            real = self._report.found("boots", hosts, clients, "real")
            ours = self._report.found("boots", hosts, clients, "ours")
            if real is not None and ours is not None and real.per_s:
                self._ratio(f"boots a second {hosts} hosts {clients} clients", ours.per_s / real.per_s, BOOTS)
                self._ratio(f"CPU a boot {hosts} hosts {clients} clients", real.cpu_ms / ours.cpu_ms, None)

    def _flat(self, hosts: int) -> None:
        for clients in CLIENTS:
            small, large = (self._report.found("boots", count, clients, "ours") for count in (4, hosts))
            if small is not None and large is not None and small.per_s:
                self._ratio(f"boots a second {hosts} hosts over 4 {clients} clients", large.per_s / small.per_s, FLAT)

    def _tenths(self, name: str, first: Run, last: Run, tenth: int) -> None:
        """Compare the first tenth of a cloud that filled up with the last."""
        early, late = figures.flow(first.boots[:tenth]), figures.flow(last.boots[-tenth:])
        self._tell(f"{name}: {early:.1f} boots/s in the first tenth, {late:.1f} in the last")
        if early:
            self._ratio(f"last tenth over first {name}", late / early, FLAT)

    def _many(self, ours: Cloud, real: Cloud | None = None) -> None:
        """One request for a hundred servers."""
        took = self._many_of(ours)
        if real is not None:
            self._ratio(f"{MANY} servers of one request {ours.fleet.hosts} hosts", self._many_of(real) / took, None)

    def _many_of(self, cloud: Cloud) -> float:
        took = boots.many(cloud, self._surroundings.image_id, servers=MANY, limit_s=_MANY_S)
        self._tell(f"{MANY} servers of one request, {cloud.fleet.hosts} hosts, {cloud.kind}: {took:.2f} s")
        return took

    def _last_slots(self, cloud: OurCloud) -> None:
        """Have 200 clients want one of the last 50 slots each."""
        image = self._surroundings.image_id
        run = boots.drive(cloud, image, servers=WANTING, clients=WANTING, limit_s=_BOOT_S)
        waits = [boot.took_s for boot in run.boots]
        p50, p99 = (percentile(waits, part) for part in (0.5, 0.99))
        self._fact(Fact(f"{WANTING} at once for the last {LAST} slots, POST to ACTIVE or ERROR, p50", "s", p50))
        self._fact(Fact(f"{WANTING} at once for the last {LAST} slots, POST to ACTIVE or ERROR, p99", "s", p99))
        wanted = {"active": LAST, "error": WANTING - LAST}
        alike = "as it must be" if run.outcomes == wanted else f"BUT MUST BE {figures.told(wanted)}"
        self._tell(f"the last {LAST} slots: {figures.told(run.outcomes)}, {alike}")
        over, held = filling.truth(self._place, cloud)
        full = cloud.fleet.hosts * (cloud.fleet.slots or 0)
        self._tell(f"Placement: {held} of {full} slots are held, {over} hosts are over capacity")

    def _decide(self, cloud: OurCloud, state: str = "") -> None:
        """Ask one scheduler for places as fast as it answers.

        In a cloud that is all but full nobody waits for the servers placed, and the scheduler gives each claim back:
        else it would soon be full.
        """
        asking = Asking(cloud.configuration("super-conductor"), self._surroundings.image_id)
        waiting = Waiting(cloud.api_url, 0 if state else min(_DECISIONS, cloud.fleet.hosts))
        with contextlib.closing(asking), contextlib.closing(waiting):
            place = asking.place if state else (lambda: asking.place(waiting.following()))
            kind = "decisions and releases" if state else "decisions"
            self._rate(cloud, asking, f"{kind} a second", state, place, None if state else DECISIONS)
            self._rate(cloud, asking, "rehearsals a second", state, asking.rehearse, None)
            filling.release(cloud, waiting.placed)

    def _rate(
        self,
        cloud: OurCloud,
        asking: Asking,
        name: str,
        state: str,
        ask: Callable[[], Decision],
        goal: float | None,
    ) -> None:
        scheduler = idle.pids_of(self._place, f"{cloud.name}-scheduler")
        asking.per_s(ask, clients=2, seconds=1.0)
        before, began = cpu_s(scheduler), time.perf_counter()
        rate = asking.per_s(ask, clients=CLIENTS[0], seconds=self._effort.asked_s)
        each_ms = (cpu_s(scheduler) - before) * 1000 / max(1.0, rate * (time.perf_counter() - began))
        case = f"{name} {cloud.fleet.hosts} hosts{' ' + state if state else ''}"
        self._tell(f"{case}: {rate:.1f}, {each_ms:.1f} ms of the scheduler's CPU each")
        self._ratio(case, rate, goal)

    def _rest(self, real: Cloud, ours: Cloud) -> None:
        """Look at both clouds while nobody asks anything of them."""
        self._tell(f"both clouds rest for {self._effort.rest_s:g} s")
        theirs, mine = idle.watch(self._place, [real, ours], seconds=self._effort.rest_s)
        for name in ("placement", "super-conductor", "scheduler", "conductor", "api", "hosts-0"):
            self._fact(Fact(f"memory, {name}", "MB", mine.memory_mb[name], theirs.memory_mb[name]))
        self._fact(Fact("an idle agent, CPU a minute", "ms", mine.agent_cpu_ms, theirs.agent_cpu_ms))
        self._fact(Fact("an idle agent, on the bus a minute", "bytes", mine.agent_bus_bytes, theirs.agent_bus_bytes))
        for name in sorted({*theirs.statements, *mine.statements}):
            fact = Fact(
                f"4 idle hosts, statements a minute at database {name}",
                "",
                mine.statements.get(name, 0.0),
                theirs.statements.get(name, 0.0),
            )
            self._fact(fact)
        self._ratio("memory of an idle agent", theirs.agent_mb / mine.agent_mb, MEMORY)

    # -- telling

    def _ours(self, part: str, fleet: Fleet) -> contextlib.AbstractContextManager[OurCloud]:
        return self._running(OurCloud(self._place, self._surroundings, fleet, f"ours-{part}"))

    def _real(self, part: str, fleet: Fleet) -> contextlib.AbstractContextManager[RealCloud]:
        return self._running(RealCloud(self._place, self._surroundings, fleet, f"real-{part}"))

    @contextlib.contextmanager
    def _running(self, cloud: _AnyCloud) -> Iterator[_AnyCloud]:
        """Run a cloud."""
        began = time.perf_counter()
        print(f"starting {cloud.name}: {cloud.fleet.hosts} hosts in {len(cloud.agents)} processes", flush=True)
        try:
            cloud.start()
            self._tell(f"{cloud.name} took {time.perf_counter() - began:.0f} s to start")
            yield cloud
        finally:
            cloud.stop()

    def _ratio(self, case: str, value: float, goal: float | None) -> None:
        self._report.ratios.append(Ratio(case, value, goal))

    def _fact(self, fact: Fact) -> None:
        self._report.facts.append(fact)
        print(fact.told(), flush=True)

    def _tell(self, text: str) -> None:
        self._report.checks.append(text)
        print(text, flush=True)

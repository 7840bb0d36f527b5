"""The parts of the benchmark, each with servers and databases of its own."""

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import results
from benchmarks.listing import answers, cases, cloud, peers, quota
from benchmarks.listing.cases import Case
from benchmarks.listing.peers import OurNova
from benchmarks.placement.figures import Measure, of
from benchmarks.placement.measuring import Measuring
from benchmarks.placement.peers import Peer, Stage
from benchmarks.placement.wire import BadAnswer, ask
from benchmarks.results import Result
from tests.integration.stack.site import ADDRESS

#: The parts there are, in the order they are run.
PARTS = ("pages", "wide", "dead", "quota")
CLIENTS = (1, 8)
_WARM_UP = 16
#: Servers of the wide cloud in a quick run.
_QUICK_WIDE = 20_000


class Parts:
    """Runs parts on one stage; ``quick`` makes the wide cloud smaller and asks for pages by one client only."""

    def __init__(self, stage: Stage, measuring: Measuring, *, quick: bool) -> None:
        self._stage = stage
        self._measuring = measuring
        self._report = measuring.report
        self._quick = quick
        self._pair: OurNova | None = None
        self._wide: OurNova | None = None

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {"pages": self.pages, "wide": self.wide, "dead": self.dead, "quota": self.quota}

    # -- ours and the real one

    def pages(self) -> None:
        """Both servers over the same 10,000 servers in three cells."""
        cells, count = cases.PAIR
        shown = cloud.shown(count, cells)
        real = peers.real(self._stage, cells, count)
        ours = self._our_pair()
        with peers.running(self._stage, real, ours) as both:
            asked = [case for case in cases.in_turn(shown) if not (self._quick and case.is_slow)]
            for peer in both:
                self._warm_up(peer, cases.show(shown))
            for case in asked:
                self._compare(both, case)
            for case in asked:
                self._measure(both, case)
            late = cases.marker(shown)
            for first, ninth in ((cases.detail(), cases.detail(late)), (cases.plain(), cases.plain(late))):
                before, behind = self._in_turns(both[-1:] * 2, (first, ninth))
                self._add(_times(f"{ninth.name} over page 1, ours, CPU", behind.cpu_ms, before.cpu_ms, cases.LATE_PAGE))

    def _our_pair(self) -> OurNova:
        if self._pair is None:
            self._pair = peers.ours(self._stage, *cases.PAIR)
        return self._pair

    def _warm_up(self, peer: Peer, case: Case) -> None:
        """Have every process of a server connect to every cell."""
        steps = itertools.cycle([ask(data) for data in case.requests])
        peer.block(itertools.islice(steps, 4 * _WARM_UP), clients=8, budget_s=20.0)

    def _compare(self, both: Sequence[Peer], case: Case) -> None:
        """Say what both answer to a case, and whether it is the same."""
        bodies = []
        for peer in both:
            client = peer.client()
            answer = client.send(case.requests[0])
            client.close()
            if answer.status != 200:
                raise BadAnswer(f"{case.name}, {peer.kind}: {answer.status} {answer.body[:500]!r}")
            bodies.append(answer.body)
        found = answers.differences(*bodies)
        alike = "the same" if not found else "DIFFERENT: " + "; ".join(found)
        self._measuring.check(f"{case.name}: {answers.count(bodies[-1])} servers, {alike}")

    def _measure(self, both: Sequence[Peer], case: Case) -> None:
        # Eight clients wait half a minute for the real one's pages.
        for clients in (1,) if self._quick and case.goal is not cases.SHOW else CLIENTS:
            steps = {peer.kind: itertools.cycle([ask(data) for data in case.requests]) for peer in both}
            self._measuring.rounds(both, case.name, clients, steps, case.goal)

    # -- ours alone

    def wide(self) -> None:
        """Twenty cells against one."""
        cells, count = cases.WIDE
        small = peers.ours(self._stage, *cases.SMALL, name="ours-small")
        wide = peers.ours(self._stage, cells, _QUICK_WIDE if self._quick else count, name="ours-wide")
        self._wide = wide
        with peers.running(self._stage, small, wide) as both:
            for case, goal in ((cases.detail(goal=None), cases.WIDE_GROWTH), (cases.plain(goal=None), None)):
                few, many = self._in_turns(both, (case, case))
                self._add_measure(f"{case.name}, 1 cell", few)
                self._add_measure(f"{case.name}, {cells} cells", many)
                name = f"{case.name}, {cells} cells over 1 cell"
                self._add(_times(name, many.p50_ms, few.p50_ms, goal))

    def dead(self) -> None:
        """Three cells, and three with a fourth that is dead: its server never speaks, or refuses to be called."""
        _, count = cases.PAIR
        well = self._our_pair()
        with _silent_port() as silent, _refusing_port() as refusing:
            for kind, port in (("silent", silent), ("refusing", refusing)):
                hurt = peers.with_dead_cell(self._stage, well, count, f"ours-{kind}", port)
                with peers.running(self._stage, well, hurt) as both:
                    client = both[1].client()
                    waited = client.send(cases.detail().requests[0]).wait_s
                    client.close()
                    self._add(results.of(f"first page, {kind} cell", [waited * 1000], "ms"))
                    for case in (cases.detail(goal=None), cases.plain(goal=None)):
                        without, with_dead = self._in_turns(both, (case, case))
                        self._add_measure(f"{case.name}, all cells well", without)
                        self._add_measure(f"{case.name}, {kind} cell beside", with_dead)
                        name = f"{case.name}, {kind} cell beside over all well"
                        self._add(_times(name, with_dead.p50_ms, without.p50_ms, cases.DEAD_GROWTH))

    def _in_turns(self, both: Sequence[Peer], pair: tuple[Case, Case]) -> tuple[Measure, Measure]:
        """Return what the first case takes the first server and the second the second, in turns: the best of each.

        So little is compared here that what else the machine does must not count.
        """
        effort = self._measuring.effort
        blocks: tuple[list[Measure], list[Measure]] = ([], [])
        for number in range(2 * effort.rounds + 1):
            for peer, case, found in zip(both, pair, blocks, strict=True):
                some = itertools.repeat(ask(case.requests[0]), _WARM_UP if number == 0 else effort.requests)
                budget_s = 60.0 if number == 0 else effort.block_s / 2
                block = peer.block(some, clients=8 if number == 0 else 1, budget_s=budget_s, at_least=5)
                if set(block.statuses) != {200}:
                    raise BadAnswer(f"{case.name}, {peer.server.name}: {dict(block.statuses)}")
                if number > 0:
                    found.append(of([block]))
        first, second = blocks
        if pair[0] is pair[1]:
            return min(first, key=_wait), min(second, key=_wait)
        return min(first, key=_cpu), min(second, key=_cpu)

    def quota(self) -> None:
        """Count a project's use, as every boot does."""
        nova = self._wide
        if nova is None:
            cells, count = cases.WIDE
            nova = peers.ours(self._stage, cells, _QUICK_WIDE if self._quick else count, name="ours-wide")
        with nova.opened() as (api, _):
            for whose, project_id, goal in (
                ("a project of a hundredth", cloud.OTHERS[0], cases.QUOTA_MS),
                ("nearly all", cloud.PROJECT, None),
            ):
                used, samples_ms = quota.check(api, project_id, rounds=10 if self._quick else 50)
                self._measuring.check(f"quota: {whose} has {used} servers")
                self._add(results.of(f"quota check, {whose}", samples_ms, "ms", goal))

    # -- telling

    def _add_measure(self, name: str, measure: Measure) -> None:
        self._add(Result(name, measure.p50_ms, "ms", measure.p95_ms, measure.requests))

    def _add(self, result: Result) -> None:
        self._report.others.append(result)
        print(f"{result.case}: {result.value:.2f} {result.unit}", flush=True)


def _wait(measure: Measure) -> float:
    return measure.p50_ms


def _cpu(measure: Measure) -> float:
    return measure.cpu_ms


def _times(name: str, value: float, base: float, goal: float | None) -> Result:
    return results.of(name, [value / base], "times", goal)


@contextlib.contextmanager
def _silent_port() -> Iterator[int]:
    """Yield a port whose server takes every connection and never says a word."""
    with socket.create_server((ADDRESS, 0), backlog=1024) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def _refusing_port() -> Iterator[int]:
    """Yield a port where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as holder:
        holder.bind((ADDRESS, 0))
        yield int(holder.getsockname()[1])

"""Runs a case against both servers in turns, so that a machine that gets slower does so for both."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.placement import figures
from benchmarks.placement.cases import Case, Goal
from benchmarks.placement.figures import Block
from benchmarks.placement.peers import Peer
from benchmarks.placement.report import Report, Row, lines_of
from benchmarks.placement.wire import BadAnswer, Step, ask

#: How many clients at once every case is run with.
CLIENTS = (1, 8)
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is measured: rounds of blocks, each at most so many seconds and so many requests."""

    rounds: int
    block_s: float
    requests: int


QUICK = Effort(rounds=2, block_s=0.8, requests=150)
FULL = Effort(rounds=3, block_s=2.0, requests=400)
#: A rate is that of writers who have been at it for a while.
STEADY = Effort(rounds=2, block_s=4.0, requests=100_000)


class Measuring:
    """Measures cases and tells of each as soon as it is known."""

    def __init__(self, report: Report, effort: Effort) -> None:
        self.report = report
        self.effort = effort

    def reads(self, peers: Sequence[Peer], case: Case, clients: Sequence[int] = CLIENTS) -> None:
        """Measure a case that changes nothing; both servers must answer alike first."""
        answers = {peer.kind: _size_of_answer(peer, case) for peer in peers}
        if len(set(answers.values())) > 1:
            self.check(f"{case.name}: answers differ, " + ", ".join(f"{kind} {size}" for kind, size in answers.items()))
        for count in clients:
            steps = {peer.kind: itertools.cycle([ask(data) for data in case.requests]) for peer in peers}
            self.rounds(peers, case.name, count, steps, case.goal)

    def rounds(
        self,
        peers: Sequence[Peer],
        name: str,
        clients: int,
        steps: Mapping[str, Iterator[Step]],
        goal: Goal | None,
        after: Callable[[Peer], None] = lambda _peer: None,
    ) -> None:
        """Run the steps for each server (kind → steps without end) in turns; ``after`` each block, tidy up.

        Goals are for one client, those of rates aside.
        """
        blocks: dict[str, list[Block]] = {peer.kind: [] for peer in peers}
        effort = STEADY if goal is not None and goal.by == "rate" else self.effort
        for number in range(effort.rounds + 1):
            for peer in peers:
                # The first round is for imports, connections and caches.
                wanted = max(_WARM_UP, clients) if number == 0 else effort.requests
                budget_s = effort.block_s / 2 if number == 0 else effort.block_s
                some = itertools.islice(steps[peer.kind], wanted)
                least = 1 if number == 0 else max(3, clients)
                block = peer.block(some, clients=clients, budget_s=budget_s, at_least=least)
                after(peer)
                if number > 0:
                    blocks[peer.kind].append(block)
        self.add(name, clients, blocks, goal if clients == 1 or (goal is not None and goal.by == "rate") else None)

    def add(self, name: str, clients: int, blocks: dict[str, list[Block]], goal: Goal | None) -> None:
        """Put what blocks say into the report."""
        found = {kind: figures.of(some) for kind, some in blocks.items()}
        row = Row(name, clients, found["ours"], found.get("real"), goal)
        self.report.rows.append(row)
        for line in lines_of(row):
            print("  ".join(cell for cell in line if cell), flush=True)

    def check(self, text: str) -> None:
        """Put one sentence into the report."""
        self.report.checks.append(text)
        print(text, flush=True)


def _size_of_answer(peer: Peer, case: Case) -> int:
    """Return how many things the first request of a case is answered with."""
    client = peer.client()
    answer = client.send(case.requests[0])
    client.close()
    if answer.status != 200:
        raise BadAnswer(f"{case.name}, {peer.kind}: {answer.status} {answer.body[:500]!r}")
    found = answer.json()
    return len(found.get("allocation_requests", found))

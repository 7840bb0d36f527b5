"""The parts of the benchmark: single requests, starts and memory of a worker, and servers asked for in whole clouds."""

import contextlib
import itertools
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks import results
from benchmarks.api import cases, clouds, identity
from benchmarks.api.cases import Case
from benchmarks.listing import cloud as listed
from benchmarks.listing.peers import running
from benchmarks.placement.figures import Block
from benchmarks.placement.measuring import Measuring
from benchmarks.placement.peers import Peer, Stage
from benchmarks.placement.report import Ratio
from benchmarks.placement.wire import BadAnswer, Step, ask
from benchmarks.scheduling import boots
from benchmarks.scheduling.cloud import Cloud, Fleet
from benchmarks.scheduling.idle import pids_of
from benchmarks.scheduling.place import Place, images
from tests.integration.stack.processes import wait_until
from tests.integration.stack.rabbitmq import RabbitMQ

#: The parts there are, in the order they are run.
PARTS = ("reads", "start", "accepted")
CLIENTS = (1, cases.CROWD)
#: Names of the whole clouds: each has buses of its own.
_WHOLE = ("ours-whole", "real-whole")
_WARM_UP = 64
#: Seconds that servers which were asked for get to become ACTIVE.
_ACTIVE_S = 300.0
_DONE = sa.text("SELECT COUNT(*) FROM instances WHERE vm_state IN ('active', 'error') AND task_state IS NULL")


@dataclass(frozen=True, slots=True)
class Effort:
    """Starts of each server; servers asked for of ours and of the real one in a block; blocks."""

    starts: int
    ours: int
    real: int
    blocks: int


QUICK = Effort(starts=2, ours=64, real=24, blocks=1)
WHOLE = Effort(starts=5, ours=160, real=40, blocks=3)


class Parts:
    """Runs parts on one stage."""

    def __init__(self, stage: Stage, measuring: Measuring, effort: Effort) -> None:
        self._stage = stage
        self._measuring = measuring
        self._report = measuring.report
        self._effort = effort
        self._identity: dict[str, object] | None = None
        self._made: tuple[clouds.RealCheckingNova, clouds.OurCheckingNova] | None = None

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {"reads": self.reads, "start": self.start, "accepted": self.accepted}

    # -- the Compute API alone

    def reads(self) -> None:
        """Single requests about the same rows."""
        with self._running() as both:
            asked = cases.reads(listed.shown(cases.SERVERS, cases.CELLS))
            for peer in both:
                for case in asked:
                    self._warm_up(peer, case)
            for case in asked:
                self._compare(both, case)
            for case, clients in itertools.product(asked, CLIENTS):
                steps = {peer.kind: itertools.cycle([ask(data) for data in case.requests]) for peer in both}
                self._measuring.rounds(both, case.name, clients, steps, case.goal)
            self._memory(both)

    def start(self) -> None:
        """From the start of a server until it answers its first question with a token."""
        first = cases.reads(())[1].requests[0]
        with self._running() as both:
            waits: dict[str, list[float]] = {peer.kind: [] for peer in both}
            costs: dict[str, list[float]] = {peer.kind: [] for peer in both}
            for _ in range(self._effort.starts):
                for peer in both:
                    peer.server.stop()
                    began = time.perf_counter()
                    peer.server.start()
                    with closing(peer.client()) as client:
                        client.send(first).json()
                    waits[peer.kind].append(time.perf_counter() - began)
                    costs[peer.kind].append(peer.loading_s())
                    # Until all workers are up the other server would have less of the machine.
                    peer.settle()
            self._add("first answer after a start, real", waits["real"], "s")
            self._add("first answer after a start, ours", waits["ours"], "s", cases.FIRST_ANSWER_S)
            self._add("CPU of first process and worker until then, real", costs["real"], "s")
            self._add("CPU of first process and worker until then, ours", costs["ours"], "s", cases.FIRST_ANSWER_S)

    @contextlib.contextmanager
    def _running(self) -> Iterator[list[Peer]]:
        is_new = self._made is None
        self._made = self._made or clouds.pair(self._stage, self._checking())
        with running(self._stage, *self._made) as both:
            if is_new:
                for peer in both:
                    clouds.add_nouns(peer)
            yield both

    def _warm_up(self, peer: Peer, case: Case) -> None:
        """Have every process and thread of a server connect, and remember the token."""
        steps = itertools.cycle([ask(data) for data in case.requests])
        block = peer.block(itertools.islice(steps, _WARM_UP), clients=cases.CROWD, budget_s=3.0)
        if set(block.statuses) != {200}:
            raise BadAnswer(f"{case.name}, {peer.kind}: {dict(block.statuses)}")

    def _compare(self, both: Sequence[Peer], case: Case) -> None:
        """Say how much both answer to a case; of a list they must name as many things."""
        answers = {}
        for peer in both:
            with closing(peer.client()) as client:
                answers[peer.kind] = client.send(case.requests[0])
        if case.noun is not None:
            lengths = {kind: len(answer.json()[case.noun]) for kind, answer in answers.items()}
            self._measuring.check(f"{case.name}: {lengths['real']} there, {lengths['ours']} here")
        sizes = {kind: len(answer.body) for kind, answer in answers.items()}
        self._measuring.check(f"{case.name}: {sizes['real']} bytes there, {sizes['ours']} here")

    def _memory(self, both: Sequence[Peer]) -> None:
        """Memory after all the questions above: of the largest worker, and of the server for each of its workers."""
        for name, (theirs, mine) in {
            "memory of a worker": [peer.memory_mb() for peer in both],
            "memory of the server for each worker": [peer.fair_memory_mb() for peer in both],
        }.items():
            self._report.ratios.append(Ratio(name, theirs, mine, "MB", cases.MEMORY))
            self._measuring.check(f"{name}: {theirs:.0f} MB there, {mine:.0f} MB here")

    # -- whole clouds

    def accepted(self) -> None:
        """Servers asked for, eight at once, as fast as they are accepted, in clouds that carry them out meanwhile."""
        vhosts = [f"{cloud}-{bus}" for cloud in _WHOLE for bus in ("api", "cell1")]
        rabbitmq = RabbitMQ(self._stage.site, vhosts)
        rabbitmq.start()
        place = Place(self._stage, rabbitmq)
        surroundings = images(place)
        image_id = surroundings.image_id
        at_work: dict[str, list[Block]] = {"real": [], "ours": []}
        alone: dict[str, list[Block]] = {"real": [], "ours": []}
        memory: dict[str, float] = {}
        kinds: dict[str, type[clouds.RealCheckingCloud | clouds.OurCheckingCloud]] = {
            "real": clouds.RealCheckingCloud,
            "ours": clouds.OurCheckingCloud,
        }
        for kind, each in kinds.items():
            cloud = each(place, surroundings, Fleet(4), f"{kind}-whole")
            cloud.identity = self._checking()
            print(f"starting {cloud.name}", flush=True)
            try:
                cloud.start()
                boots.add_flavor(cloud)
                peer = Peer(kind, ApiOf(cloud), self._stage.site)
                self._ask_for(place, peer, cloud, image_id, cases.CROWD * 2)
                wanted = self._effort.ours if kind == "ours" else self._effort.real
                for _ in range(self._effort.blocks):
                    at_work[kind].append(self._ask_for(place, peer, cloud, image_id, wanted))
                    alone[kind].append(self._ask_for(place, peer, cloud, image_id, wanted, pauses=True))
                memory[kind] = peer.memory_mb()
            finally:
                cloud.stop()
        self._measuring.add("POST /servers", cases.CROWD, at_work, cases.ACCEPTED)
        self._measuring.add("POST /servers, nobody builds", cases.CROWD, alone, cases.ACCEPTED)
        name = "memory of a worker that made servers"
        self._report.ratios.append(Ratio(name, memory["real"], memory["ours"], "MB", cases.MEMORY))

    def _ask_for(
        self, place: Place, peer: Peer, cloud: Cloud, image_id: str, servers: int, *, pauses: bool = False
    ) -> Block:
        """Ask for so many servers; return when all are there, too. ``pauses``: nothing but the API works meanwhile."""
        engine = cloud.where.engine()
        with engine.connect() as connection:
            before = connection.scalar(_DONE) or 0
            with self._paused(place, cloud) if pauses else contextlib.nullcontext():
                block = peer.block(_posts(image_id, servers), clients=cases.CROWD, budget_s=_ACTIVE_S)
            if set(block.statuses) != {202}:
                raise BadAnswer(f"POST /servers, {peer.kind}: {dict(block.statuses)}")
            wait_until(lambda: (connection.scalar(_DONE) or 0) >= before + servers, "the servers", timeout_s=_ACTIVE_S)
        return block

    @staticmethod
    @contextlib.contextmanager
    def _paused(place: Place, cloud: Cloud) -> Iterator[None]:
        """Stop the processes of a cloud but its Compute API where they are, and let them go on afterwards."""
        pids = [pid for name in cloud.programs if name != f"{cloud.name}-api" for pid in pids_of(place, name)]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # -- telling

    def _checking(self) -> dict[str, object]:
        if self._identity is None:
            self._identity = identity.start(self._stage.site)
        return self._identity

    def _add(self, case: str, samples: Sequence[float], unit: str, goal: float | None = None) -> None:
        result = results.of(case, samples, unit, goal)
        self._report.others.append(result)
        print(f"{result.case}: {result.value:.2f} {result.unit}", flush=True)


@dataclass(frozen=True, slots=True)
class ApiOf:
    """The Compute API of a whole cloud, as a server by itself."""

    cloud: Cloud

    @property
    def name(self) -> str:
        return f"{self.cloud.name}-api"

    @property
    def port(self) -> int:
        return self.cloud.port

    def start(self) -> None:
        """Start the whole cloud."""
        self.cloud.start()

    def stop(self) -> None:
        """End the whole cloud."""
        self.cloud.stop()


def _posts(image_id: str, servers: int) -> Iterator[Step]:
    prefix = uuid.uuid4().hex[:6]
    return (ask(boots.server(f"a{prefix}-{number}", image_id)) for number in range(servers))

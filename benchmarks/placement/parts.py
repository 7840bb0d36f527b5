"""The parts of the benchmark, each with servers and clouds of its own."""

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import results
from benchmarks.placement import cases, clouds, loading
from benchmarks.placement.cases import Case
from benchmarks.placement.claims import Claims
from benchmarks.placement.clouds import Cloud
from benchmarks.placement.figures import Block
from benchmarks.placement.measuring import CLIENTS, Measuring
from benchmarks.placement.peers import Peer, Stage
from benchmarks.placement.report import Ratio
from benchmarks.placement.wire import Step, ask, ask_at_most, request

#: The parts there are, in the order they are run.
PARTS = ("flat", "nested", "sharing", "wide", "hot", "fill", "large", "huge")
#: Those of a quick run: what takes minutes to load is left out.
QUICK_PARTS = PARTS[:-2]
_HOT_HOSTS = 4
_HOT_WRITERS = (16, 64)
#: Claims on the small cloud after it is full.
_TOO_MANY = 64
#: How long the one answer is waited for that may take minutes.
_PATIENCE_S = 600.0


class Parts:
    """Runs parts on one stage; ``quick`` makes clouds smaller and asks nothing that takes minutes."""

    def __init__(self, stage: Stage, measuring: Measuring, *, quick: bool) -> None:
        self._stage = stage
        self._measuring = measuring
        self._report = measuring.report
        self._quick = quick
        #: Server name → hosts that its flat cloud has.
        self._flat: dict[str, int] = {}
        #: (providers, changes) → ms of CPU that the read after them took.
        self._after_changes: dict[tuple[int, int], float] = {}

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return name → part, in the order they are run."""
        return {
            "flat": self.flat,
            "nested": self.nested,
            "sharing": self.sharing,
            "wide": self.wide,
            "hot": self.hot,
            "fill": self.fill,
            "large": self.large,
            "huge": self.huge,
        }

    # -- clouds that grow

    def flat(self) -> None:
        """Hosts by themselves: 100, then 1,000."""
        with self._stage.pair("flat") as peers:
            for size in cases.SIZES[:2]:
                self._grow(peers, size)
                for case in cases.flat_candidates(size):
                    self._measuring.reads(peers, case, CLIENTS if size == cases.SIZES[1] else (1,))
            for case in cases.single_reads(size):
                self._measuring.reads(peers, case)
            self._claims(peers, size)
            self._puts(peers, size)
            self._memory(peers, size)
            self._snapshot(peers[-1], size)

    def large(self) -> None:
        """The same with 10,000 hosts."""
        size = cases.SIZES[2]
        with self._stage.pair("flat") as peers:
            self._grow(peers, size)
            for case in cases.flat_candidates(size):
                self._measuring.reads(peers, case)
            self._claims(peers, size)
            self._memory(peers, size)
            self._first_request(peers, size)

    def huge(self) -> None:
        """Ours alone with 100,000 hosts."""
        size = cases.SIZES[3]
        with self._stage.pair("flat", with_real=False) as peers:
            self._grow(peers, size)
            for case in cases.flat_candidates(size):
                self._measuring.reads(peers, case)
            self._snapshot(peers[-1], size)
            self._first_request(peers, size)

    def _grow(self, peers: Sequence[Peer], size: int) -> None:
        """Add what the flat cloud lacks; the step to 1,000 is the case about loading."""
        blocks: dict[str, list[Block]] = {}
        first = 0
        for peer in peers:
            first = self._flat.get(peer.kind, 0)
            blocks[peer.kind] = [loading.load(peer, clouds.flat(first, size))] if first < size else []
            self._flat[peer.kind] = max(first, size)
        if all(blocks.values()):
            goal = cases.LOADING if size == cases.SIZES[1] else None
            self._measuring.add(f"load {size - first} providers", loading.CLIENTS, blocks, goal)

    def _memory(self, peers: Sequence[Peer], size: int) -> None:
        found = {peer.kind: peer.memory_mb() for peer in peers}
        self._add_ratio(Ratio(f"memory {size}", found["real"], found["ours"], "MB", 1.0))

    def _first_request(self, peers: Sequence[Peer], size: int) -> None:
        """Time the first request of a fresh worker that needs to know the hosts, some times."""
        question = ask(cases.flat_candidates(size)[0].requests[0])
        for peer in peers:
            waits: list[float] = []
            costs: list[float] = []
            for _ in range(3):
                peer.restart()
                block = peer.block([question], clients=1, budget_s=60.0)
                waits += block.waits_s
                costs.append(block.app_cpu_s + block.db_cpu_s)
            goal = cases.FIRST_REQUEST_S if peer.kind == "ours" and size == cases.SIZES[2] else None
            self._add_result(results.of(f"first request {size}, {peer.kind}", waits, "s", goal))
            self._add_result(results.of(f"first request {size}, {peer.kind}, CPU", costs, "s"))

    def _snapshot(self, peer: Peer, size: int) -> None:
        """Measure what the read costs that follows some changes, each of another host."""
        question = ask(cases.flat_candidates(size)[0].requests[0])
        for changes in (0, 1, 10, 100):
            costs_ms = []
            for turn in range(5 if self._quick else 15):
                claims = Claims(f"snapshot-{size}-{changes}-{turn}")
                peer.block(itertools.islice(itertools.repeat(question), 16), clients=4, budget_s=5.0)
                hosts = [clouds.host(turn * 7 + number).uuid for number in range(changes)]
                peer.block(itertools.islice(claims.put_to(hosts), changes), clients=2, budget_s=60.0)
                read = peer.block([question], clients=1, budget_s=60.0)
                costs_ms.append((read.app_cpu_s + read.db_cpu_s) * 1000)
                peer.block(claims.undo(), clients=2, budget_s=60.0)
            self._add_result(results.of(f"read after {changes} changes, {size} providers", costs_ms, "ms of CPU"))
            self._after_changes[size, changes] = statistics.median(costs_ms)
        small = cases.SIZES[1]
        if (small, 100) in self._after_changes and size > small:
            more, less = (self._after_changes[of, 100] - self._after_changes[of, 0] for of in (size, small))
            name = f"100 changes, {size} providers against {small}"
            self._add_result(results.of(name, [more / max(less, 0.1)], "times", cases.SNAPSHOT_GROWTH))

    # -- clouds with a shape

    def nested(self) -> None:
        """Trees of five."""
        trees = 100 if self._quick else 500
        self._shaped(clouds.nested(trees), cases.nested(trees))

    def sharing(self) -> None:
        """Hosts and pools of disks."""
        hosts = 100 if self._quick else 1000
        self._shaped(clouds.sharing(hosts), cases.sharing(hosts))

    def _shaped(self, cloud: Cloud, some: Sequence[Case]) -> None:
        with self._stage.pair(cloud.name) as peers:
            blocks = {peer.kind: [loading.load(peer, cloud)] for peer in peers}
            self._measuring.add(f"load {cloud.name} cloud", loading.CLIENTS, blocks, None)
            for case in some:
                self._measuring.reads(peers, case)

    def wide(self) -> None:
        """One tree with eight children: the real one makes every combination, so it is asked once at most."""
        with self._stage.pair("wide") as peers:
            for peer in peers:
                loading.load(peer, clouds.wide(8))
            self._measuring.reads(peers, cases.wide(8, 4), clients=(1,))
            if not self._quick:
                self._asked_once(peers, cases.wide(8, 6))
            self._measuring.reads(peers[-1:], cases.wide(8, 8))
            worker = peers[-1].memory_mb()
            self._add_result(results.of("memory after wide 8 x 8, ours", [worker], "MB"))

    def _asked_once(self, peers: Sequence[Peer], case: Case) -> None:
        """Measure a case whose answer the real one takes a minute for, or many where others use the machine."""
        blocks = {}
        for peer in peers:
            asked = itertools.repeat(ask_at_most(case.requests[0], _PATIENCE_S), 1 if peer.kind == "real" else 50)
            blocks[peer.kind] = [peer.block(asked, clients=1, budget_s=10.0)]
            if 0 in blocks[peer.kind][0].statuses:
                self._measuring.check(f"{case.name}: no answer of {peer.kind} within {_PATIENCE_S:g} s")
        self._measuring.add(case.name, 1, blocks, case.goal)

    # -- writers

    def _claims(self, peers: Sequence[Peer], size: int) -> None:
        self._writes(peers, f"claim {size}", lambda claims: claims.scheduled(), cases.CLAIM.get(size))

    def _puts(self, peers: Sequence[Peer], size: int) -> None:
        uuids = [clouds.host(number).uuid for number in range(size)]
        self._writes(peers, "PUT allocations", lambda claims: claims.put_to(uuids), cases.PUT_ALLOCATIONS)

    def _writes(
        self,
        peers: Sequence[Peer],
        name: str,
        steps: Callable[[Claims], Iterator[Step]],
        goal: cases.Goal | None,
        clients: Sequence[int] = CLIENTS,
    ) -> None:
        """Measure claims; what a block placed is taken away before the next."""
        for count in clients:
            claims = {peer.kind: Claims(f"{name}-{count}") for peer in peers}
            running = {kind: steps(mine) for kind, mine in claims.items()}

            def tidy(peer: Peer, claims: dict[str, Claims] = claims) -> None:
                peer.block(claims[peer.kind].undo(), clients=4, budget_s=600.0)

            self._measuring.rounds(peers, name, count, running, goal, tidy)

    def hot(self) -> None:
        """Many writers, few providers with room for all."""
        with self._stage.pair("hot") as peers:
            for peer in peers:
                loading.load(peer, clouds.hot(_HOT_HOSTS))
            uuids = [clouds.uuid_of(f"hot-{number}") for number in range(_HOT_HOSTS)]
            for writers in _HOT_WRITERS:
                name = f"claims on {_HOT_HOSTS} hot providers {writers} writers"
                self._writes(peers, name, lambda claims: claims.put_to(uuids), cases.HOT, (writers,))
                refused = self._report.rows[-1].ours.statuses.get(409, 0)
                self._add_result(results.of(f"409s, {name}", [refused], "answers", 0.0))

    def fill(self) -> None:
        """Fill a small cloud with many writers, then count."""
        hosts, cpus = 8, 16
        with self._stage.pair("small") as peers:
            for peer in peers:
                loading.load(peer, clouds.small(hosts, cpus))
                claims = Claims(f"fill-{peer.kind}")
                uuids = [clouds.uuid_of(f"small-{number}") for number in range(hosts)]
                steps = _until_full(claims, uuids, hosts * cpus)
                block = peer.block(steps, clients=32, budget_s=120.0)
                self._judge(peer, hosts, cpus, claims, block)

    def _judge(self, peer: Peer, hosts: int, cpus: int, claims: Claims, block: Block) -> None:
        client = peer.client()
        used = []
        for number in range(hosts):
            url = f"/resource_providers/{clouds.uuid_of(f'small-{number}')}"
            usages = client.send(request("GET", f"{url}/usages")).json()["usages"]
            held = client.send(request("GET", f"{url}/allocations")).json()["allocations"].values()
            told = sum(holding["resources"]["VCPU"] for holding in held)
            used.append((usages["VCPU"], told))
        client.close()
        over = sum(usage > cpus for usage, _ in used)
        untrue = sum(usage != told for usage, told in used)
        total = sum(usage for usage, _ in used)
        right = over == 0 and untrue == 0 and total == hosts * cpus == len(claims.placed)
        self._measuring.check(
            f"fill, {peer.kind}: {'right' if right else 'WRONG'}: {len(claims.placed)} placed and {total} used "
            f"where {hosts * cpus} fit, {over} providers over capacity, {untrue} whose usages are not the sum of their "
            f"allocations, {block.statuses.get(409, 0)} answers of 409, {block.took_s:.1f} s"
        )

    def _add_ratio(self, ratio: Ratio) -> None:
        self._report.ratios.append(ratio)
        print(f"{ratio.case}: real {ratio.real:.1f} {ratio.unit}, ours {ratio.ours:.1f} {ratio.unit}", flush=True)

    def _add_result(self, result: results.Result) -> None:
        self._report.others.append(result)
        print(f"{result.case}: {result.value:.2f} {result.unit}", flush=True)


def _until_full(claims: Claims, provider_uuids: Sequence[str], fitting: int) -> Iterator[Step]:
    """Yield claims, each second one without having asked for candidates, until all that fits is placed; then more."""
    scheduled, blind = claims.scheduled(), claims.put_to(provider_uuids)
    while len(claims.placed) < fitting:
        yield next(scheduled)
        yield next(blind)
    yield from itertools.islice(blind, _TOO_MANY)

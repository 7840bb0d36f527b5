"""What benchmarks of things done to servers share: a cloud that runs for a while, its CPU time, what is told."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence

from benchmarks.moves.report import Report, Row
from benchmarks.placement.peers import cpu_s
from benchmarks.scheduling import boots, figures, idle
from benchmarks.scheduling.cloud import Cloud, Surroundings
from benchmarks.scheduling.figures import Cpu, Run
from benchmarks.scheduling.place import Place


class Timing:
    """Runs clouds at one place, and adds what is found to a report."""

    def __init__(self, place: Place, surroundings: Surroundings, report: Report) -> None:
        self.place = place
        self.surroundings = surroundings
        self.report = report

    @contextlib.contextmanager
    def running(self, cloud: Cloud) -> Iterator[None]:
        """Have a cloud run."""
        began = time.perf_counter()
        print(f"starting {cloud.name}: {cloud.fleet.hosts} hosts", flush=True)
        try:
            cloud.start()
            self.tell(f"{cloud.name} took {time.perf_counter() - began:.0f} s to start")
            yield
        finally:
            cloud.stop()

    def boot(self, cloud: Cloud, servers: int, *, clients: int, limit_s: float) -> None:
        """Boot the servers to begin with."""
        boots.add_flavor(cloud)
        image = self.surroundings.image_id
        booted = boots.drive(cloud, image, servers=servers, clients=clients, limit_s=limit_s)
        if booted.outcomes != {"active": servers}:
            self.tell(f"{cloud.kind}: {figures.told(booted.outcomes)} of the servers to begin with")

    def cpu(self, cloud: Cloud) -> Cpu:
        """Return the CPU time that a cloud has taken so far."""

        def used(names: Sequence[str]) -> float:
            return cpu_s(itertools.chain.from_iterable(idle.pids_of(self.place, name) for name in names))

        services = [name for name in cloud.programs if name not in cloud.agents]
        return Cpu(used(services), used(cloud.agents), used(["rabbitmq"]), used(["mariadb"]))

    def add(self, cloud: Cloud, case: str, run: Run, cpu: Cpu) -> None:
        """Add what a run came to."""
        row = Row(case, cloud.kind, figures.summary(run, cpu))
        self.report.rows.append(row)
        print(row.told(), flush=True)
        if row.summary.failed:
            self.tell(f"{case}, {cloud.kind}: {figures.told(run.outcomes)}; {boots.fault(cloud)}")

    def tell(self, text: str) -> None:
        """Say something now, and in the report."""
        self.report.checks.append(text)
        print(text, flush=True)

"""How long ``nova-lite up`` takes until the Compute API answers: in a new directory, and with state."""

from benchmarks import process, results
from benchmarks.results import Result


def run(*, quick: bool) -> list[Result]:
    """Measure first starts and restarts."""
    first: list[float] = []
    again: list[float] = []
    for _ in range(3 if quick else 7):
        with process.state_dir() as path:
            for samples in (first, again):
                with process.running(path) as cloud:
                    samples.append(cloud.took_s)
    return [
        results.of("up, new state directory", first, "s", goal=3.0),
        results.of("up, restart", again, "s", goal=3.0),
    ]

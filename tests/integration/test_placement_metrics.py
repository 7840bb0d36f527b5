"""What several workers of Placement count is told in one answer, whichever of them is asked."""

import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import started
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.placement import Placement
from tests.integration.stack.processes import wait_until

_LISTED = {"service": "placement", "method": "GET", "route": "/resource_classes", "status": "200"}


@pytest.fixture(scope="module")
def placement(neighbours: Neighbours, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placement]:
    path = tmp_path_factory.mktemp("placement") / "placement.db"
    running = Placement(neighbours.site, "counting", f"sqlite:///{path}", processes=3, threads=1)
    running.prepare()
    started(running.start)
    wait_until(lambda: has_all_workers(running), "every worker ready", timeout_s=60)
    yield running
    running.stop()


def ask(placement: Placement, path: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{placement.ports[0]}{path}")
    request.add_header("X-Auth-Token", "admin")
    request.add_header("OpenStack-API-Version", "placement 1.39")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def listed(placement: Placement) -> float:
    """Return how many lists of classes one worker says that all have answered."""
    for family in text_string_to_metric_families(ask(placement, "/metrics")):
        for sample in family.samples:
            if sample.name == "nova_lite_http_requests_total" and sample.labels == _LISTED:
                return float(sample.value)
    return 0.0


def shared_by(worker: int) -> set[Path]:
    """Return the directory where a worker keeps what it counts, nothing before it is ready."""
    try:
        maps = Path(f"/proc/{worker}/maps").read_text()
    except OSError:
        return set()
    return {Path(found) for found in re.findall(r"/tmp/nova-lite-placement\.\d+", maps)}


def has_all_workers(placement: Placement) -> bool:
    """Return whether all three workers are ready."""
    workers = placement.workers()
    return len(workers) == 3 and all(shared_by(pid) for pid in workers)


def test_every_worker_tells_of_all(placement: Placement) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask(placement, "/resource_classes"), range(60)))
        assert set(pool.map(lambda _: listed(placement), range(12))) == {60.0}
    assert "nova_lite_placement_providers 0.0" in ask(placement, "/metrics")


def test_what_a_lost_worker_counted_stays(placement: Placement) -> None:
    before = listed(placement)
    lost = placement.workers()[0]
    placement.kill_worker(lost)

    wait_until(
        lambda: lost not in placement.workers() and has_all_workers(placement), "three workers again", timeout_s=60
    )
    assert listed(placement) == before
    ask(placement, "/resource_classes")
    assert listed(placement) == before + 1


def test_nothing_is_left_behind(placement: Placement) -> None:
    [shared] = set().union(*(shared_by(pid) for pid in placement.workers()))
    assert shared.is_dir()
    placement.stop()
    assert not shared.exists()
    assert placement.log().count("goodbye to uWSGI.") == 1

"""Audits that repair all they find, beside a crowd of boots, moves and deletes: they find nothing."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from nova_lite import config
from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.conductor.spanning.auditing.auditor import Auditor, Report
from nova_lite.conductor.spanning.auditing.looking import Onlooker
from nova_lite.conductor.spanning.auditing.repairs import repairer
from nova_lite.conductor.spanning.auditing.tools import RepairTools
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.scheduler import claims
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import ComputeUser

#: Users at once, and what each of them does to how many servers.
_USERS, _SERVERS = 4, 3


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    options = {"quota": {"instances": "-1", "cores": "-1", "ram": "-1"}}
    with clouds.running(tmp_path_factory.mktemp("cloud"), options=options) as running:
        yield running


@pytest.fixture
def audit(cloud: Cloud) -> Iterator[Callable[[], Report]]:
    """Return what audits the cloud and repairs it; its two looks are so far apart as to see work in flight twice."""
    conf = config.load(["--config-file", str(cloud.settings.config_file("nova-lite"))])
    with ExitStack() as stack:
        api_db = stack.enter_context(closing(clouds.database(cloud, "api")))
        cells = stack.enter_context(closing(Cells(conf, api_db)))
        placement = PlacementClient(conf)
        repair = repairer(RepairTools(conf, api_db, cells, placement, claims.Spread(placement)))
        auditor = Auditor(Onlooker(api_db, cells.all, placement), claims.due, repair, grace_s=0.05)
        yield auditor.run


def _live(cloud: Cloud, number: int, image: str) -> None:
    """Be a user: boot servers, resize each, confirm or revert that, delete some."""
    rng = random.Random(number)
    user = ComputeUser(cloud.compute_url)
    try:
        for _ in range(_SERVERS):
            uuid = user.boot(f"of-{number}", image)
            if rng.random() < 0.3:
                assert user.ask("DELETE", f"/servers/{uuid}").status == 204
                continue
            user.wait(uuid, "ACTIVE")
            assert user.act(uuid, "resize", {"flavorRef": "2"}).status == 202
            user.wait(uuid, "VERIFY_RESIZE")
            assert user.act(uuid, rng.choice(["confirmResize", "revertResize"])).status in (202, 204)
            user.wait(uuid, "ACTIVE")
            if rng.random() < 0.5:
                assert user.ask("DELETE", f"/servers/{uuid}").status == 204
    finally:
        user.close()


def test_audits_beside_a_crowd_touch_nothing(cloud: Cloud, audit: Callable[[], Report]) -> None:
    image = ImageDirectory(cloud.settings.image_dir).images()[0].id
    is_over, reports = threading.Event(), list[Report]()

    def look() -> None:
        while not is_over.is_set():
            reports.append(audit())

    with ThreadPoolExecutor(_USERS + 1) as pool:
        looking = pool.submit(look)
        try:
            list(pool.map(lambda number: _live(cloud, number, image), range(_USERS)))
        finally:
            is_over.set()
        looking.result()
    assert reports
    assert [judged for report in reports for judged in report.judged] == []
    assert not any(report.silent or report.unknown for report in reports)
    with Watch(cloud) as watch:
        clouds.eventually(lambda: watch.audit() == [] or None, "an empty audit")
    assert audit().judged == []

"""Workers that meet an empty database all at once."""

from functools import partial

import pytest

from tests.integration.conftest import started
from tests.integration.races.client import Client, at_once
from tests.integration.races.conftest import BACKENDS
from tests.integration.races.truth import Truth
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.placement import Placement

_DATABASE = "placement_starts"
#: Each on a port of its own, so that each is asked for sure.
_WORKERS = 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_that_start_at_once_bring_the_standard_names_once(
    request: pytest.FixtureRequest, neighbours: Neighbours, backend: str
) -> None:
    server = request.getfixturevalue(backend)
    server.create([_DATABASE])
    url = server.url(_DATABASE)
    placement = Placement(neighbours.site, f"starts-{backend}", url, servers=_WORKERS, processes=1, threads=2)
    client, truth = Client(placement.ports), Truth(url)
    try:
        placement.prepare()
        started(placement.start)
        paths = ("/traits", "/resource_classes", "/resource_providers?required=HW_CPU_X86_AVX", "/traits?name=in:ABC")
        answers = at_once(
            [partial(client.call, "GET", path, at=number) for number in range(_WORKERS) for path in paths]
        )

        assert [str(answer) for answer in answers if answer.status != 200] == []
        assert len({answer.worker for answer in answers}) == _WORKERS
        for path in paths:
            shown = [str(answer.body) for answer in answers if answer.path == path]
            assert len(set(shown)) == 1
        names = answers[0].body["traits"]
        assert {"HW_CPU_X86_AVX", "STORAGE_DISK_SSD"} <= set(names)
        assert len(names) == len(set(names))
        assert truth.problems() == []
    finally:
        placement.stop()
        truth.close()
        server.drop([_DATABASE])

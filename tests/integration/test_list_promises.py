"""Lists of servers against an oracle, with every database of the cloud on a real server."""

import itertools
import uuid as uuids
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.contract.lists.suite import ListSuite, MakeCloud
from tests.functional.compute_api.cloud import Cloud


@pytest.fixture(params=["mariadb", "postgresql"])
def make_cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeCloud]:
    server: Any = request.getfixturevalue(request.param)
    made: list[Cloud] = []
    names: list[str] = []
    numbers = itertools.count()

    def make(cells: Sequence[str]) -> Cloud:
        prefix = f"nl_{uuids.uuid4().hex[:10]}"
        own = ["api", *(f"cell{number}" for number in range(len(cells) + 1))]
        server.create([f"{prefix}_{name}" for name in own])
        names.extend(f"{prefix}_{name}" for name in own)
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        made.append(Cloud(directory, cells=cells, database=lambda name: str(server.url(f"{prefix}_{name}"))))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()
    server.drop(names)


class TestLists(ListSuite):
    seeds = range(100, 103)
    questions = 10

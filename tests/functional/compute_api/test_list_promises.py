"""Lists of servers against an oracle, on files of SQLite; on real servers in ``tests/integration``."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.contract.lists.suite import ListSuite, MakeCloud
from tests.functional.compute_api.cloud import Cloud


@pytest.fixture
def make_cloud(tmp_path: Path) -> Iterator[MakeCloud]:
    made: list[Cloud] = []
    numbers = itertools.count()

    def make(cells: Sequence[str]) -> Cloud:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        made.append(Cloud(directory, cells=cells))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


class TestLists(ListSuite):
    pass

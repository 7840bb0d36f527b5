"""The audit of Placement's books, on a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.placement import audit
from nova_lite.placement.repositories.audit import Link
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from tests.contract.placement.audit import AuditSuite, add_provider


@pytest.fixture
def placement_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'placement.db'}")
    Base.metadata.create_all(database.engine)
    standard_names(database)
    yield database
    database.close()


class TestAudit(AuditSuite):
    """On SQLite."""


def test_it_tells_how_far_it_has_come(placement_db: Database) -> None:
    for number in range(5):
        add_provider(placement_db, f"h{number}")
    told: list[str] = []
    assert list(audit.check(placement_db, batch=2, tell=told.append)) == []
    assert told == [f"the books of {done} of 5 providers checked" for done in (2, 4, 5)]


@pytest.mark.parametrize(
    ("parents", "looping"),
    [
        pytest.param({1: None}, set(), id="a root alone"),
        pytest.param({1: None, 2: 1, 3: 2, 4: 1}, set(), id="a tree"),
        pytest.param({1: 1}, {1}, id="its own parent"),
        pytest.param({1: None, 2: 3, 3: 2}, {2, 3}, id="a pair"),
        pytest.param({1: None, 2: 4, 3: 2, 4: 3, 5: 4, 6: 1}, {2, 3, 4, 5}, id="a ring, and one below it"),
        pytest.param({1: None, 2: 9}, set(), id="a parent in another tree"),
    ],
)
def test_loops_are_told_from_trees(parents: dict[int, int | None], looping: set[int]) -> None:
    links = [Link(row_id, str(row_id), parent, 1) for row_id, parent in parents.items()]
    assert {int(found.provider or 0) for found in audit.tree_faults(links)} == looping

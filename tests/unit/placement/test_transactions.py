"""Writes run again after lost races, and end as they did when the answer to a commit is lost.

Here the file's connection is told to have died; connections that really do: ``tests/integration``.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from nova_lite import errors
from nova_lite.placement.repositories import changes, names
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.repositories.transactions import Writer
from nova_lite.placement.tables import CHANGES, Base, TraitRow
from nova_lite.storage import Database, TryAgain


class Line:
    """The line to the database: dies at the next commits as ``plan`` says, one word each; "" lives."""

    def __init__(self, database: Database) -> None:
        self.plan: list[str] = []
        sa.event.listen(database.engine, "commit", self._at_commit)

    def _at_commit(self, connection: sa.Connection) -> None:
        fate = self.plan.pop(0) if self.plan else ""
        if fate == "done":
            connection.connection.commit()
        if fate:
            raise OperationalError("COMMIT", None, Exception("lost"), connection_invalidated=True)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'placement.db'}")
    Base.metadata.create_all(opened.engine)
    yield opened
    opened.close()


@pytest.fixture
def line(database: Database) -> Line:
    return Line(database)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def counted(work: Callable[[sa.Connection], str]) -> tuple[Callable[[sa.Connection], str], list[int]]:
    """Return ``work`` and a list that grows with each of its calls."""
    calls: list[int] = []

    def run(connection: sa.Connection) -> str:
        calls.append(len(calls))
        return work(connection)

    return run, calls


def add_gold(connection: sa.Connection) -> str:
    names.add(connection, TraitRow, "CUSTOM_GOLD")
    return "added"


def traits(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(names.load(connection, TraitRow))


@pytest.mark.parametrize(
    ("plan", "calls_expected"),
    [
        pytest.param([], 1, id="nothing happens"),
        pytest.param(["done"], 1, id="committed"),
        pytest.param(["lost"], 2, id="rolled back"),
        pytest.param(["lost", "lost"], 2, id="rolled back, the question is lost"),
        pytest.param(["lost", "done"], 2, id="rolled back, the answer to the question is lost"),
        pytest.param(["lost", "", "done"], 2, id="rolled back, then committed"),
        pytest.param(["lost", "", "lost", "", ""], 3, id="rolled back twice"),
    ],
)
def test_a_write_happens_once(database: Database, line: Line, plan: list[str], calls_expected: int) -> None:
    work, calls = counted(add_gold)
    line.plan = list(plan)
    assert Writer(database).run(work) == "added"
    assert (line.plan, len(calls)) == ([], calls_expected)
    assert traits(database) == ["CUSTOM_GOLD"]


def test_what_changed_nothing_needs_no_proof(database: Database, line: Line) -> None:
    work, calls = counted(lambda connection: "nothing")
    line.plan = ["lost"]
    assert Writer(database).run(work) == "nothing"
    assert len(calls) == 1


def test_a_number_that_somebody_else_took_proves_nothing(database: Database, line: Line) -> None:
    def take_over(connection: sa.Connection) -> str:
        result = add_gold(connection)
        if not taken:
            seq = connection.execute(sa.select(sa.func.max(CHANGES.c.seq))).scalar_one()
            connection.rollback()  # the server crashed, forgot our number, and gave it to another
            with database.writing() as other:
                other.execute(sa.insert(CHANGES).values(seq=seq, provider_id=0, kind=int(Kind.NAMES), token=1))
            taken.append(seq)
            connection.begin()
        return result

    taken: list[int] = []
    line.plan = ["", "lost"]
    assert Writer(database).run(take_over) == "added"
    assert traits(database) == ["CUSTOM_GOLD"]


def test_a_database_that_stays_away_is_told(database: Database, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.placement.repositories.transactions._PATIENCE_S", -1.0)
    line.plan = ["lost"] * 2
    with pytest.raises(errors.Unavailable):
        Writer(database).run(add_gold)


def test_a_lost_race_is_run_again_and_undone_before(database: Database) -> None:
    def lose_twice(connection: sa.Connection) -> str:
        result = add_gold(connection)
        if len(calls) < 3:
            raise TryAgain("Somebody was faster.")
        return result

    work, calls = counted(lose_twice)
    assert Writer(database).run(work) == "added"
    assert len(calls) == 3
    assert database.retries == 2
    assert traits(database) == ["CUSTOM_GOLD"]


def test_an_error_of_the_client_is_not_run_again(database: Database) -> None:
    work, calls = counted(add_gold)
    writer = Writer(database)
    writer.run(work)
    with pytest.raises(errors.Conflict):
        writer.run(work)
    assert len(calls) == 2


def test_entries_of_one_transaction_share_a_token(database: Database) -> None:
    def note(connection: sa.Connection) -> None:
        changes.note(connection, [3, 1, 2], Kind.USAGE)

    Writer(database).run(note)
    Writer(database).run(note)
    with database.reading() as connection:
        rows = connection.execute(sa.select(CHANGES.c.provider_id, CHANGES.c.token).order_by(CHANGES.c.seq)).all()
    assert [row.provider_id for row in rows] == [1, 2, 3] * 2
    assert len({row.token for row in rows[:3]}) == 1
    assert len({row.token for row in rows}) == 2

"""``placement_db online_data_migrations``, as an operator sees it. There are none yet, so tests bring their own."""

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cmd import manage_databases
from nova_lite.placement.tables import TraitRow
from nova_lite.storage import Database
from tests.functional.commands.conftest import Site

RUN = ("placement_db", "online_data_migrations")
OLD, NEW = "CUSTOM_OLD_", "CUSTOM_NEW_"

Step = Callable[[Database, int], tuple[int, int]]


@pytest.fixture
def placed(site: Site) -> Site:
    """An installation with a Placement database in which 120 rows are of an old shape."""
    site.ok("placement_db", "sync")
    with site.database("placement").writer() as session:
        rows = [{"name": f"{OLD}{number}", "updated_at": 0.0} for number in range(120)]
        session.execute(sa.insert(TraitRow), rows)
    return site


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have a step that renames rows; return how many it was allowed to change each time."""
    allowed: list[int] = []

    def rename(database: Database, limit: int) -> tuple[int, int]:
        allowed.append(limit)
        with database.writer() as session:
            old = list(session.scalars(sa.select(TraitRow).where(TraitRow.name.startswith(OLD)).limit(limit)))
            for row in old:
                row.name = row.name.replace(OLD, NEW)
        return len(old), len(old)

    use(monkeypatch, rename=rename)
    return allowed


def use(monkeypatch: pytest.MonkeyPatch, **steps: Step) -> None:
    monkeypatch.setattr(manage_databases, "_STEPS", {"placement_db": steps})


def old_rows(site: Site) -> int:
    with site.database("placement").reader() as session:
        statement = sa.select(sa.func.count()).select_from(TraitRow).where(TraitRow.name.startswith(OLD))
        return session.scalar(statement) or 0


def test_there_is_nothing_to_do_yet(placed: Site) -> None:
    assert placed.ok(*RUN) == "Nothing was changed.\n"
    assert json.loads(placed.ok(*RUN, "-f", "json")) == []
    assert placed.ok(*RUN, "-f", "csv") == "Migration,Found,Done,Failure\n"


def test_all_is_done_in_batches(placed: Site, batches: list[int]) -> None:
    found = json.loads(placed.ok(*RUN, "-f", "json"))
    assert found == [{"Migration": "rename", "Found": 120, "Done": 120, "Failure": ""}]
    assert set(batches) == {50}
    assert old_rows(placed) == 0
    assert placed.ok(*RUN).endswith("Nothing was changed.\n")


def test_it_stops_at_the_count_asked_for_and_goes_on_the_next_time(placed: Site, batches: list[int]) -> None:
    left = []
    for _ in range(3):
        ran = placed.run(*RUN, "--max-count", "55")
        left.append((ran.code, old_rows(placed)))
    assert left == [(1, 65), (1, 10), (0, 0)]
    assert max(batches) == 50


def _fails(database: Database, limit: int) -> tuple[int, int]:
    raise errors.Conflict("somebody else is at it")


def test_a_failure_does_not_keep_the_others_from_running(
    placed: Site, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    [rename] = manage_databases._STEPS["placement_db"].values()
    use(monkeypatch, fails=_fails, rename=rename)
    ran = placed.run(*RUN, "-f", "json")
    assert ran.code == 1
    assert {row["Migration"]: row["Failure"] for row in json.loads(ran.out)} == {
        "fails": "somebody else is at it",
        "rename": "",
    }
    assert old_rows(placed) == 0
    assert placed.run(*RUN).code == 2, "now nothing but the failure is left"


def test_rows_that_cannot_be_changed_are_not_called_done(placed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, stuck=lambda database, limit: (3, 0))
    assert placed.run(*RUN).code == 1


@pytest.mark.parametrize("words", [["--max-count", "0"], ["--max-count", "-3"], ["--max-count", "x"], ["surplus"]])
def test_a_wrong_command_line_is_127(placed: Site, words: list[str]) -> None:
    ran = placed.run(*RUN, *words)
    assert ran.code == 127
    assert ran.err


def test_other_commands_keep_their_code_for_a_wrong_command_line(placed: Site) -> None:
    assert placed.run("placement_db", "sync", "--surplus").code == 2
    assert placed.run("api_db", "version", "surplus").code == 2


def test_without_tables_the_operator_is_told_what_to_run(site: Site) -> None:
    ran = site.run(*RUN)
    assert ran.code == 1
    assert "run: nova-lite-manage placement_db sync" in ran.err

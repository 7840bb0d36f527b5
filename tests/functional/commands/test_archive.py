"""``db archive_deleted_rows`` and ``db purge``, as an operator sees them."""

import csv
import io
import json
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cells import archiving
from nova_lite.cmd import manage_archive
from nova_lite.db.api_tables import ApiBase, ApiWorkflowRow, BuildRequestRow, CellMappingRow, InstanceMappingRow
from nova_lite.db.cell_tables import SHADOWS, CellBase, CellWorkflowRow, ConsoleTokenRow, InstanceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import archive
from nova_lite.model.host import CELL0_UUID
from nova_lite.model.workflow import Status
from tests.functional.commands.cell_site import two_cells
from tests.functional.commands.conftest import SECRET, Site
from tests.functional.commands.dead_servers import (
    ROWS_IN_API,
    ROWS_IN_CELL,
    add_server,
    archived_rows,
    bury,
    rows,
    times,
)

ARCHIVE = ("db", "archive_deleted_rows")
PURGE = ("db", "purge")
#: Databases of the installation that these stories work on: cell0's is that of [database].
API, CELL0 = "nova_api", "nova_cell0"


def server(number: int) -> str:
    return f"6bb5f1f0-0000-4000-8000-{number:012}"


@pytest.fixture
def cells(synced: Site) -> dict[str, str]:
    """Two cells beside cell0, which is the one that [database] names; name → UUID."""
    uuids = two_cells(synced)
    synced.configure(database=synced.url(CELL0))
    return {"nova_cell0": CELL0_UUID, **uuids}


@pytest.fixture
def dead(synced: Site, cells: dict[str, str]) -> Site:
    """Three servers in cell0: 1 and 2 are dead, 3 lives."""
    for number in (1, 2):
        bury(synced.database(API), synced.database(CELL0), CELL0_UUID, server(number))
    add_server(synced.database(API), synced.database(CELL0), CELL0_UUID, server(3))
    return synced


def left(site: Site, name: str = CELL0) -> Counter[str]:
    return rows(site.database(name), CellBase)


def archived(site: Site, name: str = CELL0) -> Counter[str]:
    return archived_rows(site.database(name))


def known(site: Site) -> Counter[str]:
    return rows(site.database(API), ApiBase)


def test_dead_servers_are_archived_and_live_ones_stay(dead: Site) -> None:
    ran = dead.run(*ARCHIVE, "--verbose", "-f", "json")
    assert (ran.code, ran.err) == (1, "")
    found = {(row["Database"], row["Table"]): row["Rows"] for row in json.loads(ran.out)}
    cell0 = f"cell0 ({CELL0_UUID})"
    expected = {(cell0, table): number for table, number in times(2, ROWS_IN_CELL).items()}
    assert found == expected | {("API database", table): number for table, number in times(2, ROWS_IN_API).items()}

    assert (left(dead), archived(dead), known(dead)) == (ROWS_IN_CELL, times(2, ROWS_IN_CELL), ROWS_IN_API)
    assert dead.ok(*ARCHIVE) == "Nothing was archived.\n"
    assert json.loads(dead.ok(*ARCHIVE, "-f", "json")) == []
    assert dead.run("cell_v2", "verify_instance", "--uuid", server(1)).code == 1
    assert dead.run("cell_v2", "verify_instance", "--uuid", server(3)).code == 0


def test_archived_rows_are_those_that_were(dead: Site) -> None:
    def contents(table: sa.Table) -> list[tuple[object, ...]]:
        with dead.database(CELL0).reader() as session:
            return [tuple(row) for row in session.execute(sa.select(table).order_by(table.c.id))]

    tables = {CellBase.metadata.tables[row.__tablename__]: shadow for row, shadow in SHADOWS.items()}
    before = {table: contents(table) for table in tables}
    assert dead.run(*ARCHIVE).code == 1
    for table, shadow in tables.items():
        assert sorted(contents(table) + contents(shadow), key=str) == sorted(before[table], key=str)


def test_what_was_done_is_told(dead: Site) -> None:
    ran = dead.run(*ARCHIVE)
    assert (ran.code, ran.out) == (1, "14 rows archived, 8 deleted from the API database.\n")
    bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(4))
    ran = dead.run(*ARCHIVE, "--verbose")
    assert "| instance_action_events | 2 " in " ".join(ran.out.split()).replace("  ", " ")
    ran = dead.run(*ARCHIVE, "-f", "csv")
    assert next(csv.reader(io.StringIO(ran.out))) == ["Database", "Table", "Rows"]


def test_it_stops_at_the_number_asked_for_and_goes_on_the_next_time(dead: Site) -> None:
    seen = []
    for _ in range(3):
        code = dead.run(*ARCHIVE, "--max_rows", "1").code
        seen.append((code, archived(dead)["instances"]))
    assert seen == [(1, 1), (1, 2), (0, 2)]
    assert archived(dead) == times(2, ROWS_IN_CELL), "whole servers only"


def test_more_than_the_number_asked_for_is_not_begun(dead: Site) -> None:
    assert dead.run(*ARCHIVE, "--max_rows", "8").code == 1
    assert archived(dead) == ROWS_IN_CELL


def test_until_complete_it_goes_on_and_rests(dead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("nova_lite.cmd.manage_archive.time.sleep", rests.append)
    ran = dead.run(*ARCHIVE, "--max_rows", "1", "--until-complete", "--sleep", "0.5")
    assert ran.code == 1
    assert archived(dead) == times(2, ROWS_IN_CELL)
    assert rests == [0.5, 0.5]
    assert dead.run(*ARCHIVE, "--until-complete").code == 0


def test_more_servers_than_a_batch_are_archived(dead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "SERVERS", 3)
    monkeypatch.setattr(archiving, "ROWS", 15)
    for number in range(10, 18):
        bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(number))
    assert dead.run(*ARCHIVE, "--until-complete").code == 1
    assert (left(dead), archived(dead), known(dead)) == (ROWS_IN_CELL, times(10, ROWS_IN_CELL), ROWS_IN_API)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", "2026-01-31 00:00:00"),
        ("2026-01-31 12:30", "2026-01-31 12:30:00"),
        ("2026-01-31 12:30:05", "2026-01-31 12:30:05"),
        ("2026-01-31T12:30:05Z", "2026-01-31 12:30:05"),
        ("2026-01-31 12:30:05+02:00", "2026-01-31 10:30:05"),
        ("Sat Jan 31 12:30:05 UTC 2026", "2026-01-31 12:30:05"),
        ("Sat 31 Jan 2026 12:30:05 PM GMT", "2026-01-31 12:30:05"),
        ("Sat Jan  3 01:02:03 UTC 2026", "2026-01-03 01:02:03"),
    ],
)
def test_dates_are_read_as_people_and_date_write_them(text: str, moment: str) -> None:
    assert str(manage_archive._moment(text)) == moment


def test_only_what_was_deleted_before_is_archived(dead: Site) -> None:
    old = utcnow() - timedelta(days=10)
    bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(4), deleted_at=old)
    assert dead.run(*ARCHIVE, "--before", f"{old:%Y-%m-%d}").code == 0
    assert dead.run(*ARCHIVE, "--before", f"{old + timedelta(days=1):%a %b %d %H:%M:%S UTC %Y}").code == 1
    assert archived(dead) == ROWS_IN_CELL
    assert left(dead)["instances"] == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(["--max_rows", "0"], 2, "from 1 to", id="no rows"),
        pytest.param(["--max_rows", "-1"], 2, "from 1 to", id="fewer than none"),
        pytest.param(["--max_rows", "99999999999"], 2, "from 1 to", id="too many rows"),
        pytest.param(["--max_rows", "many"], 2, "many", id="no number"),
        pytest.param(["--before", "last week"], 4, "last week", id="no date"),
        pytest.param(["--before", "2026-02-30"], 4, "2026-02-30", id="no such day"),
        pytest.param(["--before", ""], 4, "--before", id="an empty date"),
        pytest.param(["--sleep", "-1"], 127, "must be a number, 0 or more", id="a rest before it began"),
        pytest.param(["--sleep", "long"], 127, "must be a number, 0 or more, not long", id="a rest in words"),
        pytest.param(["--sleep", "nan"], 127, "must be a number, 0 or more", id="a rest that is no number"),
        pytest.param(["surplus"], 127, "surplus", id="a word too many"),
    ],
)
def test_a_wrong_command_line_archives_nothing(dead: Site, words: list[str], code: int, said: str) -> None:
    ran = dead.run(*ARCHIVE, *words)
    assert ran.code == code
    assert said in ran.err
    assert archived(dead) == Counter()


@pytest.mark.parametrize(
    "connection",
    [None, f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova", f"{SECRET}", "sqlite:////nonexistent/x.db"],
    ids=["none", "dead", "no URL", "no file"],
)
def test_without_the_api_database_nothing_is_archived(dead: Site, connection: str | None) -> None:
    dead.configure(database=dead.url(CELL0), api_database=connection)
    for command, code in ((ARCHIVE, 3), ((*PURGE, "--all", "--all-cells"), 4)):
        ran = dead.run(*command)
        assert (ran.code, ran.err.count("\n")) == (code, 1)
        assert SECRET not in ran.err
    assert archived(dead) == Counter()


def test_a_cells_database_that_fails_is_255(dead: Site) -> None:
    dead.configure(database=f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova")
    for command in (ARCHIVE, (*PURGE, "--all")):
        ran = dead.run(*command)
        assert ran.code == 255
        assert "does not answer" in ran.err
        assert SECRET not in ran.err


def test_all_cells_are_cleaned_and_a_dead_one_is_told(dead: Site, cells: dict[str, str]) -> None:
    for number, name in enumerate(("one", "two"), start=10):
        bury(dead.database(API), dead.database(name), cells[name], server(number))
    dead.configure(database=None)
    move = ("cell_v2", "update_cell", "--cell_uuid", cells["one"], "--database_connection")
    dead.ok(*move, f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova", warned="does not answer")
    ran = dead.run(*ARCHIVE, "--all-cells")
    assert ran.code == 255
    assert f"Cell one ({cells['one']}) could not be looked at" in ran.err
    assert SECRET not in ran.err
    assert archived(dead, "two") == ROWS_IN_CELL

    dead.ok(*move, dead.url("one"))
    assert dead.run(*ARCHIVE, "--all-cells").code == 1
    assert [archived(dead, name) for name in ("one", "two")] == [ROWS_IN_CELL, ROWS_IN_CELL]
    assert archived(dead) == times(2, ROWS_IN_CELL)
    assert known(dead) == ROWS_IN_API
    assert dead.run(*ARCHIVE, "--all-cells").code == 0


def test_what_is_still_worked_on_is_not_archived(dead: Site) -> None:
    def set_status(name: str, row: type[CellWorkflowRow] | type[ApiWorkflowRow], number: int, status: Status) -> None:
        with dead.database(name).writer() as session:
            session.execute(sa.update(row).where(row.subject == server(number)).values(status=status))

    set_status(CELL0, CellWorkflowRow, 1, Status.RUNNING)
    set_status(API, ApiWorkflowRow, 2, Status.PENDING)
    assert dead.run(*ARCHIVE).code == 0
    assert known(dead) == times(3, ROWS_IN_API)
    set_status(CELL0, CellWorkflowRow, 1, Status.DONE)
    set_status(API, ApiWorkflowRow, 2, Status.FAILED)
    assert dead.run(*ARCHIVE).code == 1
    assert (left(dead), known(dead)) == (ROWS_IN_CELL, ROWS_IN_API)


def test_a_run_that_was_killed_between_the_databases_is_taken_up(dead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: object) -> None:
        raise errors.Unavailable("Killed.")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "move", killed)
        assert dead.run(*ARCHIVE).code == 255
    assert known(dead) == ROWS_IN_API
    assert left(dead) == times(3, ROWS_IN_CELL)
    assert dead.run(*ARCHIVE).code == 1
    assert (left(dead), archived(dead)) == (ROWS_IN_CELL, times(2, ROWS_IN_CELL))


def test_a_server_that_lives_in_another_cell_keeps_its_mapping(dead: Site, cells: dict[str, str]) -> None:
    """It left a dead row behind in the cell it came from."""
    with dead.database(API).writer() as session:
        session.execute(
            sa.update(InstanceMappingRow)
            .where(InstanceMappingRow.instance_uuid == server(1))
            .values(cell_uuid=cells["one"], queued_for_delete=False)
        )
    with dead.database(CELL0).reader() as session:
        [row] = session.execute(sa.select(InstanceRow.__table__).where(InstanceRow.uuid == server(1))).mappings()
    with dead.database("one").writer() as session:
        session.execute(sa.insert(InstanceRow).values({**row, "deleted": False, "deleted_at": None}))
    assert dead.run(*ARCHIVE).code == 1
    assert archived(dead)["instances"] == 2
    assert dead.run("cell_v2", "verify_instance", "--uuid", server(1)).code == 0
    assert known(dead)["request_specs"] == 2


def test_a_cell_whose_mapping_names_it_otherwise_is_known_by_its_servers(dead: Site, cells: dict[str, str]) -> None:
    (dead.directory / "alias.db").symlink_to(dead.directory / f"{CELL0}.db")
    dead.configure(database=dead.url("alias"))
    assert dead.run(*ARCHIVE).code == 1
    assert known(dead) == ROWS_IN_API


def test_servers_mapped_to_a_cell_that_does_not_answer_are_left(dead: Site, cells: dict[str, str]) -> None:
    """They stayed mapped, and nothing of them was left in any cell."""
    (dead.directory / "alias.db").symlink_to(dead.directory / f"{CELL0}.db")
    dead.configure(database=dead.url("alias"))
    with dead.database(API).writer() as session:
        broken = f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova"
        session.execute(
            sa.update(CellMappingRow).where(CellMappingRow.uuid == CELL0_UUID).values(database_connection=broken)
        )
    ran = dead.run(*ARCHIVE)
    assert (ran.code, ran.out) == (255, "Nothing was archived.\n")
    assert "Cell cell0" in ran.err
    assert (left(dead), known(dead)) == (times(3, ROWS_IN_CELL), times(3, ROWS_IN_API))


def test_a_server_that_is_mapped_to_no_cell_yet_is_left(dead: Site) -> None:
    with dead.database(API).writer() as session:
        session.execute(sa.update(InstanceMappingRow).values(cell_uuid=None))
    assert dead.run(*ARCHIVE).code == 0
    assert known(dead) == times(3, ROWS_IN_API)


def test_ids_of_archived_rows_are_never_given_again(dead: Site) -> None:
    bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(4))
    assert dead.run(*ARCHIVE).code == 1
    bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(5))
    assert dead.run(*ARCHIVE).code == 1
    assert archived(dead) == times(4, ROWS_IN_CELL)


# -- purge


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param([], 1, id="nothing said"),
        pytest.param(["--before", "soon"], 2, id="no date"),
        pytest.param(["--all", "--before", "soon"], 2, id="all before no date"),
        pytest.param(["--all", "surplus"], 127, id="a word too many"),
    ],
)
def test_a_wrong_command_line_purges_nothing(dead: Site, words: list[str], code: int) -> None:
    dead.run(*ARCHIVE)
    ran = dead.run(*PURGE, *words)
    assert ran.code == code
    assert ran.err
    assert archived(dead) == times(2, ROWS_IN_CELL)


def test_what_was_archived_is_purged(dead: Site) -> None:
    assert dead.run(*PURGE, "--all").code == 3
    dead.run(*ARCHIVE)
    out = dead.ok(*PURGE, "--all", "--verbose")
    assert "shadow_instance_action_events" in out
    assert out.endswith("14 rows deleted.\n")
    assert archived(dead) == Counter()
    assert left(dead) == ROWS_IN_CELL
    ran = dead.run(*PURGE, "--all")
    assert (ran.code, ran.out) == (3, "Nothing was deleted.\n")


@pytest.mark.parametrize("words", [[], ["--all"]], ids=["before", "all before"])
def test_only_what_died_before_is_purged(dead: Site, words: list[str]) -> None:
    bury(dead.database(API), dead.database(CELL0), CELL0_UUID, server(4), deleted_at=utcnow() - timedelta(days=10))
    dead.run(*ARCHIVE)
    before = f"{utcnow() - timedelta(days=5):%Y-%m-%d %H:%M:%S}"
    assert dead.run(*PURGE, *words, "--before", before).code == 0
    assert archived(dead) == times(2, ROWS_IN_CELL)
    assert dead.run(*PURGE, *words, "--before", before).code == 3


def test_all_cells_are_purged(dead: Site, cells: dict[str, str]) -> None:
    bury(dead.database(API), dead.database("one"), cells["one"], server(10))
    assert dead.run(*ARCHIVE, "--all-cells").code == 1
    assert len(json.loads(dead.ok(*PURGE, "--all", "--all-cells", "-f", "json"))) == 2 * len(ROWS_IN_CELL)
    assert archived(dead) + archived(dead, "one") == Counter()


def test_an_archive_may_purge_afterwards(dead: Site) -> None:
    ran = dead.run(*ARCHIVE, "--purge")
    assert ran.code == 1
    assert "14 archived rows deleted." in ran.out
    assert (left(dead), archived(dead)) == (ROWS_IN_CELL, Counter())


def test_a_cell_purges_without_an_api_database(dead: Site) -> None:
    dead.run(*ARCHIVE)
    dead.configure(database=dead.url(CELL0), api_database=None)
    assert dead.run(*PURGE, "--all").code == 0


# -- the tables


def test_every_row_about_a_server_is_archived_with_it() -> None:
    """A new table that names instances needs a shadow in ``db/cell_tables.py``, and its revision one, too.

    What opens consoles is no record: it goes when its server is told to end.
    """
    shadows = {shadow.name for shadow in SHADOWS.values()}
    kept = {row.__tablename__ for row in SHADOWS}
    about = {
        table.name
        for table in CellBase.metadata.sorted_tables
        if "instance_uuid" in table.columns or any(key.column.table.name in kept for key in table.foreign_keys)
    }
    assert about - shadows - kept == {ConsoleTokenRow.__tablename__}


def test_every_row_about_a_server_is_deleted_from_the_api_database(dead: Site) -> None:
    named = {table.name for table in ApiBase.metadata.sorted_tables if "instance_uuid" in table.columns}
    assert named - set(ROWS_IN_API) == {BuildRequestRow.__tablename__}, "a new table needs a row in dead_servers.py"

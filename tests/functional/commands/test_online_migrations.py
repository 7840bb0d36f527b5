"""``online_data_migrations``, as an operator sees them. There are none yet, so tests bring their own."""

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cmd import manage_online
from nova_lite.db.api_tables import KeypairRow
from nova_lite.db.cell_tables import ComputeNodeRow
from nova_lite.placement.tables import TraitRow
from nova_lite.storage import Database
from tests.functional.commands.cell_site import add_node, cells_of, two_cells
from tests.functional.commands.conftest import SECRET, Site

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
    monkeypatch.setitem(manage_online.STEPS, "placement", steps)


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
    [rename] = manage_online.STEPS["placement"].values()
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
    assert ran.code == 2
    assert "run: nova-lite-manage placement_db sync" in ran.err


# -- of the API database and of cells

RUN_CELLS = ("db", "online_data_migrations")


def _rename_keys(database: Database, limit: int) -> tuple[int, int]:
    with database.writer() as session:
        old = list(session.scalars(sa.select(KeypairRow).where(KeypairRow.name.startswith(OLD)).limit(limit)))
        for row in old:
            row.name = row.name.replace(OLD, NEW)
    return len(old), len(old)


def _rename_nodes(database: Database, limit: int) -> tuple[int, int]:
    with database.writer() as session:
        old = list(session.scalars(sa.select(ComputeNodeRow).where(ComputeNodeRow.host.startswith(OLD)).limit(limit)))
        for row in old:
            row.host = row.host.replace(OLD, NEW)
    return len(old), len(old)


@pytest.fixture
def celled(synced: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Two cells with a node of an old shape each, cell0 with one, 60 old keypairs; [database] names cell0's."""
    two_cells(synced)
    synced.configure(database=synced.url("nova_cell0"))
    for number, name in enumerate(("nova_cell0", "one", "two")):
        add_node(synced.database(name), f"{OLD}{number}", 5 + number)
    with synced.database("nova_api").writer() as session:
        rest = {"user_id": "u", "type": "ssh", "fingerprint": "f", "public_key": "k"}
        session.execute(sa.insert(KeypairRow), [{"name": f"{OLD}{number}", **rest} for number in range(60)])
    monkeypatch.setitem(manage_online.STEPS, "api", {"rename keys": _rename_keys})
    monkeypatch.setitem(manage_online.STEPS, "cell", {"rename nodes": _rename_nodes})
    return synced


def done(site: Site, *words: str, code: int) -> list[tuple[str, str, int, str]]:
    ran = site.run(*RUN_CELLS, "-f", "json", *words)
    assert ran.code == code
    return [(row["Database"].partition(" (")[0], row["Migration"], row["Done"], row["Failure"])
            for row in json.loads(ran.out)]  # fmt: skip


def test_of_cells_there_is_nothing_to_do_yet(synced: Site) -> None:
    assert synced.ok(*RUN_CELLS) == "Nothing was changed.\n"
    assert json.loads(synced.ok(*RUN_CELLS, "--all-cells", "-f", "json")) == []


def test_the_api_database_and_the_configured_cell_are_changed(celled: Site) -> None:
    assert done(celled, code=0) == [
        ("API database", "rename keys", 60, ""),
        ("cell database", "rename nodes", 1, ""),
    ]
    assert done(celled, "--all-cells", code=0) == [
        ("API database", "rename keys", 0, ""),
        ("cell0", "rename nodes", 0, ""),
        ("one", "rename nodes", 1, ""),
        ("two", "rename nodes", 1, ""),
    ]


def test_the_count_is_one_for_all_databases(celled: Site) -> None:
    codes = []
    for _ in range(3):
        ran = celled.run(*RUN_CELLS, "--all-cells", "--max-count", "31")
        codes.append(ran.code)
    assert codes == [1, 1, 0]
    assert sum(row[2] for row in done(celled, "--all-cells", code=0)) == 0


def test_a_cell_without_an_api_database_is_changed(celled: Site) -> None:
    celled.configure(database=celled.url("one"), api_database=None)
    assert done(celled, code=0) == [("cell database", "rename nodes", 1, "")]
    assert celled.run(*RUN_CELLS, "--all-cells").code == 2


def test_a_silent_cell_does_not_keep_the_others_from_being_changed(celled: Site) -> None:
    [cell] = [cell for cell in cells_of(celled) if cell["Name"] == "one"]
    words = ["--cell_uuid", str(cell["UUID"]), "--database_connection", f"mysql+pymysql://n:{SECRET}@127.0.0.1:9/x"]
    celled.ok("cell_v2", "update_cell", *words, warned="does not answer")
    ran = celled.run(*RUN_CELLS, "--all-cells")
    assert ran.code == 1
    assert "Cell one" in ran.err
    assert SECRET not in ran.err
    assert "62 rows changed." in ran.out
    assert celled.run(*RUN_CELLS, "--all-cells").code == 2, "now nothing but the failure is left"


@pytest.mark.parametrize("words", [["--max-count", "0"], ["--max-count", "-3"], ["--max-count", "x"], ["surplus"]])
def test_of_cells_a_wrong_command_line_is_127(celled: Site, words: list[str]) -> None:
    assert celled.run(*RUN_CELLS, *words).code == 127

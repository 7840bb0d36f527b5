"""The cells' databases as one command sees them."""

import contextlib
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells.offline import CellDatabases
from nova_lite.db import migrate
from nova_lite.db.repositories import mappings
from nova_lite.model.host import Cell
from nova_lite.storage import Database


@pytest.fixture
def api_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'api.db'}")
    migrate.sync(database, "api")
    yield database
    database.close()


def add_cell(api_db: Database, connection: str) -> Cell:
    cell = Cell(str(uuids.uuid4()), None, f"none:///{uuids.uuid4()}", connection)
    with api_db.writer() as session:
        mappings.add_cell(session, cell)
    return cell


def one(session: Session) -> int:
    return session.scalar(sa.select(sa.literal(1))) or 0


def test_cells_answer(api_db: Database, tmp_path: Path) -> None:
    connection = f"sqlite:///{tmp_path / 'cell.db'}"
    with_tables = Database(connection)
    migrate.sync(with_tables, "cell")
    with_tables.close()
    cell = add_cell(api_db, connection)
    with CellDatabases(api_db) as cells:
        assert cells.cells == [cell]
        assert cells.ask(cell, one) == 1
        assert cells.down == {}


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        pytest.param("mysql+pymysql://nova:hunter2@127.0.0.1:9/nova", "does not answer", id="nobody there"),
        pytest.param("sqlite:///{}/empty.db", "has no tables yet", id="no tables"),
        pytest.param("oracul://nova:hunter2@h/n", "not installed", id="no such driver"),
    ],
)
def test_a_cell_that_cannot_be_asked_is_down_for_the_rest(
    api_db: Database, tmp_path: Path, connection: str, why: str
) -> None:
    cell = add_cell(api_db, connection.format(tmp_path))
    asked: list[Session] = []
    with CellDatabases(api_db) as cells:
        assert cells.ask(cell, asked.append) is None
        assert why in cells.down[cell.uuid]
        assert "hunter2" not in cells.down[cell.uuid]
        with contextlib.closing(Database(f"sqlite:///{tmp_path}/empty.db")) as empty:
            migrate.sync(empty, "cell")
        assert cells.ask(cell, asked.append) is None, "once down, down for this command"
    assert asked == []


def test_a_cell_that_dies_under_a_question_is_down(api_db: Database, tmp_path: Path) -> None:
    connection = f"sqlite:///{tmp_path / 'cell.db'}"
    with_tables = Database(connection)
    migrate.sync(with_tables, "cell")
    with_tables.close()
    cell = add_cell(api_db, connection)

    def dies(session: Session) -> int:
        raise errors.Unavailable("The database does not answer.", cause="it is gone")

    with CellDatabases(api_db) as cells:
        assert cells.ask(cell, one) == 1
        assert cells.ask(cell, dies) is None
        assert cells.down == {cell.uuid: "The database does not answer. it is gone"}
        assert cells.ask(cell, one) is None


def test_a_bug_in_a_question_is_no_silent_cell(api_db: Database, tmp_path: Path) -> None:
    connection = f"sqlite:///{tmp_path / 'cell.db'}"
    with_tables = Database(connection)
    migrate.sync(with_tables, "cell")
    with_tables.close()
    cell = add_cell(api_db, connection)

    def wrong(session: Session) -> int:
        raise errors.Conflict("not what was expected")

    with CellDatabases(api_db) as cells, pytest.raises(errors.Conflict):
        cells.ask(cell, wrong)

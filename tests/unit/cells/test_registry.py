"""The cells a process knows: kept fresh, and their connections kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import config, errors
from nova_lite.cells.registry import Cells
from nova_lite.db.api_tables import ApiBase, CellMappingRow
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.storage import Database

A = Cell("11111111-1111-4111-8111-111111111111", "a", "kombu+memory:///a", "sqlite:///a")


@pytest.fixture
def api_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'api.sqlite'}")
    ApiBase.metadata.create_all(database.engine)
    with database.writer() as session:
        mappings.add_cell(session, A)
    yield database
    database.close()


@pytest.fixture
def cells(api_db: Database) -> Iterator[Cells]:
    conf = config.load(files=[])
    conf.set_override("refresh_interval", 3600.0, group="cells")
    opened = Cells(conf, api_db)
    yield opened
    opened.close()


def _change(api_db: Database, **values: Any) -> None:
    with api_db.writer() as session:
        session.execute(sa.update(CellMappingRow).where(CellMappingRow.uuid == A.uuid).values(**values))


def test_a_cell_is_opened_once(cells: Cells) -> None:
    first = cells.get(A.uuid)
    cells.forget()
    assert cells.get(A.uuid) is first
    assert first.cell == A


def test_a_cell_unknown_is_looked_for_at_once(cells: Cells, api_db: Database) -> None:
    assert len(cells.all()) == 1
    other = replace(A, uuid="22222222-2222-4222-8222-222222222222", name="b")
    with api_db.writer() as session:
        mappings.add_cell(session, other)
    assert cells.get(other.uuid).cell == other
    with pytest.raises(errors.Unavailable):
        cells.get("33333333-3333-4333-8333-333333333333")


def test_cell0_comes_first_and_must_be_there(cells: Cells, api_db: Database) -> None:
    with pytest.raises(errors.Misconfigured, match="map_cell0"):
        assert cells.cell0
    with api_db.writer() as session:
        mappings.add_cell(session, Cell(CELL0_UUID, "cell0", "none:///", "sqlite:///cell0"))
    assert cells.cell0.cell.is_cell0
    assert [cell.cell.uuid for cell in cells.all()] == [CELL0_UUID, A.uuid]
    assert [cell.cell.uuid for cell in cells.all(with_cell0=False)] == [A.uuid]


def test_a_cell_disabled_keeps_its_connections(cells: Cells, api_db: Database) -> None:
    before = cells.get(A.uuid)
    _change(api_db, disabled=True)
    cells.forget()
    after = cells.get(A.uuid)
    assert after.cell.is_disabled
    assert (after.db, after.bus) == (before.db, before.bus)


def test_a_cell_with_new_urls_gets_new_connections(cells: Cells, api_db: Database) -> None:
    before = cells.get(A.uuid)
    _change(api_db, database_connection="sqlite:///elsewhere")
    cells.forget()
    after = cells.get(A.uuid)
    assert after.db is not before.db
    assert str(after.db.url) == "sqlite:///elsewhere"


def test_hosts_are_known_by_their_cells(cells: Cells, api_db: Database) -> None:
    with api_db.writer() as session:
        mappings.add_host(session, "host1", A.uuid)
    assert cells.of_hosts() == {"host1": A.uuid}


def test_mappings_are_read_again_when_they_are_old(api_db: Database) -> None:
    conf = config.load(files=[])
    conf.set_override("refresh_interval", 0.1, group="cells")
    cells = Cells(conf, api_db)
    assert not cells.get(A.uuid).cell.is_disabled
    _change(api_db, disabled=True)
    cells._read_at -= 1
    assert cells.get(A.uuid).cell.is_disabled
    cells.close()

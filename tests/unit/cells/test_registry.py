"""The cells a process knows: kept fresh, and their connections kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import config, errors
from nova_lite.cells import registry
from nova_lite.cells.registry import Cells
from nova_lite.db.api_tables import ApiBase, CellMappingRow
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.rpc.bus import Bus
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
    assert after.bus is before.bus
    _change(api_db, transport_url="kombu+memory:///b")
    cells.forget()
    last = cells.get(A.uuid)
    assert last.bus is not before.bus
    assert last.db is after.db


def test_hosts_are_known_by_their_cells(cells: Cells, api_db: Database) -> None:
    with api_db.writer() as session:
        mappings.add_host(session, "host1", A.uuid)
    assert cells.of_hosts() == {"host1": A.uuid}


def test_a_host_mapped_a_moment_ago_is_known_to_who_names_it(cells: Cells, api_db: Database) -> None:
    assert cells.of_hosts() == {}
    with api_db.writer() as session:
        mappings.add_host(session, "host1", A.uuid)
    assert cells.of_hosts() == {}
    assert cells.of_hosts(named=["host1"]) == {"host1": A.uuid}
    assert cells.of_hosts(named=["nobody"]) == {"host1": A.uuid}


def test_what_is_being_read_when_it_is_forgotten_is_read_again(
    cells: Cells, api_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = mappings.hosts

    def meanwhile_mapped(session: Session) -> dict[str, str]:
        found = read(session)
        monkeypatch.setattr(mappings, "hosts", read)
        with api_db.writer() as another:
            mappings.add_host(another, "host1", A.uuid)
        cells.forget()
        return found

    monkeypatch.setattr(mappings, "hosts", meanwhile_mapped)
    assert cells.of_hosts() == {}
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


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("mysql+pymysql://u:hunter2@h:port/n", "no database URL", id="does not parse"),
        pytest.param("oracul://u:hunter2@h/n", "driver", id="no such driver"),
        pytest.param("mysql+pymysql://{username}:hunter2@h/n", "[database] connection", id="cannot be filled"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_a_cell_that_is_down_until_it_is_mended(
    cells: Cells, api_db: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path, url: str, why: str
) -> None:
    good = f"sqlite:///{tmp_path / 'good.sqlite'}"
    other = replace(A, uuid="22222222-2222-4222-8222-222222222222", name="b", database_connection=good)
    with api_db.writer() as session:
        mappings.add_cell(session, other)
    _change(api_db, database_connection=url)
    for _ in range(3):
        cells.forget()
        broken = cells.get(A.uuid)
        for use in (broken.db.reader, broken.db.writer, broken.db.reading, broken.db.writing, broken.db.snapshot):
            with pytest.raises(errors.Unavailable, match="mapping of cell a cannot be used") as caught, use():
                pass
            assert why in caught.value.message
            assert "hunter2" not in f"{caught.value.message}{caught.value.facts}"
        with pytest.raises(errors.Unavailable):
            broken.db.ping()
        assert cells.get(other.uuid).db.ping() > 0
    assert [said for said in caplog.messages if said == broken.db.why] == [broken.db.why]  # type: ignore[attr-defined]

    _change(api_db, database_connection=f"sqlite:///{tmp_path / 'mended.sqlite'}")
    cells.forget()
    assert cells.get(A.uuid).db.ping() > 0


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("rabbit://u:hunter2@h:port/v", id="does not parse"),
        pytest.param("carrot://u:hunter2@h/v", id="no such driver"),
        pytest.param("rabbit://{username}:hunter2@h/v", id="cannot be filled"),
    ],
)
def test_a_bus_that_cannot_be_used_is_one_that_does_not_answer(
    cells: Cells, api_db: Database, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    _change(api_db, transport_url=url)
    bus = cells.get(A.uuid).bus
    for use in (lambda: bus.call("topic", "method"), lambda: bus.cast("topic", "method")):
        with pytest.raises(errors.Unavailable) as caught:
            use()
        assert "mapping of cell a cannot be used" in str(caught.value.facts["cause"])
        assert "hunter2" not in str(caught.value.facts)
    assert "hunter2" not in caplog.text
    _change(api_db, transport_url=A.transport_url)
    cells.forget()
    assert cells.get(A.uuid).bus.call_timeout_s > 0
    assert type(cells.get(A.uuid).bus) is Bus


def test_holes_are_filled_from_what_is_local(cells: Cells, api_db: Database, tmp_path: Path) -> None:
    cells._conf.set_override("connection", f"sqlite:///{tmp_path / 'local.sqlite'}", group="database")
    _change(api_db, database_connection="{scheme}:////{path}")
    opened = cells.get(A.uuid)
    assert str(opened.db.url) == f"sqlite:///{tmp_path / 'local.sqlite'}"
    assert opened.db.ping() > 0
    assert opened.cell.database_connection == "{scheme}:////{path}"


class _Clock(SimpleNamespace):
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def _closings(opened: registry.OpenCell, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    closed: list[str] = []
    monkeypatch.setattr(opened.db, "close", lambda: closed.append("db"))
    monkeypatch.setattr(opened.bus, "close", lambda: closed.append("bus"))
    return closed


@pytest.mark.parametrize("change", ["removed", "moved"])
def test_connections_of_a_cell_that_is_gone_are_closed_after_a_while(
    cells: Cells, api_db: Database, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    clock = _Clock()
    monkeypatch.setattr(registry, "concurrency", clock)
    monkeypatch.setattr("nova_lite.cells.registry.threading.Thread", _AtOnce)
    closed = _closings(cells.get(A.uuid), monkeypatch)
    if change == "removed":
        with api_db.writer() as session:
            session.execute(sa.delete(CellMappingRow))
    else:
        _change(api_db, transport_url="kombu+memory:///b", database_connection="sqlite:///b")
    cells.forget()
    cells.all()
    clock.now += registry.GRACE_S - 1
    cells.forget()
    cells.all()
    assert closed == [], "questions under way may still use them"
    clock.now += 2
    cells.forget()
    cells.all()
    assert sorted(closed) == ["bus", "db"]
    clock.now += 1000
    cells.forget()
    cells.all()
    assert sorted(closed) == ["bus", "db"]


class _AtOnce:
    """A thread whose work is done when it has started."""

    def __init__(self, *, target: Any, args: Any, **_: object) -> None:
        self._target, self._args = target, args

    def start(self) -> None:
        self._target(*self._args)


def test_closing_closes_what_was_replaced_too_whatever_breaks(
    cells: Cells, api_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _closings(cells.get(A.uuid), monkeypatch)
    _change(api_db, transport_url="kombu+memory:///b", database_connection="sqlite:///b")
    cells.forget()
    current = cells.get(A.uuid)
    closed = _closings(current, monkeypatch)

    def breaks() -> None:
        raise OSError("the broker is gone")

    monkeypatch.setattr(current.bus, "close", breaks)
    cells.close()
    assert sorted(old) == ["bus", "db"]
    assert closed == ["db"]

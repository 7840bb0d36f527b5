"""Operators that change, delete and fill cells at once, on real servers: what SQLite, with one writer, cannot show."""

import contextlib
import functools
import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cells import instance_mapping, removal, setup
from nova_lite.cells.instance_mapping import MappedInstances
from nova_lite.cells.removal import Refusal
from nova_lite.cells.setup import Discovery
from nova_lite.cells.templates import NOWHERE
from nova_lite.db.api_tables import HostMappingRow, InstanceMappingRow
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.model.host import Cell
from nova_lite.storage import Database
from tests.functional.commands.cell_site import add_instance, add_node
from tests.integration.stack.stock import Stock

AT_ONCE = 6
SERVERS = 230


@pytest.fixture(params=["mariadb", "postgresql"])
def databases(request: pytest.FixtureRequest, stock: Stock) -> Iterator[tuple[Database, Database]]:
    """The API's and a cell's database, with their tables."""
    server = request.getfixturevalue(request.param)
    with (
        stock.lent(server, "api") as api_url,
        stock.lent(server, "cell") as cell_url,
        contextlib.closing(Database(api_url)) as api_db,
        contextlib.closing(Database(cell_url)) as cell_db,
    ):
        yield api_db, cell_db


@pytest.fixture
def api_db(databases: tuple[Database, Database]) -> Database:
    return databases[0]


@pytest.fixture
def cell_db(databases: tuple[Database, Database]) -> Database:
    return databases[1]


@pytest.fixture
def cell(api_db: Database, cell_db: Database) -> Cell:
    connection = cell_db.url.render_as_string(hide_password=False)
    return setup.create_cell(api_db, name="one", transport_url="rabbit://h/one", connection=connection)


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run functions in threads that begin together; return what each returned, or the refusal it raised."""
    start = Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait(timeout=480)
        try:
            return work()
        except (errors.Conflict, errors.NotFound) as exc:
            return exc

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_of_cells_moved_to_one_bus_at_once_one_gets_it(api_db: Database) -> None:
    made = [
        setup.create_cell(api_db, name=None, transport_url=f"rabbit://h/{number}", connection=f"sqlite:///{number}.db")
        for number in range(AT_ONCE)
    ]

    def move(cell: Cell) -> Callable[[], object]:
        return lambda: setup.update_cell(api_db, cell.uuid, transport_url="rabbit://h/wanted")

    moved = [found for found in at_once(*map(move, made)) if isinstance(found, Cell)]
    assert len(moved) == 1
    assert [cell.transport_url for cell in setup.cells(api_db)].count("rabbit://h/wanted") == 1


def test_changes_of_one_cell_at_once_are_all_kept(api_db: Database, cell: Cell) -> None:
    at_once(
        lambda: setup.update_cell(api_db, cell.uuid, name="uno"),
        lambda: setup.update_cell(api_db, cell.uuid, is_disabled=True),
        lambda: setup.update_cell(api_db, cell.uuid, transport_url="rabbit://h/uno"),
    )
    [found] = setup.cells(api_db)
    assert (found.name, found.is_disabled, found.transport_url) == ("uno", True, "rabbit://h/uno")


def test_a_cell_is_deleted_or_gets_hosts_never_both(api_db: Database, cell_db: Database) -> None:
    connection = cell_db.url.render_as_string(hide_password=False)
    for number in range(8):
        cell = setup.create_cell(api_db, name=None, transport_url=f"rabbit://h/{number}", connection=connection)
        deletions: list[Callable[[], object]] = [
            lambda cell=cell: removal.delete_cell(api_db, cell.uuid, is_forced=False, local=NOWHERE)  # type: ignore[misc]
            for _ in range(2)
        ]
        mapped, *deleted = at_once(
            lambda cell=cell, number=number: setup.map_hosts(api_db, cell, [f"host-{number}"]),  # type: ignore[misc]
            *deletions,
        )
        assert isinstance(mapped, Discovery)
        is_there = [found.uuid for found in setup.cells(api_db)] == [cell.uuid]
        assert deleted.count(None) == (0 if is_there else 1)
        assert mapped.mapped == ([f"host-{number}"] if is_there else [])
        with api_db.reader() as session:
            assert len(session.scalars(sa.select(HostMappingRow)).all()) == int(is_there)
        if is_there:
            assert set(deleted) <= {Refusal.HAS_HOSTS}
            assert removal.delete_cell(api_db, cell.uuid, is_forced=True, local=NOWHERE) is None


def test_a_host_deleted_by_several_at_once_is_deleted_once(api_db: Database, cell: Cell) -> None:
    for number in range(5):
        setup.map_hosts(api_db, cell, [f"host-{number}"])

        def delete(host: str = f"host-{number}") -> Refusal | None:
            return removal.delete_host(api_db, cell.uuid, host, local=NOWHERE)

        found = at_once(*itertools.repeat(delete, AT_ONCE))
        assert found.count(None) == 1
        assert found.count(Refusal.NO_HOST) == AT_ONCE - 1


def test_servers_mapped_by_several_at_once_are_mapped_once(api_db: Database, cell_db: Database, cell: Cell) -> None:
    add_instance(cell_db, 0)
    with cell_db.writer() as session:
        [first] = session.execute(sa.select(InstanceRow.__table__)).mappings()
        columns = {name: value for name, value in first.items() if name != "id"}
        session.execute(sa.insert(InstanceRow), [{**columns, "uuid": str(uuid.uuid4())} for _ in range(SERVERS - 1)])

    def run() -> MappedInstances:
        return instance_mapping.map_instances(api_db, cell_db, cell)

    done = [one for one in at_once(*itertools.repeat(run, AT_ONCE)) if isinstance(one, MappedInstances)]
    assert len(done) == AT_ONCE
    assert sum(one.mapped for one in done) == sum(one.looked_at for one in done) == SERVERS
    with api_db.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(InstanceMappingRow)) == SERVERS


@pytest.mark.parametrize("is_first", [True, False], ids=["the first cell", "a later cell"])
def test_of_equal_cells_added_at_once_one_is(api_db: Database, tmp_path: Path, is_first: bool) -> None:
    if not is_first:
        setup.map_cell0(api_db, "sqlite:///cell0.db")
    before = len(setup.cells(api_db))
    for number in range(5):
        add = functools.partial(
            setup.create_cell,
            api_db,
            name=None,
            transport_url=f"rabbit://h/{number}",
            connection=f"sqlite:///{tmp_path}/{number}.db",
        )
        added = at_once(*itertools.repeat(add, AT_ONCE))
        assert sum(isinstance(found, Cell) for found in added) == 1
        assert len(setup.cells(api_db)) == before + 1
        if is_first:
            [only] = setup.cells(api_db)
            assert removal.delete_cell(api_db, only.uuid, is_forced=False, local=NOWHERE) is None
        else:
            before += 1


def test_a_cell_looked_for_by_several_at_once_is_added_once(api_db: Database) -> None:
    """All but one were told that the cell they had asked for is another's."""
    find = functools.partial(
        setup.find_or_create_cell, api_db, name="one", transport_url="rabbit://h/1", connection="sqlite:///1.db"
    )
    found = [one for one in at_once(*itertools.repeat(find, AT_ONCE)) if isinstance(one, setup.Mapped)]
    assert sorted(one.is_new for one in found) == [False] * (AT_ONCE - 1) + [True]
    assert {one.cell for one in found} == set(setup.cells(api_db))


def test_cell0_mapped_by_several_at_once_is_mapped_once(api_db: Database) -> None:
    def map_cell0(number: int) -> Callable[[], object]:
        return lambda: setup.map_cell0(api_db, f"sqlite:///{number}.db")

    mapped = [found for found in at_once(*map(map_cell0, range(AT_ONCE))) if isinstance(found, setup.Mapped)]
    assert len(mapped) == AT_ONCE
    assert sum(found.is_new for found in mapped) == 1
    assert {found.cell for found in mapped} == set(setup.cells(api_db))


def test_hosts_discovered_by_several_at_once_are_mapped_once(api_db: Database, cell_db: Database, cell: Cell) -> None:
    for number in range(9):
        add_node(cell_db, f"host-{number}", number)
    found = at_once(*itertools.repeat(lambda: setup.discover_hosts(api_db), AT_ONCE))
    discoveries = [discovery for one in found if isinstance(one, list) for discovery in one]
    assert len(discoveries) == AT_ONCE
    assert {discovery.failure for discovery in discoveries} == {None}
    mapped = [host for discovery in discoveries for host in discovery.mapped]
    assert sorted(mapped) == sorted(setup.hosts_of(api_db)) == [f"host-{number}" for number in range(9)]
    assert all(set(discovery.lost).isdisjoint(discovery.mapped) for discovery in discoveries)

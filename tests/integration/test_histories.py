"""The histories' contract and the operators' races on real servers: what SQLite, with one writer, cannot show."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from nova_lite import errors
from nova_lite.cells import setup
from nova_lite.db.migrate import History
from nova_lite.storage import Database
from tests.contract import schema
from tests.integration.stack.stock import Stock

HISTORIES: tuple[History, ...] = ("api", "cell", "placement")
AT_ONCE = 6


@pytest.fixture(params=["mariadb", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> Iterator[Callable[[], Database]]:
    """A function that opens a new, empty database; all are dropped afterwards."""
    server = request.getfixturevalue(request.param)
    opened: dict[str, Database] = {}

    def make() -> Database:
        name = f"nl_{uuid.uuid4().hex[:12]}"
        server.create([name])
        opened[name] = Database(server.url(name))
        return opened[name]

    yield make
    for database in opened.values():
        database.close()
    server.drop(list(opened))


@pytest.fixture(params=["mariadb", "postgresql"])
def api_db(request: pytest.FixtureRequest, stock: Stock) -> Iterator[Database]:
    server = request.getfixturevalue(request.param)
    with stock.lent(server, "api") as url, contextlib.closing(Database(url)) as database:
        yield database


def at_once(work: Callable[[int], object]) -> list[object]:
    """Run ``work(0)`` … in threads that begin together; return what each returned, or the Conflict it raised."""
    start = Barrier(AT_ONCE)

    def run(number: int) -> object:
        start.wait(timeout=480)
        try:
            return work(number)
        except errors.Conflict as exc:
            return exc

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(run, range(AT_ONCE)))


@pytest.mark.parametrize("history", HISTORIES)
def test_migrations_make_the_models(new_database: Callable[[], Database], history: History) -> None:
    schema.check_migrations_make_the_models(new_database(), new_database(), history)


@pytest.mark.parametrize("history", HISTORIES)
def test_syncs_at_once_make_one(new_database: Callable[[], Database], history: History) -> None:
    schema.check_syncs_at_once_make_one(new_database(), history)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_sync_that_was_cut_off_is_taken_up(new_database: Callable[[], Database], history: History) -> None:
    schema.check_a_sync_that_was_cut_off_is_taken_up(new_database(), new_database(), history)


def test_of_many_that_discover_at_once_each_host_is_mapped_once(api_db: Database) -> None:
    cell = setup.create_cell(api_db, name="one", transport_url="rabbit://h/one", connection="sqlite:////one.db")
    hosts = [f"host-{number:02}" for number in range(50)]
    found = at_once(lambda _: setup.map_hosts(api_db, cell, hosts))
    assert sorted(host for one in found if isinstance(one, setup.Discovery) for host in one.mapped) == hosts
    assert list(setup.hosts_of(api_db, cell.uuid)) == hosts


def test_of_cells_made_at_once_one_gets_the_bus(api_db: Database) -> None:
    setup.map_cell0(api_db, "sqlite:////cell0.db")

    def create(number: int) -> object:
        return setup.create_cell(
            api_db, name=str(number), transport_url="rabbit://h/one", connection=f"sqlite:////{number}.db"
        )

    made = [cell for cell in at_once(create) if not isinstance(cell, errors.Conflict)]
    assert len(made) == 1
    assert setup.cells(api_db)[1:] == made


def test_cell0_mapped_at_once_is_mapped_once(api_db: Database) -> None:
    mapped = at_once(lambda _: setup.map_cell0(api_db, "sqlite:////cell0.db").is_new)
    assert sorted(map(str, mapped)) == ["False"] * (AT_ONCE - 1) + ["True"]

"""Databases on each kind of server, as fixtures; what uses them tells of all three."""

import contextlib
import threading
import uuid as uuids
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from nova_lite.db import migrate
from nova_lite.db.migrate import History
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.storage import Database
from tests.integration.stack.stock import Stock

PROJECT = "p" * 32
MakeDatabase = Callable[[], Database]


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDatabase]:
    """A function that opens a new, empty database on one kind of server; all are dropped afterwards."""
    opened: list[Database] = []
    names: list[str] = []
    server = None if request.param == "sqlite" else request.getfixturevalue(request.param)

    def make_one() -> Database:
        name = f"nl_{uuids.uuid4().hex[:12]}"
        if server is None:
            database = Database(f"sqlite:///{tmp_path}/{name}.db")
        else:
            server.create([name])
            names.append(name)
            database = Database(server.url(name), pool_size=40)
        opened.append(database)
        return database

    yield make_one
    for database in opened:
        database.close()
    if server is not None:
        server.drop(names)


@pytest.fixture
def filled(make: MakeDatabase, stock: Stock, request: pytest.FixtureRequest) -> Iterator[Callable[[History], Database]]:
    """A function that opens a database with the tables of a history, on the kind of server that ``make`` uses."""
    kind = request.node.callspec.params["make"]
    with contextlib.ExitStack() as stack:

        def fill(history: History) -> Database:
            if kind == "sqlite":
                database = make()
                migrate.sync(database, history)
                return database
            url = stack.enter_context(stock.lent(request.getfixturevalue(kind), history))
            return stack.enter_context(contextlib.closing(Database(url, pool_size=40)))

        yield fill


@pytest.fixture
def api_db(filled: Callable[[History], Database]) -> Database:
    return filled("api")


@pytest.fixture
def cell_db(filled: Callable[[History], Database]) -> Database:
    return filled("cell")


@pytest.fixture
def placement_db(filled: Callable[[History], Database]) -> Database:
    database = filled("placement")
    standard_names(database)
    return database


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Run ``work(0)`` to ``work(count - 1)`` in threads that begin together; return what each returned or raised."""
    gate = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(number: int) -> None:
        gate.wait(timeout=480)
        try:
            results[number] = work(number)
        except Exception as exc:  # noqa: BLE001 - what each worker raised is the result that tests look at
            results[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=480)
    assert not any(thread.is_alive() for thread in threads), "a worker hangs"
    return results


def an_instance() -> Instance:
    """Return an instance with something in every field that a database could lose or change."""
    now = datetime(2026, 2, 28, 23, 59, 59, 123456)  # noqa: DTZ001 - the model's times are naive UTC
    return Instance(
        uuid=str(uuids.uuid4()),
        project_id=PROJECT,
        user_id="u" * 32,
        display_name="Zürich 🙂 " + "n" * 240,
        hostname="zuerich",
        vm_state=VmState.BUILDING,
        task_state=TaskState.SPAWNING,
        flavor=Flavor(flavor_id="1", name="m1.tiny", vcpus=1, ram_mib=128, root_gib=1),
        image_id=str(uuids.uuid4()),
        created_at=now,
        updated_at=now,
        power_state=PowerState.NOSTATE,
        metadata={"ключ": "значение", "empty": "", "quote": 'it\'s \\ "so" %s :x'},
        image_properties={"hw_machine_type": "q35"},
        description="line one\nline two\t\u2028end",
        user_data="A" * 87380,
        has_config_drive=True,
        scheduling={"refused": [{"host": "h1", "why": "128 MiB free, 256 MiB asked"}], "ratio": 1.5},
        tags=("a", "b"),
        launched_at=now,
        fault=Fault(500, "No valid host 🙁", now, "details " * 20000),
    )

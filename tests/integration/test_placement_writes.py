"""Placement's writes on real servers: what cuts a transaction off, who is faster, and how many statements it takes."""

import contextlib
import itertools
import re
import socket
import subprocess
import sys
import threading
import uuid as uuids
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import os_resource_classes
import os_traits
import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db import migrate
from nova_lite.placement import audit
from nova_lite.placement.model import ANY_GENERATION, Claim, Inventory
from nova_lite.placement.repositories import belongings, claims, holdings, loading, names, providers
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.placement.repositories.transactions import Writer
from nova_lite.placement.tables import CHANGES, PROVIDERS, ResourceClassRow, TraitRow
from nova_lite.storage import Database
from tests.integration.stack.site import ADDRESS
from tests.integration.stack.stock import Server, Stock


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    """A real server."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def url(server: Server, stock: Stock) -> Iterator[str]:
    """The URL of a database with Placement's tables and standard names."""
    with stock.lent(server, "placement") as url:
        with contextlib.closing(Database(url)) as database:
            standard_names(database)
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, pool_size=20)
    yield opened
    assert [found.text for found in audit.check(opened) if found.is_wrong] == []
    opened.close()


def new_uuid() -> str:
    return str(uuids.uuid4())


def add_host(database: Database, inventories: dict[str, Inventory] | None = None, parent: str | None = None) -> str:
    uuid = new_uuid()
    writer = Writer(database)
    writer.run(providers.create, uuid, uuid, parent)
    if inventories:
        writer.run(belongings.set_inventories, uuid, inventories, 0, only=True)
    return uuid


def claim(consumer: str, allocations: dict[str, dict[str, int]], generation: int | None = None) -> Claim:
    return Claim(consumer, allocations, "project", "user", generation, "INSTANCE", type_told=True)


def used(database: Database, host: str) -> dict[str, int]:
    with database.reading() as connection:
        return {name: entry.used for name, entry in providers.get(connection, host).inventories.items()}


def generation(database: Database, consumer: str) -> int | None:
    with database.reading() as connection:
        held = holdings.holding(connection, consumer)
    return None if held is None else held.generation


# -- connections that die

#: As drivers send it by itself. One also sends SET AUTOCOMMIT, and one commits when it gets to know a server: what
#: matters comes after a note in the change log.
_COMMIT = re.compile(rb"COMMIT(\x00|$)")


class Cutter:
    """Stands between a client and a server, and cuts connections at COMMIT: before or after the server hears of it."""

    def __init__(self, port: int) -> None:
        self._server = (ADDRESS, port)
        self._listener = socket.create_server((ADDRESS, 0))
        self.port: int = self._listener.getsockname()[1]
        #: What becomes of the next commits, one word each: "lost" is not sent on, "done" is, but its answer is not.
        self.plan: list[str] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for channel in self._open:
            channel.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection(self._server)
                self._open += [client, upstream]
                cut = threading.Event()
                threading.Thread(target=self._forward, args=(client, upstream, cut), daemon=True).start()
                threading.Thread(target=self._back, args=(upstream, client, cut), daemon=True).start()

    def _forward(self, client: socket.socket, upstream: socket.socket, cut: threading.Event) -> None:
        has_noted = False
        with contextlib.suppress(OSError):
            while content := client.recv(1 << 16):
                has_noted = has_noted or b"INSERT INTO changes" in content
                fate = self.plan.pop(0) if has_noted and _COMMIT.search(content) and self.plan else None
                if fate == "lost":
                    break
                if fate == "done":
                    cut.set()
                upstream.sendall(content)
        if not cut.is_set():
            _hang_up(client, upstream)

    def _back(self, upstream: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while content := upstream.recv(1 << 16):
                if cut.is_set():
                    break
                client.sendall(content)
        _hang_up(client, upstream)


def _hang_up(*channels: socket.socket) -> None:
    for channel in channels:
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cutter(server: Server) -> Iterator[Cutter]:
    opened = Cutter(server.port)
    yield opened
    opened.close()


@pytest.fixture
def cut_off(url: str, cutter: Cutter) -> Iterator[Database]:
    """The same database, reached through the cutter."""
    opened = Database(sa.make_url(url).set(port=cutter.port).render_as_string(hide_password=False))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("plan", "again"),
    [
        pytest.param(["done"], 0, id="committed"),
        pytest.param(["lost"], 1, id="not committed"),
        pytest.param(["lost", "lost", "done"], 1, id="lost, asking too, committed"),
        pytest.param(["done", "done"], 0, id="committed, asking is not needed"),
    ],
)
def test_a_commit_whose_answer_is_lost_happens_once(
    database: Database, cut_off: Database, cutter: Cutter, plan: list[str], again: int
) -> None:
    host = add_host(database, {"VCPU": Inventory(4)})
    writer, consumer = Writer(cut_off), new_uuid()
    cutter.plan = list(plan)

    writer.run(claims.replace, [claim(consumer, {host: {"VCPU": 3}})])

    assert len(cutter.plan) < len(plan)
    cutter.plan = []
    assert (used(database, host), generation(database, consumer)) == ({"VCPU": 3}, 1)
    assert cut_off.retries == again
    # The client goes on with the generation it knows: nothing happened twice.
    writer.run(claims.replace, [claim(consumer, {host: {"VCPU": 2}}, 1)])
    assert (used(database, host), generation(database, consumer)) == ({"VCPU": 2}, 2)


def test_lost_commits_of_every_noun_are_told_as_what_they_were(
    database: Database, cut_off: Database, cutter: Cutter
) -> None:
    writer, host = Writer(cut_off), new_uuid()
    cutter.plan = ["done"]
    writer.run(providers.create, host, "host", None)
    cutter.plan = ["done"]
    assert writer.run(belongings.set_inventories, host, {"VCPU": Inventory(4)}, 0, only=True).generation == 1
    cutter.plan = ["lost"]
    assert writer.run(belongings.set_traits, host, ["HW_CPU_X86_AVX"], 1).generation == 2
    cutter.plan = ["done"]
    assert writer.run(belongings.set_aggregates, host, [new_uuid()], 2).generation == 3
    cutter.plan = ["done"]
    writer.run(names.add, TraitRow, "CUSTOM_GOLD")
    cutter.plan = ["done"]
    writer.run(providers.delete, host)
    with database.reading() as connection:
        assert loading.load(connection) == []
        assert names.exists(connection, TraitRow, "CUSTOM_GOLD")


def test_a_number_given_out_again_proves_no_commit(database: Database, cut_off: Database, cutter: Cutter) -> None:
    """A crashed server forgets numbers that only lost transactions took; here somebody takes ours meanwhile."""
    host = add_host(database, {"VCPU": Inventory(4)})
    writer, consumer = Writer(cut_off), new_uuid()
    noted: list[int] = []

    def work(connection: sa.Connection) -> None:
        claims.replace(connection, [claim(consumer, {host: {"VCPU": 1}})])
        seq = connection.execute(sa.select(sa.func.max(CHANGES.c.seq))).scalar_one()
        if not noted:
            cutter.plan = ["lost"]
            threading.Thread(target=take_over, args=(seq,)).start()
        noted.append(seq)

    taken = threading.Event()

    def take_over(seq: int) -> None:
        with database.writing() as connection:  # waits until the server has rolled the lost transaction back
            connection.execute(sa.insert(CHANGES).values(seq=seq, provider_id=1, kind=0, token=1))
        taken.set()

    writer.run(work)
    assert taken.wait(480)
    assert len(noted) == 2
    assert used(database, host) == {"VCPU": 1}


def test_a_connection_that_dies_before_the_commit_costs_nobody_anything(database: Database) -> None:
    host = add_host(database, {"VCPU": Inventory(4)})
    writer, kills = Writer(database), itertools.count()

    def work(connection: sa.Connection) -> None:
        if next(kills) == 0:
            kill(database, connection)
        claims.replace(connection, [claim(new_uuid(), {host: {"VCPU": 1}})])

    writer.run(work)
    assert used(database, host) == {"VCPU": 1}
    assert next(kills) == 2


def kill(database: Database, victim: sa.Connection) -> None:
    """Let the server end the session of ``victim``."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            pid = victim.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        else:
            pid = victim.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
            connection.exec_driver_sql(f"KILL {pid}")


def test_pooled_connections_that_the_server_closed_are_not_used(database: Database) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(database.reading()) for _ in range(3)]
        for connection in opened:
            connection.execute(sa.select(1))
        pooled = opened[1:]
        for connection in pooled:
            kill(database, connection)
        # These two notice only when they are used again.
        for connection in pooled:
            connection.rollback()
    for _ in range(4):
        with database.reading() as connection:
            assert connection.execute(sa.select(1)).scalar_one() == 1


# -- races


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run ``works`` in threads that begin together; return what each returned or raised."""
    gate, results = threading.Barrier(len(works)), [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        gate.wait(timeout=480)
        try:
            results[number] = work()  # type: ignore[call-overload]
        except Exception as exc:  # noqa: BLE001 - what each raised is the result that tests look at
            results[number] = exc  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=entry) for entry in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=480)
    assert not any(thread.is_alive() for thread in threads), "a worker hangs"
    return list(results)


def test_of_two_that_make_the_same_consumer_one_is_told_so(database: Database) -> None:
    host, writer = add_host(database, {"VCPU": Inventory(100)}), Writer(database)
    for _ in range(10):
        work = partial(writer.run, claims.replace, [claim(new_uuid(), {host: {"VCPU": 1}})])
        results = at_once(*[work] * 4)
        refused = [result for result in results if result is not None]
        assert results.count(None) == 1
        assert all(
            isinstance(result, errors.Conflict) and "expected 1 but got null" in str(result) for result in refused
        )


def test_whoever_knows_no_generation_is_never_told_of_a_race(database: Database) -> None:
    host, writer = add_host(database, {"VCPU": Inventory(100)}), Writer(database)
    consumers = [new_uuid() for _ in range(5)]
    for consumer in consumers:
        work = partial(writer.run, claims.replace, [claim(consumer, {host: {"VCPU": 2}}, ANY_GENERATION)])
        assert at_once(*[work] * 6) == [None] * 6
        assert generation(database, consumer) == 6
    assert used(database, host) == {"VCPU": 10}


def test_a_provider_deleted_while_claimed_on_is_one_there_is_not(database: Database) -> None:
    writer = Writer(database)
    for _ in range(10):
        host = add_host(database, {"VCPU": Inventory(4)})
        consumer = new_uuid()
        claimed, deleted = at_once(
            partial(writer.run, claims.replace, [claim(consumer, {host: {"VCPU": 1}})]),
            partial(writer.run, providers.delete, host),
        )
        if claimed is None:
            assert isinstance(deleted, errors.Conflict)
        else:
            assert (type(claimed), deleted) == (errors.Invalid, None), (claimed, deleted)


@pytest.mark.parametrize("kind", ["trait", "class"])
def test_a_name_removed_while_it_is_given_is_one_there_is_not(database: Database, kind: str) -> None:
    writer, host = Writer(database), add_host(database)
    table = TraitRow if kind == "trait" else ResourceClassRow

    def give(name: str) -> object:
        if kind == "trait":
            return writer.run(belongings.set_traits, host, [name], None)
        return writer.run(belongings.set_inventories, host, {name: Inventory(1)}, None, only=True)

    def take() -> object:
        if kind == "trait":
            return writer.run(belongings.set_traits, host, [], None)
        return writer.run(belongings.set_inventories, host, {}, None, only=True)

    for number in range(10):
        name = f"CUSTOM_N{number}"
        writer.run(names.add, table, name)
        given, removed = at_once(partial(give, name), partial(writer.run, names.remove, table, name))
        if isinstance(given, errors.Invalid):
            assert removed is None
        else:
            assert isinstance(removed, errors.Conflict), (given, removed)
        take()


def test_subtrees_that_move_under_each_other_stay_trees(database: Database) -> None:
    writer = Writer(database)
    left, right = add_host(database), add_host(database)
    inner = [add_host(database, parent=left), add_host(database, parent=right)]
    leaves = [add_host(database, parent=parent) for parent in inner for _ in range(2)]

    def move(uuid: str, parent: str | None) -> Callable[[], object]:
        return lambda: writer.run(providers.update, uuid, uuid, parent, parent_told=True, may_move=True)

    for _ in range(5):
        results = at_once(
            move(inner[0], inner[1]),
            move(inner[1], inner[0]),
            move(inner[0], None),
            move(leaves[0], right),
            move(leaves[2], leaves[0]),
            lambda: add_host(database, parent=inner[0]),
        )
        assert all(isinstance(result, (errors.Invalid, str, type(None))) for result in results), results
    assert [found.text for found in audit.check(database)] == []


_SYNC = """
import sys
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.storage import Database
standard_names(Database(sys.argv[1]))
"""


def test_standard_names_are_put_in_once_by_many_processes(server: Server) -> None:
    name = f"nl_{uuids.uuid4().hex[:12]}"
    server.create([name])
    database = Database(server.url(name))
    try:
        migrate.sync(database, "placement")
        processes = [subprocess.Popen([sys.executable, "-c", _SYNC, server.url(name)]) for _ in range(4)]
        assert [process.wait(timeout=480) for process in processes] == [0] * 4
        with database.reading() as connection:
            assert list(names.load(connection, ResourceClassRow)) == list(os_resource_classes.STANDARDS)
            assert set(names.load(connection, TraitRow)) == set(os_traits.get_traits())
    finally:
        database.close()
        server.drop([name])


# -- many at once


class Counter:
    """Counts the statements a database is sent."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        sa.event.listen(database.engine, "before_cursor_execute", self._seen)

    def _seen(self, *_: object) -> None:
        self.count += 1


def test_a_thousand_consumers_take_a_bounded_number_of_statements(database: Database) -> None:
    hosts = [add_host(database, {"VCPU": Inventory(1000), "MEMORY_MB": Inventory(100_000)}) for _ in range(3)]
    wanted = [
        claim(new_uuid(), {hosts[number % 3]: {"VCPU": 1, "MEMORY_MB": 8}, hosts[(number + 1) % 3]: {"VCPU": 1}})
        for number in range(1000)
    ]
    counter, writer = Counter(database), Writer(database)
    writer.run(claims.replace, wanted)
    assert counter.count <= 30
    assert sum(used(database, host)["VCPU"] for host in hosts) == 2000

    counter.count = 0
    writer.run(claims.replace, [claim(entry.consumer_uuid, {}, 1) for entry in wanted])
    assert counter.count <= 30
    assert [used(database, host) for host in hosts] == [{"VCPU": 0, "MEMORY_MB": 0}] * 3


def test_inventories_of_a_thousand_providers_take_a_bounded_number_of_statements(database: Database) -> None:
    with database.writing() as connection:
        uuids_ = [new_uuid() for _ in range(1000)]
        rows = [{"uuid": uuid, "name": uuid, "generation": 0, "updated_at": 0.0} for uuid in uuids_]
        connection.execute(sa.insert(PROVIDERS), rows)
        connection.execute(sa.update(PROVIDERS).values(root_id=PROVIDERS.c.id))
    counter, writer = Counter(database), Writer(database)
    stock = {"VCPU": Inventory(4), "MEMORY_MB": Inventory(1024)}
    nothing: dict[str, Inventory] = {}
    writer.run(belongings.set_many_inventories, dict.fromkeys(uuids_, (0, stock)), only=True)
    more = {name: Inventory(8) for name in stock}
    writer.run(belongings.set_many_inventories, dict.fromkeys(uuids_, (1, more)), only=True)
    writer.run(belongings.set_many_inventories, dict.fromkeys(uuids_, (2, nothing)), only=True)
    assert counter.count <= 80


def test_writing_one_inventory_waits_for_nobody_elses(database: Database) -> None:
    """By a pair of ids alone MariaDB read, and locked, every row when there was one pair."""
    mine, theirs = add_host(database, {"VCPU": Inventory(4)}), add_host(database, {"VCPU": Inventory(4)})
    writer = Writer(database)
    with ThreadPoolExecutor(1) as pool, database.writing() as connection:
        belongings.set_inventories(connection, theirs, {"VCPU": Inventory(5)}, None, only=True)
        for inventories in ({"VCPU": Inventory(5)}, {"VCPU": Inventory(5)}, {}):
            # Who waits for a lock is refused after a while; a busy machine only takes its time.
            pool.submit(writer.run, belongings.set_inventories, mine, inventories, None, only=True).result(timeout=480)

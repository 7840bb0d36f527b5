"""Workers, connections and the database itself end at any moment: what was answered stays, nothing is there by half.

These servers are the suite's own: others' tests need theirs alive.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.integration.conftest import new_directory, started
from tests.integration.races.client import NO_ANSWER, Answer, Client, at_once, meanwhile
from tests.integration.races.cloud import claim
from tests.integration.races.conftest import BACKENDS, Size
from tests.integration.races.load import THREADS, Load
from tests.integration.races.truth import State, Truth
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.placement import Placement
from tests.integration.stack.postgresql import PostgreSQL
from tests.integration.stack.processes import birth, wait_until
from tests.integration.stack.site import Site

_WORKERS = 3
_DATABASE = "placement_faults"
#: Seconds in which the service must be itself again after a fault.
_RECOVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Ward:
    """One Placement of three worker processes on a database server of its own, both of which may be hurt."""

    site: Site
    server: MariaDB | PostgreSQL
    placement: Placement
    truth: Truth

    def crash_database(self) -> None:
        """End the database server and all its processes at once."""
        name = "mariadb" if isinstance(self.server, MariaDB) else "postgresql"
        pid = self.site.processes.pid(name)
        assert pid is not None
        # PostgreSQL's processes have sessions of their own; on their parent's death they would end a little later.
        children = {child: birth(child) for child in _children(pid)}
        self.site.processes.kill(name)
        for child, born in children.items():
            if born is not None and birth(child) == born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        wait_until(
            lambda: not any(birth(child) == born for child, born in children.items() if born is not None),
            f"end of all processes of {name}",
            timeout_s=30,
        )

    def connections(self) -> list[int]:
        """Return the numbers of the workers' connections, by the server's count."""
        with self.truth.connection() as connection:
            return list(connection.scalars(sa.text(self._sql()[0])))

    def end_connection(self, number: int) -> None:
        """Let the server end a connection, whatever it is doing; one that has ended already is no error."""
        with contextlib.suppress(sa.exc.OperationalError), self.truth.connection() as connection:
            connection.execute(sa.text(self._sql()[1].format(number)))

    def _sql(self) -> tuple[str, str]:
        if isinstance(self.server, MariaDB):
            mine = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
            return mine, "KILL {}"
        mine = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return mine, "SELECT pg_terminate_backend({})"


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


@pytest.fixture(scope="module", params=BACKENDS)
def ward(request: pytest.FixtureRequest) -> Iterator[Ward]:
    with new_directory(request.config) as directory:
        site = Site(directory)
        neighbours = Neighbours(site)
        server: MariaDB | PostgreSQL = getattr(neighbours, request.param)
        try:
            started(server.start)
            server.create([_DATABASE])
            url = server.url(_DATABASE)
            truth = Truth(url)
            if isinstance(server, PostgreSQL):
                # The stack's servers forget the last commits when they crash; this one is tested for that.
                with truth.connection() as connection:
                    connection.execute(sa.text(f"ALTER DATABASE {_DATABASE} SET synchronous_commit = on"))
            placement = Placement(site, "faults", url, servers=1, processes=_WORKERS)
            placement.prepare()
            started(placement.start)
            yield Ward(site, server, placement, truth)
            placement.stop()
            truth.close()
        finally:
            neighbours.stop()


@pytest.fixture
def client(ward: Ward) -> Client:
    return Client(ward.placement.ports)


def test_workers_are_killed_at_any_moment(ward: Ward, client: Client, size: Size) -> None:
    load = _prepared(client, size)
    dice = size.random("workers")

    with meanwhile(*(partial(load.run, number=number) for number in range(THREADS))):
        for _ in range(size(4)):
            _more(load, 30)
            ward.placement.kill_worker(dice.choice(ward.placement.workers()))
        _more(load, 40)

    _check_all_is_well(ward, client, load)
    assert {answer.status for answer in client.failures} == {NO_ANSWER}, _first(client, 503, 500)


def test_the_database_ends_connections_at_any_moment(ward: Ward, client: Client, size: Size) -> None:
    load = _prepared(client, size)
    dice = size.random("connections")
    workers = _workers(ward)

    with meanwhile(*(partial(load.run, number=number) for number in range(THREADS))):
        for _ in range(size(20)):
            _more(load, 15)
            numbers = ward.connections()
            for number in dice.sample(numbers, min(2, len(numbers))):
                ward.end_connection(number)
        _more(load, 15)

    _check_all_is_well(ward, client, load)
    assert ward.placement.workers() == workers
    _check_failures(client)


def test_the_database_crashes_and_comes_back(ward: Ward, client: Client, size: Size) -> None:
    load = _prepared(client, size)
    workers = _workers(ward)

    with meanwhile(*(partial(load.run, number=number) for number in range(THREADS))):
        for _ in range(size(2)):
            _more(load, 60)
            refused = load.statuses[503]
            ward.crash_database()
            _wait_refused(load, refused + 20)
            ward.server.start()
        _more(load, 60)

    _check_all_is_well(ward, client, load)
    assert ward.placement.workers() == workers
    assert len(client.failures) >= 20
    _check_failures(client)


def test_every_read_is_refused_in_an_outage_and_answered_after_it(ward: Ward, client: Client, size: Size) -> None:
    load = _prepared(client, size)
    uuid = load.providers[0]
    paths = [
        "/resource_providers",
        f"/resource_providers/{uuid}",
        f"/resource_providers/{uuid}/inventories",
        f"/resource_providers/{uuid}/usages",
        f"/resource_providers/{uuid}/traits",
        f"/resource_providers/{uuid}/aggregates",
        f"/resource_providers/{uuid}/allocations",
        f"/allocations/{uuid}",
        "/allocation_candidates?resources=VCPU:1",
        "/usages?project_id=races",
        "/traits",
        "/resource_classes",
    ]
    ward.crash_database()
    answers = at_once([partial(client.call, "GET", path) for path in paths])
    wrong = [str(answer) for answer in answers if answer.status != 503 or answer.retry_after is None]
    assert wrong == []
    version = client.call("GET", "/")
    assert version.status == 200

    ward.server.start()

    _wait_recovered(client, uuid)
    for path in paths:
        assert client.call("GET", path).status == 200


def _prepared(client: Client, size: Size) -> Load:
    load = Load(client, size)
    load.prepare()
    return load


def _more(load: Load, count: int) -> None:
    """Wait until that many more requests were carried out."""
    wanted = load.answers() + count
    wait_until(lambda: load.answers() >= wanted, f"{count} more answers", timeout_s=_RECOVERY_S, interval_s=0.01)


def _workers(ward: Ward) -> list[int]:
    """Return all workers there shall be, once they are there."""
    wait_until(lambda: len(ward.placement.workers()) == _WORKERS, "every worker started", timeout_s=_RECOVERY_S)
    return ward.placement.workers()


def _wait_refused(load: Load, count: int) -> None:
    wait_until(lambda: load.statuses[503] >= count, "clients told 503", timeout_s=_RECOVERY_S, interval_s=0.01)


def _check_all_is_well(ward: Ward, client: Client, load: Load) -> None:
    """Assert that the service has recovered, that every promise is kept and that every worker knows the truth."""
    _wait_recovered(client, load.providers[0])
    state = ward.truth.state()
    assert ward.truth.problems() == []
    assert list(load.broken_promises(state)) == []
    assert load.statuses[204] > 0
    shelves = [shelf.uuid for shelf in load.shelves]
    _check_every_worker(ward, client, state, [*load.providers, *shelves])


def _wait_recovered(client: Client, uuid: str) -> None:
    """Wait until a dozen claims in a row are granted."""
    calls: list[Answer] = []

    def granted() -> bool:
        calls[:] = at_once([partial(claim, Client(client.ports), {uuid: {"VCPU": 1}})] * 12)
        return all(answer.status == 204 for answer in calls)

    wait_until(granted, "a service that works again", timeout_s=_RECOVERY_S, hint="")


def _check_every_worker(ward: Ward, client: Client, state: State, uuids: list[str]) -> None:
    """Assert that each worker shows what the database has."""
    for answer in _by_every_worker(ward, client, "/resource_providers"):
        shown = {
            entry["uuid"]: (entry["generation"], entry["parent_provider_uuid"], entry["root_provider_uuid"])
            for entry in answer.body["resource_providers"]
        }
        assert shown == {row.uuid: (row.generation, row.parent, row.root) for row in state.providers.values()}
    for uuid in uuids:
        for answer in _by_every_worker(ward, client, f"/resource_providers/{uuid}/usages"):
            used = {name: row[1] for name, row in state.providers[uuid].inventories.items()}
            assert answer.body["usages"] == used, answer
        for answer in _by_every_worker(ward, client, f"/resource_providers/{uuid}/inventories"):
            totals = {name: row[0] for name, row in state.providers[uuid].inventories.items()}
            assert {name: each["total"] for name, each in answer.body["inventories"].items()} == totals, answer


def _by_every_worker(ward: Ward, client: Client, path: str) -> list[Answer]:
    """Return answers to one read, at least one by each worker; one that has just been started may need a while."""
    answers: list[Answer] = []
    ask: Callable[[], Answer] = partial(client.call, "GET", path)

    def everybody() -> bool:
        answers.extend(at_once([ask] * 6))
        return {answer.worker for answer in answers} >= {str(pid) for pid in _workers(ward)}

    wait_until(everybody, f"every worker answering {path}", timeout_s=_RECOVERY_S, interval_s=0.01)
    assert [str(answer) for answer in answers if answer.status != 200] == []
    return answers


def _check_failures(client: Client) -> None:
    """Assert that whoever was not served was told to come again: no other failure, and always an answer."""
    wrong = [str(answer) for answer in client.failures if answer.status != 503 or answer.retry_after is None]
    assert wrong == []


def _first(client: Client, *statuses: int) -> list[str]:
    return [str(answer) for answer in client.failures if answer.status in statuses][:3]

"""``cell_v2 delete_host``, as an operator sees it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.cells import removal
from nova_lite.cells.removal import Refusal
from nova_lite.cells.templates import NOWHERE
from nova_lite.db.api_tables import AggregateHostRow, AggregateRow
from nova_lite.db.repositories import mappings, unmapped
from nova_lite.storage import Database
from tests.functional.commands.cell_site import UUID, add_instance, add_service, hosts_of, two_cells
from tests.functional.commands.conftest import Site


@pytest.fixture
def cells(synced: Site) -> dict[str, str]:
    """Two cells with a mapped host each: name → UUID."""
    uuids = two_cells(synced)
    synced.ok("cell_v2", "discover_hosts")
    return uuids


def delete(cell_uuid: str, host: str) -> tuple[str, ...]:
    return ("cell_v2", "delete_host", "--cell_uuid", cell_uuid, "--host", host)


def test_a_host_is_deleted_and_found_again_while_it_reports(synced: Site, cells: dict[str, str]) -> None:
    with synced.database("nova_api").writer() as session:
        session.add(AggregateRow(id=1, uuid=UUID.format(1), name="a"))
        session.flush()
        session.add_all(AggregateHostRow(aggregate_id=1, host=host) for host in ("host-one", "host-two"))
    assert "was deleted" in synced.ok(*delete(cells["one"], "host-one"))
    assert hosts_of(synced) == [("two", "host-two")]
    with synced.database("nova_api").reader() as session:
        assert list(session.scalars(sa.select(AggregateHostRow.host))) == ["host-two"]
    assert synced.run(*delete(cells["one"], "host-one")).code == 2
    synced.ok("cell_v2", "discover_hosts")
    assert hosts_of(synced) == [("one", "host-one"), ("two", "host-two")]


def test_dead_servers_do_not_keep_a_host(synced: Site, cells: dict[str, str]) -> None:
    add_instance(synced.database("one"), 1, host="host-one", is_deleted=True)
    add_instance(synced.database("one"), 2, host="another")
    synced.ok(*delete(cells["one"], "host-one"))


@pytest.mark.parametrize(
    ("cell", "host", "code", "said"),
    [
        pytest.param(None, "host-one", 1, "There is no such cell", id="unknown cell"),
        pytest.param("one", "host-three", 2, "not mapped", id="unknown host"),
        pytest.param("one", "host-two", 3, "another cell", id="host of another cell"),
        pytest.param("two", "host-two", 4, "Servers are on the host", id="host with servers"),
    ],
)
def test_hosts_that_are_not_deleted(
    synced: Site, cells: dict[str, str], cell: str | None, host: str, code: int, said: str
) -> None:
    add_instance(synced.database("two"), 1, host="host-two")
    before = hosts_of(synced)
    ran = synced.run(*delete(cells[cell] if cell else UUID.format(9), host))
    assert ran.code == code
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert hosts_of(synced) == before


def test_a_host_of_a_silent_cell_is_not_deleted(synced: Site, cells: dict[str, str]) -> None:
    (synced.directory / "one.db").unlink()
    assert synced.run(*delete(cells["one"], "host-one")).code == 1
    assert ("one", "host-one") in hosts_of(synced)


@pytest.mark.parametrize("words", [[], ["--host", "x"]], ids=["nothing", "no cell"])
def test_a_wrong_command_line(synced: Site, words: list[str]) -> None:
    assert synced.run("cell_v2", "delete_host", *words).code == 127


def test_a_server_that_comes_meanwhile_is_seen(
    synced: Site, cells: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_service(synced.database("one"), "host-one")
    lock = unmapped.lock_agent

    def build_then_lock(session: Session, host: str, binary: str) -> None:
        session.rollback()
        add_instance(synced.database("one"), 1, host="host-one")
        session.connection()
        lock(session, host, binary)

    monkeypatch.setattr(unmapped, "lock_agent", build_then_lock)
    assert synced.run(*delete(cells["one"], "host-one")).code == 4


def test_a_host_that_moves_meanwhile_is_seen(
    synced: Site, cells: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = mappings.lock_cells

    def move_then_lock(session: Session) -> None:
        mappings.remove_host(session, "host-one")
        mappings.add_host(session, "host-one", cells["two"])
        lock(session)

    monkeypatch.setattr(mappings, "lock_cells", move_then_lock)
    assert synced.run(*delete(cells["one"], "host-one")).code == 3
    assert ("two", "host-one") in hosts_of(synced)


def test_a_host_deleted_by_several_at_once_is_deleted_once(synced: Site, cells: dict[str, str]) -> None:
    start = Barrier(4)

    def once(_: int) -> Refusal | None:
        database = Database(synced.url("nova_api"))
        try:
            start.wait(timeout=480)
            return removal.delete_host(database, cells["one"], "host-one", local=NOWHERE)
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(once, range(4)))
    assert found.count(None) == 1
    assert found.count(Refusal.NO_HOST) == 3
    assert hosts_of(synced) == [("two", "host-two")]

"""``cell_v2 map_instances`` and ``verify_instance``, as an operator sees it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa

from nova_lite.cells import instance_mapping, setup
from nova_lite.cells.instance_mapping import MappedInstances
from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import mappings
from nova_lite.storage import Database
from tests.functional.commands.cell_site import UUID, add_instance, two_cells
from tests.functional.commands.conftest import SECRET, Site

SERVERS = 120


@pytest.fixture
def one(synced: Site) -> str:
    """Return the UUID of a cell, one of two, with servers that are mapped nowhere."""
    uuid = two_cells(synced)["one"]
    database = synced.database("one")
    add_instance(database, 0)
    with database.writer() as session:
        [first] = session.execute(sa.select(InstanceRow.__table__)).mappings()
        columns = {name: value for name, value in first.items() if name != "id"}
        more = [{**columns, "uuid": _server(number)} for number in range(1, SERVERS)]
        session.execute(sa.insert(InstanceRow), more)
    return uuid


def _server(number: int) -> str:
    return f"6bb5f1f0-0000-4000-8000-{number:012}"


def mapped(site: Site) -> dict[str, str | None]:
    with site.database("nova_api").reader() as session:
        return {row.instance_uuid: row.cell_uuid for row in session.scalars(sa.select(InstanceMappingRow))}


def map_instances(uuid: str, *words: str) -> tuple[str, ...]:
    return ("cell_v2", "map_instances", "--cell_uuid", uuid, *words)


def test_servers_are_mapped_in_portions(synced: Site, one: str) -> None:
    ran = synced.run(*map_instances(one, "--max-count", "70"))
    assert (ran.code, ran.out) == (1, "70 servers looked at, 70 mapped. There are more: run it again.\n")
    assert len(mapped(synced)) == 70
    assert synced.ok(*map_instances(one, "--max-count", "50")) == "50 servers looked at, 50 mapped.\n"
    assert mapped(synced) == {_server(number): one for number in range(SERVERS)}
    assert synced.ok(*map_instances(one)) == "0 servers looked at, 0 mapped.\n"


def test_what_was_missed_is_found_by_a_reset(synced: Site, one: str) -> None:
    synced.ok(*map_instances(one))
    with synced.database("nova_api").writer() as session:
        mappings.remove_instances(session, [_server(7)])
    assert synced.ok(*map_instances(one)) == "0 servers looked at, 0 mapped.\n"
    assert synced.ok(*map_instances(one, "--reset")) == f"{SERVERS} servers looked at, 1 mapped.\n"
    assert mapped(synced)[_server(7)] == one


def test_dead_servers_and_those_known_stay_as_they_are(synced: Site, one: str) -> None:
    with synced.database("one").writer() as session:
        session.execute(sa.update(InstanceRow).where(InstanceRow.uuid == _server(1)).values(deleted=True))
    with synced.database("nova_api").writer() as session:
        mappings.add_instance(session, _server(2), project_id="p", user_id="u", vcpus=1, ram_mib=1)
    assert synced.ok(*map_instances(one)) == f"{SERVERS - 1} servers looked at, {SERVERS - 2} mapped.\n"
    assert _server(1) not in mapped(synced)
    assert mapped(synced)[_server(2)] is None


def test_several_at_once_share_the_work(synced: Site, one: str) -> None:
    [cell] = setup.cells(synced.database("nova_api"), one)
    start = Barrier(4)

    def run(_: int) -> MappedInstances:
        api_db, cell_db = Database(synced.url("nova_api")), Database(synced.url("one"))
        try:
            start.wait(timeout=480)
            return instance_mapping.map_instances(api_db, cell_db, cell)
        finally:
            api_db.close()
            cell_db.close()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(run, range(4)))
    assert sum(one_run.mapped for one_run in done) == SERVERS
    assert sum(one_run.looked_at for one_run in done) == SERVERS
    assert len(mapped(synced)) == SERVERS


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(["--max-count", "0"], 127, "must be a number, 1 or more", id="none"),
        pytest.param(["--max-count", "all"], 127, "must be a number, 1 or more, not all", id="no number"),
        pytest.param(["--max-count", "-3"], 127, "must be a number, 1 or more", id="fewer than none"),
        pytest.param(["--max-count", "many"], 127, "many", id="no number"),
    ],
)
def test_a_wrong_number_is_refused(synced: Site, one: str, words: list[str], code: int, said: str) -> None:
    ran = synced.run(*map_instances(one, *words))
    assert ran.code == code
    assert said in ran.err
    assert mapped(synced) == {}


def test_failures_do_not_look_as_if_there_were_more(synced: Site, one: str) -> None:
    ran = synced.run(*map_instances(UUID.format(9)))
    assert ran.code == 255
    assert "was not found" in ran.err
    words = ["--cell_uuid", one, "--database_connection", f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/x"]
    synced.ok("cell_v2", "update_cell", *words, warned="nova:****@127.0.0.1:9/x does not answer")
    ran = synced.run(*map_instances(one))
    assert ran.code == 255
    assert "does not answer" in ran.err
    assert SECRET not in ran.out + ran.err
    synced.configure(api_database=None)
    assert synced.run(*map_instances(one)).code == 255


# -- verify_instance


def verify(number: int, *words: str) -> tuple[str, ...]:
    return ("cell_v2", "verify_instance", "--uuid", _server(number), *words)


def test_a_server_is_verified_through_its_whole_life(synced: Site, one: str) -> None:
    steps: list[tuple[int, str]] = [(1, "is not mapped")]

    def look() -> None:
        code, said = steps[-1]
        ran = synced.run(*verify(1))
        assert (ran.code, ran.err) == (code, "")
        assert f"Server {_server(1)} " in ran.out
        assert said in ran.out
        ran = synced.run(*verify(1, "--quiet"))
        assert (ran.code, ran.out, ran.err) == (code, "", "")

    look()
    with synced.database("nova_api").writer() as session:
        mappings.add_instance(session, _server(1), project_id="p", user_id="u", vcpus=1, ram_mib=1)
    steps.append((2, "no cell was chosen"))
    look()
    with synced.database("nova_api").writer() as session:
        session.execute(sa.update(InstanceMappingRow).values(cell_uuid=one))
    steps.append((0, "cell one and lives there"))
    look()
    with synced.database("one").writer() as session:
        session.execute(sa.update(InstanceRow).where(InstanceRow.uuid == _server(1)).values(deleted=True))
    steps.append((3, "was deleted"))
    look()
    with synced.database("one").writer() as session:
        session.execute(sa.delete(InstanceRow).where(InstanceRow.uuid == _server(1)))
    steps.append((4, "no record"))
    look()


def test_a_server_of_a_silent_cell_is_not_judged(synced: Site, one: str) -> None:
    synced.ok(*map_instances(one))
    (synced.directory / "one.db").rename(synced.directory / "away.db")
    ran = synced.run(*verify(1))
    assert ran.code == 255
    assert "Cell one does not answer" in ran.err


def test_a_server_must_be_named(synced: Site) -> None:
    assert synced.run("cell_v2", "verify_instance").code == 127

"""``cell_v2``, as an operator sees it."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import setup
from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.db.repositories import mappings
from nova_lite.model.host import CELL0_UUID
from nova_lite.storage import Database
from tests.functional.commands.cell_site import UUID, add_instance, add_node, add_service, cells_of, hosts_of, two_cells
from tests.functional.commands.conftest import SECRET, Site


@pytest.mark.parametrize(
    ("main", "cell0"),
    [
        pytest.param("sqlite:////var/lib/nova.db", "sqlite:////var/lib/nova_cell0.db", id="a file"),
        pytest.param("sqlite:////var/l.d/nova", "sqlite:////var/l.d/nova_cell0", id="a file without extension"),
        pytest.param(
            "mysql+pymysql://n:a%40b@db.example.org/nova?charset=utf8mb4",
            "mysql+pymysql://n:a%40b@db.example.org/nova_cell0?charset=utf8mb4",
            id="a server with a query",
        ),
        pytest.param(
            "postgresql+psycopg://n:p@[::1]:5432/no.va", "postgresql+psycopg://n:p@[::1]:5432/no.va_cell0", id="a dot"
        ),
    ],
)
def test_cell0_lives_beside_the_main_database(main: str, cell0: str) -> None:
    assert setup.cell0_connection(main) == cell0


def test_cell0_is_mapped_once(site: Site) -> None:
    site.ok("api_db", "sync")
    assert "cell0 is mapped to" in site.ok("cell_v2", "map_cell0")
    assert "mapped already" in site.ok("cell_v2", "map_cell0", "--database_connection", site.url("other"))
    [cell0] = cells_of(site)
    assert cell0 == {
        "Name": "cell0",
        "UUID": CELL0_UUID,
        "Transport URL": "none:///",
        "Database Connection": site.url("nova_cell0"),
        "Disabled": False,
    }


@pytest.mark.parametrize(
    "words",
    [["map_cell0"], ["create_cell"], ["list_cells"], ["list_hosts"], ["discover_hosts"], ["simple_cell_setup"]],
    ids=" ".join,
)
def test_without_tables_the_operator_is_told_what_to_run(site: Site, words: list[str]) -> None:
    ran = site.run("cell_v2", *words)
    assert ran.code == 1
    assert "The API database has no tables yet; run: nova-lite-manage api_db sync" in ran.err


def test_cells_are_added_and_listed(synced: Site) -> None:
    uuid = synced.ok("cell_v2", "create_cell", "--name", "north", "--verbose").strip()
    words = ["--transport-url", "rabbit://h/two", "--database_connection", synced.url("two"), "--disabled"]
    assert "db sync --local_cell" in synced.ok("cell_v2", "create_cell", *words)

    _, north, nameless = cells_of(synced)
    assert (north["Name"], north["UUID"], north["Disabled"]) == ("north", uuid, False)
    assert north["Database Connection"] == synced.url("nova")
    assert north["Transport URL"] == f"rabbit://nova:{SECRET}@127.0.0.1:5672/cell1"
    assert (nameless["Name"], nameless["Disabled"]) == ("", True)


def test_passwords_are_shown_only_when_asked_for(synced: Site) -> None:
    connection = f"postgresql+psycopg://nova:{SECRET}@127.0.0.1/nova?sslpassword={SECRET}"
    url = f"rabbit://a:{SECRET}@h1:5672,b:{SECRET}@h2:5672/v"
    words = ["--transport-url", url, "--database_connection", connection]
    synced.ok("cell_v2", "create_cell", *words, warned="nova:****@127.0.0.1/nova")
    for form in ("table", "json", "csv"):
        shown = synced.ok("cell_v2", "list_cells", "-f", form)
        assert SECRET not in shown
        assert "rabbit://a:****@h1:5672,b:****@h2:5672/v" in shown
        assert "postgresql+psycopg://nova:****@127.0.0.1/nova?sslpassword=****" in shown
    assert synced.ok("cell_v2", "list_cells", "--verbose").count(SECRET) == 4


def test_lists_come_as_table_json_and_csv(synced: Site) -> None:
    columns = ["Name", "UUID", "Transport URL", "Database Connection", "Disabled"]
    rule, header, *_ = synced.ok("cell_v2", "list_cells").splitlines()
    assert set(rule) == {"+", "-"}
    assert [word.strip() for word in header.strip("|").split("|")] == columns
    assert list(json.loads(synced.ok("cell_v2", "list_cells", "-f", "json"))[0]) == columns
    assert next(csv.reader(io.StringIO(synced.ok("cell_v2", "list_cells", "-f", "csv")))) == columns


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="the same pair"),
        pytest.param(["--transport-url", "rabbit://h/other"], id="the same database"),
        pytest.param(["--database_connection", "sqlite:////tmp/other.db"], id="the same bus"),
    ],
)
def test_a_bus_or_database_of_another_cell_is_refused(synced: Site, words: list[str]) -> None:
    synced.ok("cell_v2", "create_cell", "--name", "first")
    before = cells_of(synced)
    ran = synced.run("cell_v2", "create_cell", *words)
    assert ran.code == 2
    assert "Cell first" in ran.err
    assert "each cell needs its own" in ran.err
    assert cells_of(synced) == before


def test_one_database_by_another_url_is_the_same(synced: Site) -> None:
    """Servers of a database that two cells share would be listed twice."""

    def create(bus: str, connection: str) -> int:
        words = ["--transport-url", f"rabbit://h/{bus}", "--database_connection", connection]
        return synced.run("cell_v2", "create_cell", *words).code

    assert create("one", "mysql+pymysql://nova:a@127.0.0.1/one") == 0
    assert create("two", "mysql+pymysql://nova:a@127.0.0.1:3306/one?charset=utf8mb4") == 2
    assert create("two", "mysql+pymysql://root:b@127.0.0.1/one") == 2
    assert create("two", "mysql+pymysql://nova:a@127.0.0.1:9/one") == 0


def test_cell0_is_never_the_database_of_a_cell(site: Site) -> None:
    site.ok("api_db", "sync")
    site.ok("cell_v2", "create_cell", "--name", "one")
    ran = site.run("cell_v2", "map_cell0", "--database_connection", site.url("nova") + "?timeout=5")
    assert ran.code == 1
    assert "Cell one" in ran.err
    assert len(cells_of(site)) == 1


@pytest.mark.parametrize(
    ("missing", "named"),
    [("transport_url", "--transport-url"), ("database", "connection in [database] is not set")],
)
def test_a_missing_url_is_named(synced: Site, missing: str, named: str) -> None:
    synced.configure(**{missing: None})
    ran = synced.run("cell_v2", "create_cell")
    assert ran.code == 1
    assert named in ran.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--transport-url", f"rabbit://u:{SECRET}@h:port/v"], id="port of a bus"),
        pytest.param(["--transport-url", f"carrot://u:{SECRET}@h/v"], id="kind of a bus"),
        pytest.param(["--transport-url", f"{SECRET}"], id="no URL"),
        pytest.param(["--database_connection", f"mysql+pymysql://u:{SECRET}@h:{SECRET}/n"], id="port of a database"),
        pytest.param(["--database_connection", f"u:{SECRET}@h/n"], id="no database URL"),
        pytest.param(["--name", "x" * 256], id="a long name"),
        pytest.param(["--name", ""], id="an empty name"),
    ],
)
@pytest.mark.parametrize("verbose", [[], ["--verbose"]], ids=["", "verbose"])
def test_a_bad_cell_is_refused_and_its_urls_are_not_repeated(
    synced: Site, words: list[str], verbose: list[str]
) -> None:
    before = cells_of(synced)
    ran = synced.run("cell_v2", "create_cell", *words, *verbose)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert SECRET not in ran.out + ran.err
    assert cells_of(synced) == before


def test_hosts_are_discovered_once(synced: Site) -> None:
    synced.ok("cell_v2", "create_cell", "--name", "one")
    assert synced.run("cell_v2", "discover_hosts", "--strict").code == 1
    add_node(synced.database("nova"), "alpha", 1)
    add_node(synced.database("nova"), "beta", 2)

    out = synced.ok("cell_v2", "discover_hosts", "--strict", "--verbose")
    assert "Host alpha is mapped to cell one now." in out
    assert hosts_of(synced) == [("one", "alpha"), ("one", "beta")]
    assert "Cell one: 0 hosts mapped." in synced.ok("cell_v2", "discover_hosts")
    assert synced.run("cell_v2", "discover_hosts", "--strict").code == 1
    assert hosts_of(synced) == [("one", "alpha"), ("one", "beta")]


def test_hosts_are_discovered_by_their_service(synced: Site) -> None:
    synced.ok("cell_v2", "create_cell", "--name", "one")
    add_service(synced.database("nova"), "alpha")
    add_service(synced.database("nova"), "boss", "nova-conductor")
    synced.ok("cell_v2", "discover_hosts")
    assert hosts_of(synced) == []
    synced.ok("cell_v2", "discover_hosts", "--by-service")
    assert hosts_of(synced) == [("one", "alpha")]


def test_cell0_has_no_hosts_to_discover(synced: Site) -> None:
    assert "cell0 has no hosts" in synced.ok("cell_v2", "discover_hosts", "--cell_uuid", CELL0_UUID)
    assert "There is no cell but cell0." in synced.ok("cell_v2", "discover_hosts")
    assert synced.run("cell_v2", "discover_hosts", "--cell_uuid", CELL0_UUID, "--strict").code == 1


def test_one_cell_alone_is_looked_at(synced: Site) -> None:
    uuids = two_cells(synced)
    synced.ok("cell_v2", "discover_hosts", "--cell_uuid", uuids["two"])
    assert hosts_of(synced) == [("two", "host-two")]
    synced.ok("cell_v2", "discover_hosts")
    assert hosts_of(synced) == [("one", "host-one"), ("two", "host-two")]
    listed = synced.ok("cell_v2", "list_hosts", "--cell_uuid", uuids["one"], "-f", "csv")
    assert listed == f"Cell Name,Cell UUID,Hostname\none,{uuids['one']},host-one\n"


@pytest.mark.parametrize("command", ["discover_hosts", "list_hosts"])
def test_an_unknown_cell_is_refused(synced: Site, command: str) -> None:
    ran = synced.run("cell_v2", command, "--cell_uuid", UUID.format(9))
    assert ran.code == 1
    assert UUID.format(9) in ran.err


def test_a_dead_cell_does_not_keep_the_others_from_being_looked_at(synced: Site) -> None:
    two_cells(synced)
    (synced.directory / "one.db").rename(synced.directory / "away.db")
    ran = synced.run("cell_v2", "discover_hosts")
    assert ran.code == 1
    assert "Cell one could not be looked at" in ran.err
    assert hosts_of(synced) == [("two", "host-two")]


def test_a_host_name_in_two_cells_is_told(synced: Site) -> None:
    uuids = two_cells(synced)
    add_node(synced.database("two"), "host-one", 3)
    ran = synced.run("cell_v2", "discover_hosts")
    assert ran.code == 0
    assert f"Host host-one reports to cell two but is mapped to cell {uuids['one']}" in ran.err
    assert hosts_of(synced) == [("one", "host-one"), ("two", "host-two")]


def test_of_two_that_discover_at_once_each_host_is_mapped_once_and_the_loser_says_so(
    synced: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = synced.ok("cell_v2", "create_cell", "--name", "one", "--verbose").strip()
    for number, host in enumerate(("alpha", "beta", "gamma")):
        add_node(synced.database("nova"), host, number)
    look = mappings.hosts

    def look_then_lose(session: Session, cell_uuid: str | None = None) -> dict[str, str]:
        known = look(session, cell_uuid)
        monkeypatch.undo()
        [cell] = setup.cells(synced.database("nova_api"), uuid)
        assert setup.map_hosts(synced.database("nova_api"), cell, ["beta"]).mapped == ["beta"]
        return known

    monkeypatch.setattr(mappings, "hosts", look_then_lose)
    ran = synced.run("cell_v2", "discover_hosts")
    assert ran.code == 2
    assert "run it again" in ran.err
    assert hosts_of(synced) == [("one", "alpha"), ("one", "beta"), ("one", "gamma")]


def test_many_that_discover_at_once_map_each_host_once(synced: Site) -> None:
    uuid = synced.ok("cell_v2", "create_cell", "--verbose").strip()
    [cell] = setup.cells(synced.database("nova_api"), uuid)
    hosts = [f"host-{number:02}" for number in range(40)]
    start = Barrier(6)

    def discover(_: int) -> setup.Discovery:
        database = Database(synced.url("nova_api"))
        try:
            start.wait(timeout=480)
            return setup.map_hosts(database, cell, hosts)
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(discover, range(6)))
    assert sorted(host for one in found for host in one.mapped) == hosts
    assert [host for _, host in hosts_of(synced)] == hosts


def test_cells_made_at_once_share_nothing(synced: Site) -> None:
    start = Barrier(4)

    def create(number: int) -> str:
        database = Database(synced.url("nova_api"))
        try:
            start.wait(timeout=480)
            return setup.create_cell(
                database, name=str(number), transport_url="rabbit://h/v", connection="sqlite:////x"
            ).uuid
        except errors.Conflict:
            return ""
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        made = [uuid for uuid in pool.map(create, range(4)) if uuid]
    assert [cell["UUID"] for cell in cells_of(synced)[1:]] == made
    assert len(made) == 1


def test_simple_cell_setup_does_it_all_and_may_be_repeated(site: Site) -> None:
    site.ok("api_db", "sync")
    site.ok("db", "sync", "--local_cell")
    ran = site.run("cell_v2", "simple_cell_setup")
    assert ran.code == 1
    assert "No host reports to the cell yet" in ran.err

    nova = site.database("nova")
    add_node(nova, "alpha", 1)
    add_instance(nova, 1)
    add_instance(nova, 2, is_deleted=True)
    out = site.ok("cell_v2", "simple_cell_setup")
    assert "1 servers mapped." in out
    assert [cell["Name"] for cell in cells_of(site)] == ["cell0", "cell1"]
    assert hosts_of(site) == [("cell1", "alpha")]

    assert "0 servers mapped." in site.ok("cell_v2", "simple_cell_setup")
    assert [cell["Name"] for cell in cells_of(site)] == ["cell0", "cell1"]
    with site.database("nova_api").reader() as session:
        [mapping] = session.scalars(sa.select(InstanceMappingRow))
    assert mapping.instance_uuid == UUID.format(1)
    assert mapping.cell_uuid == cells_of(site)[1]["UUID"]
    assert (mapping.vcpus, mapping.ram_mib) == (2, 512)


def test_simple_cell_setup_refuses_a_bad_url_and_changes_nothing(synced: Site) -> None:
    before = cells_of(synced)
    ran = synced.run("cell_v2", "simple_cell_setup", "--transport-url", f"rabbit://u:{SECRET}@h:x/v")
    assert ran.code == 1
    assert SECRET not in ran.err
    assert cells_of(synced) == before

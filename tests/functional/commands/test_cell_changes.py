"""``cell_v2``: cells changed, deleted, and named by URLs with holes, as an operator sees it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import removal, setup
from nova_lite.cells.removal import Refusal
from nova_lite.cells.templates import NOWHERE
from nova_lite.db.api_tables import (
    AggregateHostRow,
    AggregateRow,
    ApiBase,
    HostMappingRow,
    InstanceMappingRow,
    MappedUpToRow,
    RequestSpecRow,
)
from nova_lite.db.repositories import mappings, unmapped
from nova_lite.model.host import CELL0_UUID
from nova_lite.storage import Database
from tests.functional.commands.cell_site import UUID, add_instance, add_node, cells_of, hosts_of, two_cells
from tests.functional.commands.conftest import SECRET, Site
from tests.functional.commands.dead_servers import bury, rows

T = TypeVar("T")
NOBODY = UUID.format(9)


def cell_of(site: Site, name: str) -> dict[str, object]:
    [found] = [cell for cell in cells_of(site) if cell["Name"] == name]
    return found


def map_server(site: Site, cell_uuid: str | None, number: int, *, is_queued: bool = False) -> None:
    with site.database("nova_api").writer() as session:
        mappings.add_instance(session, UUID.format(number), project_id="p", user_id="u", vcpus=1, ram_mib=1)
        session.add(RequestSpecRow(instance_uuid=UUID.format(number), spec={}))
        session.flush()
        session.execute(sa.update(InstanceMappingRow).values(cell_uuid=cell_uuid, queued_for_delete=is_queued))


def at_once(site: Site, number: int, what: Callable[[Database], T]) -> list[T]:
    """Do something with the API database ``number`` times at the same moment."""
    start = Barrier(number)

    def do(_: int) -> T:
        database = Database(site.url("nova_api"))
        try:
            start.wait(timeout=480)
            return what(database)
        finally:
            database.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(do, range(number)))


# -- URLs with holes


def test_a_cell_is_reached_by_the_local_credentials(synced: Site) -> None:
    template = "{scheme}:////{path}"
    bus = "{scheme}://{username}:{password}@{hostname}:{port}/cell2"
    words = ["--transport-url", bus, "--database_connection", template]
    uuid = synced.ok("cell_v2", "create_cell", "--name", "two", *words, "--verbose").strip()
    for form in ("table", "json", "csv"):
        shown = synced.ok("cell_v2", "list_cells", "-f", form)
        assert template in shown
        assert bus in shown

    add_node(synced.database("nova"), "alpha", 1)
    synced.ok("cell_v2", "discover_hosts", "--strict")
    assert hosts_of(synced) == [("two", "alpha")]
    synced.configure(database=None)
    ran = synced.run("cell_v2", "discover_hosts", "--cell_uuid", uuid)
    assert ran.code == 1
    assert "holes to be filled from [database] connection, which is not set" in ran.err


def test_passwords_beside_holes_are_not_shown(synced: Site) -> None:
    bus = f"rabbit://{{username}}:{SECRET}@{{hostname}}:{{port}}/cell2"
    synced.ok("cell_v2", "create_cell", "--transport-url", bus, "--database_connection", synced.url("two"))
    shown = synced.ok("cell_v2", "list_cells")
    assert SECRET not in shown
    assert "rabbit://{username}:****@{hostname}:{port}/cell2" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--transport-url", f"rabbit://{{user}}:{SECRET}@h/v"], "has a hole {user}", id="unknown hole"),
        pytest.param(["--transport-url", f"rabbit://a:{SECRET}@{{hostname2}}/v"], "hole {hostname2}", id="second host"),
        pytest.param(["--transport-url", f"rabbit://a:{SECRET}@h:{{username}}/v"], "cannot be read", id="filled badly"),
        pytest.param(["--database_connection", "{hostname}"], "no database URL", id="no URL"),
    ],
)
def test_holes_that_cannot_be_filled_are_refused(synced: Site, words: list[str], said: str) -> None:
    before = cells_of(synced)
    ran = synced.run("cell_v2", "create_cell", *words)
    assert ran.code == 1
    assert said in ran.err
    assert SECRET not in ran.out + ran.err
    assert cells_of(synced) == before


def test_a_template_that_leads_to_another_cells_database_is_refused(synced: Site) -> None:
    synced.ok("cell_v2", "create_cell", "--name", "one")
    words = ["--transport-url", "rabbit://h/two", "--database_connection", "{scheme}:////{path}"]
    ran = synced.run("cell_v2", "create_cell", *words)
    assert ran.code == 2
    assert "Cell one" in ran.err


def test_cell0_may_be_a_template(site: Site) -> None:
    site.ok("api_db", "sync")
    out = site.ok("cell_v2", "map_cell0", "--database_connection", "{scheme}:////{path}_cell0")
    assert "{scheme}:////{path}_cell0" in out
    site.ok("db", "sync")
    assert (site.directory / "nova.db_cell0").exists()


# -- update_cell


def test_a_cell_is_renamed_moved_disabled_and_enabled(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    update = ("cell_v2", "update_cell", "--cell_uuid", uuid)
    before = cell_of(synced, "one")
    synced.ok(*update, "--disable")
    assert cell_of(synced, "one") == {**before, "Disabled": True}
    synced.ok(*update, "--disable")
    assert cell_of(synced, "one") == {**before, "Disabled": True}
    synced.ok(*update, "--enable", "--name", "uno")
    assert cell_of(synced, "uno") == {**before, "Name": "uno"}
    bus = f"rabbit://a:{SECRET}@h/three"
    out = synced.ok(*update, "--transport-url", bus, "--database_connection", synced.url("three"))
    assert "rabbit://a:****@h/three" in out
    assert SECRET not in out
    moved = cell_of(synced, "uno")
    assert (moved["Transport URL"], moved["Database Connection"]) == (bus, synced.url("three"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param([], 2, "Say what to change", id="nothing"),
        pytest.param(["--name", ""], 2, "cannot be empty", id="an empty name"),
        pytest.param(["--name", "x" * 256], 2, "1 to 255", id="a long name"),
        pytest.param(["--transport-url", f"carrot://a:{SECRET}@h/v"], 2, "no known driver", id="a bad bus"),
        pytest.param(["--database_connection", f"a:{SECRET}@h/n"], 2, "no database URL", id="a bad database"),
        pytest.param(["--database_connection", f"my://{{x}}:{SECRET}@h/n"], 2, "hole {x}", id="a bad hole"),
        pytest.param(["--transport-url", "rabbit://h/two"], 3, "Cell two", id="another cell's bus"),
        pytest.param(["--disable", "--enable"], 4, "not both", id="both flags"),
        pytest.param(["--disable", "--colour", "red"], 127, "--colour", id="an unknown flag"),
    ],
)
def test_a_change_that_cannot_be_is_refused(synced: Site, words: list[str], code: int, said: str) -> None:
    uuid = two_cells(synced)["one"]
    before = cells_of(synced)
    ran = synced.run("cell_v2", "update_cell", "--cell_uuid", uuid, *words)
    assert ran.code == code
    assert said in ran.err
    assert SECRET not in ran.out + ran.err
    assert cells_of(synced) == before


def test_another_cells_database_is_refused(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    words = ["--database_connection", synced.url("two")]
    assert synced.run("cell_v2", "update_cell", "--cell_uuid", uuid, *words).code == 3


def test_an_unknown_cell_is_not_changed(synced: Site) -> None:
    ran = synced.run("cell_v2", "update_cell", "--cell_uuid", NOBODY, "--name", "x")
    assert ran.code == 1
    assert NOBODY in ran.err


@pytest.mark.parametrize("words", [["--disable"], ["--transport-url", "rabbit://h/v"]], ids=" ".join)
def test_cell0_is_never_disabled_and_has_no_bus(synced: Site, words: list[str]) -> None:
    before = cells_of(synced)
    assert synced.run("cell_v2", "update_cell", "--cell_uuid", CELL0_UUID, *words).code == 5
    assert cells_of(synced) == before
    synced.ok("cell_v2", "update_cell", "--cell_uuid", CELL0_UUID, "--database_connection", synced.url("elsewhere"))
    assert cells_of(synced)[0]["Database Connection"] == synced.url("elsewhere")


def test_a_cell_whose_mapping_is_broken_can_be_disabled_and_mended(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    [cell] = setup.cells(synced.database("nova_api"), uuid)
    broken = replace(cell, transport_url=f"carrot://a:{SECRET}@h/v", database_connection=f"x:{SECRET}")
    with synced.database("nova_api").writer() as session:
        mappings.change_cell(session, broken)
    update = ("cell_v2", "update_cell", "--cell_uuid", uuid)
    assert SECRET not in synced.ok(*update, "--disable")
    synced.ok(*update, "--transport-url", "rabbit://h/one", "--database_connection", synced.url("one"))
    assert cell_of(synced, "one")["Database Connection"] == synced.url("one")


def test_of_two_cells_moved_to_one_bus_at_once_only_one_moves(synced: Site) -> None:
    uuids = list(two_cells(synced).values())

    def move(database: Database) -> str:
        uuid = uuids.pop()
        try:
            return setup.update_cell(database, uuid, transport_url="rabbit://h/wanted").uuid
        except errors.Conflict:
            return ""

    assert len([uuid for uuid in at_once(synced, 2, move) if uuid]) == 1
    assert [cell["Transport URL"] for cell in cells_of(synced)].count("rabbit://h/wanted") == 1


# -- delete_cell


def test_an_empty_cell_is_deleted(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    assert "Its database stays" in synced.ok("cell_v2", "delete_cell", "--cell_uuid", uuid)
    assert [cell["Name"] for cell in cells_of(synced)] == ["cell0", "two"]
    assert (synced.directory / "one.db").exists()
    assert synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid).code == 1


@pytest.mark.parametrize(("uuid", "said"), [(NOBODY, "no such cell"), (CELL0_UUID, "cell0 cannot be deleted")])
def test_cells_that_are_not_deleted(synced: Site, uuid: str, said: str) -> None:
    ran = synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force")
    assert ran.code == 1
    assert said in ran.err
    assert len(cells_of(synced)) == 1


def test_a_cell_with_hosts_is_deleted_by_force_only(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    synced.ok("cell_v2", "discover_hosts")
    with synced.database("nova_api").writer() as session:
        session.add(AggregateRow(id=1, uuid=UUID.format(1), name="a"))
        session.flush()
        session.add_all(AggregateHostRow(aggregate_id=1, host=host) for host in ("host-one", "host-two"))
    ran = synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid)
    assert ran.code == 2
    assert "The cell has hosts" in ran.err
    assert ("one", "host-one") in hosts_of(synced)
    synced.ok("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force")
    assert hosts_of(synced) == [("two", "host-two")]
    with synced.database("nova_api").reader() as session:
        assert list(session.scalars(sa.select(AggregateHostRow.host))) == ["host-two"]


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "not mapped"])
def test_a_cell_with_live_servers_is_never_deleted(synced: Site, is_mapped: bool) -> None:
    uuid = two_cells(synced)["one"]
    add_instance(synced.database("one"), 1)
    if is_mapped:
        map_server(synced, uuid, 1)
    for words in ([], ["--force"]):
        assert synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid, *words).code == 3
    assert cell_of(synced, "one")


def test_a_cell_with_dead_servers_is_deleted_by_force_only(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    add_instance(synced.database("one"), 1, is_deleted=True)
    synced.ok("cell_v2", "map_instances", "--cell_uuid", uuid)
    map_server(synced, uuid, 1, is_queued=True)
    assert synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid).code == 4
    synced.ok("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force")
    with synced.database("nova_api").reader() as session:
        for row in (InstanceMappingRow, RequestSpecRow, MappedUpToRow):
            assert session.scalars(sa.select(row)).all() == []


def test_nothing_is_left_of_the_servers_of_a_deleted_cell(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    bury(synced.database("nova_api"), synced.database("one"), uuid, UUID.format(1))
    synced.ok("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force")
    assert rows(synced.database("nova_api"), ApiBase) == {}


def test_a_silent_cell_is_deleted_only_when_nothing_is_mapped_to_it(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    (synced.directory / "one.db").unlink()
    map_server(synced, uuid, 1)
    ran = synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force")
    assert ran.code == 1
    assert cell_of(synced, "one")
    with synced.database("nova_api").writer() as session:
        mappings.remove_instances(session, [UUID.format(1)])
    synced.ok("cell_v2", "delete_cell", "--cell_uuid", uuid)


def test_a_cell_deleted_by_several_at_once_is_deleted_once(synced: Site) -> None:
    uuid = two_cells(synced)["one"]
    found = at_once(synced, 4, lambda api_db: removal.delete_cell(api_db, uuid, is_forced=False, local=NOWHERE))
    assert found.count(None) == 1
    assert set(found) == {None, Refusal.NO_CELL}


def test_a_host_mapped_while_its_cell_is_deleted_is_seen(synced: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = two_cells(synced)["one"]
    lock = mappings.lock_cells

    def map_then_lock(session: Session) -> None:
        monkeypatch.undo()
        session.add(HostMappingRow(host="late", cell_uuid=uuid))
        session.flush()
        lock(session)

    monkeypatch.setattr(mappings, "lock_cells", map_then_lock)
    assert synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid).code == 2


def test_a_server_born_while_its_cell_is_deleted_is_seen(synced: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = two_cells(synced)["one"]
    lock = mappings.lock_cells

    def build_then_lock(session: Session) -> None:
        monkeypatch.undo()
        add_instance(synced.database("one"), 1)
        lock(session)

    monkeypatch.setattr(mappings, "lock_cells", build_then_lock)
    assert synced.run("cell_v2", "delete_cell", "--cell_uuid", uuid, "--force").code == 3
    with synced.database("one").reader() as session:
        assert unmapped.has_living(session)


# -- map_cell_and_hosts


def test_a_cell_is_mapped_with_its_hosts_once(synced: Site) -> None:

    ran = synced.run("cell_v2", "map_cell_and_hosts", "--name", "north")
    assert ran.code == 1
    assert "No host reports" in ran.err
    assert len(cells_of(synced)) == 1
    add_node(synced.database("nova"), "alpha", 1)
    out = synced.ok("cell_v2", "map_cell_and_hosts", "--name", "north", "--verbose")
    assert out.splitlines()[0] == cell_of(synced, "north")["UUID"]
    assert "was there already" in synced.ok("cell_v2", "map_cell_and_hosts")
    assert hosts_of(synced) == [("north", "alpha")]
    assert len(cells_of(synced)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"transport_url": None}, [], id="no bus"),
        pytest.param({"database": None}, [], id="no database"),
        pytest.param({}, ["--transport-url", f"carrot://a:{SECRET}@h/v"], id="a bad bus"),
    ],
)
def test_a_cell_without_usable_urls_is_not_mapped(
    synced: Site, changes: dict[str, str | None], words: list[str]
) -> None:
    synced.configure(**changes)
    ran = synced.run("cell_v2", "map_cell_and_hosts", *words)
    assert ran.code == 1
    assert SECRET not in ran.err
    assert len(cells_of(synced)) == 1


def test_the_database_that_does_not_answer_is_named(synced: Site) -> None:
    """The API database was blamed for a cell's."""
    uuid = two_cells(synced)["one"]
    synced.ok("cell_v2", "discover_hosts")
    with synced.database("nova_api").writer() as session:
        mappings.add_instance(session, UUID.format(1), project_id="p", user_id="u", vcpus=1, ram_mib=1)
        session.flush()
        session.execute(sa.update(InstanceMappingRow).values(cell_uuid=uuid))
    dead = f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/x"
    synced.ok("cell_v2", "update_cell", "--cell_uuid", uuid, "--database_connection", dead, warned="does not answer")
    for words in (
        ["delete_cell", "--cell_uuid", uuid, "--force"],
        ["delete_host", "--cell_uuid", uuid, "--host", "host-one"],
        ["verify_instance", "--uuid", UUID.format(1)],
    ):
        ran = synced.run("cell_v2", *words)
        assert ran.code == (255 if words[0] == "verify_instance" else 1)
        assert "ell one" in ran.err
        assert "API database" not in ran.err
        assert SECRET not in ran.err

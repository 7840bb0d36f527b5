"""``scheduler explain``, as an operator sees it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import build_requests, instances, mappings
from nova_lite.model.instance import Fault
from nova_lite.model.request_spec import RequestSpec
from nova_lite.storage import Database
from tests.functional.commands.cell_site import UUID, add_instance, two_cells
from tests.functional.commands.conftest import Site

SERVER = UUID.format(1)
EXPLAINED: dict[str, Any] = {
    "needs": {"resources": {"VCPU": 1}, "required": [], "forbidden": [], "zone": None, "host": None},
    "stages": [
        {"name": "Placement", "entered": 3, "left": 2, "reasons": {}, "hosts": {}},
        {"name": "Up", "entered": 2, "left": 1, "reasons": {"silent": 1}, "hosts": {"host2": "silent"}},
    ],
    "nearest": ["1 host lacks 1 VCPU"],
    "ranking": [{"host": "host1", "weight": 2.5, "weighed": {"ram": 512.0}}],
}


def explain(site: Database, **values: Any) -> None:
    """Note with the server how its host was found."""
    with site.writer() as session:
        instances.change(session, SERVER, **values)


@pytest.fixture
def cell(synced: Site) -> Database:
    """A cell's database with a server of which nothing was noted."""
    uuid = two_cells(synced)["one"]
    database = synced.database("one")
    add_instance(database, 1, host="host1")
    with synced.database("nova_api").writer() as session:
        mappings.add_instance(session, SERVER, project_id="p", user_id="u", vcpus=1, ram_mib=1)
        with database.reader() as there:
            server = instances.get(there, SERVER)
        build_requests.add(session, [server], RequestSpec("p", "u", server.flavor, ""))
        session.flush()
        assert mappings.settle(session, SERVER, uuid)
    return database


def test_what_was_noted_is_told(synced: Site, cell: Database) -> None:
    explain(cell, scheduling=EXPLAINED)
    out = synced.ok("scheduler", "explain", "--uuid", SERVER)
    assert f"Server {SERVER} is on host1." in out
    assert "Nearest: 1 host lacks 1 VCPU." in out
    assert "| Up        | 2             | 1          |" in out
    assert "| Up    | host2        | silent |" in out
    assert "| host1 | 2.5    | ram=512.0 |" in out
    told = json.loads(synced.ok("scheduler", "explain", "--uuid", SERVER, "-f", "json"))
    assert told == {"server": SERVER, "host": "host1", "fault": None, **EXPLAINED}


def test_tables_for_programs_are_alone_on_standard_output(synced: Site, cell: Database) -> None:
    explain(cell, scheduling=EXPLAINED, host=None)
    with cell.writer() as session:
        instances.set_fault(session, SERVER, Fault(500, "No room.", utcnow()))
    ran = synced.run("scheduler", "explain", "--uuid", SERVER, "-f", "csv")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "Stage,Hosts entered,Hosts left",
        "Placement,3,2",
        "Up,2,1",
        "Stage,Host refused,Reason",
        "Up,host2,silent",
        "Host,Weight,Weighed",
        "host1,2.5,ram=512.0",
    ]
    assert ran.err.splitlines() == [f"Server {SERVER} is on no host.", "No room.", "Nearest: 1 host lacks 1 VCPU."]
    assert json.loads(synced.ok("scheduler", "explain", "--uuid", SERVER, "-f", "json"))["fault"] == "No room."


def test_a_server_of_which_nothing_was_noted(synced: Site, cell: Database) -> None:
    ran = synced.run("scheduler", "explain", "--uuid", SERVER)
    assert (ran.code, ran.out) == (2, "")
    assert "Nothing was noted" in ran.err


def test_a_server_that_still_waits(synced: Site, cell: Database) -> None:
    with cell.reader() as session:
        server = instances.get(session, SERVER)
    waiting = replace(server, uuid=UUID.format(2), host=None)
    with synced.database("nova_api").writer() as session:
        mappings.add_instance(session, waiting.uuid, project_id="p", user_id="u", vcpus=1, ram_mib=1)
        build_requests.add(session, [waiting], RequestSpec("p", "u", waiting.flavor, ""))
    assert synced.run("scheduler", "explain", "--uuid", waiting.uuid).code == 2


def test_no_such_server(synced: Site, cell: Database) -> None:
    ran = synced.run("scheduler", "explain", "--uuid", UUID.format(9))
    assert (ran.code, ran.out) == (1, "")
    assert "could not be found" in ran.err
    assert synced.run("scheduler", "explain").code == 127


def test_its_cell_does_not_answer(synced: Site, cell: Database) -> None:
    cell.close()
    file = synced.directory / "one.db"
    file.rename(synced.directory / "away")
    ran = synced.run("scheduler", "explain", "--uuid", SERVER)
    assert ran.code == 255
    assert "does not answer" in ran.err

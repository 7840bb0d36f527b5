"""Builds that a database refuses for good end in ERROR with the reason and hold nothing; nobody tries for ever."""

import contextlib
from collections.abc import Iterator
from contextlib import closing

import sqlalchemy as sa

from nova_lite.conductor.saga import REFUSED
from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.repositories import build_requests, sightings
from nova_lite.testing import cloud as clouds
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site

#: What users write that a database does not take, and what it says of it.
TABOO, WORDS = "taboo", "too long for its column"


@contextlib.contextmanager
def refusing(
    site: Site, *databases: str, event: str, column: str | None = None, table: str = "instances"
) -> Iterator[None]:
    """Have databases refuse rows with TABOO in ``column``, or any."""
    when = f"WHEN NEW.{column} = '{TABOO}'" if column else ""
    make = f"CREATE TRIGGER refuse BEFORE {event} ON {table} {when}"
    for name in databases:
        with closing(clouds.database(site.cloud, name)) as database, database.writer() as session:
            session.execute(sa.text(f"{make} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"))
    try:
        yield
    finally:
        for name in databases:
            with closing(clouds.database(site.cloud, name)) as database, database.writer() as session:
                session.execute(sa.text("DROP TRIGGER refuse"))


def test_a_server_its_cell_does_not_take_is_shown_in_error(site: Site) -> None:
    with refusing(site, *site.cloud.settings.cell_names, event="INSERT", column="description"):
        servers = site.boot(2, description=TABOO)
        site.rest()
    for server in servers:
        found = site.ask("GET", f"/servers/{server}")[1]["server"]
        assert (found["status"], found["description"], found["OS-EXT-SRV-ATTR:host"]) == ("ERROR", TABOO, None)
        assert (found["fault"]["message"], found["fault"]["details"].split("\n")[0]) == (REFUSED, WORDS)
        assert site.events(server) == [("Error", None)]


def test_one_that_no_cell_takes_is_shown_without_what_its_user_wrote(site: Site) -> None:
    with refusing(site, "cell0", *site.cloud.settings.cell_names, event="INSERT", column="description"):
        (server,) = site.boot(description=TABOO, metadata={"a": "b"})
        site.rest()
    found = site.ask("GET", f"/servers/{server}")[1]["server"]
    assert (found["status"], found["description"], found["metadata"]) == ("ERROR", None, {})
    assert (found["name"], found["fault"]["message"]) == (f"Server {server}", REFUSED)
    assert WORDS in found["fault"]["details"]
    assert site.events(server) == [("Error", None)]


def test_one_renamed_to_what_its_cell_does_not_take_fails_alone(site: Site) -> None:
    servers: list[str] = []

    def rename() -> None:
        servers.extend(site.watch.servers() - known)
        assert site.ask("PUT", f"/servers/{servers[0]}", {"server": {"name": TABOO}})[0] == 200

    known = site.watch.servers()
    site.saboteur.plan(Place("super", "schedule", "create in cells", "after"), rename)
    with refusing(site, *site.cloud.settings.cell_names, event="UPDATE", column="display_name"):
        site.boot(2)
        site.rest()
    failed, well = (site.ask("GET", f"/servers/{server}")[1]["server"] for server in servers)
    assert (failed["status"], failed["OS-EXT-SRV-ATTR:host"]) == ("ERROR", None)
    assert (failed["fault"]["message"], failed["fault"]["details"]) == (REFUSED, WORDS)
    assert site.events(servers[0]) == [("Error", None)]
    assert well["status"] == "ACTIVE"


def _is_in_error_in_its_request(site: Site, server: str) -> None:
    def has_ended() -> bool:
        is_in_error = site.status(server) == "ERROR"
        return is_in_error and not site.saboteur.at_work()

    clouds.eventually(has_ended, "its end")
    found = site.ask("GET", f"/servers/{server}")[1]["server"]
    assert (found["status"], found["OS-EXT-STS:task_state"], found["description"]) == ("ERROR", None, TABOO)
    assert WORDS in found["fault"]["details"]
    listed = site.ask("GET", "/servers?status=ERROR")[1]["servers"]
    assert server in [each["id"] for each in listed]
    with closing(clouds.database(site.cloud, "api")) as database, database.reader() as session:
        assert build_requests.get(session, server) is not None
        mapping = sightings.mapping(session, server)
        assert mapping is not None
        assert mapping.cell is None
    with closing(clouds.database(site.cloud, "cell0")) as database, database.reader() as session:
        assert not session.scalars(sa.select(InstanceRow.id).filter_by(uuid=server)).all()


def test_one_that_not_even_cell0_takes_bare_is_in_error_all_the_same(site: Site) -> None:
    """It was tried for ever, and shown in BUILD."""
    with refusing(site, "cell0", *site.cloud.settings.cell_names, event="INSERT"):
        (server,) = site.boot(description=TABOO)
        _is_in_error_in_its_request(site, server)
    assert site.delete(server) == 204
    assert site.status(server) == "GONE"
    with closing(clouds.database(site.cloud, "api")) as database, database.reader() as session:
        assert sightings.mapping(session, server) is None


def test_one_that_the_api_database_does_not_settle_is_in_error_all_the_same(site: Site) -> None:
    with refusing(site, "api", event="UPDATE OF cell_uuid", table="instance_mappings"):
        (server,) = site.boot(description=TABOO)
        _is_in_error_in_its_request(site, server)


def test_one_whose_cell_takes_not_even_that_it_failed_is_told_by_the_audit(site: Site) -> None:
    """Its scheduling was tried for ever."""
    with refusing(site, *site.cloud.settings.cell_names, event="UPDATE"):
        (server,) = site.boot()
        site.rest(is_end=False)
    assert site.ask("GET", f"/servers/{server}")[1]["server"]["status"] == "BUILD"

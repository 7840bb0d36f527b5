"""Builds that a database refuses for good end in ERROR with the reason and hold nothing; nobody tries for ever."""

import contextlib
from collections.abc import Iterator
from contextlib import closing

import sqlalchemy as sa

from nova_lite.conductor.saga import REFUSED
from nova_lite.testing import cloud as clouds
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site

#: What users write that a database does not take, and what it says of it.
TABOO, WORDS = "taboo", "too long for its column"


@contextlib.contextmanager
def refusing(site: Site, *databases: str, event: str, column: str) -> Iterator[None]:
    """Have databases refuse servers with TABOO in ``column``."""
    make = f"CREATE TRIGGER refuse BEFORE {event} ON instances WHEN NEW.{column} = '{TABOO}'"
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

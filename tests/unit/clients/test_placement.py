"""The Placement client against our own Placement application, over HTTP."""

import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import config, errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.embedded.http import HttpServer
from nova_lite.placement import app
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from tests.contract.clients.placement import PlacementSuite, client_of


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PlacementClient]:
    conf = config.load(files=[])
    conf.set_override("auth_strategy", "noauth2", group="api")
    conf.set_override("connection", f"sqlite:///{tmp_path / 'placement.sqlite'}", group="placement_database")
    database = Database(conf.placement_database.connection)
    Base.metadata.create_all(database.engine)
    server = HttpServer(0, "placement")
    server.start(app.build(conf, database))
    yield client_of(server.url)
    server.stop()
    database.close()


class TestOurs(PlacementSuite):
    """Our own."""


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(errors.Unavailable):
        client_of("http://127.0.0.1:1").allocations(str(uuids.uuid4()))


def test_a_broken_placement_is_unavailable() -> None:
    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"oops"]

    server = HttpServer(0, "broken")
    server.start(broken)
    try:
        with pytest.raises(errors.Unavailable):
            client_of(server.url).release(str(uuids.uuid4()))
    finally:
        server.stop()

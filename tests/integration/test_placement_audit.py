"""The audit of Placement's books on real servers: one statement sees one moment there, too."""

import uuid as uuids
from collections.abc import Iterator

import pytest

from nova_lite.db import migrate
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.storage import Database
from tests.contract.placement.audit import AuditSuite


@pytest.fixture(params=["mariadb", "postgresql"])
def placement_db(request: pytest.FixtureRequest) -> Iterator[Database]:
    server = request.getfixturevalue(request.param)
    name = f"nl_{uuids.uuid4().hex[:12]}"
    server.create([name])
    database = Database(server.url(name), pool_size=20)
    migrate.sync(database, "placement")
    standard_names(database)
    yield database
    database.close()
    server.drop([name])


class TestAudit(AuditSuite):
    """On MariaDB and PostgreSQL."""

"""The repositories on files of SQLite; on real servers in ``tests/integration/test_databases.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.db.api_tables import ApiBase
from nova_lite.db.cell_tables import CellBase
from nova_lite.storage import Database
from tests.contract.db.aggregates import AggregateSuite, UsageSuite
from tests.contract.db.api import BuildRequestSuite, MappingSuite
from tests.contract.db.builds import BuildSuite
from tests.contract.db.cell import ActionSuite, HostSuite, InstanceSuite
from tests.contract.db.host_changes import HostChangesSuite
from tests.contract.db.migrations import MigrationSuite
from tests.contract.db.quotas import FailedDeleteSuite, GroupPlacesSuite, QuotaSuite, ServerGroupSuite
from tests.contract.db.workflows import WorkflowSuite


@pytest.fixture
def api_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'api.sqlite'}")
    ApiBase.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def cell_db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'cell.sqlite'}")
    CellBase.metadata.create_all(database.engine)
    yield database
    database.close()


class TestWorkflows(WorkflowSuite):
    pass


class TestInstances(InstanceSuite):
    pass


class TestActions(ActionSuite):
    pass


class TestMigrations(MigrationSuite):
    pass


class TestHosts(HostSuite):
    pass


class TestHostChanges(HostChangesSuite):
    pass


class TestMappings(MappingSuite):
    pass


class TestBuildRequests(BuildRequestSuite):
    pass


class TestQuotas(QuotaSuite):
    pass


class TestAggregates(AggregateSuite):
    pass


class TestUsages(UsageSuite):
    pass


class TestServerGroups(ServerGroupSuite):
    pass


class TestGroupPlaces(GroupPlacesSuite):
    pass


class TestBuilds(BuildSuite):
    pass


class TestFailedDeletes(FailedDeleteSuite):
    pass

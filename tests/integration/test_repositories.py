"""The repositories on real servers: what ``tests/unit/db`` proves on files."""

import pytest

from tests.contract.db.aggregates import AggregateSuite, UsageSuite
from tests.contract.db.api import BuildRequestSuite, MappingSuite
from tests.contract.db.builds import BuildSuite
from tests.contract.db.cell import ActionSuite, HostSuite, InstanceSuite
from tests.contract.db.host_changes import HostChangesSuite
from tests.contract.db.migrations import MigrationSuite
from tests.contract.db.quotas import FailedDeleteSuite, GroupPlacesSuite, QuotaSuite, ServerGroupSuite
from tests.contract.db.workflows import WorkflowSuite
from tests.integration.databases import api_db, cell_db, filled, make, placement_db

__all__ = ["api_db", "cell_db", "filled", "make", "placement_db"]


on_servers = pytest.mark.parametrize("make", ["mariadb", "postgresql"], indirect=True)


@on_servers
class TestWorkflows(WorkflowSuite):
    pass


@on_servers
class TestInstances(InstanceSuite):
    pass


@on_servers
class TestActions(ActionSuite):
    pass


@on_servers
class TestMigrations(MigrationSuite):
    pass


@on_servers
class TestHosts(HostSuite):
    pass


@on_servers
class TestHostChanges(HostChangesSuite):
    pass


@on_servers
class TestMappings(MappingSuite):
    pass


@on_servers
class TestBuildRequests(BuildRequestSuite):
    pass


@on_servers
class TestQuotas(QuotaSuite):
    pass


@on_servers
class TestAggregates(AggregateSuite):
    pass


@on_servers
class TestUsages(UsageSuite):
    pass


@on_servers
class TestServerGroups(ServerGroupSuite):
    pass


@on_servers
class TestGroupPlaces(GroupPlacesSuite):
    pass


@on_servers
class TestBuilds(BuildSuite):
    pass


@on_servers
class TestFailedDeletes(FailedDeleteSuite):
    pass

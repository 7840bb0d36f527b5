"""What is measured is what was described: in our tables, and asked by the same caller on both sides."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.listing import beside_nova, cloud, quota, seed_ours
from nova_lite.db.repositories import hosts, instance_lists, mappings
from nova_lite.db.repositories.instance_lists import InstanceQuery
from nova_lite.model.host import Cell
from nova_lite.storage import Database

_COUNT = 120
_NEWEST = (("created_at", True), ("uuid", True))


class Databases:
    """An API database, cell0 and two cells, filled."""

    def __init__(self, folder: Path) -> None:
        self.api = Database(f"sqlite:///{folder}/api.sqlite")
        urls = [f"sqlite:///{folder}/cell{number}.sqlite" for number in range(3)]
        mapped = [seed_ours.cell0(urls[0])]
        mapped += [Cell(cloud.uuid_of(f"cell-{number}"), f"cell{number}", "fake:/", urls[number]) for number in (1, 2)]
        self.cells = [(cell, Database(cell.database_connection)) for cell in mapped]
        seed_ours.make(self.api, self.cells)
        seed_ours.fill(self.api, self.cells[1:], _COUNT)

    def close(self) -> None:
        for database in (self.api, *(each for _, each in self.cells)):
            database.close()


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    databases = Databases(tmp_path_factory.mktemp("seeded"))
    yield databases
    databases.close()


def test_every_described_server_is_in_its_cell_and_mapped_to_it(seeded: Databases) -> None:
    query = InstanceQuery(order=_NEWEST, equal={"project_id": cloud.PROJECT}, like={})
    found = []
    for cell, database in seeded.cells:
        with database.reader() as session:
            those = [instance for _, instance in instance_lists.page(session, query, after=None, limit=None)]
        found += those
        with seeded.api.reader() as session:
            assert {mappings.instance(session, each.uuid).cell_uuid for each in those} <= {cell.uuid}
    found.sort(key=lambda instance: instance.created_at, reverse=True)
    shown = cloud.shown(_COUNT, 2)
    assert [each.uuid for each in found] == [each.uuid for each in shown]
    for instance, server in zip(found, shown, strict=True):
        assert (instance.display_name, instance.metadata, instance.tags) == (server.name, server.metadata, server.tags)
        assert (instance.host, instance.vm_state.value) == (server.host, server.state)
        assert instance.flavor.flavor_id == server.size.flavor_id
        assert (instance.fault is None) == (server.state != "error")


def test_every_host_is_up_and_mapped(seeded: Databases) -> None:
    with seeded.api.reader() as session:
        mapped = mappings.hosts(session)
    for number, (cell, database) in enumerate(seeded.cells[1:]):
        with database.reader() as session:
            agents = hosts.services(session, down_after_s=3600.0)
        assert [agent.host for agent in agents] == [cloud.host_name(number, host) for host in range(cloud.HOSTS)]
        assert all(agent.is_up and mapped[agent.host] == cell.uuid for agent in agents)


def test_a_quota_check_counts_what_is_there_and_takes_some_time(seeded: Databases) -> None:
    used, samples_ms = quota.check(seeded.api, cloud.PROJECT, rounds=3)
    assert used == len(cloud.shown(_COUNT, 2))
    assert len(samples_ms) == 3
    assert min(samples_ms) > 0


@pytest.fixture
def groups_of_nova(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("nova", "nova.network", "nova.network.security_group_api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    return sys.modules["nova.network.security_group_api"]


@pytest.mark.parametrize(
    ("token", "user", "project", "roles"),
    [
        pytest.param("admin:p", "admin", "p", "admin,member,reader", id="administrator"),
        pytest.param("someone:p", "someone", "p", "member,reader", id="member"),
        pytest.param("someone", "someone", "someone", "member,reader", id="no project"),
    ],
)
def test_the_real_one_believes_the_tokens_that_ours_does(
    groups_of_nova: Any, token: str, user: str, project: str, roles: str
) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: object) -> list[bytes]:
        seen.append(environ)
        return [b""]

    assert list(beside_nova.noauth({})(app)({"HTTP_X_AUTH_TOKEN": token}, None)) == [b""]
    names = ("HTTP_X_USER_ID", "HTTP_X_PROJECT_ID", "HTTP_X_ROLES", "HTTP_X_IDENTITY_STATUS")
    assert [seen[0][name] for name in names] == [user, project, roles, "Confirmed"]
    assert groups_of_nova.get_instances_security_groups_bindings(None, []) == {}

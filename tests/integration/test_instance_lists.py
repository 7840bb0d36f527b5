"""Long lists sort, page and filter on every database server as Python does: pages of several cells must merge."""

import random
import uuid as uuids
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.api.services import server_filters
from nova_lite.db import migrate
from nova_lite.db.repositories import instance_lists, instances
from nova_lite.db.repositories.instance_lists import SORT_KEYS, InstanceQuery
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.storage import Database
from tests.functional.compute_api.factories import NOON, make_instance

TEXTS = ("", "a", "A", "b", "B", "ä", "Ä", "z z", "_", "%", "web-1", "web-10", "web-2", "日本", "ß", "ss", "é")


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def cell_db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    name = f"nl_{uuids.uuid4().hex[:12]}"
    server: Any = None
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path_factory.mktemp('lists')}/cell.db")
    else:
        server = request.getfixturevalue(request.param)
        server.create([name])
        database = Database(server.url(name))
    migrate.sync(database, "cell")
    with database.writer() as session:
        for each in [*_servers(), *_crowd()]:
            instances.add(session, each)
    yield database
    database.close()
    if server is not None:
        server.drop([name])


def _servers() -> list[Instance]:
    dice = random.Random(7)
    return [
        make_instance(
            uuid=str(uuids.UUID(int=dice.getrandbits(128), version=4)),
            display_name=dice.choice(TEXTS),
            description=dice.choice([None, *TEXTS]),
            key_name=dice.choice([None, "k", "K"]),
            access_ip_v4=dice.choice([None, "10.0.0.1", "10.0.0.10"]),
            host=dice.choice([None, "h1", "h2"]),
            vm_state=dice.choice([VmState.ACTIVE, VmState.STOPPED, VmState.ERROR]),
            task_state=dice.choice([None, TaskState.REBOOTING, TaskState.DELETING]),
            has_config_drive=dice.choice([True, False]),
            is_locked=dice.choice([True, False]),
            launch_index=dice.randrange(3),
            created_at=NOON + timedelta(microseconds=dice.randrange(4)),
            launched_at=dice.choice([None, NOON, NOON + timedelta(days=1, microseconds=7)]),
            tags=tuple(dice.sample(["a", "b", "ä", 'q"q'], dice.randrange(4))),
        )
        for _ in range(60)
    ]


def _crowd() -> list[Instance]:
    """Return older servers of other projects, so many that no database would rather read them all."""
    return [
        make_instance(
            uuid=str(uuids.UUID(int=number, version=4)),
            project_id=f"other-{number % 40}",
            created_at=NOON - timedelta(microseconds=number),
        )
        for number in range(1000)
    ]


def _page(database: Database, query: InstanceQuery, after: Any, limit: int) -> list[Any]:
    with database.reader() as session:
        return instance_lists.page(session, query, after=after, limit=limit)


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("key", sorted(SORT_KEYS))
def test_pages_come_in_the_order_of_python(cell_db: Database, key: str, direction: str) -> None:
    query = server_filters.instance_query(
        {}, server_filters.sort_order([key], [direction]), project_id="demo", known_status_only=True
    )
    assert query is not None
    expected = sorted(
        _servers(), key=lambda each: each.uuid, reverse=direction == "desc" and key in ("created_at", "uuid")
    )
    expected.sort(key=lambda each: query.key(each)[0], reverse=direction == "desc")
    found: list[str] = []
    after = None
    for _ in range(len(expected) // 7 + 1):
        page = _page(cell_db, query, after, 7)
        found += [instance.uuid for _, instance in page]
        after = page[-1][0]
    assert found == [instance.uuid for instance in expected]


@pytest.mark.parametrize(
    "filters",
    [
        pytest.param({"name": ["a"]}, id="case and accents count"),
        pytest.param({"name": ["^web-1$"]}, id="whole name"),
        pytest.param({"name": ["w.b"]}, id="any character"),
        pytest.param({"name": ["%"]}, id="nothing special to LIKE"),
        pytest.param({"name": ["^.$"]}, id="one character"),
        pytest.param({"description": ["ss"]}, id="a text that may be missing"),
        pytest.param({"key_name": ["k"]}, id="key"),
        pytest.param({"status": ["ACTIVE"]}, id="status"),
        pytest.param({"status": ["REBOOT", "ERROR"]}, id="statuses"),
        pytest.param({"task_state": ["rebooting"]}, id="task"),
        pytest.param({"flavor": ["1"]}, id="flavor"),
        pytest.param({"flavor": ["2"]}, id="no such flavor"),
        pytest.param({"config_drive": ["true"]}, id="flag"),
        pytest.param({"locked": ["false"]}, id="flag unset"),
        pytest.param({"launch_index": ["1"]}, id="number"),
        pytest.param({"launched_at": ["2026-01-02T12:00:00Z"]}, id="time"),
        pytest.param({"tags": ["a,b"]}, id="tags"),
        pytest.param({"tags": ["ä"]}, id="tag with an accent"),
        pytest.param({"tags-any": ['q"q']}, id="tag with a quote"),
        pytest.param({"not-tags": ["a,b"]}, id="not tags"),
        pytest.param({"not-tags-any": ["a,ä"]}, id="none of the tags"),
        pytest.param({"changes-since": ["2026-01-02T12:00:00Z"]}, id="changes"),
    ],
)
def test_filters_mean_what_they_mean_in_python(cell_db: Database, filters: dict[str, list[str]]) -> None:
    order = server_filters.sort_order(["uuid"], ["asc"])
    query = server_filters.instance_query(filters, order, project_id="demo", known_status_only=True)
    assert query is not None
    expected = {instance.uuid for instance in _servers() if query.wants(instance)}
    assert {instance.uuid for _, instance in _page(cell_db, query, None, 1000)} == expected


@pytest.mark.parametrize("project_id", ["demo", None])
def test_a_page_begins_where_an_index_says(cell_db: Database, project_id: str | None) -> None:
    """MariaDB would read through all the pages before, or sort all there is, if it were left alone."""
    query = server_filters.instance_query(
        {}, server_filters.sort_order([], []), project_id=project_id, known_status_only=True
    )
    assert query is not None
    after = _page(cell_db, query, None, 30)[-1][0]
    asked: list[tuple[str, Any]] = []

    def note(conn: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(cell_db.engine, "before_cursor_execute", note)
    _page(cell_db, query, after, 5)
    sa.event.remove(cell_db.engine, "before_cursor_execute", note)
    [(statement, parameters)] = [one for one in asked if one[0].startswith("SELECT instances")]
    kind = cell_db.engine.dialect.name
    with cell_db.engine.connect() as connection:
        # The servers count rows when they come to it; until then they guess, and may plan otherwise.
        connection.exec_driver_sql("ANALYZE TABLE instances" if kind == "mysql" else "ANALYZE instances").close()
        if kind == "postgresql":  # to sort the few of one project costs it hardly more than to have them sorted
            connection.exec_driver_sql("SET enable_sort = off")
        word = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
        plan = " ".join(map(str, connection.exec_driver_sql(f"{word} {statement}", parameters)))
    assert ("instances_project_idx" if project_id else "instances_created_idx") in plan
    assert {"sqlite": "created_at<", "postgresql": "created_at <="}.get(kind, "'range'") in plan
    assert not any(sorting in plan for sorting in ("filesort", "TEMP B-TREE", "Sort")), plan

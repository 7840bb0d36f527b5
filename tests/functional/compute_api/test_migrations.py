"""Migrations of two cells as one list: pages, filters, who sees what, a cell that is down."""

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nova_lite.model.migration import Migration, MigrationKind, Place
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON

MANAGER = {"X-Roles": "manager,member,reader"}


def shown(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["migrations"]
    return found


def ids(answer: Any) -> list[str]:
    return [migration["uuid"] for migration in shown(answer)]


def spread(cloud: Cloud, count: int) -> list[Migration]:
    """Record migrations in both cells in turn and return them, oldest first; some are as old as others."""
    server = cloud.add_server(CELL1)
    return [
        cloud.add_migration(server, cell, created_at=NOON + timedelta(seconds=number // 3))
        for number, cell in zip(range(count), itertools.cycle((CELL1, CELL2)))
    ]


def newest_first(migrations: list[Migration]) -> list[str]:
    """Sort as the real service does: by time and number down, by UUID up."""
    by_uuid = sorted(migrations, key=lambda each: each.uuid)
    by_uuid.sort(key=lambda each: (each.created_at, each.number), reverse=True)
    return [each.uuid for each in by_uuid]


def test_all_of_it(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1)
    made = cloud.add_migration(server, updated_at=NOON + timedelta(minutes=1))
    [found] = shown(admin.get("/os-migrations"))
    assert found.pop("links") == [
        {"rel": "self", "href": f"http://falconframework.org/v2.1/servers/{server.uuid}/migrations/1"},
        {"rel": "bookmark", "href": f"http://falconframework.org/servers/{server.uuid}/migrations/1"},
    ]
    assert found == {
        "id": 1,
        "uuid": made.uuid,
        "instance_uuid": server.uuid,
        "migration_type": "live-migration",
        "status": "running",
        "old_instance_type_id": 5,
        "new_instance_type_id": 5,
        "source_compute": "h1",
        "source_node": "h1.lan",
        "dest_compute": "h2",
        "dest_node": "h2.lan",
        "dest_host": "192.0.2.2",
        "created_at": "2026-01-02T12:00:00.000000",
        "updated_at": "2026-01-02T12:01:00.000000",
        "user_id": "alice",
        "project_id": "demo",
    }


def test_what_versions_show(cloud: Cloud) -> None:
    server = cloud.add_server(CELL1)
    cloud.add_migration(server)
    cloud.add_migration(server, kind=MigrationKind.COLD, status="finished", dest=None, dest_ip=None)
    fields = {}
    for version in ("2.1", "2.22", "2.23", "2.58", "2.59", "2.79", "2.80"):
        over, live = shown(cloud.client("admin:admins", version).get("/os-migrations"))
        assert "links" not in over
        assert over["dest_compute"] is None
        fields[version] = live.keys()
    assert len(fields["2.1"]) == 12
    assert fields["2.22"] == fields["2.1"]
    assert fields["2.23"] - fields["2.1"] == {"migration_type", "links"}
    assert fields["2.58"] == fields["2.23"]
    assert fields["2.59"] - fields["2.23"] == {"uuid"}
    assert fields["2.79"] == fields["2.59"]
    assert fields["2.80"] - fields["2.59"] == {"user_id", "project_id"}


def test_pages_hold_each_migration_once(cloud: Cloud, admin: Client) -> None:
    expected = newest_first(spread(cloud, 11))
    assert ids(admin.get("/os-migrations")) == expected
    for limit in (1, 3, 11, 12):
        found: list[str] = []
        url: str | None = f"/os-migrations?limit={limit}"
        for _ in range(12):
            answer = admin.get(url or "")
            found += ids(answer)
            links = answer.json.get("migrations_links")
            url = None if links is None else links[0]["href"].partition("/v2.1")[2]
            if url is None:
                break
        assert found == expected
    assert shown(admin.get("/os-migrations?limit=0")) == []
    assert "migrations_links" not in admin.get("/os-migrations?limit=0").json


def test_before_2_59_there_are_no_pages(cloud: Cloud) -> None:
    cloud.conf.set_override("max_limit", 2, group="api")
    spread(cloud, 5)
    old = cloud.client("admin:admins", "2.58")
    answer = old.get("/os-migrations?limit=1&marker=nobody&changes-since=never&color=red")
    assert len(shown(answer)) == 5
    assert "migrations_links" not in answer.json


FILTERED = [
    pytest.param({}, {"live", "cold", "resize", "other"}, id="nothing hidden"),
    pytest.param({"status": "running"}, {"live"}, id="status"),
    pytest.param({"migration_type": "resize"}, {"resize"}, id="type"),
    pytest.param({"migration_type": "teleport"}, set(), id="no such type"),
    pytest.param({"host": "h2"}, {"live", "cold"}, id="host at either end"),
    pytest.param({"source_compute": "h2"}, {"cold"}, id="source"),
    pytest.param({"host": "h1", "source_compute": "h2"}, {"live", "cold", "resize", "other"}, id="host hides source"),
    pytest.param({"user_id": "bob"}, {"other"}, id="user"),
    pytest.param({"project_id": "theirs"}, {"other"}, id="project"),
    pytest.param({"changes-since": "2026-01-02T12:30:00Z"}, {"cold"}, id="changed since"),
    pytest.param({"changes-before": "2026-01-02T12:30:00Z"}, {"resize"}, id="changed before"),
    pytest.param({"hidden": "true"}, set(), id="hidden ones stay hidden"),
    pytest.param({"hidden": "0"}, {"live", "cold", "resize", "other"}, id="ones not hidden"),
    pytest.param({"hidden": "perhaps"}, {"live", "cold", "resize", "other"}, id="not said to be hidden"),
]


@pytest.mark.parametrize(("query", "expected"), FILTERED)
def test_filters(cloud: Cloud, admin: Client, query: dict[str, str], expected: set[str]) -> None:
    server = cloud.add_server(CELL1)
    h1, h2, h3 = (Place(name, CELL1, f"{name}.lan") for name in ("h1", "h2", "h3"))
    hour = timedelta(hours=1)
    made = {
        "live": cloud.add_migration(server),
        "cold": cloud.add_migration(
            server, CELL2, kind=MigrationKind.COLD, status="done", source=h2, dest=h1, updated_at=NOON + hour
        ),
        "resize": cloud.add_migration(server, kind=MigrationKind.RESIZE, status="done", dest=h3, updated_at=NOON),
        "other": cloud.add_migration(
            replace(server, user_id="bob", project_id="theirs"), CELL2, status="error", dest=None, dest_ip=None
        ),
        "hidden": cloud.add_migration(server, is_hidden=True),
    }
    names = {migration.uuid: name for name, migration in made.items()}
    assert {names[uuid] for uuid in ids(admin.get("/os-migrations", **query))} == expected
    by_server = admin.get("/os-migrations", instance_uuid=server.uuid, **query)
    assert {names[uuid] for uuid in ids(by_server)} == expected
    assert ids(admin.get("/os-migrations", instance_uuid=CELL1)) == []


@pytest.mark.parametrize(
    ("version", "query", "named"),
    [
        ("2.59", "limit=x", "limit"),
        ("2.59", "limit=-1", "limit"),
        ("2.59", "limit=1&limit=2", "limit"),
        ("2.59", "marker=nobody", "marker"),
        ("2.59", f"marker={CELL1}&marker={CELL2}", "marker"),
        ("2.59", "changes-since=yesterday", "changes-since"),
        ("2.59", "changes-before=2026-01-02T12:30:00Z", "changes-before"),
        ("2.59", "user_id=alice", "user_id"),
        ("2.66", "changes-before=", "changes-before"),
        ("2.66", "changes-since=2026-01-02T00:00:00&changes-before=2026-01-01T00:00:00", "changes-since"),
        ("2.79", "project_id=demo", "project_id"),
        ("2.80", "color=red", "color"),
        ("2.80", "status=%00", "NUL"),
        ("2.80", "host=%ff", "UTF-8"),
    ],
)
def test_bad_queries_are_refused(cloud: Cloud, version: str, query: str, named: str) -> None:
    answer = cloud.client("admin:admins", version).get(f"/os-migrations?{query}")
    assert answer.status_code == 400, answer.text
    assert named in answer.json["badRequest"]["message"]


def test_managers_see_their_project_without_hosts(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, names_roles=True)
    server = cloud.add_server(CELL1)
    made = cloud.add_migration(server)
    cloud.add_migration(replace(server, project_id="theirs"))
    manager = cloud.client()
    [seen] = shown(manager.request("GET", "/os-migrations?project_id=demo", headers=MANAGER))
    assert seen["uuid"] == made.uuid
    hosts = ("source_compute", "source_node", "dest_compute", "dest_node", "dest_host")
    assert [seen[name] for name in hosts] == [None] * 5
    assert manager.request("GET", "/os-migrations?project_id=theirs", headers=MANAGER).status_code == 403
    assert manager.request("GET", "/os-migrations", headers=MANAGER).status_code == 403
    assert manager.get("/os-migrations?project_id=demo").status_code == 403
    cloud.close()


def test_managers_cannot_tell_the_migrations_of_others_from_none(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, names_roles=True)
    server = cloud.add_server(CELL1)
    made = cloud.add_migration(server)
    theirs = cloud.add_migration(replace(server, project_id="theirs"))

    def after(marker: str) -> Any:
        path = f"/os-migrations?project_id=demo&marker={marker}"
        return cloud.client().request("GET", path, headers=MANAGER)

    assert ids(after(made.uuid)) == []
    refused = [after(marker) for marker in (theirs.uuid, CELL1)]
    assert [answer.status_code for answer in refused] == [400, 400]
    messages = [answer.json["badRequest"]["message"] for answer in refused]
    assert messages == [f"marker [{marker}] not found" for marker in (theirs.uuid, CELL1)]
    assert ids(cloud.client("admin:admins").get(f"/os-migrations?project_id=demo&marker={theirs.uuid}")) == [made.uuid]
    cloud.silence_cell(CELL2)
    assert [after(marker).status_code for marker in (theirs.uuid, CELL1)] == [503, 503]
    cloud.close()


def test_a_cell_that_is_down_is_left_out_or_refused(cloud: Cloud, admin: Client) -> None:
    server = cloud.add_server(CELL1)
    near, far = cloud.add_migration(server), cloud.add_migration(server, CELL2)
    cloud.silence_cell(CELL2)
    assert ids(admin.get("/os-migrations")) == [near.uuid]
    assert ids(admin.get("/os-migrations", marker=near.uuid)) == []
    assert admin.get("/os-migrations", marker=far.uuid).status_code == 503
    cloud.conf.set_override("list_records_by_skipping_down_cells", False, group="api")
    assert admin.get("/os-migrations").status_code == 503


def test_statements_do_not_grow_with_the_list(cloud: Cloud, admin: Client) -> None:
    counts = []
    for _ in range(2):
        spread(cloud, 20)
        with cloud.counted() as statements:
            shown(admin.get("/os-migrations"))
        counts.append(len(statements))
    assert counts == [2, 2]

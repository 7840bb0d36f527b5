"""A server's live migrations that are under way."""

from pathlib import Path

from nova_lite.model.migration import MigrationKind, Progress
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON

MANAGER = {"X-Roles": "manager,member,reader"}


def test_only_live_ones_under_way(cloud: Cloud, admin: Client) -> None:
    server, other = cloud.add_server(CELL2), cloud.add_server(CELL2)
    over = cloud.add_migration(server, CELL2, status="completed")
    cold = cloud.add_migration(server, CELL2, kind=MigrationKind.COLD)
    foreign = cloud.add_migration(other, CELL2)
    live = cloud.add_migration(server, CELL2, progress=Progress(100, 60, 40, 7, 5, 2), updated_at=NOON)
    answer = admin.get(f"/servers/{server.uuid}/migrations")
    assert answer.status_code == 200
    [found] = answer.json["migrations"]
    assert found == {
        "id": live.number,
        "uuid": live.uuid,
        "server_uuid": server.uuid,
        "status": "running",
        "source_compute": "h1",
        "source_node": "h1.lan",
        "dest_compute": "h2",
        "dest_node": "h2.lan",
        "dest_host": "192.0.2.2",
        "memory_total_bytes": 100,
        "memory_processed_bytes": 60,
        "memory_remaining_bytes": 40,
        "disk_total_bytes": 7,
        "disk_processed_bytes": 5,
        "disk_remaining_bytes": 2,
        "created_at": "2026-01-02T12:00:00.000000",
        "updated_at": "2026-01-02T12:00:00.000000",
        "user_id": "alice",
        "project_id": "demo",
    }
    one = admin.get(f"/servers/{server.uuid}/migrations/{live.number}")
    assert one.json == {"migration": found}
    for gone in (over.number, cold.number, foreign.number, 99, "x", live.uuid, "9" * 30, "-1"):
        assert admin.get(f"/servers/{server.uuid}/migrations/{gone}").status_code == 404, gone


def test_what_versions_show(cloud: Cloud) -> None:
    server = cloud.add_server(CELL1)
    cloud.add_migration(server)
    url = f"/servers/{server.uuid}/migrations"
    assert cloud.client("admin:admins", "2.22").get(url).status_code == 404
    fields = {}
    for version in ("2.23", "2.59", "2.80"):
        caller = cloud.client("admin:admins", version)
        [found] = caller.get(url).json["migrations"]
        assert caller.get(f"{url}/{found['id']}").json["migration"] == found
        fields[version] = found.keys()
    assert fields["2.59"] - fields["2.23"] == {"uuid"}
    assert fields["2.80"] - fields["2.59"] == {"user_id", "project_id"}
    assert cloud.client("admin:admins", "2.101").get(f"{url}?color=red").status_code == 200
    assert cloud.client("admin:admins", "2.102").get(f"{url}?color=red").status_code == 400


def test_servers_without_any(cloud: Cloud, admin: Client) -> None:
    waiting, settled = cloud.add_server(None), cloud.add_server(CELL1)
    for server in (waiting, settled):
        assert admin.get(f"/servers/{server.uuid}/migrations").json == {"migrations": []}
        assert admin.get(f"/servers/{server.uuid}/migrations/1").status_code == 404
    assert admin.get(f"/servers/{CELL1}/migrations").status_code == 404
    cloud.silence_cell(CELL1)
    assert admin.get(f"/servers/{settled.uuid}/migrations").status_code == 503


def test_who_may_look(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, names_roles=True)
    server = cloud.add_server(CELL1)
    made = cloud.add_migration(server)
    url = f"/servers/{server.uuid}/migrations"
    assert cloud.client().get(url).status_code == 403
    [seen] = cloud.client().request("GET", url, headers=MANAGER).json["migrations"]
    hosts = ("source_compute", "source_node", "dest_compute", "dest_node", "dest_host")
    assert [seen[name] for name in hosts] == [None] * 5
    assert cloud.client().request("GET", f"{url}/{made.number}", headers=MANAGER).status_code == 403
    assert cloud.client("mallory:elsewhere").request("GET", url, headers=MANAGER).status_code == 404
    cloud.close()

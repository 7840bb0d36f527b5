"""Services: list, disable, force down, delete."""

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, ApiWorkflowRow, HostMappingRow
from nova_lite.db.cell_tables import ComputeNodeRow, ServiceRow
from nova_lite.db.repositories import migrations
from nova_lite.model.flavor import Flavor
from nova_lite.model.migration import Migration, MigrationKind, Place
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.functional.compute_api.factories import NOON
from tests.functional.compute_api.machines import NODES, add_machines


@pytest.fixture
def cloud_of_hosts(cloud: Cloud) -> Cloud:
    add_machines(cloud)
    return cloud


def _services(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["services"]
    return found


def _named(answer: Any) -> list[tuple[str, str]]:
    return [(service["host"], service["binary"]) for service in _services(answer)]


def _service(caller: Client, host: str) -> dict[str, Any]:
    (found,) = _services(caller.get(f"/os-services?host={host}&binary=nova-compute"))
    return found


def test_services_of_every_cell_are_listed_and_filtered(cloud_of_hosts: Cloud, admin: Client) -> None:
    assert _named(admin.get("/os-services")) == [
        ("control", "nova-scheduler"),
        ("h1", "nova-compute"),
        ("h2", "nova-compute"),
        ("control", "nova-conductor"),
        ("h3", "nova-compute"),
        ("control", "nova-conductor"),
    ]
    assert _named(admin.get("/os-services?binary=nova-scheduler")) == [("control", "nova-scheduler")]
    assert _named(admin.get("/os-services?host=h3")) == [("h3", "nova-compute")]
    assert _named(admin.get("/os-services?host=nowhere")) == []
    service = _service(admin, "h1")
    assert len(service.pop("id")) == 36
    assert service.pop("updated_at")
    assert service == {
        "binary": "nova-compute",
        "host": "h1",
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "disabled_reason": None,
        "forced_down": False,
    }
    assert _services(admin.get("/os-services?binary=nova-scheduler"))[0]["zone"] == "internal"


def test_listing_costs_one_statement_a_database(cloud_of_hosts: Cloud, admin: Client) -> None:
    admin.get("/os-services")
    with cloud_of_hosts.counted() as statements:
        admin.get("/os-services")
    assert len(statements) == 4


def test_shape_by_version(cloud_of_hosts: Cloud) -> None:
    old = _services(cloud_of_hosts.client("admin:admins", "2.1").get("/os-services?host=h2&unknown=1"))[0]
    assert old["id"] == 2
    assert "forced_down" not in old
    assert _service(cloud_of_hosts.client("admin:admins", "2.11"), "h2")["forced_down"] is False


def test_a_service_is_disabled_with_a_reason_and_enabled_again(cloud_of_hosts: Cloud, admin: Client) -> None:
    url = f"/os-services/{_service(admin, 'h1')['id']}"
    disabled = admin.put(url, {"status": "disabled", "disabled_reason": "new disks"})
    assert disabled.status_code == 200, disabled.text
    service = disabled.json["service"]
    assert service == _service(admin, "h1")
    assert (service["status"], service["disabled_reason"]) == ("disabled", "new disks")
    forced = admin.put(url, {"forced_down": "true"}).json["service"]
    assert (forced["state"], forced["forced_down"], forced["status"]) == ("down", True, "disabled")
    enabled = admin.put(url, {"status": "enabled", "forced_down": False}).json["service"]
    assert (enabled["status"], enabled["disabled_reason"], enabled["state"]) == ("enabled", None, "up")
    assert _service(admin, "h2")["status"] == "enabled"


def test_before_2_53_services_are_changed_by_host_and_binary(cloud_of_hosts: Cloud) -> None:
    old = cloud_of_hosts.client("admin:admins", "2.11")
    h3 = {"host": "h3", "binary": "nova-compute"}
    assert old.put("/os-services/disable", h3).json == {"service": {**h3, "status": "disabled"}}
    reasoned = old.put("/os-services/disable-log-reason", {**h3, "disabled_reason": "fans"})
    assert reasoned.json == {"service": {**h3, "status": "disabled", "disabled_reason": "fans"}}
    assert _service(old, "h3")["disabled_reason"] == "fans"
    assert old.put("/os-services/enable", h3).json == {"service": {**h3, "status": "enabled"}}
    forced = old.put("/os-services/force-down", {**h3, "forced_down": True})
    assert forced.json == {"service": {**h3, "forced_down": True}}
    assert _service(old, "h3")["state"] == "down"
    older = cloud_of_hosts.client("admin:admins", "2.10")
    assert older.put("/os-services/force-down", h3).status_code == 404
    for action, body, status in (
        ("enable", {"host": "nowhere", "binary": "nova-compute"}, 404),
        ("reboot", h3, 404),
        ("disable-log-reason", h3, 400),
        ("force-down", h3, 400),
        ("disable", {"host": "h3"}, 400),
        ("disable", {**h3, "host": "h 3"}, 400),
        ("disable", {**h3, "color": "red"}, 400),
        ("disable", {**h3, "binary": "nova-conductor"}, 400),
        ("enable", {"host": "control", "binary": "nova-conductor"}, 400),
    ):
        assert old.put(f"/os-services/{action}", body).status_code == status, (action, body)


def test_a_service_not_heard_of_is_down(cloud_of_hosts: Cloud, admin: Client) -> None:
    with cloud_of_hosts.cells.get(CELL1).db.writer() as session:
        session.execute(sa.update(ServiceRow).where(ServiceRow.host == "h1").values(last_seen=1.0))
    assert _service(admin, "h1")["state"] == "down"
    assert _service(admin, "h2")["state"] == "up"


def test_the_zone_is_the_hosts_aggregate_s(cloud_of_hosts: Cloud, admin: Client) -> None:
    _add_zone(cloud_of_hosts, "east", "h2")
    assert _service(admin, "h2")["zone"] == "east"
    assert _service(admin, "h1")["zone"] == "nova"


def _add_zone(cloud: Cloud, zone: str, host: str) -> None:
    with cloud.api_db.writer() as session:
        row = AggregateRow(uuid=NODES["h1"][1], name="racks", extra={"availability_zone": zone})
        session.add(row)
        session.flush()
        session.add(AggregateHostRow(aggregate_id=row.id, host=host))


def test_a_deleted_host_leaves_nothing_behind(cloud_of_hosts: Cloud, admin: Client) -> None:
    _add_zone(cloud_of_hosts, "east", "h2")
    url = f"/os-services/{_service(admin, 'h2')['id']}"
    assert admin.delete(url).status_code == 204
    assert admin.delete(url).status_code == 404
    cell = cloud_of_hosts.cells.get(CELL1)
    assert [row.host for row in cloud_of_hosts.rows(cell.db, ComputeNodeRow)] == ["h1"]
    assert {row.host for row in cloud_of_hosts.rows(cloud_of_hosts.api_db, HostMappingRow)} == {"h1", "h3"}
    assert cloud_of_hosts.rows(cloud_of_hosts.api_db, AggregateHostRow) == []
    (told,) = cloud_of_hosts.rows(cloud_of_hosts.api_db, ApiWorkflowRow)
    assert (told.kind, told.inputs) == (
        "forget-host",
        {"cell_uuid": CELL1, "host": "h2", "providers": [NODES["h2"][1]], "evacuations": []},
    )


def test_a_deleted_service_that_carries_no_servers_leaves_hosts_alone(cloud_of_hosts: Cloud, admin: Client) -> None:
    conductor = _services(admin.get("/os-services?binary=nova-conductor"))[0]
    assert admin.delete(f"/os-services/{conductor['id']}").status_code == 204
    assert len(_named(admin.get("/os-services"))) == 5
    assert len(cloud_of_hosts.rows(cloud_of_hosts.api_db, HostMappingRow)) == 3
    assert cloud_of_hosts.rows(cloud_of_hosts.api_db, ApiWorkflowRow) == []


@pytest.mark.parametrize(("status", "code"), [("running", 409), ("finished", 409), ("confirmed", 204), ("error", 204)])
@pytest.mark.parametrize("ends", [("h2", "h1"), ("h1", "h2")], ids=" ".join)
def test_a_host_servers_move_to_or_from_is_not_deleted(
    cloud_of_hosts: Cloud, admin: Client, ends: tuple[str, str], status: str, code: int
) -> None:
    source, dest = (Place(host, NODES[host][1], f"{host}.lan") for host in ends)
    flavor = Flavor("1", "m1.tiny", 1, 512, 1)
    moved = Migration(
        uuid=CELL2,
        instance_uuid=CELL1,
        kind=MigrationKind.COLD,
        status=status,
        user_id="alice",
        project_id="demo",
        source=source,
        dest=dest,
        old_flavor=flavor,
        new_flavor=flavor,
        created_at=NOON,
    )
    with cloud_of_hosts.cells.get(CELL1).db.writer() as session:
        migrations.add(session, moved)
    answer = admin.delete(f"/os-services/{_service(admin, 'h2')['id']}")
    assert answer.status_code == code
    if code == 409:
        assert "migrations" in answer.json["conflictingRequest"]["message"]
        assert _service(admin, "h2")["state"] == "up"
        assert len(cloud_of_hosts.rows(cloud_of_hosts.api_db, HostMappingRow)) == 3


def test_a_host_with_servers_is_not_deleted(cloud_of_hosts: Cloud, admin: Client) -> None:
    cloud_of_hosts.add_server(CELL1, host="h2", node=NODES["h2"][1])
    answer = admin.delete(f"/os-services/{_service(admin, 'h2')['id']}")
    assert answer.status_code == 409
    assert "hosting instances" in answer.json["conflictingRequest"]["message"]
    assert _service(admin, "h2")["state"] == "up"
    assert len(cloud_of_hosts.rows(cloud_of_hosts.api_db, HostMappingRow)) == 3


def test_before_2_53_a_number_names_a_service_if_only_one_has_it(cloud_of_hosts: Cloud, admin: Client) -> None:
    old = cloud_of_hosts.client("admin:admins", "2.1")
    many = old.delete("/os-services/1")
    assert many.status_code == 400
    assert "2.53" in many.json["badRequest"]["message"]
    assert old.delete("/os-services/3").status_code == 204
    assert old.delete("/os-services/99").status_code == 404
    assert old.delete("/os-services/x").status_code == 400
    assert ("control", "nova-conductor") in _named(admin.get("/os-services"))
    assert len(_named(admin.get("/os-services"))) == 5


def test_hosts_of_a_silent_cell_are_unknown(cloud_of_hosts: Cloud, admin: Client) -> None:
    cloud_of_hosts.silence_cell(CELL2)
    unknown = {"binary": "nova-compute", "host": "h3", "status": "UNKNOWN"}
    assert unknown in _services(admin.get("/os-services"))
    assert _services(admin.get("/os-services?host=h3")) == [unknown]
    assert ("h3", "nova-compute") not in _named(admin.get("/os-services?binary=nova-conductor"))
    old = cloud_of_hosts.client("admin:admins", "2.68")
    assert ("h3", "nova-compute") not in _named(old.get("/os-services"))
    missing = admin.put(f"/os-services/{NODES['h3'][1]}", {"status": "disabled"})
    assert missing.status_code == 503


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "body"),
        ({"status": "asleep"}, "status"),
        ({"status": "enabled", "disabled_reason": "x"}, "disabled_reason"),
        ({"forced_down": False, "disabled_reason": "x"}, "disabled_reason"),
        ({"status": "disabled", "disabled_reason": ""}, "disabled_reason"),
        ({"status": "disabled", "disabled_reason": "x" * 256}, "disabled_reason"),
        ({"forced_down": "perhaps"}, "forced_down"),
        ({"status": "disabled", "color": "red"}, "color"),
        ({"host": "h1", "binary": "nova-compute"}, "host"),
    ],
)
def test_bad_changes_name_the_field_and_change_nothing(
    cloud_of_hosts: Cloud, admin: Client, body: object, named: str
) -> None:
    before = _service(admin, "h1")
    answer = admin.put(f"/os-services/{before['id']}", body)
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]
    assert _service(admin, "h1")["status"] == "enabled"


def test_bad_ids_and_other_services(cloud_of_hosts: Cloud, admin: Client) -> None:
    assert admin.put("/os-services/disable", {"status": "disabled"}).status_code == 400
    assert admin.put(f"/os-services/{NODES['h1'][1]}", {"status": "disabled"}).status_code == 404
    conductor = _services(admin.get("/os-services?binary=nova-conductor"))[0]
    answer = admin.put(f"/os-services/{conductor['id']}", {"status": "disabled"})
    assert answer.status_code == 400
    assert "nova-conductor" in answer.json["badRequest"]["message"]
    assert admin.get("/os-services?color=red").status_code == 400


def test_only_administrators_see_services(cloud_of_hosts: Cloud, client: Client, admin: Client) -> None:
    url = f"/os-services/{_service(admin, 'h1')['id']}"
    for answer in (client.get("/os-services"), client.put(url, {"status": "disabled"}), client.delete(url)):
        assert answer.status_code == 403
    assert _service(admin, "h1")["status"] == "enabled"

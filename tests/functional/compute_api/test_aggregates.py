"""Host aggregates, to look at."""

import pytest

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud


@pytest.fixture
def cloud_of_aggregates(cloud: Cloud) -> Cloud:
    with cloud.api_db.writer() as session:
        session.add(AggregateRow(uuid=CELL1, name="racks", extra={"availability_zone": "east", "floor": "2"}))
        session.flush()
        session.add(AggregateRow(uuid=CELL2, name="empty"))
        session.flush()
        session.add_all([AggregateHostRow(aggregate_id=1, host="h2"), AggregateHostRow(aggregate_id=1, host="h1")])
    return cloud


def test_aggregates_are_listed_and_shown(cloud_of_aggregates: Cloud, admin: Client) -> None:
    with cloud_of_aggregates.counted() as statements:
        listed = admin.get("/os-aggregates").json["aggregates"]
    assert len(statements) == 2
    assert [aggregate["name"] for aggregate in listed] == ["racks", "empty"]
    shown = admin.get("/os-aggregates/1").json["aggregate"]
    assert shown == listed[0]
    assert shown.pop("created_at")
    assert shown == {
        "id": 1,
        "uuid": CELL1,
        "name": "racks",
        "availability_zone": "east",
        "hosts": ["h1", "h2"],
        "metadata": {"availability_zone": "east", "floor": "2"},
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    assert (listed[1]["hosts"], listed[1]["availability_zone"]) == ([], None)
    old = cloud_of_aggregates.client("admin:admins", "2.40")
    assert "uuid" not in old.get("/os-aggregates/1").json["aggregate"]


def test_a_cloud_without_aggregates_has_none(admin: Client) -> None:
    assert admin.get("/os-aggregates").json == {"aggregates": []}


def test_bad_requests(cloud_of_aggregates: Cloud, client: Client, admin: Client) -> None:
    assert admin.get("/os-aggregates/99").status_code == 404
    assert admin.get("/os-aggregates/x").status_code == 400
    assert admin.get("/os-aggregates?color=red").status_code == 400
    for path in ("/os-aggregates", "/os-aggregates/1"):
        assert client.get(path).status_code == 403

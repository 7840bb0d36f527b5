"""Availability zones."""

from typing import Any

import pytest

from nova_lite.db.api_tables import AggregateHostRow, AggregateRow
from tests.functional.compute_api.cloud import CELL2, Client, Cloud
from tests.functional.compute_api.machines import add_machines


@pytest.fixture
def cloud_of_zones(cloud: Cloud) -> Cloud:
    """h2 is in zone east, h3 in zone west; h1 is in no aggregate that is a zone."""
    add_machines(cloud)
    with cloud.api_db.writer() as session:
        for number, (extra, host) in enumerate(
            [({"availability_zone": "east"}, "h2"), ({"availability_zone": "west"}, "h3"), ({"ssd": "true"}, "h1")]
        ):
            row = AggregateRow(uuid=f"a{number}", name=f"a{number}", extra=extra)
            session.add(row)
            session.flush()
            session.add(AggregateHostRow(aggregate_id=row.id, host=host))
    return cloud


def _zones(answer: Any) -> list[tuple[str, bool]]:
    assert answer.status_code == 200, answer.text
    return [(zone["zoneName"], zone["zoneState"]["available"]) for zone in answer.json["availabilityZoneInfo"]]


def test_zones_without_their_hosts_for_everybody(cloud_of_zones: Cloud, client: Client) -> None:
    answer = client.get("/os-availability-zone")
    assert _zones(answer) == [("east", True), ("nova", True), ("west", True)]
    assert all(zone["hosts"] is None for zone in answer.json["availabilityZoneInfo"])
    assert client.get("/os-availability-zone/detail").status_code == 403


def test_zones_with_their_hosts_for_administrators(cloud_of_zones: Cloud, admin: Client) -> None:
    answer = admin.get("/os-availability-zone/detail")
    assert _zones(answer) == [("internal", True), ("east", True), ("nova", True), ("west", True)]
    internal, east = answer.json["availabilityZoneInfo"][:2]
    assert internal["hosts"].keys() == {"control"}
    assert internal["hosts"]["control"].keys() == {"nova-scheduler", "nova-conductor"}
    service = east["hosts"]["h2"]["nova-compute"]
    assert service.pop("updated_at")
    assert service == {"active": True, "available": True}
    with cloud_of_zones.counted() as statements:
        admin.get("/os-availability-zone/detail")
    assert len(statements) == 4


def test_a_zone_of_disabled_hosts_is_not_available(cloud_of_zones: Cloud, client: Client, admin: Client) -> None:
    service = admin.get("/os-services?host=h2").json["services"][0]
    admin.put(f"/os-services/{service['id']}", {"status": "disabled"})
    assert _zones(client.get("/os-availability-zone")) == [("nova", True), ("west", True), ("east", False)]
    assert admin.get("/os-availability-zone/detail").json["availabilityZoneInfo"][-1]["hosts"] is None


def test_a_silent_cell_is_borne(cloud_of_zones: Cloud, client: Client) -> None:
    cloud_of_zones.silence_cell(CELL2)
    assert _zones(client.get("/os-availability-zone")) == [("east", True), ("nova", True)]


def test_queries_take_nothing_since_2_102(cloud: Cloud, client: Client) -> None:
    assert client.get("/os-availability-zone?color=red").status_code == 400
    assert cloud.client(version="2.101").get("/os-availability-zone?color=red").status_code == 200

"""Limits: what a project may have and has."""

from typing import Any

import pytest

from nova_lite.db.api_tables import QuotaLimitRow
from nova_lite.model.flavor import Flavor
from nova_lite.model.host import CELL0_UUID
from tests.functional.compute_api.cloud import CELL2, Client, Cloud

NETWORKING = {
    "maxTotalFloatingIps",
    "maxSecurityGroups",
    "maxSecurityGroupRules",
    "totalFloatingIpsUsed",
    "totalSecurityGroupsUsed",
}
INJECTION = {"maxPersonality", "maxPersonalitySize"}


def _absolute(answer: Any) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    assert answer.json["limits"]["rate"] == []
    found: dict[str, int] = answer.json["limits"]["absolute"]
    return found


def test_use_is_counted_from_every_cell_and_from_none(cloud: Cloud, client: Client) -> None:
    cloud.add_server(flavor=Flavor("s", "s", 2, 1024, 1))
    cloud.add_server(CELL2)
    cloud.add_server(CELL0_UUID)
    cloud.add_server(None)
    cloud.add_server(project_id="other")
    with cloud.counted() as statements:
        absolute = _absolute(client.get("/limits"))
    assert len(statements) == 3
    assert absolute == {
        "maxTotalInstances": 10,
        "maxTotalCores": 20,
        "maxTotalRAMSize": 51200,
        "maxTotalKeypairs": 100,
        "maxServerMeta": 128,
        "maxServerGroups": 10,
        "maxServerGroupMembers": 10,
        "totalInstancesUsed": 4,
        "totalCoresUsed": 5,
        "totalRAMUsed": 2560,
        "totalServerGroupsUsed": 0,
    }


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2.1", NETWORKING | INJECTION | {"maxImageMeta"}),
        ("2.36", INJECTION | {"maxImageMeta"}),
        ("2.39", INJECTION),
        ("2.57", set()),
    ],
)
def test_shape_by_version(cloud: Cloud, client: Client, version: str, more: set[str]) -> None:
    now = _absolute(client.get("/limits"))
    then = _absolute(cloud.client(version=version).get("/limits?unknown=1" if version == "2.1" else "/limits"))
    assert then.keys() - now.keys() == more


def test_limits_set_for_a_project_count(cloud: Cloud, client: Client, admin: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", resource="cores", hard_limit=-1))
    assert _absolute(client.get("/limits"))["maxTotalCores"] == -1
    assert _absolute(admin.get("/limits"))["maxTotalCores"] == 20
    assert _absolute(admin.get("/limits?tenant_id=demo"))["maxTotalCores"] == -1


def test_other_projects_are_for_administrators(client: Client) -> None:
    assert client.get("/limits?tenant_id=other").status_code == 403
    assert client.get("/limits?tenant_id=a%2Fb").status_code == 400
    assert client.get("/limits?color=red").status_code == 400

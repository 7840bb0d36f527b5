"""Who may use a private flavor."""

from typing import Any

from nova_lite.db.api_tables import FlavorProjectRow
from tests.functional.compute_api.cloud import Client, Cloud


def _projects(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [access["tenant_id"] for access in answer.json["flavor_access"]]


def test_a_private_flavor_is_given_and_taken_back(client: Client, admin: Client) -> None:
    assert client.get("/flavors/9").status_code == 404
    assert admin.get("/flavors/9").status_code == 200
    assert _projects(admin.get("/flavors/9/os-flavor-access")) == []
    granted = admin.post("/flavors/9/action", {"addTenantAccess": {"tenant": "demo"}})
    assert granted.json == {"flavor_access": [{"flavor_id": "9", "tenant_id": "demo"}]}
    assert client.get("/flavors/9").json["flavor"]["name"] == "secret"
    assert client.get("/flavors").json["flavors"][-1]["id"] == "9"
    again = admin.post("/flavors/9/action", {"addTenantAccess": {"tenant": "demo"}})
    assert again.status_code == 409
    assert _projects(admin.post("/flavors/9/action", {"removeTenantAccess": {"tenant": "demo"}})) == []
    assert client.get("/flavors/9").status_code == 404
    never = admin.post("/flavors/9/action", {"removeTenantAccess": {"tenant": "demo"}})
    assert never.status_code == 404


def test_deleting_a_flavor_takes_its_grants_along(cloud: Cloud, admin: Client) -> None:
    admin.post("/flavors/9/action", {"addTenantAccess": {"tenant": "demo"}})
    assert admin.delete("/flavors/9").status_code == 202
    assert cloud.rows(cloud.api_db, FlavorProjectRow) == []


def test_public_flavors_have_no_list_and_refuse_grants_since_2_7(cloud: Cloud, admin: Client) -> None:
    assert admin.get("/flavors/1/os-flavor-access").status_code == 404
    body = {"addTenantAccess": {"tenant": "demo"}}
    assert admin.post("/flavors/1/action", body).status_code == 409
    assert cloud.rows(cloud.api_db, FlavorProjectRow) == []
    assert cloud.client("admin:admins", "2.6").post("/flavors/1/action", body).status_code == 200


def test_bad_requests_change_nothing(cloud: Cloud, client: Client, admin: Client) -> None:
    bodies: list[tuple[object, str]] = [
        ({"dropTenantAccess": {"tenant": "demo"}}, "dropTenantAccess"),
        ({"addTenantAccess": {}}, "tenant"),
        ({"addTenantAccess": {"tenant": ""}}, "tenant"),
        ({"addTenantAccess": {"tenant": "a b"}}, "tenant"),
        ({"addTenantAccess": {"tenant": 5}}, "tenant"),
        ({"addTenantAccess": {"tenant": "demo", "more": 1}}, "more"),
        ({}, "body"),
        ([], "body"),
    ]
    for body, named in bodies:
        answer = admin.post("/flavors/9/action", body)
        assert answer.status_code == 400, body
        assert named in answer.json["badRequest"]["message"]
    assert admin.post("/flavors/nothing/action", {"addTenantAccess": {"tenant": "demo"}}).status_code == 404
    for action in ("addTenantAccess", "removeTenantAccess"):
        assert client.post("/flavors/9/action", {action: {"tenant": "demo"}}).status_code == 403
    assert client.get("/flavors/9/os-flavor-access").status_code == 403
    assert cloud.rows(cloud.api_db, FlavorProjectRow) == []

"""The identity endpoint of embedded clouds: tokens that noauth2 reads, and the catalog."""

from typing import Any

import pytest
from falcon.testing import TestClient

from nova_lite.embedded import identity_api


@pytest.fixture
def client() -> TestClient:
    catalog = {"compute": ("nova", "http://127.0.0.1:1/v2.1")}
    return TestClient(
        identity_api.build(catalog, admin="admin", known=("demo",)), headers={"X-Auth-Token": "admin:admin"}
    )


def password(user: dict[str, object], scope: object = None) -> dict[str, Any]:
    identity = {"methods": ["password"], "password": {"user": {**user, "password": "any"}}}
    return {"auth": {"identity": identity, **({} if scope is None else {"scope": scope})}}


@pytest.mark.parametrize(
    ("body", "token", "is_admin"),
    [
        pytest.param(password({"name": "admin"}), "admin:admin", True, id="no scope"),
        pytest.param(password({"name": "ann"}, {"project": {"name": "red"}}), "ann:red", False, id="project by name"),
        pytest.param(password({"id": "ann"}, {"project": {"id": "red"}}), "ann:red", False, id="ids"),
        pytest.param(password({"name": "ann"}, "unscoped"), "ann:ann", False, id="unscoped"),
        pytest.param(
            {"auth": {"identity": {"methods": ["token"], "token": {"id": "ann:red"}}}}, "ann:red", False, id="token"
        ),
        pytest.param(
            {"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "ann"}}}},
            "ann:ann",
            False,
            id="application credential",
        ),
    ],
)
def test_gives_tokens_that_name_user_and_project(
    client: TestClient, body: dict[str, Any], token: str, is_admin: bool
) -> None:
    answer = client.simulate_post("/v3/auth/tokens", json=body)
    assert answer.status_code == 201
    assert answer.headers["x-subject-token"] == token
    said = answer.json["token"]
    assert f"{said['user']['id']}:{said['project']['id']}" == token
    assert ("admin" in {role["name"] for role in said["roles"]}) == is_admin
    assert {service["type"] for service in said["catalog"]} == {"compute", "identity"}
    shown = client.simulate_get("/v3/auth/tokens", headers={"X-Auth-Token": "admin", "X-Subject-Token": token})
    assert shown.json["token"]["user"] == said["user"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="a list"),
        pytest.param({"auth": {"identity": {"methods": []}}}, id="no method"),
        pytest.param({"auth": {"identity": {"methods": ["totp"]}}}, id="unknown method"),
        pytest.param(password({}), id="no user"),
    ],
)
def test_refuses_bodies_that_ask_for_no_token(client: TestClient, body: object) -> None:
    answer = client.simulate_post("/v3/auth/tokens", json=body)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, 400)


@pytest.mark.parametrize("name", ["a b", "a:b", "", "x" * 256])
def test_refuses_names_no_token_can_carry(client: TestClient, name: str) -> None:
    assert client.simulate_post("/v3/auth/tokens", json=password({"name": name})).status_code in (400, 401)


def test_names_its_services_where_it_was_asked(client: TestClient) -> None:
    services = {service["type"]: service for service in client.simulate_get("/v3/auth/catalog").json["catalog"]}
    assert services["identity"]["endpoints"][0]["url"] == "http://falconframework.org/v3"
    assert {endpoint["interface"] for endpoint in services["compute"]["endpoints"]} == {"public", "internal", "admin"}


def test_every_project_and_user_exists(client: TestClient) -> None:
    assert client.simulate_get("/v3/projects?name=red").json["projects"][0]["id"] == "red"
    assert client.simulate_get("/v3/users/ann").json["user"]["name"] == "ann"
    assert client.simulate_get("/v3/auth/projects").json["projects"][0]["id"] == "admin"
    assert client.simulate_get("/v3/users/ann", headers={"X-Auth-Token": "a:b:c d"}).status_code == 401
    assert client.simulate_get("/v3/domains/other").status_code == 404
    assert [role["name"] for role in client.simulate_get("/v3/roles?name=reader").json["roles"]] == ["reader"]


@pytest.mark.parametrize("kind", ["projects", "users"])
def test_lists_to_administrators_who_is_known(client: TestClient, kind: str) -> None:
    def listed(token: str) -> list[str]:
        answer = client.simulate_get(f"/v3/{kind}", headers={"X-Auth-Token": token})
        return [thing["name"] for thing in answer.json[kind]]

    assert listed("admin") == ["admin", "demo"]
    assert listed("demo") == ["demo"]
    assert [thing["name"] for thing in client.simulate_get(f"/v3/{kind}?name=red").json[kind]] == ["red"]


def test_tells_its_version(client: TestClient) -> None:
    assert client.simulate_get("/").status_code == 300
    assert client.simulate_get("/v3/").json["version"]["id"].startswith("v3.")

"""Keypairs: import, generate, look, page, delete."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nova_lite.api.services import key_material
from nova_lite.db.api_tables import KeypairRow, QuotaLimitRow
from tests.functional.compute_api.cloud import Client, Cloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"
FINGERPRINT = "cd:41:fc:42:84:4d:97:e8:58:5b:51:da:8b:1c:20:5f"


def _import(caller: Client, name: str, **more: Any) -> Any:
    return caller.post("/os-keypairs", {"keypair": {"name": name, "public_key": KEY, **more}})


def _names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["keypair"]["name"] for item in answer.json["keypairs"]]


def test_a_keypair_from_import_to_death(client: Client) -> None:
    made = _import(client, "me@home.lan")
    assert made.status_code == 201, made.text
    assert made.json == {
        "keypair": {
            "name": "me@home.lan",
            "public_key": KEY,
            "fingerprint": FINGERPRINT,
            "type": "ssh",
            "user_id": "alice",
        }
    }
    shown = client.get("/os-keypairs/me@home.lan").json["keypair"]
    assert {**shown, "id": 0, "created_at": ""} == {
        **made.json["keypair"],
        "id": 0,
        "created_at": "",
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    assert client.get("/os-keypairs").json == {
        "keypairs": [{"keypair": {"name": "me@home.lan", "public_key": KEY, "fingerprint": FINGERPRINT, "type": "ssh"}}]
    }
    assert client.delete("/os-keypairs/me@home.lan").status_code == 204
    for gone in (client.get("/os-keypairs/me@home.lan"), client.delete("/os-keypairs/me@home.lan")):
        assert gone.status_code == 404
        assert gone.json["itemNotFound"]["message"] == "Keypair me@home.lan not found for user alice"


def test_generated_keys_are_told_once_and_never_kept(cloud: Cloud) -> None:
    client = cloud.client(version="2.91")
    made = client.post("/os-keypairs", {"keypair": {"name": "new one"}})
    assert made.status_code == 201
    load_pem_private_key(made.json["keypair"]["private_key"].encode(), None)
    assert "private_key" not in client.get("/os-keypairs/new one").json["keypair"]
    certificate = client.post("/os-keypairs", {"keypair": {"name": "cert", "type": "x509"}})
    assert certificate.json["keypair"]["public_key"].startswith("-----BEGIN CERTIFICATE-----")
    assert client.get("/os-keypairs/cert").json["keypair"]["type"] == "x509"


def test_generating_ended_with_2_92(cloud: Cloud, client: Client) -> None:
    answer = client.post("/os-keypairs", {"keypair": {"name": "new"}})
    assert answer.status_code == 400
    assert "public_key" in answer.json["badRequest"]["message"]
    assert cloud.rows(cloud.api_db, KeypairRow) == []


def test_first_version_speaks_its_old_statuses_and_has_no_types(cloud: Cloud) -> None:
    client = cloud.client(version="2.1")
    made = _import(client, "old")
    assert made.status_code == 200
    assert made.json["keypair"].keys() == {"name", "public_key", "fingerprint", "user_id"}
    assert client.get("/os-keypairs").json["keypairs"][0]["keypair"].keys() == {"name", "public_key", "fingerprint"}
    assert "type" not in client.get("/os-keypairs/old").json["keypair"]
    assert client.delete("/os-keypairs/old").status_code == 202


def test_certificates_are_imported_too(client: Client) -> None:
    certificate = key_material.generated("x509", "alice").public_key
    made = client.post("/os-keypairs", {"keypair": {"name": "c", "type": "x509", "public_key": certificate}})
    assert made.status_code == 201
    assert len(made.json["keypair"]["fingerprint"]) == 59


def test_names_are_a_users_own(cloud: Cloud, client: Client) -> None:
    _import(client, "key")
    again = _import(client, "key")
    assert again.status_code == 409
    assert again.json["conflictingRequest"]["message"] == "Key pair 'key' already exists."
    assert _import(cloud.client("bob:demo"), "key").status_code == 201


def test_administrators_act_for_others_and_nobody_else_does(cloud: Cloud, client: Client, admin: Client) -> None:
    assert _import(admin, "given", user_id="alice").json["keypair"]["user_id"] == "alice"
    assert _names(client.get("/os-keypairs")) == ["given"]
    assert _names(admin.get("/os-keypairs")) == []
    assert _names(admin.get("/os-keypairs?user_id=alice")) == ["given"]
    bob = cloud.client("bob:demo")
    for refused in (
        bob.get("/os-keypairs?user_id=alice"),
        bob.get("/os-keypairs/given?user_id=alice"),
        bob.delete("/os-keypairs/given?user_id=alice"),
        _import(bob, "planted", user_id="alice"),
    ):
        assert refused.status_code == 403
    assert _names(client.get("/os-keypairs")) == ["given"]
    old = cloud.client("bob:demo", "2.9")
    assert _names(old.get("/os-keypairs?user_id=alice")) == []
    assert admin.delete("/os-keypairs/given?user_id=alice").status_code == 204


def test_pages(cloud: Cloud, client: Client) -> None:
    for name in ("c", "a", "b", "e", "d"):
        _import(client, name)
    seen: list[str] = []
    url: str | None = "/os-keypairs?limit=2"
    while url is not None:
        page = client.get(url)
        seen += _names(page)
        following = page.json.get("keypairs_links")
        url = None if following is None else following[0]["href"].partition("/v2.1")[2]
    assert seen == ["a", "b", "c", "d", "e"]
    assert _names(cloud.client(version="2.34").get("/os-keypairs?limit=2&marker=zz")) == seen
    with cloud.counted() as statements:
        client.get("/os-keypairs?limit=2&marker=b")
    assert len(statements) == 2


def test_quota_counts_a_users_keypairs(cloud: Cloud, client: Client) -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", resource="key_pairs", hard_limit=2))
    assert [_import(client, name).status_code for name in ("a", "b", "c")] == [201, 201, 403]
    assert _names(client.get("/os-keypairs")) == ["a", "b"]
    assert _import(cloud.client("bob:demo"), "a").status_code == 201
    client.delete("/os-keypairs/a")
    assert _import(client, "c").status_code == 201


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"name": ""}, "name", id="empty name"),
        pytest.param({"name": " key"}, "name", id="space before name"),
        pytest.param({"name": "a/b"}, "name", id="slash"),
        pytest.param({"name": "a\nb"}, "name", id="line end"),
        pytest.param({"name": "n" * 256}, "name", id="long name"),
        pytest.param({"name": 5}, "name", id="number for a name"),
        pytest.param({"type": "dsa"}, "type", id="unknown type"),
        pytest.param({"type": "x509"}, "public_key", id="SSH key as a certificate"),
        pytest.param({"public_key": ""}, "public_key", id="empty key"),
        pytest.param({"public_key": "hello"}, "public_key", id="no key"),
        pytest.param({"public_key": KEY + "\n" + KEY}, "public_key", id="two keys"),
        pytest.param({"public_key": "x" * 65536}, "public_key", id="huge key"),
        pytest.param({"public_key": None}, "public_key", id="null key"),
        pytest.param({"user_id": ""}, "user_id", id="empty user"),
        pytest.param({"color": "red"}, "color", id="unknown field"),
    ],
)
def test_bad_bodies_name_the_field_and_change_nothing(
    cloud: Cloud, client: Client, change: dict[str, object], named: str
) -> None:
    answer = client.post("/os-keypairs", {"keypair": {"name": "key", "public_key": KEY, **change}})
    assert answer.status_code == 400
    assert named in answer.json["badRequest"]["message"]
    assert cloud.rows(cloud.api_db, KeypairRow) == []


@pytest.mark.parametrize("name", ["me@home", "a.b"])
def test_new_characters_in_names_came_with_2_92(cloud: Cloud, name: str) -> None:
    assert _import(cloud.client(version="2.91"), name).status_code == 400


@pytest.mark.parametrize("query", ["marker=zz", "limit=-1", "color=red", "user_id="])
def test_bad_queries(client: Client, query: str) -> None:
    answer = client.get(f"/os-keypairs?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json["badRequest"]["message"]

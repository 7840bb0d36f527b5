"""Tokens as Keystone tells of them: good, expired, malformed, of no project or another one; and no Keystone at all."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest

from nova_lite.embedded.http import HttpServer
from tests.functional.compute_api.cloud import IMAGE_ID, Cloud

_DOMAIN = {"id": "default", "name": "Default"}


class _Tokens:
    """What Keystone says of a token: its name is what is wrong with it."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_header("X-Subject-Token", "service")
        resp.status, resp.media = 201, {"token": _told("service", req.prefix)}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        name = req.get_header("X-Subject-Token") or ""
        if name not in ("good", "expired", "unscoped", "other", "service", "system"):
            raise falcon.HTTPNotFound
        if name == "expired" and req.get_param("allow_expired") is None:
            raise falcon.HTTPNotFound
        resp.media = {"token": _told(name, req.prefix)}


def _told(name: str, url: str) -> dict[str, Any]:
    left = timedelta(hours=-1 if name == "expired" else 1)
    told: dict[str, Any] = {
        "methods": ["password"],
        "user": {"id": "alice", "name": "alice", "domain": _DOMAIN, "password_expires_at": None},
        "audit_ids": ["a"],
        "issued_at": (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "expires_at": (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    }
    if name == "system":
        told |= {"system": {"all": True}, "roles": [{"id": "service", "name": "service"}]}
    elif name != "unscoped":
        project = {"service": "service", "other": "other"}.get(name, "demo")
        told |= {
            "project": {"id": project, "name": project, "domain": _DOMAIN},
            "catalog": _catalog(url),
            "is_domain": False,
        }
        roles = ("service",) if name == "service" else ("member", "reader")
        told["roles"] = [{"id": role, "name": role} for role in roles]
    return told


def _catalog(url: str) -> list[dict[str, Any]]:
    endpoints = [
        {"id": interface, "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": f"{url}/v3"}
        for interface in ("public", "internal", "admin")
    ]
    return [{"id": "identity", "name": "keystone", "type": "identity", "endpoints": endpoints}]


class _Version:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        links = [{"rel": "self", "href": f"{req.prefix}/v3/"}]
        resp.media = {"version": {"id": "v3.14", "status": "stable", "links": links, "media-types": []}}


@pytest.fixture
def keystone() -> Iterator[HttpServer]:
    server = HttpServer(0, "keystone", threads=2)
    served: Any = falcon.App()
    served.req_options.strip_url_path_trailing_slash = True
    served.add_route("/", _Version())
    served.add_route("/v3", _Version())
    served.add_route("/v3/auth/tokens", _Tokens())
    server.start(served)
    yield server
    server.stop()


@contextlib.contextmanager
def guarding(directory: Path, keystone: HttpServer, *rules: str) -> Iterator[Cloud]:
    """Have a cloud whose API asks Keystone, and lets everybody do what ``rules`` are of."""
    policy = directory / "everybody.yaml"
    policy.write_text("".join(f'"{rule}": "@"\n' for rule in rules))
    file = directory / "keystone.conf"
    account = (
        "username = nova\npassword = x\nuser_domain_id = default\nproject_name = service\nproject_domain_id = default"
    )
    file.write_text(
        f"[keystone_authtoken]\nwww_authenticate_uri = {keystone.url}\nauth_url = {keystone.url}/v3\n"
        f"auth_type = password\nhttp_request_max_retries = 0\n{account}\n"
        f"[oslo_policy]\npolicy_file = {policy}\n"
    )
    made = Cloud(directory, files=[str(file)], options={"api": {"auth_strategy": "keystone"}})
    yield made
    made.close()


@pytest.fixture
def cloud(tmp_path: Path, keystone: HttpServer) -> Iterator[Cloud]:
    with guarding(tmp_path, keystone) as made:
        yield made


@pytest.fixture
def guarded(cloud: Cloud) -> falcon.testing.TestClient:
    return falcon.testing.TestClient(cloud.app)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_each_token_is_good_for(cloud: Cloud, guarded: falcon.testing.TestClient) -> None:
    server = cloud.add_server()
    mine = f"/v2.1/servers/{server.uuid}"
    for token, path, status in (
        ("good", mine, 200),
        ("good", f"/v2.1/demo/servers/{server.uuid}", 200),
        ("good", f"/v2.1/other/servers/{server.uuid}", 400),
        ("other", mine, 404),
        ("other", f"/v2.1/demo/servers/{server.uuid}", 400),
        ("unscoped", mine, 404),
        ("unscoped", "/v2.1/servers", 403),
        ("unscoped", "/v2.1/demo/servers", 400),
        ("expired", mine, 401),
        ("never heard of", mine, 401),
        ("gAAAA" * 2000, mine, 401),
        ("\u00e9\u00df", mine, 401),
        ("", mine, 401),
        (None, mine, 401),
    ):
        headers = {} if token is None else {"X-Auth-Token": token}
        answer = guarded.simulate_get(path, headers=headers)
        assert answer.status_code == status, (token, path, answer.text)
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Keystone uri=")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_project_is_not_every_project(tmp_path: Path, keystone: HttpServer) -> None:
    """Even where policy lets such tokens in."""
    rules = ("os_compute_api:servers:index", "os_compute_api:servers:detail", "os_compute_api:os-server-groups:index")
    with guarding(tmp_path, keystone, *rules) as cloud:
        api = falcon.testing.TestClient(cloud.app)
        cloud.add_server()

        def get(path: str) -> Any:
            return api.simulate_get(f"/v2.1{path}", headers={"X-Auth-Token": "unscoped"})

        assert get("/servers").json == {"servers": []}
        assert get("/servers/detail").json == {"servers": []}
        assert get("/os-server-groups").json == {"server_groups": []}
        assert get("/flavors/9").status_code == 404
        assert {flavor["id"] for flavor in get("/flavors?is_public=None").json["flavors"]} == {"0", "1", "2"}
        body = {"server": {"name": "vm", "flavorRef": "1", "imageRef": IMAGE_ID}}
        named = {"X-Auth-Token": "unscoped", "Idempotency-Key": "once"}
        assert api.simulate_post("/v2.1/servers", headers=named, json=body).status_code == 403


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_service_lends_its_scope_to_nobody(tmp_path: Path, keystone: HttpServer) -> None:
    """Policy is for tokens of a project: whose the service's token is neither opens that nor closes it."""
    with guarding(tmp_path, keystone, "os_compute_api:servers:index") as cloud:
        api = falcon.testing.TestClient(cloud.app)
        for token, service, status in (
            ("good", None, 200),
            ("good", "service", 200),
            ("good", "system", 200),
            ("system", None, 403),
            ("system", "service", 403),
            ("system", "system", 403),
        ):
            headers = {"X-Auth-Token": token} | ({} if service is None else {"X-Service-Token": service})
            assert api.simulate_get("/v2.1/servers", headers=headers).status_code == status, (token, service)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nobody_names_their_own_roles(cloud: Cloud, guarded: falcon.testing.TestClient) -> None:
    forged = {"X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-User-Id": "root", "X-Project-Id": "demo"}
    assert guarded.simulate_get("/v2.1/servers", headers=forged).status_code == 401
    for token in ("good", "other"):
        answer = guarded.simulate_get("/v2.1/os-services", headers={"X-Auth-Token": token, **forged})
        assert answer.status_code == 403


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_without_keystone_clients_are_told_to_come_back(
    guarded: falcon.testing.TestClient, keystone: HttpServer
) -> None:
    keystone.stop()
    answer = guarded.simulate_get("/v2.1/servers", headers={"X-Auth-Token": "good"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json["serviceUnavailable"]["message"] == "The identity service does not answer."
    assert guarded.simulate_get("/v2.1/servers").status_code == 401
    assert guarded.simulate_get("/v2.1/").status_code == 200

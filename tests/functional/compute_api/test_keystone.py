"""Tokens as Keystone tells of them: good, expired, malformed, of no project or another one; and no Keystone at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest

from nova_lite.embedded.http import HttpServer
from tests.functional.compute_api.cloud import IMAGE_ID, Cloud
from tests.tokens import middleware_options, serving


@pytest.fixture
def keystone() -> Iterator[HttpServer]:
    with serving() as server:
        yield server


@contextlib.contextmanager
def guarding(directory: Path, keystone: HttpServer, *rules: str) -> Iterator[Cloud]:
    """Have a cloud whose API asks Keystone, and lets everybody do what ``rules`` are of."""
    policy = directory / "everybody.yaml"
    policy.write_text("".join(f'"{rule}": "@"\n' for rule in rules))
    file = directory / "keystone.conf"
    file.write_text(f"{middleware_options(keystone.url)}[oslo_policy]\npolicy_file = {policy}\n")
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

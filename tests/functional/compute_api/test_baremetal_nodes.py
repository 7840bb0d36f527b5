"""Bare metal nodes, as old clients ask for them: there is no service of them here, and that is said."""

import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Client, Cloud

_PATH = "/os-baremetal-nodes"
_WRITES = [
    ("POST", _PATH, {"node": {"service_host": "h1", "cpus": 8}}),
    ("POST", f"{_PATH}/{IMAGE_ID}/action", {"add_interface": {"address": "52:54:00:00:00:01"}}),
    ("POST", f"{_PATH}/{IMAGE_ID}/action", {"remove_interface": {"address": "52:54:00:00:00:01"}}),
    ("POST", f"{_PATH}/{IMAGE_ID}/action", {"paint": {}}),
    ("DELETE", f"{_PATH}/{IMAGE_ID}", None),
]


@pytest.fixture
def old(cloud: Cloud) -> Client:
    return cloud.client("admin:admins", "2.35")


@pytest.mark.parametrize("path", [_PATH, f"{_PATH}/{IMAGE_ID}"])
def test_looking_at_nodes_is_not_supported(cloud: Cloud, old: Client, path: str) -> None:
    answer = old.get(path, any="thing")
    assert (answer.status_code, answer.json["notImplemented"]["code"]) == (501, 501)
    assert "no bare metal service" in answer.json["notImplemented"]["message"]
    assert cloud.client(version="2.35").get(path).status_code == 403
    assert cloud.client("admin:admins", "2.36").get(path).status_code == 404


@pytest.mark.parametrize(("method", "path", "body"), _WRITES)
def test_nodes_are_not_changed(cloud: Cloud, old: Client, method: str, path: str, body: object) -> None:
    assert old.request(method, path, json=body).status_code == 400
    assert cloud.client("admin:admins", "2.36").request(method, path, json=body).status_code == 404

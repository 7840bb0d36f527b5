"""Version documents and negotiation."""

import falcon.testing
import pytest

from tests.functional.compute_api.cloud import Client, Cloud


def _get(cloud: Cloud, path: str, **headers: str) -> falcon.testing.Result:
    return falcon.testing.TestClient(cloud.app).simulate_get(path, headers=headers)


def test_root_names_both_versions_to_anyone(cloud: Cloud) -> None:
    answer = _get(cloud, "/")
    assert answer.status_code == 200
    found = {version["id"]: version for version in answer.json["versions"]}
    assert found["v2.1"]["version"] == "2.104"
    assert found["v2.1"]["min_version"] == "2.1"
    assert found["v2.0"]["version"] == ""
    assert found["v2.1"]["links"][0]["href"].endswith("/v2.1/")


@pytest.mark.parametrize("path", ["/v2.1", "/v2.1/", "/v2", "/v2/"])
def test_version_roots_tell_themselves_to_anyone(cloud: Cloud, path: str) -> None:
    answer = _get(cloud, path)
    assert answer.status_code == 200
    assert answer.json["version"]["id"] == ("v2.1" if "2.1" in path else "v2.0")


@pytest.mark.parametrize("path", ["/os-simple-tenant-usage/", "/servers/", "/servers/detail/", "/servers//tags"])
@pytest.mark.parametrize("root", ["/v2.1", "/v2.1/demo", "/v2"])
def test_no_url_has_an_empty_part(cloud: Cloud, root: str, path: str) -> None:
    answer = cloud.client("admin:admins" if root != "/v2.1/demo" else "alice:demo", root=root).get(path)
    assert answer.status_code == 404
    assert "resource" in answer.json["itemNotFound"]["message"]


def test_unversioned_path_offers_choices(cloud: Cloud) -> None:
    answer = _get(cloud, "/servers")
    assert answer.status_code == 300
    assert [choice["links"][0]["href"].rpartition("/v2")[2] for choice in answer.json["choices"]] == [
        "/servers",
        ".1/servers",
    ]


def test_everything_else_wants_a_token(cloud: Cloud) -> None:
    answer = _get(cloud, "/v2.1/servers")
    assert answer.status_code == 401
    assert answer.json["unauthorized"]["code"] == 401


def test_unknown_url_is_not_found(client: Client) -> None:
    for path in ("/nothing", "/demo", "/demo/nothing", "/demo//", "/-/choices"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert answer.json["itemNotFound"]["code"] == 404


def test_unknown_microversion_is_refused_with_the_range(cloud: Cloud) -> None:
    answer = cloud.client(version="2.999").get("/servers")
    assert answer.status_code == 406
    assert answer.json["computeFault"]["max_version"] == "2.104"


def test_malformed_microversion_is_a_bad_request(cloud: Cloud) -> None:
    answer = cloud.client(version="2.x").get("/servers")
    assert answer.status_code == 400
    assert "badRequest" in answer.json


def test_request_ids_come_back(client: Client) -> None:
    answer = client.get("/nothing")
    assert answer.headers["x-compute-request-id"].startswith("req-")
    assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]


@pytest.mark.parametrize("version", ["2.105", "1.0", "nonsense"])
def test_which_versions_there_are_is_told_in_every_version(cloud: Cloud, version: str) -> None:
    """Whoever asks for a version we lack has to be able to find out which we have."""
    client = cloud.client(version=version, root="")
    for path, status in (("/", 200), ("/nowhere", 300)):
        assert client.get(path).status_code == status
    assert client.get("/v2.1/").status_code in (400, 406)


@pytest.mark.parametrize("path", ["/", "/v2", "/v2.1/", "/anything"])
def test_version_documents_answer_head(cloud: Cloud, path: str) -> None:
    answer = falcon.testing.TestClient(cloud.app).simulate_head(path)
    assert answer.status_code == _get(cloud, path).status_code
    assert answer.content == b""


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/servers"), ("HEAD", "/servers"), ("PUT", "/servers"), ("GET", "/os-server-external-events")],
)
def test_a_url_under_another_method_is_not_there(client: Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert method == "HEAD" or answer.json["itemNotFound"]["code"] == 404


def test_the_old_api_passes_over_what_it_does_not_know(cloud: Cloud) -> None:
    old, new = (cloud.client("admin:demo", "2.1", root) for root in ("/v2", "/v2.1"))
    body = {"aggregate": {"name": " racks ", "bogus": {"a": [1]}}, "more": 1}
    assert new.post("/os-aggregates", body).status_code == 400
    made = old.post("/os-aggregates", body)
    assert (made.status_code, made.json["aggregate"]["name"]) == (200, "racks")
    action = {"set_metadata": {"metadata": {"a": "b"}, "bogus": 1}}
    path = f"/os-aggregates/{made.json['aggregate']['id']}/action"
    assert new.post(path, action).status_code == 400
    assert old.post(path, action).json["aggregate"]["metadata"] == {"a": "b"}
    bodies: list[object] = [{"aggregate": {"name": "  "}}, {"aggregate": {"name": 1, "bogus": 1}}, {"bogus": {}}, []]
    for bad in bodies:
        assert old.post("/os-aggregates", bad).status_code == 400


def test_bodies_may_say_that_they_are_of_this_api(client: Client) -> None:
    kind = {"Content-Type": "application/vnd.openstack.compute+json"}
    assert client.request("POST", "/os-keypairs", body=b"{}", headers=kind).status_code == 400
    other = {"Content-Type": "application/vnd.openstack.compute+xml"}
    assert client.request("POST", "/os-keypairs", body=b"{}", headers=other).status_code == 415

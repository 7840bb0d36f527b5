"""The version document, negotiation, tokens and what is no URL at all."""

import re
from pathlib import Path

import pytest

from nova_lite.storage import Database
from tests.functional.placement_api.conftest import Client, new_worker


def test_version_document_needs_no_token(placement: Client) -> None:
    answer = placement.as_user(None).get("/")
    assert answer.status_code == 200
    assert answer.json["versions"] == [
        {
            "id": "v1.0",
            "min_version": "1.0",
            "max_version": "1.39",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": ""}],
        }
    ]


def test_every_answer_carries_request_id_and_version(placement: Client) -> None:
    for url in ("/", "/resource_providers", "/nowhere"):
        answer = placement.at("1.20").get(url)
        assert re.fullmatch(r"req-[0-9a-f-]{36}", answer.headers["x-openstack-request-id"])
        assert answer.headers["openstack-api-version"] == "placement 1.20"
        assert "OpenStack-API-Version" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("asked", "status", "answered"),
    [
        pytest.param("placement 1.7", 200, "placement 1.7", id="known"),
        pytest.param("placement latest", 200, "placement 1.39", id="latest"),
        pytest.param("compute 2.79", 200, "placement 1.0", id="another service"),
        pytest.param("compute 2.79, placement 1.4", 200, "placement 1.4", id="several services"),
        pytest.param("placement", 200, "placement 1.0", id="no version"),
        pytest.param("placement 1.07", 200, "placement 1.7", id="padded"),
        pytest.param("placement 1.999", 406, None, id="too new"),
        pytest.param("placement 0.9", 406, None, id="too old"),
        pytest.param("placement 1.7.1", 400, None, id="more than a version"),
        pytest.param("placement LATEST", 400, None, id="shouted"),
        pytest.param("placement one", 400, None, id="words"),
    ],
)
def test_version_negotiation(placement: Client, asked: str, status: int, answered: str | None) -> None:
    answer = placement.call("GET", "/resource_providers", headers={"OpenStack-API-Version": asked})
    assert answer.status_code == status
    assert answer.headers.get("openstack-api-version") == answered
    if status == 406:
        assert answer.json["errors"][0]["min_version"] == "1.0"
        assert answer.json["errors"][0]["max_version"] == "1.39"


def test_no_token_is_401_and_no_admin_is_403(placement: Client) -> None:
    assert placement.as_user(None).get("/resource_providers").status_code == 401
    refused = placement.as_user("joe:demo").get("/resource_providers")
    assert refused.status_code == 403
    assert "placement:resource_providers:list" in refused.json["errors"][0]["detail"]


def test_unknown_url_and_method(placement: Client) -> None:
    assert placement.get("/nowhere").status_code == 404
    wrong = placement.call("PATCH", "/resource_providers")
    assert wrong.status_code == 405
    assert {"GET", "POST"} <= set(wrong.headers["allow"].replace(" ", "").split(","))


def test_urls_of_later_versions_are_unknown_before(placement: Client) -> None:
    assert placement.at("1.5").get("/traits").status_code == 404
    assert placement.at("1.9").get("/allocation_candidates?resources=VCPU:1").status_code == 404
    assert placement.at("1.12").post("/allocations", {}).status_code == 404


def test_error_code_is_told_from_1_23(placement: Client) -> None:
    host = placement.provider("host")
    taken = {"name": "host"}
    assert "code" not in placement.at("1.22").post("/resource_providers", taken).json["errors"][0]
    entry = placement.at("1.23").post("/resource_providers", taken).json["errors"][0]
    assert entry["code"] == "placement.duplicate_name"
    assert entry["status"] == 409
    absent = placement.at("1.23").get(f"/resource_providers/{host}/inventories/VCPU").json["errors"][0]
    assert absent["code"] == "placement.undefined_code"
    assert entry["request_id"].startswith("req-")


def test_unreachable_database_is_503_but_the_version_document_is_there(tmp_path: Path) -> None:
    nowhere = Client(new_worker(Database(f"sqlite:///{tmp_path / 'no' / 'placement.db'}")))
    answer = nowhere.get("/resource_providers")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "placement.db" not in answer.text
    assert nowhere.get("/").status_code == 200


def test_version_document_is_not_to_be_kept(placement: Client) -> None:
    assert placement.at("1.15").get("/").headers["cache-control"] == "no-cache"
    assert "last-modified" in placement.at("1.15").get("/").headers
    assert "cache-control" not in placement.at("1.14").get("/").headers


# The test client's validator knows few methods.
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PATCH", "DELETE", "TRACE", "CLAIM"])
def test_other_methods_are_told_which_there_are(placement: Client, method: str) -> None:
    answer = placement.call(method, "/resource_providers")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert placement.as_user("joe").call(method, "/resource_providers").status_code == 405
    assert placement.as_user(None).call(method, "/resource_providers").status_code == 401


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        pytest.param("*/*", 200, id="anything"),
        pytest.param("text/html, application/*;q=0.5", 200, id="second choice"),
        pytest.param("garbage", 200, id="nothing that can be understood"),
        pytest.param("application/xml", 406, id="another type"),
        pytest.param("application/json;q=0", 406, id="anything else"),
    ],
)
def test_answers_are_json_or_none(placement: Client, accept: str, status: int) -> None:
    answer = placement.call("GET", "/resource_providers", headers={"Accept": accept})
    assert answer.status_code == status
    assert "min_version" not in answer.json.get("errors", [{}])[0]
    assert placement.call("GET", "/", headers={"Accept": accept}).status_code == 200
    assert placement.call("PUT", f"/traits/CUSTOM_{status}", headers={"Accept": accept}).status_code in (201, 204)


def test_a_body_says_what_it_is(placement: Client) -> None:
    def send(method: str, url: str, body: bytes, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return placement.call(method, url, raw=body, headers=named).status_code

    assert send("POST", "/resource_providers", b'{"name": "a"}', Content_Type="application/json") == 200
    assert send("POST", "/resource_providers", b'{"name": "b"}', Content_Type="application/json; charset=utf-8") == 200
    assert send("POST", "/resource_providers", b'{"name": "c"}', Content_Type="text/plain") == 415
    assert send("POST", "/resource_providers", b'{"name": "d"}') == 400
    assert send("POST", "/resource_providers", b"") == 415
    assert send("GET", "/resource_providers", b"{}") == 400
    assert send("GET", "/nowhere", b"{}") == 400


def test_locations_are_whole_urls_below_where_it_is_mounted(placement: Client) -> None:
    made = placement.call("PUT", "/traits/CUSTOM_A", root_path="/placement", host="cloud.example", protocol="https")
    assert made.headers["location"] == "https://cloud.example/placement/traits/CUSTOM_A"
    shown = placement.call("GET", "/resource_classes/VCPU", root_path="/placement")
    assert shown.json["links"][0]["href"] == "/placement/resource_classes/VCPU"
    assert placement.as_user(None).call("GET", "/", root_path="/placement").status_code == 200


def test_urls_end_without_a_slash(placement: Client) -> None:
    assert placement.get("/resource_classes/").status_code == 404
    assert placement.get("/resource_classes/VCPU/").status_code == 404
    assert placement.post("/allocations/", {}).status_code == 404


def test_queries_where_none_is_taken_are_ignored(placement: Client) -> None:
    assert placement.get("/resource_classes?x=1").status_code == 200
    assert placement.put("/traits/CUSTOM_A?x=%ff").status_code == 201
    assert placement.get("/resource_providers?x=1").status_code == 400

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
        pytest.param("placement 1.999", 406, "placement 1.0", id="too new"),
        pytest.param("placement 0.9", 406, "placement 1.0", id="too old"),
        pytest.param("placement 1.07", 400, "placement 1.0", id="no version"),
        pytest.param("placement one", 400, "placement 1.0", id="words"),
    ],
)
def test_version_negotiation(placement: Client, asked: str, status: int, answered: str) -> None:
    answer = placement.call("GET", "/resource_providers", headers={"OpenStack-API-Version": asked})
    assert answer.status_code == status
    assert answer.headers["openstack-api-version"] == answered
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

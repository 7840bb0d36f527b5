"""Usages by project, user and consumer type."""

import uuid

from tests.functional.placement_api.conftest import Client, claim_body


def test_story(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 20})
    bodies = [
        claim_body({host: {"VCPU": 2}}),
        claim_body({host: {"VCPU": 3}}) | {"user_id": "user-2", "consumer_type": "MIGRATION"},
        claim_body({host: {"VCPU": 4}}) | {"project_id": "project-2"},
    ]
    for body in bodies:
        assert placement.put(f"/allocations/{uuid.uuid4()}", body).status_code == 204
    untyped = {key: value for key, value in bodies[0].items() if key != "consumer_type"}
    assert placement.at("1.37").put(f"/allocations/{uuid.uuid4()}", untyped | {"user_id": "user-3"}).status_code == 204

    assert placement.at("1.9").get("/usages?project_id=project-1").json == {"usages": {"VCPU": 7}}
    assert placement.at("1.9").get("/usages?project_id=project-1&user_id=user-2").json == {"usages": {"VCPU": 3}}
    assert placement.get("/usages?project_id=project-1").json == {
        "usages": {
            "INSTANCE": {"VCPU": 2, "consumer_count": 1},
            "MIGRATION": {"VCPU": 3, "consumer_count": 1},
            "unknown": {"VCPU": 2, "consumer_count": 1},
        }
    }
    assert placement.get("/usages?project_id=project-1&consumer_type=all").json == {
        "usages": {"all": {"VCPU": 7, "consumer_count": 3}}
    }
    assert placement.get("/usages?project_id=project-1&consumer_type=MIGRATION").json == {
        "usages": {"MIGRATION": {"VCPU": 3, "consumer_count": 1}}
    }
    assert placement.get("/usages?project_id=nobody").json == {"usages": {}}


def test_who_may_ask(placement: Client) -> None:
    member = placement.as_user("joe:project-1")
    assert member.get("/usages?project_id=project-1").status_code == 200
    assert member.get("/usages?project_id=project-2").status_code == 403


def test_of_a_repeated_parameter_the_last_counts(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 20})
    assert placement.claim(str(uuid.uuid4()), {host: {"VCPU": 2}}).status_code == 204
    asked = placement.at("1.9").get("/usages?project_id=nobody&project_id=project-1")
    assert asked.json == {"usages": {"VCPU": 2}}


def test_bad_queries(placement: Client) -> None:
    missing = placement.get("/usages")
    assert missing.status_code == 400
    assert "project_id" in missing.json["errors"][0]["detail"]
    assert placement.get("/usages?project_id=a&project_id=").status_code == 400
    assert placement.get("/usages?project_id=a&consumer_type=small").status_code == 400
    assert placement.at("1.37").get("/usages?project_id=a&consumer_type=ALL").status_code == 400

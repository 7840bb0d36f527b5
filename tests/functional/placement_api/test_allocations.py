"""Allocations: claim, look, change, hand over, delete; room is never given twice."""

import threading
import uuid
from typing import Any

import pytest

from nova_lite.storage import Database
from tests.functional.placement_api.conftest import Client, claim_body, new_worker


def new_uuid() -> str:
    return str(uuid.uuid4())


def test_story(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4, "MEMORY_MB": 1024})
    consumer = new_uuid()
    assert placement.get(f"/allocations/{consumer}").json == {"allocations": {}}

    assert placement.claim(consumer, {host: {"VCPU": 1, "MEMORY_MB": 512}}).status_code == 204
    assert placement.get(f"/allocations/{consumer}").json == {
        "allocations": {host: {"generation": 2, "resources": {"VCPU": 1, "MEMORY_MB": 512}}},
        "project_id": "project-1",
        "user_id": "user-1",
        "consumer_generation": 1,
        "consumer_type": "INSTANCE",
    }
    assert placement.used(host) == {"VCPU": 1, "MEMORY_MB": 512}
    assert placement.get(f"/resource_providers/{host}/allocations").json == {
        "allocations": {consumer: {"resources": {"VCPU": 1, "MEMORY_MB": 512}, "consumer_generation": 1}},
        "resource_provider_generation": 2,
    }

    assert placement.claim(consumer, {host: {"VCPU": 4}}, generation=1).status_code == 204
    assert placement.used(host) == {"VCPU": 4, "MEMORY_MB": 0}

    assert placement.delete(f"/allocations/{consumer}").status_code == 204
    assert placement.delete(f"/allocations/{consumer}").status_code == 404
    assert placement.used(host) == {"VCPU": 0, "MEMORY_MB": 0}
    assert placement.delete(f"/resource_providers/{host}").status_code == 204


def test_consumer_generation(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    consumer = new_uuid()
    assert placement.claim(consumer, {host: {"VCPU": 1}}, generation=1).status_code == 409
    assert placement.claim(consumer, {host: {"VCPU": 1}}).status_code == 204
    again = placement.claim(consumer, {host: {"VCPU": 2}})
    assert again.status_code == 409
    assert again.json["errors"][0]["code"] == "placement.concurrent_update"
    assert placement.used(host) == {"VCPU": 1}
    assert placement.claim(consumer, {}, generation=1).status_code == 204
    assert placement.get(f"/allocations/{consumer}").json == {"allocations": {}}


@pytest.mark.parametrize(
    ("amount", "word"),
    [
        pytest.param(9, "capacity", id="more than there is"),
        pytest.param(1, "min_unit", id="less than min_unit"),
        pytest.param(7, "max_unit", id="more than max_unit"),
        pytest.param(3, "step_size", id="between steps"),
    ],
)
def test_no_room_is_409_and_changes_nothing(placement: Client, amount: int, word: str) -> None:
    limits = {"total": 8, "min_unit": 2, "max_unit": 100 if word == "capacity" else 6, "step_size": 2}
    if word == "capacity":
        limits["step_size"] = 1
    host = placement.provider("host", {"MEMORY_MB": 100, "VCPU": limits})
    consumer = new_uuid()
    answer = placement.claim(consumer, {host: {"MEMORY_MB": 10, "VCPU": amount}})
    assert answer.status_code == 409
    assert word in answer.json["errors"][0]["detail"]
    assert placement.used(host) == {"MEMORY_MB": 0, "VCPU": 0}
    assert placement.generation(host) == 1
    assert placement.get(f"/allocations/{consumer}").json == {"allocations": {}}


def test_no_such_inventory_provider_or_class(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    assert placement.claim(new_uuid(), {host: {"DISK_GB": 1}}).status_code == 409
    nobody = new_uuid()
    unknown = placement.claim(new_uuid(), {nobody: {"VCPU": 1}})
    assert unknown.status_code == 400
    assert nobody in unknown.json["errors"][0]["detail"]
    assert placement.claim(new_uuid(), {host: {"CUSTOM_NOPE": 1}}).status_code == 400
    assert placement.used(host) == {"VCPU": 0}


def test_several_consumers_at_once_hand_over(placement: Client) -> None:
    source = placement.provider("source", {"VCPU": 4})
    target = placement.provider("target", {"VCPU": 4})
    instance, migration = new_uuid(), new_uuid()
    assert placement.claim(instance, {source: {"VCPU": 4}}).status_code == 204
    move = {
        migration: claim_body({source: {"VCPU": 4}}),
        instance: claim_body({target: {"VCPU": 3}}, generation=1),
    }
    assert placement.post("/allocations", move).status_code == 204
    assert placement.used(source) == {"VCPU": 4}
    assert placement.used(target) == {"VCPU": 3}

    too_much = {
        migration: claim_body({}, generation=1),
        instance: claim_body({target: {"VCPU": 5}}, generation=2),
    }
    assert placement.post("/allocations", too_much).status_code == 409
    assert placement.used(source) == {"VCPU": 4}
    assert placement.used(target) == {"VCPU": 3}

    back = {
        migration: claim_body({}, generation=1),
        instance: claim_body({source: {"VCPU": 4}}, generation=2),
    }
    assert placement.post("/allocations", back).status_code == 204
    assert placement.used(source) == {"VCPU": 4}
    assert placement.used(target) == {"VCPU": 0}
    assert placement.get(f"/allocations/{migration}").json == {"allocations": {}}


def test_whose_generation_rises(placement: Client) -> None:
    """Claims raise the generations of the providers they name, and of those that a consumer leaves altogether."""
    first, second = placement.provider("first", {"VCPU": 4}), placement.provider("second", {"VCPU": 4})
    consumer = new_uuid()

    def generations() -> tuple[int, int]:
        return placement.generation(first), placement.generation(second)

    assert placement.claim(consumer, {first: {"VCPU": 1}}).status_code == 204
    assert generations() == (2, 1)
    assert placement.claim(consumer, {second: {"VCPU": 1}}, generation=1).status_code == 204
    assert generations() == (2, 2)
    assert placement.claim(consumer, {}, generation=2).status_code == 204
    assert generations() == (2, 3)
    assert placement.claim(consumer, {first: {"VCPU": 1}, second: {"VCPU": 1}}).status_code == 204
    assert placement.delete(f"/allocations/{consumer}").status_code == 204
    assert generations() == (3, 4)


def test_mappings_are_taken_and_not_kept(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    consumer = new_uuid()
    body = claim_body({host: {"VCPU": 1}}) | {"mappings": {"": [host, host], "any name": [host]}}
    assert placement.put(f"/allocations/{consumer}", body | {"mappings": {"": ["host"]}}).status_code == 400
    assert placement.put(f"/allocations/{consumer}", body | {"mappings": {"": []}}).status_code == 400
    assert placement.put(f"/allocations/{consumer}", body).status_code == 204
    assert "mappings" not in placement.get(f"/allocations/{consumer}").json


def test_an_older_client_leaves_the_type_alone(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    consumer = new_uuid()
    assert placement.claim(consumer, {host: {"VCPU": 1}}).status_code == 204
    untyped = {name: value for name, value in claim_body({host: {"VCPU": 2}}, 1).items() if name != "consumer_type"}
    assert placement.at("1.28").put(f"/allocations/{consumer}", untyped).status_code == 204
    held = placement.get(f"/allocations/{consumer}").json
    assert (held["consumer_type"], held["consumer_generation"]) == ("INSTANCE", 2)
    listed = {"allocations": [{"resource_provider": {"uuid": host}, "resources": {"VCPU": 3}}]}
    assert placement.at("1.7").put(f"/allocations/{consumer}", listed).status_code == 204
    assert placement.get(f"/allocations/{consumer}").json["consumer_type"] == "INSTANCE"


def test_over_committed_host_lets_go_but_takes_no_more(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    consumer = new_uuid()
    assert placement.claim(consumer, {host: {"VCPU": 4}}).status_code == 204
    shrunk = placement.put(
        f"/resource_providers/{host}/inventories/VCPU", {"resource_provider_generation": 2, "total": 2}
    )
    assert shrunk.status_code == 200
    assert placement.claim(new_uuid(), {host: {"VCPU": 1}}).status_code == 409
    assert placement.delete(f"/allocations/{consumer}").status_code == 204
    assert placement.claim(new_uuid(), {host: {"VCPU": 2}}).status_code == 204


def test_older_shapes(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 4})
    consumer = new_uuid()
    listed = {"allocations": [{"resource_provider": {"uuid": host}, "resources": {"VCPU": 1}}]}
    assert placement.at("1.0").put(f"/allocations/{consumer}", listed).status_code == 204
    assert placement.at("1.8").put(f"/allocations/{consumer}", listed).status_code == 400
    owned = listed | {"project_id": "p", "user_id": "u"}
    assert placement.at("1.8").put(f"/allocations/{consumer}", owned).status_code == 204
    assert set(placement.at("1.11").get(f"/allocations/{consumer}").json) == {"allocations"}
    shown = placement.at("1.12").get(f"/allocations/{consumer}").json
    assert set(shown) == {"allocations", "project_id", "user_id"}
    assert placement.at("1.12").put(f"/allocations/{consumer}", shown).status_code == 204
    assert placement.get(f"/allocations/{consumer}").json["consumer_type"] == "unknown"


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in claim_body({}).items() if name != key}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(_without("project_id"), "project_id", id="no project"),
        pytest.param(_without("consumer_generation"), "consumer_generation", id="no generation"),
        pytest.param(claim_body({}) | {"consumer_generation": "1"}, "consumer_generation", id="generation in words"),
        pytest.param(claim_body({}) | {"consumer_type": "small"}, "consumer_type", id="small letters"),
        pytest.param(claim_body({"7": {"VCPU": 1}}), "allocations", id="no provider uuid"),
        pytest.param(claim_body({new_uuid(): {}}), "resources", id="no resources"),
        pytest.param(claim_body({new_uuid(): {"VCPU": 0}}), "VCPU", id="zero"),
        pytest.param(claim_body({new_uuid(): {"VCPU": 1 << 60}}), "VCPU", id="far too much"),
        pytest.param(claim_body({}) | {"user_id": "u" * 256}, "user_id", id="long user"),
        pytest.param(claim_body({}) | {"colour": 1}, "colour", id="unknown field"),
    ],
)
def test_bad_bodies_name_the_field(placement: Client, body: dict[str, Any], field: str) -> None:
    answer = placement.put(f"/allocations/{new_uuid()}", body)
    assert answer.status_code == 400
    assert field in answer.json["errors"][0]["detail"]
    assert placement.put("/allocations/7", claim_body({})).status_code == 400


def test_last_slot_is_given_once(database: Database, placement: Client) -> None:
    """Forty claims race for ten places through two workers: ten get one, and nobody is told a conflict that is none."""
    host = placement.provider("host", {"VCPU": 10, "MEMORY_MB": 10_000})
    workers = [Client(new_worker(database)) for _ in range(2)]
    answers: list[int] = []

    def claim(number: int) -> None:
        worker = workers[number % 2]
        answers.append(worker.claim(new_uuid(), {host: {"VCPU": 1, "MEMORY_MB": 10}}).status_code)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(480)
    assert sorted(answers) == [204] * 10 + [409] * 30
    for worker in workers:
        assert worker.used(host) == {"VCPU": 10, "MEMORY_MB": 100}


def test_every_worker_sees_what_was_committed(database: Database, placement: Client) -> None:
    other = Client(new_worker(database))
    query = "/allocation_candidates?resources=VCPU:1"
    for number in range(5):
        host = placement.provider(f"host-{number}", {"VCPU": 1})
        assert len(other.get(query).json["allocation_requests"]) == 1
        consumer = new_uuid()
        assert other.claim(consumer, {host: {"VCPU": 1}}).status_code == 204
        assert placement.get(query).json["allocation_requests"] == []
        assert placement.delete(f"/allocations/{consumer}").status_code == 204
        assert len(other.get(query).json["allocation_requests"]) == 1
        assert other.delete(f"/resource_providers/{host}").status_code == 204
        assert placement.get(query).json["allocation_requests"] == []

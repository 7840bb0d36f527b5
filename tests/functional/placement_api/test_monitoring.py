"""/healthcheck and /metrics: who may read them, what they say, and what they say when the database is away."""

import re
import uuid
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nova_lite.storage import Database
from tests.functional.placement_api.conftest import Client, claim_body, new_worker

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(placement: Client) -> Samples:
    """Return every number that is shown: (name, labels) → value."""
    answer = placement.call("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def sample(found: Samples, name: str, **labels: str) -> float:
    """Return one number, 0 when it is not shown."""
    return found.get((f"nova_lite_{name}", frozenset(labels.items())), 0.0)


def test_health_is_told_to_anyone(placement: Client) -> None:
    nobody = placement.as_user(None)
    answer = nobody.get("/healthcheck")
    assert (answer.status_code, answer.json) == (200, {"healthy": True, "reasons": {}})
    assert answer.headers["cache-control"] == "no-cache"
    assert nobody.call("HEAD", "/healthcheck").status_code == 200
    assert nobody.call("GET", "/healthcheck", headers={"OpenStack-API-Version": "placement 9.9"}).status_code == 200
    assert nobody.call("POST", "/healthcheck", {}).headers["allow"] == "GET, HEAD"


def test_health_says_what_is_wrong_and_no_more(tmp_path: Path) -> None:
    nowhere = Client(new_worker(Database(f"sqlite:///{tmp_path / 'no' / 'placement.db'}")), token=None)
    answer = nowhere.get("/healthcheck")
    assert answer.status_code == 503
    assert answer.json == {"healthy": False, "reasons": {"database": "The database does not answer."}}
    assert nowhere.call("HEAD", "/healthcheck").status_code == 503


@pytest.mark.parametrize(
    ("metrics", "statuses"),
    [
        pytest.param("policy", {"none": 401, "member": 403, "admin": 200, "service": 200}, id="policy"),
        pytest.param("open", dict.fromkeys(("none", "member", "admin", "service"), 200), id="open"),
        pytest.param("off", {"none": 401, "member": 404, "admin": 404, "service": 404}, id="off"),
    ],
)
def test_who_may_read_the_numbers(database: Database, metrics: str, statuses: dict[str, int]) -> None:
    placement = Client(new_worker(database, api={"metrics": metrics}))
    callers = {
        "none": placement.as_user(None),
        "member": placement.as_user("joe:demo", "member,reader"),
        "admin": placement,
        "service": placement.as_user("nova:service", "service"),
    }
    assert {kind: caller.get("/metrics").status_code for kind, caller in callers.items()} == statuses


def test_requests_are_counted_by_template(placement: Client) -> None:
    host = placement.provider("host")
    for _ in range(3):
        placement.get(f"/resource_providers/{host}")
    placement.get(f"/resource_providers/{uuid.uuid4()}")
    placement.get("/nowhere/at/all")
    found = samples(placement)
    shown = {"service": "placement", "method": "GET", "route": "/resource_providers/{uuid}"}
    assert sample(found, "http_requests_total", **shown, status="200") == 3
    assert sample(found, "http_requests_total", **shown, status="404") == 1
    assert sample(found, "http_request_seconds_count", **shown) == 4
    assert sample(found, "http_request_seconds_bucket", **shown, le="+Inf") == 4
    assert sample(found, "http_request_seconds_sum", **shown) > 0
    nowhere = {"service": "placement", "method": "GET", "route": "none"}
    assert sample(found, "http_requests_total", **nowhere, status="404") == 1
    assert host not in str(found)


def test_claims_are_counted_by_how_they_end(placement: Client) -> None:
    host = placement.provider("host", {"VCPU": 2})
    consumer = str(uuid.uuid4())
    assert placement.claim(consumer, {host: {"VCPU": 1}}).status_code == 204
    assert placement.claim(consumer, {host: {"VCPU": 2}}).status_code == 409
    assert placement.claim(str(uuid.uuid4()), {host: {"VCPU": 5}}).status_code == 409
    assert placement.claim(str(uuid.uuid4()), {str(uuid.uuid4()): {"VCPU": 1}}).status_code == 400
    assert placement.post("/allocations", {str(uuid.uuid4()): claim_body({host: {"VCPU": 1}})}).status_code == 204
    assert placement.as_user("joe:demo", "").claim(consumer, {}).status_code == 403
    found = samples(placement)
    ended = {
        reason: sample(found, "placement_claims_total", outcome="refused", reason=reason)
        for reason in ("capacity", "generation", "invalid", "policy")
    }
    assert sample(found, "placement_claims_total", outcome="made", reason="") == 2
    assert ended == {"capacity": 1, "generation": 1, "invalid": 1, "policy": 1}


def test_the_snapshot_is_told_of(database: Database) -> None:
    one, two = Client(new_worker(database)), Client(new_worker(database))
    root = one.provider("root", {"VCPU": 2})
    one.provider("child", parent=root)
    one.provider("other")
    one.get("/resource_providers")
    before = samples(one)
    assert sample(before, "placement_providers") == 3
    assert sample(before, "placement_trees") == 2
    assert sample(before, "placement_change_log_gaps") == 0
    assert sample(before, "placement_change_log_lag") == 0
    assert sample(before, "placement_database_up") == 1
    assert sample(before, "placement_snapshot_reloads_total") == 1
    two.provider("another")
    behind = samples(one)
    assert sample(behind, "placement_change_log_lag") >= 1
    one.get("/resource_providers")
    after = samples(one)
    assert sample(after, "placement_change_log_lag") == 0
    assert sample(after, "placement_providers") == 4
    for name in ("placement_snapshot_refreshes_total", "placement_changes_total", "placement_change_log_polls_total"):
        assert sample(after, name) > sample(before, name), name


def test_numbers_are_shown_while_the_database_is_away(tmp_path: Path) -> None:
    nowhere = Client(new_worker(Database(f"sqlite:///{tmp_path / 'no' / 'placement.db'}")))
    assert nowhere.get("/resource_providers").status_code == 503
    found = samples(nowhere)
    assert sample(found, "placement_database_up") == 0
    lost = {"service": "placement", "method": "GET", "route": "/resource_providers", "status": "503"}
    assert sample(found, "http_requests_total", **lost) == 1


def test_every_number_is_told_of_in_the_documentation(placement: Client) -> None:
    page, daemons, _ = (Path(__file__).parents[3] / "docs/monitoring.rst").read_text().partition("\nDaemons'\n")
    assert daemons
    placement.claim(str(uuid.uuid4()), {str(uuid.uuid4()): {"VCPU": 1}})
    families = text_string_to_metric_families(placement.call("GET", "/metrics").text)
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    # When each series began; not told with several workers.
    shown = {name for name in names if not name.endswith("_created")}
    assert shown
    assert {name for name in shown if f"``{name}``" not in page} == set()
    told = set(re.findall(r"``(nova_lite_\w+)``", page))
    assert told == shown

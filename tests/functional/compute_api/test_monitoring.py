"""/healthcheck, /live, /ready and /metrics: who may read them, and what they say."""

from collections.abc import Callable
from pathlib import Path

import falcon.testing
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.compute_api.cloud import CELL1, Client, Cloud


def ask(cloud: Cloud, path: str, **headers: str) -> falcon.testing.Result:
    return falcon.testing.TestClient(cloud.app).simulate_get(path, headers=headers)


def numbers(cloud: Cloud) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every number that is shown: (name, labels) → value."""
    answer = cloud.client("admin:admins", root="").get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


@pytest.mark.parametrize("path", ["/healthcheck", "/ready"])
def test_anyone_hears_whether_it_can_work(cloud: Cloud, path: str) -> None:
    answer = ask(cloud, path)
    assert (answer.status_code, answer.json) == (200, {"healthy": True, "reasons": {}})
    assert answer.headers["cache-control"] == "no-cache"
    assert falcon.testing.TestClient(cloud.app).simulate_head(path).status_code == 200
    assert ask(cloud, path, **{"OpenStack-API-Version": "compute 9.9"}).status_code == 200
    cloud.break_cell(CELL1)
    assert ask(cloud, path).status_code == 200


def test_what_is_wrong_is_said_and_no_more(cloud: Cloud) -> None:
    cloud.silence_api()
    answer = ask(cloud, "/healthcheck")
    assert answer.status_code == 503
    assert answer.json == {"healthy": False, "reasons": {"database": "The database does not answer."}}
    assert ask(cloud, "/live").json == {"alive": True}


def test_they_stand_before_a_version_only(client: Client) -> None:
    for path in ("/healthcheck", "/live", "/ready", "/metrics"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("shown_to", "statuses"),
    [("policy", [401, 403, 200]), ("open", [200, 200, 200]), ("off", [401, 404, 404])],
)
def test_who_may_read_the_numbers(make_cloud: Callable[..., Cloud], shown_to: str, statuses: list[int]) -> None:
    cloud = make_cloud(api={"metrics": shown_to})
    found = [ask(cloud, "/metrics").status_code]
    found += [cloud.client(token, root="").get("/metrics").status_code for token in ("alice:demo", "admin:admins")]
    assert found == statuses


def test_requests_are_counted_by_template(cloud: Cloud) -> None:
    server = cloud.add_server()
    before = numbers(cloud)
    for _ in range(3):
        assert cloud.client().get(f"/servers/{server.uuid}").status_code == 200
    after = numbers(cloud)
    labels = frozenset(
        {"service": "compute", "method": "GET", "route": "/servers/{server_id}", "status": "200"}.items()
    )
    key = ("nova_lite_http_requests_total", labels)
    assert after[key] - before.get(key, 0) == 3
    assert after["nova_lite_database_up", frozenset()] == 1
    assert server.uuid not in str(after)


def test_every_number_is_told_of_in_the_documentation(cloud: Cloud) -> None:
    page = (Path(__file__).parents[3] / "docs/monitoring.rst").read_text()
    names = {name for name, _ in numbers(cloud)}
    told = {name.removesuffix("_created") for name in names}
    for ending in ("_bucket", "_count", "_sum"):
        told = {name.removesuffix(ending) for name in told}
    assert {name for name in told if f"``{name}``" not in page and f"``{name}_total``" not in page} == set()

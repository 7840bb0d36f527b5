"""Pages of other origins: what their scripts may do."""

from collections.abc import Callable

import falcon.testing
import pytest

from tests.functional.compute_api.cloud import Cloud

CloudMaker = Callable[..., Cloud]
PAGE = "https://horizon.example"
ASKED = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "x-auth-token, Content-Type,OpenStack-API-Version",
}


@pytest.fixture
def shared(make_cloud: CloudMaker) -> Cloud:
    return make_cloud(cors={"allowed_origin": [PAGE, "https://other.example"]})


def before(cloud: Cloud, **headers: str) -> falcon.testing.Result:
    """Ask what a browser asks before it lets a script make a request."""
    client = falcon.testing.TestClient(cloud.app)
    return client.simulate_options("/v2.1/servers/x", headers={**ASKED, **headers})


def granted(answer: falcon.testing.Result) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def test_browsers_hear_what_scripts_may_do(shared: Cloud) -> None:
    answer = before(shared)
    assert (answer.status_code, answer.content) == (200, b"")
    assert granted(answer) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-credentials": "true",
        "access-control-max-age": "3600",
        "access-control-allow-methods": "DELETE",
        "access-control-allow-headers": "x-auth-token,Content-Type,OpenStack-API-Version",
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "https://evil.example"),
        ("Origin", f"{PAGE}.evil.example"),
        ("Access-Control-Request-Method", "TRACE"),
        ("Access-Control-Request-Headers", "X-Evil"),
    ],
)
def test_browsers_are_granted_nothing_else(shared: Cloud, name: str, value: str) -> None:
    answer = before(shared, **{name: value})
    assert (answer.status_code, granted(answer)) == (200, {})


@pytest.mark.parametrize("token", ["alice:demo", ""])
def test_scripts_may_read_answers_and_refusals(shared: Cloud, token: str) -> None:
    client = falcon.testing.TestClient(shared.app)
    answer = client.simulate_get("/v2.1/flavors", headers={"Origin": PAGE, "X-Auth-Token": token})
    assert answer.status_code == (200 if token else 401)
    assert granted(answer)["access-control-allow-origin"] == PAGE
    assert "X-Openstack-Request-Id" in granted(answer)["access-control-expose-headers"].split(",")
    assert "Origin" in answer.headers["vary"]


def test_others_read_nothing(shared: Cloud, cloud: Cloud) -> None:
    for asked, origin in ((shared, "https://evil.example"), (cloud, PAGE)):
        client = falcon.testing.TestClient(asked.app)
        answer = client.simulate_get("/v2.1/flavors", headers={"Origin": origin, "X-Auth-Token": "alice:demo"})
        assert (answer.status_code, granted(answer)) == (200, {})


def test_any_origin_can_be_let_in(make_cloud: CloudMaker) -> None:
    cloud = make_cloud(cors={"allowed_origin": ["*"], "allow_credentials": False})
    assert granted(before(cloud, Origin="https://anywhere.example"))["access-control-allow-origin"] == "*"


def test_what_is_no_question_of_a_browser_goes_on(shared: Cloud) -> None:
    answer = falcon.testing.TestClient(shared.app).simulate_options("/v2.1/servers", headers={"Origin": PAGE})
    assert answer.status_code == 401

"""The frame around every request: caller, policy, faults, ids."""

import logging
from pathlib import Path

import falcon
import pytest
from falcon import testing
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from nova_lite import config, errors
from nova_lite.web import app as web
from nova_lite.web.caller import KeystoneAuth, NoAuth, authenticator
from nova_lite.web.endpoint import declared_endpoint, endpoint
from nova_lite.web.policy import RulePolicy
from nova_lite.web.validation import Schemas
from nova_lite.web.versions import Negotiation, Version

RULES = [
    oslo_policy.RuleDefault("things:show", "rule:project_reader_or_admin"),
    oslo_policy.RuleDefault("things:update", "rule:context_is_admin"),
]


class Things:
    """Answers who called, fails on demand."""

    @endpoint(policy="things:show", enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller = req.context.caller
        web.send_json(resp, {"user": caller.user_id, "project": caller.project_id, "roles": sorted(caller.roles)})

    @endpoint(policy="things:update", enforce=True, body=Schemas(("1.0", {"type": "object"})), since="1.5", until="1.7")
    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        web.send_json(resp, req.context.body)

    @endpoint(policy="things:show")
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise {"down": errors.Unavailable("away", host="h"), "odd": ZeroDivisionError("secret 42")}[
            req.get_header("X-Fail") or "odd"
        ]


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    return config.load(files=[])


@pytest.fixture
def client(conf: cfg.ConfigOpts) -> testing.TestClient:
    api = web.Api(
        negotiation=Negotiation("things", Version(1, 0), Version(1, 9)),
        render_fault=lambda fault, req: {"message": fault.message},
        request_id_headers=("X-Things-Request-Id",),
    )
    app = web.build(api, NoAuth(RulePolicy(conf, RULES)))
    app.add_route("/things", Things())
    return testing.TestClient(app)


def headers(token: str, version: str = "1.6") -> dict[str, str]:
    return {"X-Auth-Token": token, "OpenStack-API-Version": f"things {version}"}


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        pytest.param("joe:demo", ("joe", "demo", ["member", "reader"]), id="user and project"),
        pytest.param("joe", ("joe", "joe", ["member", "reader"]), id="user alone"),
        pytest.param("admin:demo", ("admin", "demo", ["admin", "member", "reader"]), id="administrator"),
        pytest.param("joe:admin", ("joe", "admin", ["member", "reader"]), id="project named admin"),
    ],
)
def test_noauth_callers(client: testing.TestClient, token: str, answer: tuple[str, str, list[str]]) -> None:
    shown = client.simulate_get("/things", headers=headers(token)).json
    assert (shown["user"], shown["project"], shown["roles"]) == answer


@pytest.mark.parametrize("token", ["", ":demo", "a b", "x" * 300])
def test_no_good_token(client: testing.TestClient, token: str) -> None:
    assert client.simulate_get("/things", headers=headers(token)).status_code == 401
    assert client.simulate_get("/nowhere", headers=headers(token)).status_code == 401


def test_identity_headers_of_the_client_count_for_nothing(client: testing.TestClient) -> None:
    forged = headers("joe") | {"X-Roles": "admin", "X-User-Id": "root", "X-Identity-Status": "Confirmed"}
    assert client.simulate_get("/things", headers=forged).json["user"] == "joe"
    assert client.simulate_put("/things", headers=forged, json={}).status_code == 403


def test_roles_of_a_header_count_where_the_api_says_so(conf: cfg.ConfigOpts) -> None:
    policy = RulePolicy(conf, RULES)

    def roles(**headers: str) -> set[str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = falcon.Request(testing.create_environ(headers=named))
        return set(NoAuth(policy, roles_header=True).caller(request, "req-1", None).roles)

    assert roles(X_Auth_Token="joe", X_Roles="reader, service") == {"reader", "service"}
    assert roles(X_Auth_Token="admin", X_Roles="") == set()
    assert roles(X_Auth_Token="admin") == {"admin", "member", "reader"}


def test_policy_names_the_rule(client: testing.TestClient) -> None:
    refused = client.simulate_put("/things", headers=headers("joe"), json={})
    assert refused.status_code == 403
    assert "things:update" in refused.json["message"]


def test_versions_that_do_not_know_the_method(client: testing.TestClient) -> None:
    statuses = {
        version: client.simulate_put("/things", headers=headers("admin", version), json={}).status_code
        for version in ("1.4", "1.5", "1.7", "1.8")
    }
    assert statuses == {"1.4": 404, "1.5": 200, "1.7": 200, "1.8": 404}


def test_unexpected_error_tells_nothing_but_its_id(
    client: testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.simulate_post("/things", headers=headers("joe"))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    request_id = answer.headers["x-openstack-request-id"]
    assert request_id in answer.json["message"]
    assert answer.headers["x-things-request-id"] == request_id
    assert request_id in caplog.text
    assert "secret 42" in caplog.text


def test_unavailable_is_503_and_worth_a_retry(client: testing.TestClient) -> None:
    answer = client.simulate_post("/things", headers=headers("joe") | {"X-Fail": "down"})
    assert answer.status_code == 503
    assert answer.json == {"message": "away"}
    assert int(answer.headers["retry-after"]) > 0


def test_inbound_request_id_is_not_ours(client: testing.TestClient) -> None:
    sent = "req-0f8fad5b-d9cb-469f-a165-70867728950e"
    answer = client.simulate_get("/things", headers=headers("joe") | {"X-Openstack-Request-Id": sent})
    assert answer.headers["x-openstack-request-id"] not in ("", sent)


def test_unregistered_rule_lets_nobody_in(conf: cfg.ConfigOpts) -> None:
    policy = RulePolicy(conf, RULES)
    with pytest.raises(oslo_policy.PolicyNotRegistered):
        policy.allows("things:forgotten", {}, {"roles": ["admin"], "user_id": "u", "project_id": "p"})
    assert "things:show" in policy.names


def test_responders_show_what_they_declare() -> None:
    declared = declared_endpoint(Things.on_put)
    assert declared is not None
    assert declared.policy == ("things:update",)
    assert declared.body is not None
    assert declared_endpoint(test_responders_show_what_they_declare) is None


KEYSTONE_CONF = """
[api]
auth_strategy = keystone
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:1/v3
auth_type = password
auth_url = http://127.0.0.1:1/v3
username = nova
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
http_request_max_retries = 0
"""


@pytest.fixture
def keystone_client(tmp_path: Path) -> testing.TestClient:
    """A client of an application whose Keystone is on a port where nobody listens."""
    file = tmp_path / "nova-lite.conf"
    file.write_text(KEYSTONE_CONF)
    conf = config.load(files=[str(file)])
    authenticate = authenticator(conf, RulePolicy(conf, RULES))
    assert isinstance(authenticate, KeystoneAuth)
    api = web.Api(
        negotiation=Negotiation("things", Version(1, 0), Version(1, 9)),
        render_fault=lambda fault, req: {"message": fault.message},
    )
    app = web.build(api, authenticate)
    app.add_route("/things", Things())
    return testing.TestClient(app)


def test_keystone_without_token_is_401(keystone_client: testing.TestClient) -> None:
    client = keystone_client
    refused = client.simulate_get("/things")
    assert refused.status_code == 401
    assert "http://127.0.0.1:1/v3" in refused.headers["www-authenticate"]
    forged = {"X-Identity-Status": "Confirmed", "X-User-Id": "root", "X-Roles": "admin"}
    assert client.simulate_get("/things", headers=forged).status_code == 401


def test_keystone_that_does_not_answer_is_503(keystone_client: testing.TestClient) -> None:
    answer = keystone_client.simulate_get("/things", headers={"X-Auth-Token": "gAAAA-something"})
    assert answer.status_code == 503
    assert "retry-after" in answer.headers

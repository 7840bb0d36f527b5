"""Who may do what: every request with every kind of caller, as the rules that the routes declare say."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import falcon
import pytest

from nova_lite import errors
from nova_lite.api import app
from nova_lite.api.policies import base, registry
from nova_lite.db.api_tables import AggregateRow, FlavorRow, KeypairRow, ServerGroupRow
from nova_lite.model.caller import Caller, Policy
from nova_lite.rpc.bus import Bus
from nova_lite.web.caller import Authenticator, unauthorized
from nova_lite.web.policy import RulePolicy
from tests.functional.compute_api.cloud import CELL1, IMAGE_ID, Cloud
from tests.functional.compute_api.machines import add_machines
from tests.functional.compute_api.routes import ASK_A_HOST, Request, every_request

#: Kind of caller → the token that says so: user, project, roles.
CALLERS = {
    "nobody": "",
    "no role": "alice:demo:",
    "reader": "alice:demo:reader",
    "member": "alice:demo:reader,member",
    "admin": "admin:admins:reader,member,admin",
    "stranger": "mallory:elsewhere:reader,member",
}
GROUP_ID = "98765432-1234-4234-8234-123456789abc"
_ADMIN = {"admin"}
_MEMBERS = {"member", "admin"}
_READERS = {"reader", "member", "admin"}
_ANYONE = {"no role", "reader", "member", "admin", "stranger"}
#: Check string of a rule → callers it lets in, to what is theirs (a stranger looks at alice's server, project or key).
LETS_IN: Mapping[str, set[str]] = {
    base.PROJECT_READER_OR_ADMIN: _READERS,
    base.PROJECT_MEMBER_OR_ADMIN: _MEMBERS,
    base.PROJECT_MANAGER_OR_ADMIN: _ADMIN,
    base.ADMIN: _ADMIN,
    base.SERVICE_OR_ADMIN: _ADMIN,
    base.OWNER_OR_ADMIN: _ANYONE,
    base.ANYONE: _ANYONE,
}


class Badges(Authenticator):
    """Believes tokens of the form user:project:role,role."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def caller(self, req: falcon.Request, request_id: str, global_request_id: str | None) -> Caller:
        token = req.get_header("X-Auth-Token")
        if not token:
            raise unauthorized()
        user_id, project_id, roles = token.split(":")
        return Caller(user_id, project_id, frozenset(roles.split(",")), request_id, self._policy, token=token)


class Forbidding(RulePolicy):
    """The policy, but for one rule that lets nobody in."""

    forbidden: str | None = None

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        return action != type(self).forbidden and super().allows(action, target, credentials)


def _no_answer(bus: Bus, topic: str, method: str, **rest: object) -> object:
    """Answer as hosts do that are not there, only at once."""
    raise errors.Timeout(f"No answer from {topic} in time.", method=method)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(app, "RulePolicy", Forbidding)
    monkeypatch.setattr(app, "authenticator", lambda conf, policy: Badges(policy))
    monkeypatch.setattr(Forbidding, "forbidden", None)
    monkeypatch.setattr(Bus, "call", _no_answer)
    made = Cloud(tmp_path)
    add_machines(made)
    for resource in ("instances", "cores", "ram", "key_pairs", "server_groups"):
        made.conf.set_override(resource, -1, group="quota")
    yield made
    made.close()


def everything_there(cloud: Cloud) -> dict[str, str]:
    """Make what requests name and return their parts."""
    server = cloud.add_server(CELL1, host="h1", metadata={"key": "v"})
    with cloud.api_db.writer() as session:
        if session.get(FlavorRow, 77) is None:
            session.add(FlavorRow(id=77, flavorid="77", name="flavor", vcpus=1, memory_mb=64, root_gb=1))
        if session.query(ServerGroupRow).filter_by(uuid=GROUP_ID).first() is None:
            session.add(ServerGroupRow(uuid=GROUP_ID, project_id="demo", user_id="alice", name="g", policy="affinity"))
        if session.get(AggregateRow, 1) is None:
            session.add(AggregateRow(id=1, uuid=CELL1, name="racks"))
        if session.query(KeypairRow).filter_by(user_id="alice", name="mine").first() is None:
            session.add(KeypairRow(user_id="alice", name="mine", type="ssh", fingerprint="aa", public_key="k"))
    return {
        "server_id": server.uuid,
        "request_id": "req-1",
        "key": "key",
        "tag": "red",
        "network": "private",
        "port_id": IMAGE_ID,
        "before": "2026-01-01 00:00:00",
        "alias": "os-services",
        "image_id": IMAGE_ID,
        "flavor_id": "77",
        "name": "mine",
        "service_id": "12345678-1234-4234-8234-123456789abc",
        "hypervisor_id": "h1",
        "migration_id": "1",
        "operation_id": "12345678-1234-4234-8234-123456789abc",
        "volume_id": IMAGE_ID,
        "snapshot_id": IMAGE_ID,
        "aggregate_id": "1",
        "project_id": "demo",
        "class_name": "default",
        "group_id": GROUP_ID,
    }


def ask(cloud: Cloud, request: Request, token: str, parts: Mapping[str, str]) -> int:
    client = cloud.client(token, request.version)
    given = {} if request.body is None else {"json": request.body}
    status: int = client.request(request.method, request.path.format(**parts), **given).status_code
    return status


def expected(request: Request, caller: str) -> str:
    """Return how a caller fares, going by the rule that the route declares: in, 401, 403 or 404."""
    if caller == "nobody":
        return "401"
    if caller == "stranger" and ("{server_id}" in request.path or "{group_id}" in request.path):
        return "404"
    check = {rule.name: rule.check_str for rule in registry.rules()}[request.rule]
    allowed = set(LETS_IN[check])
    if request.endpoint.enforce or "{" not in request.path:
        # It is about the caller's own project, whichever that is.
        allowed |= {"stranger"} if "member" in allowed else set()
    return "in" if caller in allowed else "403"


def test_every_caller_gets_as_far_as_the_rules_say(cloud: Cloud) -> None:
    wrong = []
    for request in list(every_request(cloud)):
        for caller, token in CALLERS.items():
            status = ask(cloud, request, token, everything_there(cloud))
            wanted = expected(request, caller)
            # Who is let in may still hear that a thing is not there or is in the wrong state.
            is_right = status not in (401, 403) and status < 500 if wanted == "in" else str(status) == wanted
            is_right |= wanted == "in" and status == 503 and request.name.endswith(ASK_A_HOST)
            if not is_right:
                wrong.append(f"{caller} {request.name}: {status}, not {wanted}")
    assert wrong == []


def test_no_door_opens_without_its_rule(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who takes a rule away takes it from everybody: so the rule is really asked, on every route."""
    open_doors = []
    for request in list(every_request(cloud)):
        monkeypatch.setattr(Forbidding, "forbidden", request.rule)
        if (status := ask(cloud, request, CALLERS["admin"], everything_there(cloud))) != 403:
            open_doors.append(f"{request.name}: {status} without {request.rule}")
    assert open_doors == []


def test_a_reader_changes_nothing(cloud: Cloud) -> None:
    """Whatever a route is called and does, GET is all that readers get, but for keys of their own."""
    parts = everything_there(cloud)
    for request in list(every_request(cloud)):
        if request.method != "GET" and "keypairs" not in request.path:
            assert ask(cloud, request, CALLERS["reader"], parts) == 403, request.name


def test_a_url_names_no_other_project_than_the_token(cloud: Cloud) -> None:
    for request in list(every_request(cloud)):
        parts = everything_there(cloud)
        client = cloud.client(CALLERS["admin"], request.version, "/v2.1/demo")
        given = {} if request.body is None else {"json": request.body}
        assert client.request(request.method, request.path.format(**parts), **given).status_code == 400, request.name


def test_fields_for_operators_are_for_operators(cloud: Cloud) -> None:
    parts = everything_there(cloud)
    shown = {}
    for caller in ("reader", "member", "admin"):
        client = cloud.client(CALLERS[caller])
        one = client.get(f"/servers/{parts['server_id']}").json["server"]
        page = client.get("/servers/detail", **({"all_tenants": "1"} if caller == "admin" else {})).json["servers"]
        shown[caller] = set(one) | {field for each in page for field in each}
    assert shown["reader"] == shown["member"]
    for_operators = "host hypervisor_hostname instance_name kernel_id launch_index ramdisk_id reservation_id"
    for_operators += " root_device_name user_data"
    named = {f"OS-EXT-SRV-ATTR:{name}" for name in for_operators.split()}
    assert shown["admin"] - shown["member"] == {"host_status", *named}


def test_another_projects_servers_are_in_no_list(cloud: Cloud) -> None:
    parts = everything_there(cloud)
    stranger = cloud.client(CALLERS["stranger"])
    for query in ({}, {"project_id": "demo"}, {"tenant_id": "demo"}, {"uuid": parts["server_id"]}, {"deleted": "1"}):
        for path in ("/servers", "/servers/detail"):
            assert stranger.get(path, **query).json["servers"] == [], query
    assert stranger.get("/servers", all_tenants="1").status_code == 403
    assert stranger.get("/servers", marker=parts["server_id"]).status_code == 400


def test_tokens_stay_out_of_the_log(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = "hush:hush:reader,member,admin"
    parts = everything_there(cloud)
    for request in list(every_request(cloud)):
        ask(cloud, request, token, parts)
    cloud.break_api()
    for request in list(every_request(cloud)):
        assert ask(cloud, request, token, parts) in (200, 400, 404, 503), request.name
    assert caplog.records
    assert token not in caplog.text
    assert token not in repr([vars(record) for record in caplog.records])

"""Who may do what: the table of every request with every kind of caller, and what must hold whatever the table says."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.api import app
from nova_lite.api.policies import volume_attachments as volume_rules
from nova_lite.web.policy import RulePolicy
from tests.functional.compute_api.cloud import Cloud
from tests.functional.compute_api.policy_matrix import (
    CALLERS,
    NO_SERVER,
    TABLE,
    answer,
    ask,
    everything_there,
    kept,
    open_cloud,
    written,
)
from tests.functional.compute_api.routes import every_request


class Forbidding(RulePolicy):
    """The policy, but for one rule that lets nobody in."""

    forbidden: str | None = None

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        return action != type(self).forbidden and super().allows(action, target, credentials)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(app, "RulePolicy", Forbidding)
    monkeypatch.setattr(Forbidding, "forbidden", None)
    made = open_cloud(tmp_path, monkeypatch)
    yield made
    made.close()


def test_everybody_gets_as_far_as_the_table_says(cloud: Cloud) -> None:
    old, new = TABLE.read_text().splitlines(), written(cloud).splitlines()
    changed = list(difflib.unified_diff(old, new, "the table", "what is", n=0, lineterm=""))
    assert not changed, "\n".join([*changed, "Meant so? python -m tests.functional.compute_api.policy_matrix"])


def test_what_no_table_may_say() -> None:
    """Written anew without a look, the table still keeps the promises that are made of roles and projects."""
    broken = []
    for request, cells in kept().items():
        path = request.split()[1]
        in_ = {caller for caller, verdict in cells.items() if verdict == "yes"}
        of_others = {caller for caller in in_ if caller.startswith("other") and caller != "other admin"}
        of_none = {caller for caller in in_ if caller.startswith(("system", "domain"))}
        looking = {"no role", "reader", "other reader", "system reader"} & in_
        is_bad = cells["anonymous"] != "401"
        is_bad |= bool(looking) and not request.startswith("GET ") and "keypairs" not in path
        # The block storage service swaps volumes of servers whose project is not its own.
        of_others -= {"other service"} if request.endswith("(swap)") else set()
        is_bad |= bool(of_others) and ("{server_id}" in path or "{group_id}" in path)
        is_bad |= bool(of_none) and not request.startswith("GET /flavors")
        is_bad |= "admin" not in in_
        if is_bad:
            broken.append(request)
    assert broken == []


def test_what_is_not_theirs_is_not_there_for_others(cloud: Cloud) -> None:
    """No answer tells a stranger whether a server or group of another project exists."""
    told = []
    parts = everything_there(cloud)
    missing = {**parts, "server_id": NO_SERVER, "group_id": NO_SERVER}
    asked = [each for each in every_request(cloud) if "{server_id}" in each.path or "{group_id}" in each.path]
    assert len(asked) > 50
    for request in asked:
        for caller in ("other reader", "other manager", "other service", "system reader"):
            heard = []
            for named in (parts, missing):
                path = request.path.format(**named)
                found = answer(cloud, request.method, path, request.body, request.version, CALLERS[caller])
                text = found.text.replace(named["server_id"], "IT").replace(named["group_id"], "IT")
                heard.append((found.status_code, text))
            if heard[0] != heard[1] and (caller, request.rule) != ("other service", volume_rules.SWAP):
                told.append((caller, request.name, *heard))
    assert told == []


def test_a_url_without_a_rule_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Open:
        def on_get(self) -> None: ...

    known = app.routes
    monkeypatch.setattr(app, "routes", lambda backing: [*known(backing), ("/open", Open())])
    with pytest.raises(errors.Misconfigured, match="GET /open"):
        open_cloud(tmp_path, monkeypatch)


def test_no_door_opens_without_its_rule(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who takes a rule away takes it from everybody: so the rule is really asked, on every route."""
    open_doors = []
    for request in list(every_request(cloud)):
        monkeypatch.setattr(Forbidding, "forbidden", request.rule)
        if (status := ask(cloud, request, CALLERS["admin"], everything_there(cloud))) != 403:
            open_doors.append(f"{request.name}: {status} without {request.rule}")
    assert open_doors == []


def test_a_url_names_no_other_project_than_the_token(cloud: Cloud) -> None:
    parts = everything_there(cloud)
    for request in list(every_request(cloud)):
        client = cloud.client(CALLERS["other admin"], request.version, "/v2.1/demo")
        given = {} if request.body is None else {"json": request.body}
        assert client.request(request.method, request.path.format(**parts), **given).status_code == 400, request.name


def test_another_projects_servers_are_in_no_list(cloud: Cloud) -> None:
    parts = everything_there(cloud)
    stranger = cloud.client(CALLERS["other member"])
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
        assert ask(cloud, request, token, parts) in (200, 400, 404, 501, 503), request.name
    assert caplog.records
    assert token not in caplog.text
    assert token not in repr([vars(record) for record in caplog.records])

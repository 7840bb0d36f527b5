"""Quota sets: what a project, or a user in it, may have."""

from typing import Any

import pytest

from nova_lite.db.api_tables import QuotaLimitRow
from tests.functional.compute_api.cloud import CELL1, Client, Cloud

DEFAULTS = {
    "instances": 10,
    "cores": 20,
    "ram": 51200,
    "metadata_items": 128,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
}
URL = "/os-quota-sets/demo"


def _set_limits(cloud: Cloud) -> None:
    with cloud.api_db.writer() as session:
        session.add(QuotaLimitRow(project_id="demo", resource="cores", hard_limit=40))
        session.add(QuotaLimitRow(project_id="demo", user_id="alice", resource="cores", hard_limit=5))


def _quota(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["quota_set"]
    return found


def test_quotas_of_project_and_user(cloud: Cloud, client: Client) -> None:
    assert _quota(client.get(URL)) == {"id": "demo", **DEFAULTS}
    _set_limits(cloud)
    assert _quota(client.get(URL))["cores"] == 40
    assert _quota(client.get(f"{URL}?user_id=alice"))["cores"] == 5
    assert _quota(client.get(f"{URL}/defaults")) == {"id": "demo", **DEFAULTS}


def test_detail_tells_use(cloud: Cloud, client: Client) -> None:
    cloud.add_server()
    cloud.add_server(user_id="bob")
    detail = _quota(client.get(f"{URL}/detail"))
    assert detail["instances"] == {"limit": 10, "in_use": 2, "reserved": 0}
    assert detail["ram"]["in_use"] == 1024
    assert _quota(client.get(f"{URL}/detail?user_id=bob"))["instances"]["in_use"] == 1


def test_shape_by_version(cloud: Cloud) -> None:
    now = {"id", *DEFAULTS}
    injected = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
    networking = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
    for version, more in (("2.1", injected | networking), ("2.36", injected), ("2.57", set())):
        caller = cloud.client(version=version)
        for path in (URL, f"{URL}/detail", f"{URL}/defaults"):
            assert _quota(caller.get(path)).keys() == now | more, (version, path)


def test_other_projects_are_for_administrators(client: Client, admin: Client) -> None:
    for path in ("", "/detail"):
        assert client.get(f"/os-quota-sets/other{path}").status_code == 403
        assert admin.get(f"/os-quota-sets/other{path}").status_code == 200
    assert client.get("/os-quota-sets/other/defaults").status_code == 200
    assert client.put(URL, {"quota_set": {"cores": 99}}).status_code == 403
    assert client.delete(URL).status_code == 403


def test_quotas_are_set_and_forgotten(cloud: Cloud, client: Client, admin: Client) -> None:
    changed = {**DEFAULTS, "cores": 30, "ram": -1}
    # What was set is shown without whose it is.
    assert _quota(admin.put(URL, {"quota_set": {"cores": "30", "ram": -1}})) == changed
    assert _quota(client.get(URL)) == {"id": "demo", **changed}
    assert _quota(client.get(f"{URL}/detail"))["cores"] == {"limit": 30, "in_use": 0, "reserved": 0}
    assert _quota(client.get(f"{URL}/defaults")) == {"id": "demo", **DEFAULTS}
    assert client.get("/limits").json["limits"]["absolute"]["maxTotalCores"] == 30

    of_user = {**changed, "cores": 7}
    assert _quota(admin.put(f"{URL}?user_id=alice", {"quota_set": {"cores": 7}})) == of_user
    assert _quota(client.get(f"{URL}?user_id=alice")) == {"id": "demo", **of_user}
    assert _quota(client.get(f"{URL}?user_id=bob")) == {"id": "demo", **changed}
    assert _quota(client.get(URL))["cores"] == 30

    forgotten = admin.delete(f"{URL}?user_id=alice")
    assert (forgotten.status_code, forgotten.text) == (202, "")
    assert _quota(client.get(f"{URL}?user_id=alice"))["cores"] == 30
    _quota(admin.put(f"{URL}?user_id=alice", {"quota_set": {"cores": 7}}))
    assert admin.delete(URL).status_code == 202
    for query in ("", "?user_id=alice"):
        assert _quota(client.get(f"{URL}{query}")) == {"id": "demo", **DEFAULTS}
    assert admin.delete(URL).status_code == 202
    assert cloud.rows(cloud.api_db, QuotaLimitRow) == []


def test_a_set_that_says_nothing_changes_nothing(cloud: Cloud, admin: Client) -> None:
    assert _quota(admin.put(URL, {"quota_set": {}})) == DEFAULTS
    assert _quota(admin.put(URL, {"quota_set": {"force": True}})) == DEFAULTS
    assert cloud.rows(cloud.api_db, QuotaLimitRow) == []


def test_no_limit_goes_below_what_is_used_unless_forced(cloud: Cloud, admin: Client) -> None:
    for number in range(3):
        cloud.add_server(user_id=f"user{number % 2}")
    low = {"quota_set": {"instances": 2, "ram": 9000}}
    answer = admin.put(URL, low)
    assert answer.status_code == 400
    assert "Quota limit 2 for instances must be greater than or equal to 3" in answer.json["badRequest"]["message"]
    assert _quota(admin.get(URL)) == {"id": "demo", **DEFAULTS}, "of several, all are set or none"
    assert _quota(admin.put(URL, {"quota_set": {"instances": 3}}))["instances"] == 3
    assert _quota(admin.put(f"{URL}?user_id=user1", {"quota_set": {"instances": 1}}))["instances"] == 1
    assert admin.put(f"{URL}?user_id=user0", {"quota_set": {"instances": 1}}).status_code == 400
    for yes in (True, "True", "1", "on", "yes"):
        assert _quota(admin.put(URL, {"quota_set": {"instances": 0, "force": yes}}))["instances"] == 0
        admin.delete(URL)
    for no in (False, "False", "0", "off"):
        assert admin.put(URL, {"quota_set": {"instances": 0, "force": no}}).status_code == 400


def test_users_share_what_the_project_has(cloud: Cloud, admin: Client) -> None:
    def give(user: str, **limits: int | bool) -> int:
        status: int = admin.put(f"{URL}?user_id={user}", {"quota_set": limits}).status_code
        return status

    assert give("alice", cores=21) == 400
    assert give("alice", cores=-1) == 400
    assert give("alice", cores=15) == 200
    assert give("bob", cores=6) == 400
    assert give("bob", cores=5) == 200
    assert give("alice", cores=16) == 400
    assert give("alice", cores=14) == 200
    low = admin.put(URL, {"quota_set": {"cores": 18}})
    assert low.status_code == 400
    assert "greater than or equal to 19" in low.json["badRequest"]["message"]
    assert _quota(admin.put(URL, {"quota_set": {"cores": 19}}))["cores"] == 19
    assert give("bob", cores=50, force=True) == 200
    _quota(admin.put(URL, {"quota_set": {"cores": -1}}))
    assert give("carol", cores=1000) == 200


def test_obsolete_limits_are_kept_for_old_clients(cloud: Cloud, admin: Client) -> None:
    old = cloud.client("admin:admins", version="2.35")
    wanted = {"fixed_ips": 3, "security_groups": 4, "injected_files": 5}
    assert wanted.items() <= _quota(old.put(URL, {"quota_set": wanted})).items()
    assert _quota(old.put(f"{URL}?user_id=alice", {"quota_set": {"fixed_ips": 2}}))["fixed_ips"] == 2
    assert _quota(old.get(URL))["fixed_ips"] == 2, "such a limit is always the whole project's"
    absolute = old.get("/limits?tenant_id=demo").json["limits"]["absolute"]
    assert (absolute["maxSecurityGroups"], absolute["maxPersonality"]) == (4, 5)
    assert wanted.keys() & _quota(admin.get(URL)).keys() == set()


@pytest.mark.parametrize(
    ("version", "resource", "status"),
    [
        ("2.35", "fixed_ips", 200),
        ("2.36", "fixed_ips", 400),
        ("2.36", "injected_files", 200),
        ("2.57", "injected_files", 400),
        ("2.57", "server_groups", 200),
    ],
)
def test_which_limits_a_version_sets(cloud: Cloud, version: str, resource: str, status: int) -> None:
    caller = cloud.client("admin:admins", version=version)
    assert caller.put(URL, {"quota_set": {resource: 9}}).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"quota_set": None},
        {"quota_set": {}, "more": 1},
        {"quota_set": {"color": 1}},
        {"quota_set": {"id": "demo"}},
        {"quota_set": {"cores": None}},
        {"quota_set": {"cores": True}},
        {"quota_set": {"cores": 1.5}},
        {"quota_set": {"cores": ""}},
        {"quota_set": {"cores": "one"}},
        {"quota_set": {"cores": "+1"}},
        {"quota_set": {"cores": -2}},
        {"quota_set": {"cores": "-2", "force": True}},
        {"quota_set": {"cores": 1 << 31}},
        {"quota_set": {"cores": "9" * 20, "force": True}},
        {"quota_set": {"cores": "9" * 400}},
        {"quota_set": {"cores": 10, "force": "maybe"}},
        {"quota_set": {"cores": 10, "force": None}},
    ],
)
def test_bad_bodies_are_refused(cloud: Cloud, admin: Client, body: Any) -> None:
    assert admin.put(URL, body).status_code == 400
    assert cloud.rows(cloud.api_db, QuotaLimitRow) == []


def test_queries_by_version(cloud: Cloud, admin: Client) -> None:
    old = cloud.client("admin:admins", version="2.74")
    body = {"quota_set": {"cores": 9}}
    for path in ("", "/detail"):
        assert old.get(f"{URL}{path}?color=red").status_code == 200
        assert admin.get(f"{URL}{path}?color=red").status_code == 400
        assert admin.get(f"{URL}{path}?user_id={'u' * 256}").status_code == 400
    assert admin.get(f"{URL}/defaults?color=red").status_code == 200
    assert admin.put(f"{URL}?color=red", body).status_code == 400
    assert admin.delete(f"{URL}?color=red").status_code == 400
    assert old.put(f"{URL}?color=red", body).status_code == 200
    assert old.delete(f"{URL}?color=red").status_code == 202
    # Nobody is the project as a whole; of several the first is meant.
    _quota(admin.put(f"{URL}?user_id=", body))
    assert _quota(admin.get(URL))["cores"] == 9
    _quota(admin.put(f"{URL}?user_id=alice&user_id=bob", {"quota_set": {"cores": 3}}))
    assert _quota(admin.get(f"{URL}?user_id=alice"))["cores"] == 3
    assert admin.put(f"/os-quota-sets/{'p' * 256}", body).status_code == 400


def test_use_is_known_while_a_cell_is_down(cloud: Cloud, client: Client, admin: Client) -> None:
    cloud.add_server()
    cloud.break_cell(CELL1)
    with cloud.counted() as statements:
        assert _quota(client.get(f"{URL}/detail"))["instances"]["in_use"] == 1
    assert len(statements) == 3
    assert admin.put(URL, {"quota_set": {"instances": 0}}).status_code == 400

"""Quota sets, read only."""

from typing import Any

from nova_lite.db.api_tables import QuotaLimitRow
from tests.functional.compute_api.cloud import Client, Cloud

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
    for path in ("", "/detail", "/defaults"):
        assert client.get(f"/os-quota-sets/other{path}").status_code == 403
        assert admin.get(f"/os-quota-sets/other{path}").status_code == 200
    assert client.get(f"{URL}?color=red").status_code == 400
    assert client.get(f"{URL}?user_id=").status_code == 400

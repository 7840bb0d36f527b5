"""Quota classes: the class ``default`` is what every project starts with."""

from typing import Any

import pytest

from nova_lite.db.api_tables import QuotaClassLimitRow
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.test_quota_sets import DEFAULTS

URL = "/os-quota-class-sets/default"
GROUPS = {"server_groups", "server_group_members"}
INJECTED = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
NETWORKING = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}


def _class(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["quota_class_set"]
    return found


def test_the_default_class_stands_before_the_configuration(cloud: Cloud, client: Client, admin: Client) -> None:
    assert _class(admin.get(URL)) == {"id": "default", **DEFAULTS}
    changed = {**DEFAULTS, "instances": 1, "metadata_items": 2}
    # What was set is shown without its name.
    assert _class(admin.put(URL, {"quota_class_set": {"instances": "1", "metadata_items": 2}})) == changed
    assert _class(admin.get(URL)) == {"id": "default", **changed}
    for path in ("", "/defaults", "?user_id=alice"):
        assert client.get(f"/os-quota-sets/demo{path}").json["quota_set"] == {"id": "demo", **changed}
    absolute = client.get("/limits").json["limits"]["absolute"]
    assert (absolute["maxTotalInstances"], absolute["maxServerMeta"]) == (1, 2)
    assert _class(admin.put(URL, {"quota_class_set": {"instances": 5}}))["instances"] == 5
    # What a project was given goes before.
    admin.put("/os-quota-sets/demo", {"quota_set": {"instances": 7}})
    assert client.get("/limits").json["limits"]["absolute"]["maxTotalInstances"] == 7


def test_other_classes_are_kept_and_bind_nobody(client: Client, admin: Client) -> None:
    gold = "/os-quota-class-sets/gold"
    assert _class(admin.get(gold)) == {"id": "gold", **DEFAULTS}
    assert _class(admin.put(gold, {"quota_class_set": {"cores": 1000}}))["cores"] == 1000
    assert _class(admin.get(gold)) == {"id": "gold", **DEFAULTS, "cores": 1000}
    assert _class(admin.get(URL))["cores"] == client.get("/limits").json["limits"]["absolute"]["maxTotalCores"] == 20


@pytest.mark.parametrize(
    ("version", "shown", "settable"),
    [
        ("2.1", DEFAULTS.keys() - GROUPS | INJECTED | NETWORKING, DEFAULTS.keys() | INJECTED | NETWORKING),
        ("2.49", DEFAULTS.keys() - GROUPS | INJECTED | NETWORKING, DEFAULTS.keys() | INJECTED | NETWORKING),
        ("2.50", DEFAULTS.keys() | INJECTED, DEFAULTS.keys() | INJECTED),
        ("2.57", DEFAULTS.keys(), DEFAULTS.keys()),
    ],
)
def test_shape_by_version(cloud: Cloud, version: str, shown: set[str], settable: set[str]) -> None:
    caller = cloud.client("admin:admins", version=version)
    assert _class(caller.get(f"{URL}?color=red")).keys() == {"id", *shown}
    for resource in DEFAULTS.keys() | INJECTED | NETWORKING:
        answer = caller.put(URL, {"quota_class_set": {resource: 3}})
        assert answer.status_code == (200 if resource in settable else 400), resource
        if resource in settable:
            assert answer.json["quota_class_set"].keys() == shown


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"quota_set": {}},
        {"quota_class_set": []},
        {"quota_class_set": {"color": 1}},
        {"quota_class_set": {"force": True}},
        {"quota_class_set": {"cores": -2}},
        {"quota_class_set": {"cores": "-2"}},
        {"quota_class_set": {"cores": 1 << 31}},
        {"quota_class_set": {"cores": "9" * 20}},
        {"quota_class_set": {"cores": "many"}},
        {"quota_class_set": {"cores": None}},
    ],
)
def test_bad_input_is_refused(cloud: Cloud, admin: Client, body: Any) -> None:
    assert admin.put(URL, body).status_code == 400
    assert cloud.rows(cloud.api_db, QuotaClassLimitRow) == []


def test_names_and_queries(client: Client, admin: Client) -> None:
    good = {"quota_class_set": {"cores": 1}}
    assert admin.put(f"/os-quota-class-sets/{'c' * 256}", good).status_code == 400
    assert admin.get(f"{URL}?color=red").status_code == 400
    assert admin.put(f"{URL}?color=red", good).status_code == 200
    assert client.get(URL).status_code == client.put(URL, good).status_code == 403

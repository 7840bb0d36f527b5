"""Who may do what: every route by every kind of caller, against a table that was written by hand."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import config
from nova_lite.model.caller import Caller
from nova_lite.placement import app, policies
from nova_lite.placement.reader import Reader
from nova_lite.storage import Database
from nova_lite.web.policy import RulePolicy
from tests.functional.placement_api.conftest import Client, new_worker

#: Kind of caller → token and roles. All ask about project ``demo``.
CALLERS: dict[str, tuple[str | None, str | None]] = {
    "no token": (None, None),
    "no role": ("joe:demo", ""),
    "reader": ("joe:demo", "reader"),
    "member": ("joe:demo", "member,reader"),
    "manager": ("joe:demo", "manager,member,reader"),
    "reader elsewhere": ("joe:other", "reader"),
    "member elsewhere": ("joe:other", "member,reader"),
    "admin": ("ops:ops", "admin,manager,member,reader"),
    "service": ("nova:service", "service"),
}
ANYONE = frozenset(CALLERS)
OPERATORS = frozenset({"admin", "service"})
SERVICES = frozenset({"service"})
READERS = OPERATORS | {"reader", "member", "manager"}

#: A route → the kinds of callers it lets in. One that is missing here fails the test.
GOLDEN = {
    "GET /": ANYONE,
    "GET /resource_classes": OPERATORS,
    "POST /resource_classes": OPERATORS,
    "GET /resource_classes/{name}": OPERATORS,
    "PUT /resource_classes/{name}": OPERATORS,
    "DELETE /resource_classes/{name}": OPERATORS,
    "GET /resource_providers": OPERATORS,
    "POST /resource_providers": OPERATORS,
    "GET /resource_providers/{uuid}": OPERATORS,
    "PUT /resource_providers/{uuid}": OPERATORS,
    "DELETE /resource_providers/{uuid}": OPERATORS,
    "GET /resource_providers/{uuid}/inventories": OPERATORS,
    "POST /resource_providers/{uuid}/inventories": OPERATORS,
    "PUT /resource_providers/{uuid}/inventories": OPERATORS,
    "DELETE /resource_providers/{uuid}/inventories": OPERATORS,
    "GET /resource_providers/{uuid}/inventories/{resource_class}": OPERATORS,
    "PUT /resource_providers/{uuid}/inventories/{resource_class}": OPERATORS,
    "DELETE /resource_providers/{uuid}/inventories/{resource_class}": OPERATORS,
    "GET /resource_providers/{uuid}/usages": OPERATORS,
    "GET /resource_providers/{uuid}/aggregates": OPERATORS,
    "PUT /resource_providers/{uuid}/aggregates": OPERATORS,
    "GET /resource_providers/{uuid}/allocations": OPERATORS,
    "GET /resource_providers/{uuid}/traits": OPERATORS,
    "PUT /resource_providers/{uuid}/traits": OPERATORS,
    "DELETE /resource_providers/{uuid}/traits": OPERATORS,
    "POST /allocations": OPERATORS,
    "GET /allocations/{uuid}": OPERATORS,
    "PUT /allocations/{uuid}": OPERATORS,
    "DELETE /allocations/{uuid}": OPERATORS,
    "GET /allocation_candidates": OPERATORS,
    "GET /traits": OPERATORS,
    "GET /traits/{name}": OPERATORS,
    "PUT /traits/{name}": OPERATORS,
    "DELETE /traits/{name}": OPERATORS,
    "GET /usages": READERS,
    "POST /reshaper": SERVICES,
}
#: Queries that reach the question of who may.
QUERIES = {"GET /usages": "?project_id=demo", "GET /allocation_candidates": "?resources=VCPU:1"}


def routes(database: Database) -> Iterator[str]:
    """Yield every route there is, as "GET /url"."""
    for url, handler in app.routes(database, Reader(database)).items():
        yield from (f"{name[3:].upper()} {url}" for name in dir(handler) if name.startswith("on_"))


def ask(placement: Client, route: str) -> int:
    """Return how a request of ``route`` ends that names things which do not exist."""
    method, url = route.split()
    path = url.format(uuid=uuid.uuid4(), name="CUSTOM_X", resource_class="CUSTOM_X") + QUERIES.get(route, "")
    return int(placement.call(method, path, {} if method in ("PUT", "POST") else None).status_code)


def test_the_table_names_every_route(database: Database) -> None:
    assert set(routes(database)) == set(GOLDEN)


@pytest.mark.parametrize("kind", CALLERS)
def test_who_is_let_in(placement: Client, kind: str) -> None:
    token, roles = CALLERS[kind]
    refusal = 401 if token is None else 403
    caller = placement.as_user(token, roles)
    wrong = {}
    for route, let_in in GOLDEN.items():
        status = ask(caller, route)
        if (status == refusal) == (kind in let_in) or status >= 500:
            wrong[route] = status
    assert wrong == {}


def test_usages_of_another_project_are_not_shown(placement: Client) -> None:
    reader = placement.as_user("joe:demo", "reader")
    assert reader.get("/usages?project_id=demo").status_code == 200
    assert reader.get("/usages?project_id=other").status_code == 403
    assert placement.get("/usages?project_id=other").status_code == 200


def test_the_role_comes_from_the_token_alone_where_none_is_named(placement: Client) -> None:
    assert placement.as_user("admin:demo").get("/traits").status_code == 200
    assert placement.as_user("demo:admin").get("/traits").status_code == 403
    assert placement.as_user("admin:demo", "").get("/traits").status_code == 403


@pytest.mark.parametrize("rule", [rule.name for rule in policies.RULES])
def test_tokens_of_no_project_are_refused(rule: str) -> None:
    policy = RulePolicy(config.load(files=[]), (*policies.BLOCKS, *policies.RULES))
    roles = frozenset({"admin", "service", "reader"})
    of_project = Caller("joe", "demo", roles, "req-1", policy)
    assert of_project.may(rule, project_id="demo")
    assert not replace(of_project, project_id="", system_scope="all").may(rule, project_id="demo")
    assert not replace(of_project, project_id="", domain_id="default").may(rule, project_id="demo")


@pytest.fixture
def ruled(tmp_path: Path, database: Database) -> tuple[Client, Path]:
    """A Placement with an operator's policy file, and that file."""
    rules = tmp_path / "policy.yaml"
    settings = tmp_path / "nova-lite.conf"
    settings.write_text(f"[oslo_policy]\npolicy_file = {rules}\n")
    rules.write_text('"placement:traits:list": "role:reader"\n"placement:usages": "!"\n')
    return Client(new_worker(database, [str(settings)])), rules


def test_a_policy_file_opens_and_closes(ruled: tuple[Client, Path]) -> None:
    placement, _ = ruled
    reader = placement.as_user("joe:demo", "reader")
    assert reader.get("/traits").status_code == 200
    assert reader.get("/resource_classes").status_code == 403
    assert placement.get("/usages?project_id=demo").status_code == 403
    assert placement.as_user("ops:ops", "admin").get("/traits").status_code == 403


def test_a_policy_file_may_change_the_building_blocks(ruled: tuple[Client, Path]) -> None:
    placement, rules = ruled
    rules.write_text('"admin_or_service_api": "role:cloud_operator"\n"service_api": "rule:admin_or_service_api"\n')
    deadline = time.monotonic() + 480
    operator = placement.as_user("ops:ops", "cloud_operator")
    while operator.get("/traits").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert operator.get("/traits").status_code == 200
    assert operator.post("/reshaper", {}).status_code == 400
    assert placement.get("/traits").status_code == 403


def test_a_rule_of_a_route_that_is_not_registered_lets_nobody_in(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tuple(rule for rule in policies.RULES if rule.name != "placement:traits:list")
    monkeypatch.setattr(policies, "RULES", kept)
    placement = Client(new_worker(database))
    assert placement.get("/traits").status_code == 500
    assert placement.get("/resource_classes").status_code == 200

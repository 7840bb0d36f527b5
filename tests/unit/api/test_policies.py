"""Who may do what with servers, by role."""

import pytest

from nova_lite import config
from nova_lite.api.policies import registry
from nova_lite.api.policies import servers as rules
from nova_lite.model.caller import Caller
from nova_lite.web.policy import RulePolicy

POLICY = RulePolicy(config.load(files=[]), registry.rules())
LOOKING = (rules.INDEX, rules.DETAIL, rules.SHOW, rules.METADATA_INDEX, rules.METADATA_SHOW)
CHANGING = (
    rules.CREATE, rules.UPDATE, rules.DELETE, rules.START, rules.STOP, rules.REBOOT, rules.CONSOLE_OUTPUT,
    rules.METADATA_CREATE, rules.METADATA_UPDATE, rules.METADATA_UPDATE_ALL, rules.METADATA_DELETE,
)  # fmt: skip
OPERATING = (
    rules.ALL_PROJECTS_INDEX, rules.ALL_PROJECTS_DETAIL, rules.ALL_FILTERS, rules.CREATE_ON_HOST, rules.CREATE_FOR_HOST,
    rules.CREATE_ZERO_DISK, rules.SHOW_EXTENDED, rules.SHOW_HOST_STATUS, rules.UNLOCK_OVERRIDE,
)  # fmt: skip


def caller(*roles: str) -> Caller:
    return Caller("u", "p", frozenset(roles), "req-1", POLICY)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        pytest.param(caller("reader"), {*LOOKING}, id="reader"),
        pytest.param(caller("reader", "member"), {*LOOKING, *CHANGING}, id="member"),
        pytest.param(caller("admin"), {*LOOKING, *CHANGING, *OPERATING}, id="administrator"),
        pytest.param(caller(), set(), id="no role"),
    ],
)
def test_roles_in_their_own_project(who: Caller, allowed: set[str]) -> None:
    assert {rule for rule in (*LOOKING, *CHANGING, *OPERATING) if who.may(rule)} == allowed


@pytest.mark.parametrize("rule", [*LOOKING, *CHANGING])
def test_another_project_is_for_administrators(rule: str) -> None:
    assert not caller("reader", "member").may(rule, project_id="other", user_id="u")
    assert caller("admin").may(rule, project_id="other", user_id="u")


def test_a_token_for_no_project_owns_nothing() -> None:
    def caller(project_id: str) -> Caller:
        return Caller("user", project_id, frozenset({"member", "reader"}), "req-1", POLICY)

    assert caller("project").may("os_compute_api:servers:create")
    assert not caller("").may("os_compute_api:servers:create")

"""Rules of the operator's file over those in code, and files that change while the process runs."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from nova_lite import config, errors
from nova_lite.api.policies import registry
from nova_lite.placement import policies
from nova_lite.web.policy import RulePolicy, unknown_rules

RULES = (
    oslo_policy.RuleDefault("things:show", "rule:project_reader_or_admin"),
    oslo_policy.RuleDefault("things:update", "rule:context_is_admin"),
)
OWN = {"project_id": "demo", "user_id": "joe"}
JOE = {"project_id": "demo", "user_id": "joe", "roles": ["member", "reader"]}
ADMIN = {"project_id": "ops", "user_id": "root", "roles": ["admin"]}


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Files:
    """A policy file and a directory of more, and the policy of an application that is told to read them."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "policy.yaml"
        self.folder = folder / "policy.d"
        self.folder.mkdir()
        self.clock = Clock()
        self._conf_file = folder / "nova-lite.conf"
        self._conf_file.write_text(f"[oslo_policy]\npolicy_file = {self.main}\npolicy_dirs = {self.folder}\n")

    def conf(self) -> cfg.ConfigOpts:
        return config.load(files=[str(self._conf_file)])

    def policy(self) -> RulePolicy:
        return RulePolicy(self.conf(), RULES, clock=self.clock)

    def later(self) -> None:
        """Let enough time pass for the next look at the files."""
        self.clock.now += 1.5


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_defaults_without_a_file(files: Files) -> None:
    policy = files.policy()
    assert policy.allows("things:show", OWN, JOE)
    assert not policy.allows("things:show", {"project_id": "other"}, JOE)
    assert not policy.allows("things:update", OWN, JOE)
    assert policy.allows("things:update", OWN, ADMIN)


def test_the_same_question_has_another_answer_for_another_target_or_caller(files: Files) -> None:
    policy = files.policy()
    for _ in range(2):
        assert policy.allows("things:show", {"project_id": "demo"}, JOE)
        assert not policy.allows("things:show", {"project_id": "other"}, JOE)
        assert not policy.allows("things:show", {"project_id": "demo"}, JOE | {"roles": ["member"]})
        assert not policy.allows("things:show", {"project_id": "demo"}, JOE | {"project_id": "other"})


def test_targets_that_cannot_be_remembered_are_judged_each_time(files: Files) -> None:
    policy = files.policy()
    for _ in range(2):
        assert policy.allows("things:show", {"project_id": "demo", "tags": {"a": 1}}, JOE)
        assert not policy.allows("things:show", {"project_id": "other", "tags": {"a": 1}}, JOE)


def test_a_file_opens_and_closes_rules(files: Files) -> None:
    files.main.write_text('"things:update": "role:member"\n"things:show": "!"\n')
    policy = files.policy()
    assert policy.allows("things:update", OWN, JOE)
    assert not policy.allows("things:show", OWN, ADMIN)


def test_rules_may_ask_for_administrators_as_old_files_do(files: Files) -> None:
    files.main.write_text(
        '"context_is_admin": "role:boss"\n"things:show": "is_admin:True"\n"things:update": "rule:admin_api"\n'
    )
    policy = files.policy()
    for rule in ("things:show", "things:update"):
        assert not policy.allows(rule, OWN, ADMIN)
        assert policy.allows(rule, OWN, {**JOE, "roles": ["boss"]})
        assert not policy.allows(rule, OWN, {**JOE, "is_admin": True}), "nobody says so of themselves"


def test_a_file_that_changes_is_read_again(files: Files) -> None:
    policy = files.policy()
    assert not policy.allows("things:update", OWN, JOE)
    files.main.write_text('"things:update": "role:member"\n')
    files.later()
    assert policy.allows("things:update", OWN, JOE)
    files.main.write_text('"things:update": "role:nobody"\n')
    files.later()
    assert not policy.allows("things:update", OWN, JOE)
    files.main.unlink()
    files.later()
    assert policy.allows("things:update", OWN, ADMIN)


def test_an_older_file_put_in_place_counts_too(files: Files, tmp_path: Path) -> None:
    backup = tmp_path / "backup.yaml"
    backup.write_text('"things:update": "!"\n')
    os.utime(backup, (1_000_000_000, 1_000_000_000))
    files.main.write_text('"things:update": "@"\n')
    policy = files.policy()
    assert policy.allows("things:update", OWN, JOE)
    backup.rename(files.main)
    files.later()
    assert not policy.allows("things:update", OWN, JOE)


def test_files_of_the_directory_come_on_top(files: Files) -> None:
    files.main.write_text('"things:update": "!"\n')
    policy = files.policy()
    assert not policy.allows("things:update", OWN, ADMIN)
    (files.folder / "more.yaml").write_text('"things:update": "role:member"\n')
    files.later()
    assert policy.allows("things:update", OWN, JOE)
    (files.folder / "more.yaml").unlink()
    files.later()
    assert not policy.allows("things:update", OWN, JOE)


def test_no_rule_stands_for_a_deprecated_one() -> None:
    """oslo.policy would write into it, and all applications of a process share the rules."""
    assert not [rule.name for rule in (*registry.rules(), *policies.RULES) if rule.deprecated_rule]


def test_an_application_changes_no_rule_that_others_share(files: Files) -> None:
    files.main.write_text('"things:update": "role:member"\n')
    known = [vars(rule).copy() for rule in RULES]
    assert files.policy().allows("things:update", OWN, JOE)
    assert [vars(rule) for rule in RULES] == known
    files.main.unlink()
    assert not files.policy().allows("things:update", OWN, JOE)


@pytest.mark.parametrize("broken", ["{", "- a list", '"things:update": 3', "word"])
def test_a_broken_file_leaves_the_rules_as_they_were(
    files: Files, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    files.main.write_text('"things:update": "role:member"\n')
    policy = files.policy()
    files.main.write_text(broken)
    files.later()
    with caplog.at_level(logging.ERROR):
        assert policy.allows("things:update", OWN, JOE)
    assert "not taken over" in caplog.text
    files.main.write_text('"things:update": "!"\n')
    files.later()
    assert not policy.allows("things:update", OWN, JOE)


@pytest.mark.parametrize("broken", ["{", "- a list", '"things:update": 3', "word"])
def test_a_broken_file_at_start_is_told(files: Files, broken: str) -> None:
    files.main.write_text(broken)
    with pytest.raises(errors.Misconfigured, match="policy file"):
        files.policy()


def test_unknown_rules_are_warned_about(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.main.write_text('"things:shwo": "@"\n"my_helper": "role:x"\n"things:update": "rule:my_helper"\n')
    with caplog.at_level(logging.WARNING):
        files.policy()
    assert "things:shwo" in caplog.text
    assert "my_helper" not in caplog.text


@pytest.mark.parametrize(
    ("written", "unknown"),
    [
        pytest.param({"a:x": "@"}, [], id="registered"),
        pytest.param({"a:y": "@"}, ["a:y"], id="misspelt"),
        pytest.param({"b:y": "@"}, [], id="another API's"),
        pytest.param({"helper": "@", "a:x": "(rule:helper or role:z)"}, [], id="named by another"),
        pytest.param({"helper": "@"}, ["helper"], id="named by none"),
    ],
)
def test_what_is_unknown(written: dict[str, str], unknown: list[str]) -> None:
    assert unknown_rules(written, ["a:x", "admin_api"]) == unknown


def test_plugins_are_loaded_by_the_rules_that_need_them(files: Files) -> None:
    """What a rule of a plugin's kind is judged by is there, though nothing loaded it before."""
    files.main.write_text('"things:update": "http://127.0.0.1:1/nobody"\n')
    policy = files.policy()
    # Nobody answers there, so nobody is let in: by the check, for an unknown kind would not try to connect.
    with pytest.raises(requests.exceptions.ConnectionError):
        policy.allows("things:update", OWN, ADMIN)


def test_rules_alone_load_no_http_client() -> None:
    program = "import sys; from nova_lite.web import policy; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=480)
    assert done.stdout == "False\n"

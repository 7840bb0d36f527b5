"""Policy by oslo.policy: the rules an API registers, plus the operator's policy file and directories.

A changed file is taken into account within a second, by every worker on its own. One that cannot be read keeps the
rules that were in force and is complained about; at start it stops the process instead.
"""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_policy import _checks
from oslo_policy import policy as oslo_policy

from nova_lite import errors

_log = logging.getLogger(__name__)


class _ChecksOnDemand(dict[str, Any]):
    """Kinds of checks that come as plugins, each loaded when a rule is of that kind.

    oslo.policy loads them all with the first rule it reads: with ``http:`` checks, which few ever write, comes an HTTP
    client, and that is 8 MiB in every worker.
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, EntryPoint] = {each.name: each for each in entry_points(group="oslo.policy.rule_checks")}

    def __contains__(self, kind: object) -> bool:
        return kind in self._found

    def __missing__(self, kind: str) -> Any:
        self[kind] = self._found[kind].load()
        return self[kind]


if _checks.extension_checks is None:
    _checks.extension_checks = _ChecksOnDemand()

# Rules are read as they are made, so whoever makes some takes these, and the above comes first.
RuleDefault = oslo_policy.RuleDefault
DocumentedRuleDefault = oslo_policy.DocumentedRuleDefault

#: Building blocks every API's rules may name.
BASE_RULES = (
    RuleDefault("context_is_admin", "role:admin", "Who counts as an administrator."),
    RuleDefault("admin_api", "is_admin:True", "No rule's default: policy files of old name it."),
    RuleDefault("project_member_api", "role:member and project_id:%(project_id)s", "A member, in their own project."),
    RuleDefault("project_reader_api", "role:reader and project_id:%(project_id)s", "A reader, in their own project."),
    RuleDefault(
        "project_member_or_admin",
        "rule:project_member_api or rule:context_is_admin",
        "Default rule of actions that change what a project owns.",
    ),
    RuleDefault(
        "project_reader_or_admin",
        "rule:project_reader_api or rule:context_is_admin",
        "Default rule of actions that look at what a project owns.",
    ),
    RuleDefault(
        "project_manager_api", "role:manager and project_id:%(project_id)s", "A manager, in their own project."
    ),
    RuleDefault(
        "project_manager_or_admin",
        "rule:project_manager_api or rule:context_is_admin",
        "Default rule of what a project's managers may do beyond its members.",
    ),
    RuleDefault("service_api", "role:service", "Another service."),
    RuleDefault(
        "service_or_admin", "rule:service_api or rule:context_is_admin", "Default rule of what other services do."
    ),
    RuleDefault(
        "admin_or_owner",
        "is_admin:True or project_id:%(project_id)s",
        "No rule's default: policy files of old name it.",
    ),
)

#: Seconds between two looks at the policy files.
_LOOK_EVERY_S = 1.0
#: Decisions remembered at most; they are forgotten at each look anyway.
_MAX_DECISIONS = 10_000

#: What oslo.policy raises for a file that may not be read, is no YAML, or is no mapping of names to checks.
_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, cfg.Error)

#: What tells one state of a file from another: path, time of its last change in ns, size, inode.
_State = tuple[str, int, int, int]


@dataclass(frozen=True)
class _Rules:
    """The rules in force, the files they came from, and what they decided since those were last looked at."""

    enforcer: oslo_policy.Enforcer
    files: tuple[_State, ...]
    decisions: dict[object, bool] = field(default_factory=dict)


class RulePolicy:
    """The policy of one API. A rule nobody registered is a bug and raises: it never lets anyone in."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        rules: Iterable[oslo_policy.RuleDefault],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load the rules; raises Misconfigured when a policy file cannot be read."""
        self._conf = conf
        registered = {rule.name: rule for rule in (*BASE_RULES, *rules)}
        self._registered = tuple(registered.values())
        self._clock = clock
        self._looking = threading.Lock()
        # The first makes [oslo_policy] known to ``conf``, which says where the files are.
        oslo_policy.Enforcer(conf)
        try:
            self._rules = self._load(self._files())
        except _UNREADABLE as exc:
            raise errors.Misconfigured(f"policy file: {exc}") from exc
        self._next_look = clock() + _LOOK_EVERY_S

    @property
    def names(self) -> frozenset[str]:
        """Every registered rule."""
        return frozenset(rule.name for rule in self._registered)

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        """Return whether ``credentials`` may do ``action`` on ``target``.

        The answer to the same question is remembered until the policy files are next looked at: judging takes
        longer than most of what is judged.
        """
        rules = self._current()
        question = (action, _frozen(target), _frozen(credentials))
        try:
            known = rules.decisions.get(question)
        except TypeError:  # something in the target cannot be a key
            return _judge(rules.enforcer, action, target, credentials)
        if known is None:
            known = _judge(rules.enforcer, action, target, credentials)
            if len(rules.decisions) < _MAX_DECISIONS:
                rules.decisions[question] = known
        return known

    def _current(self) -> _Rules:
        now = self._clock()
        if now >= self._next_look and self._looking.acquire(blocking=False):
            try:
                self._look()
                self._next_look = now + _LOOK_EVERY_S
            finally:
                self._looking.release()
        return self._rules

    def _look(self) -> None:
        """Take over changed files; forget decisions in any case, for a rule may ask another server."""
        rules = self._rules
        files = self._files()
        if files == rules.files:
            self._rules = _Rules(rules.enforcer, files)
            return
        try:
            self._rules = self._load(files)
        except _UNREADABLE as exc:
            _log.error("The changed policy is not taken over, for it cannot be read: %s", exc)
            self._rules = _Rules(rules.enforcer, files)
        else:
            _log.info("Policy read again: %s", ", ".join(state[0] for state in files) or "no file is left")

    def _load(self, files: tuple[_State, ...]) -> _Rules:
        """Return the rules as the files now say; a new enforcer, so that requests under way see old rules or new."""
        enforcer = oslo_policy.Enforcer(self._conf)
        enforcer.suppress_default_change_warnings = True
        # oslo.policy would take a deep copy of each rule, for it writes into deprecated ones. None of ours is.
        enforcer.registered_rules.update((rule.name, rule) for rule in self._registered)
        enforcer.load_rules()
        # From here on nothing looks at the files but us.
        enforcer.use_conf = False
        written = {name: rule.check_str for name, rule in enforcer.file_rules.items()}
        for name in unknown_rules(written, self.names):
            _log.warning("The policy file has a rule %s, which means nothing here.", name)
        return _Rules(enforcer, files)

    def _files(self) -> tuple[_State, ...]:
        """Return the state of every policy file there is."""
        options = self._conf.oslo_policy
        main = self._conf.find_file(options.policy_file) if options.policy_file else None
        paths = [Path(main)] if main else []
        states = []
        with contextlib.suppress(OSError):
            for name in options.policy_dirs:
                folder = self._conf.find_file(name)
                paths += sorted(Path(folder).iterdir()) if folder else []
        for path in paths:
            # One that went away meanwhile is no file any more; one that may not be read is the loader's to refuse.
            with contextlib.suppress(OSError):
                stat = path.stat()
                states.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(states)


def unknown_rules(written: Mapping[str, str], registered: Iterable[str]) -> list[str]:
    """Return which rules of a policy file have no effect: neither registered nor named by another rule.

    One file may serve several APIs, so names with a prefix of none of the ``registered`` rules are another's.
    """
    known = set(registered)
    prefixes = {_prefix(name) for name in known}
    named = {name for check in written.values() for name in re.findall(r"rule:([^\s()]+)", check)}
    return sorted(name for name in written if name not in known | named and _prefix(name) in prefixes)


def _prefix(name: str) -> str:
    return name.partition(":")[0] if ":" in name else ""


def _judge(
    enforcer: oslo_policy.Enforcer, action: str, target: Mapping[str, object], credentials: Mapping[str, object]
) -> bool:
    """Return whether the rule lets them in; it may ask ``is_admin``, which is what ``context_is_admin`` says."""
    own = {"user_id": credentials.get("user_id"), "project_id": credentials.get("project_id")}
    is_admin = bool(enforcer.authorize("context_is_admin", own, dict(credentials)))
    return bool(enforcer.authorize(action, dict(target), {**credentials, "is_admin": is_admin}))


def _frozen(values: Mapping[str, object]) -> tuple[object, ...]:
    """Return ``values`` as a key: lists of names become tuples; what else cannot be one raises when it is used."""
    return tuple((name, tuple(value) if type(value) is list else value) for name, value in values.items())

"""Policy by oslo.policy: the rules an API registers, plus the operator's policy file."""

import warnings
from collections.abc import Iterable, Mapping

from oslo_config import cfg
from oslo_policy import policy as oslo_policy

#: Building blocks every API's rules may name.
BASE_RULES = (
    oslo_policy.RuleDefault("context_is_admin", "role:admin", "Who counts as an administrator."),
    oslo_policy.RuleDefault("admin_api", "rule:context_is_admin", "Default rule of administrative actions."),
    oslo_policy.RuleDefault(
        "project_member_api", "role:member and project_id:%(project_id)s", "A member, in their own project."
    ),
    oslo_policy.RuleDefault(
        "project_reader_api", "role:reader and project_id:%(project_id)s", "A reader, in their own project."
    ),
    oslo_policy.RuleDefault(
        "project_member_or_admin",
        "rule:project_member_api or rule:context_is_admin",
        "Default rule of actions that change what a project owns.",
    ),
    oslo_policy.RuleDefault(
        "project_reader_or_admin",
        "rule:project_reader_api or rule:context_is_admin",
        "Default rule of actions that look at what a project owns.",
    ),
)


class RulePolicy:
    """The policy of one API. A rule nobody registered is a bug and raises: it never lets anyone in."""

    def __init__(self, conf: cfg.ConfigOpts, rules: Iterable[oslo_policy.RuleDefault]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._enforcer = oslo_policy.Enforcer(conf)
            self._enforcer.suppress_default_change_warnings = True
            self._enforcer.register_defaults([*BASE_RULES, *rules])
            self._enforcer.load_rules()

    @property
    def names(self) -> frozenset[str]:
        """Every registered rule."""
        return frozenset(self._enforcer.registered_rules)

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        """Return whether ``credentials`` may do ``action`` on ``target``."""
        return bool(self._enforcer.authorize(action, dict(target), dict(credentials)))

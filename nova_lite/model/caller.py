"""Who makes a request, and what policy lets them do. No I/O: who the caller is, ``web/caller.py`` finds out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from nova_lite import errors


class Policy(Protocol):
    """Decides whether credentials may do an action on a target."""

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        """Return whether ``credentials`` may do ``action`` on ``target``."""
        ...


@dataclass(frozen=True)
class Caller:
    """One authenticated caller, with the policy that judges them.

    ``request_id`` is ours; ``global_request_id`` is the one a calling service sent along, or None.
    """

    user_id: str
    project_id: str
    roles: frozenset[str]
    request_id: str
    policy: Policy = field(repr=False, compare=False)
    global_request_id: str | None = None
    token: str | None = field(default=None, repr=False)
    service_roles: frozenset[str] = frozenset()
    system_scope: str | None = None
    domain_id: str | None = None
    user_domain_id: str | None = None
    project_domain_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether policy counts the caller as an administrator (rule ``context_is_admin``)."""
        return self.may("context_is_admin")

    @cached_property
    def credentials(self) -> Mapping[str, object]:
        """What policy rules can look at."""
        credentials: dict[str, object] = {
            "user_id": self.user_id,
            # None for a token without a project: no project is its own, not even the one without a name.
            "project_id": self.project_id or None,
            "roles": sorted(self.roles),
            "service_roles": sorted(self.service_roles),
            "user_domain_id": self.user_domain_id,
            "project_domain_id": self.project_domain_id,
        }
        if self.system_scope:
            credentials["system_scope"] = self.system_scope
        if self.domain_id:
            credentials["domain_id"] = self.domain_id
        return credentials

    def may(self, action: str, **target: object) -> bool:
        """Return whether policy lets the caller do ``action``; the target defaults to what is the caller's own."""
        return self.policy.allows(action, target or self._own_target(), self.credentials)

    def require(self, action: str, **target: object) -> None:
        """Raise Forbidden, naming the rule, unless policy lets the caller do ``action``."""
        if not self.may(action, **target):
            raise errors.Forbidden(f"Policy doesn't allow {action} to be performed.", action=action)

    def _own_target(self) -> dict[str, object]:
        return {"user_id": self.user_id, "project_id": self.project_id}

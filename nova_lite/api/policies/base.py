"""Who may do what, by role: readers look, members change what is their project's, admins do the rest.

The other modules here hold the rules of one noun each; operators override any of them in their policy file.
The roles themselves (``project_reader_or_admin`` and so on) are registered by ``web/policy.py`` for both APIs.
"""

from collections.abc import Sequence

from oslo_policy import policy as oslo_policy

PROJECT_READER_OR_ADMIN = "rule:project_reader_or_admin"
PROJECT_MEMBER_OR_ADMIN = "rule:project_member_or_admin"
PROJECT_MANAGER_OR_ADMIN = "rule:project_manager_or_admin"
ADMIN = "rule:context_is_admin"
#: What other services do by themselves.
SERVICE_OR_ADMIN = "rule:service_or_admin"
#: What belongs to a user rather than to a project.
OWNER_OR_ADMIN = "rule:context_is_admin or user_id:%(user_id)s"
ANYONE = "@"
NOBODY = "!"
#: Whose tokens are let in at all: those of a project, none of the whole system or of a domain.
_SCOPES = ("project",)


def rule(name: str, who: str, about: str, *, scopes: Sequence[str] = _SCOPES) -> oslo_policy.RuleDefault:
    """Return one rule: its name, who it lets in, and what it is about, in words for operators.

    A token of a scope not in ``scopes`` is let in by nothing; without any every token may be.
    """
    return oslo_policy.RuleDefault(name, who, about, scope_types=list(scopes) or None)

"""Who may do what, by role: readers look, members change what is their project's, admins do the rest.

The other modules here hold the rules of one noun each; operators override any of them in their policy file.
The roles themselves (``project_reader_or_admin`` and so on) are registered by ``web/policy.py`` for both APIs.
"""

from oslo_policy import policy as oslo_policy

PROJECT_READER_OR_ADMIN = "rule:project_reader_or_admin"
PROJECT_MEMBER_OR_ADMIN = "rule:project_member_or_admin"
PROJECT_MANAGER_OR_ADMIN = "rule:context_is_admin or (role:manager and project_id:%(project_id)s)"
ADMIN = "rule:context_is_admin"
#: What other services do by themselves.
SERVICE_OR_ADMIN = "rule:context_is_admin or role:service"
#: What belongs to a user rather than to a project.
OWNER_OR_ADMIN = "rule:context_is_admin or user_id:%(user_id)s"
ANYONE = "@"
NOBODY = "!"


def rule(name: str, who: str, about: str) -> oslo_policy.RuleDefault:
    """Return one rule: its name, who it lets in, and what it is about, in words for operators."""
    return oslo_policy.RuleDefault(name, who, about)

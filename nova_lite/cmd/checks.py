"""What ``nova-lite-status`` and ``placement_db upgrade_check`` share: telling checks, and that of a policy file."""

from collections.abc import Callable, Sequence

from nova_lite import errors
from nova_lite.cmd.output import reason, rendered
from nova_lite.model.checks import Check, Level


def told(found: Sequence[Check], form: str) -> int:
    """Print checks as a table, JSON or CSV; return the worst level, which is the exit code."""
    rows = [(check.name, check.level.name.lower(), check.details) for check in found]
    print(rendered(("Check", "Result", "Details"), rows, form))
    return int(max(check.level for check in found))


def policy(load: Callable[[], object]) -> Check:
    """Return whether the policy file that ``load`` reads can be used."""
    try:
        load()
    except errors.Misconfigured as exc:
        return Check("policy file", Level.FAILURE, reason(exc))
    return Check("policy file", Level.SUCCESS)

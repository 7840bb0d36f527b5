"""How it looks who may use a private flavor."""

from collections.abc import Sequence


def many(flavor_id: str, projects: Sequence[str]) -> dict[str, object]:
    """Return the projects that may use a flavor."""
    return {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": project_id} for project_id in projects]}

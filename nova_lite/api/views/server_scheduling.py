"""How the search for a server's host looks."""

from nova_lite.api.services.server_scheduling import Scheduling


def one(found: Scheduling) -> dict[str, object]:
    """Return the document of one search."""
    return {"scheduling": {"state": found.state, "host": found.host, "explanation": found.explained}}

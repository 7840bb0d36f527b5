"""Requests to a Compute API as they go over the wire, the same for both servers."""

from benchmarks.listing.cloud import PROJECT, USER

#: What the newest openstacksdk asks for by itself.
VERSION = "2.96"


def request(path: str, *, project_id: str = PROJECT, user: str = USER) -> bytes:
    """Return one GET below ``/v2.1``."""
    lines = (
        f"GET /v2.1{path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Auth-Token: {user}:{project_id}",
        "Accept: application/json",
        f"OpenStack-API-Version: compute {VERSION}",
    )
    return "\r\n".join((*lines, "", "")).encode()

"""Requests to a Compute API as they go over the wire, the same for both servers."""

from benchmarks.listing.cloud import PROJECT, USER
from benchmarks.placement.wire import encoded

#: What the newest openstacksdk asks for by itself.
VERSION = "2.96"


def request(path: str, *, project_id: str = PROJECT, user: str = USER) -> bytes:
    """Return one GET below ``/v2.1``."""
    headers = {"X-Auth-Token": f"{user}:{project_id}", "OpenStack-API-Version": f"compute {VERSION}"}
    return encoded("GET", f"/v2.1{path}", headers)

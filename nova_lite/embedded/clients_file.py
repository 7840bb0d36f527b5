"""The ``clouds.yaml`` with which unmodified OpenStack clients find an embedded cloud."""

import json
from pathlib import Path

from nova_lite.embedded import state
from nova_lite.embedded.configuration import ADMIN

#: The cloud's name for its administrator, and for a user without special rights.
ADMIN_CLOUD = "nova-lite"
USER_CLOUD = "nova-lite-demo"
_USERS = {ADMIN_CLOUD: ADMIN, USER_CLOUD: "demo"}


def write(path: Path, compute_url: str, placement_url: str, image_url: str) -> None:
    """Write the file; it is JSON, which is YAML too."""
    clouds = {name: _cloud(token, compute_url, placement_url, image_url) for name, token in _USERS.items()}
    state.write(path, json.dumps({"clouds": clouds}, indent=2).encode() + b"\n")


def _cloud(token: str, compute_url: str, placement_url: str, image_url: str) -> dict[str, object]:
    """Return one cloud. There is no identity service: the token is the user's name, the endpoints stand here."""
    return {
        "auth_type": "admin_token",
        "auth": {"endpoint": compute_url, "token": token},
        "compute_endpoint_override": compute_url,
        "placement_endpoint_override": placement_url,
        "image_endpoint_override": image_url,
    }

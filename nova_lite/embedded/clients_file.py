"""The ``clouds.yaml`` with which unmodified OpenStack clients find an embedded cloud."""

import json
from pathlib import Path

from nova_lite.embedded import state
from nova_lite.embedded.configuration import ADMIN
from nova_lite.embedded.identity_api import REGION

#: The cloud's name for its administrator, and for a user without special rights.
ADMIN_CLOUD = "nova-lite"
USER_CLOUD = "nova-lite-demo"
#: That user, whose project is called so too.
USER = "demo"
_USERS = {ADMIN_CLOUD: ADMIN, USER_CLOUD: USER}


def write(path: Path, identity_url: str) -> None:
    """Write the file; it is JSON, which is YAML too."""
    clouds = {name: _cloud(user, identity_url) for name, user in _USERS.items()}
    state.write(path, json.dumps({"clouds": clouds}, indent=2).encode() + b"\n")


def _cloud(user: str, identity_url: str) -> dict[str, object]:
    return {
        "auth_type": "v3password",
        "auth": {
            "auth_url": f"{identity_url}/v3",
            "username": user,
            "password": "not checked",
            "project_name": user,
            "user_domain_id": "default",
            "project_domain_id": "default",
        },
        "region_name": REGION,
        "identity_api_version": "3",
    }

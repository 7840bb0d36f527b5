"""A filter for the real Nova's paste file: tokens are believed, and every project exists.

Runs in its environment; nova_lite is not there.
"""

import importlib
from collections.abc import Callable
from typing import Any

from benchmarks.listing import beside_nova


def noauth(settings: object, **options: str) -> Callable[[beside_nova.Wsgi], beside_nova.Wsgi]:
    """Return a paste filter that believes a token ``user:project`` and never asks Keystone for a project."""
    identity: Any = importlib.import_module("nova.api.openstack.identity")
    identity.verify_project_id = lambda _context, _project_id: True
    return beside_nova.noauth(settings, **options)

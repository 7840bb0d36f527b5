"""What the real Nova loads beside itself here: tokens are checked as shipped, and no server has networks.

Runs in its environment, named by the paste file that ``real_nova.py`` writes; nova_lite is not there.
"""

import importlib
from collections.abc import Callable
from typing import Any

from benchmarks.listing.beside_nova import Wsgi, without_networks


def checked(settings: dict[str, Any], **options: str) -> Callable[[Wsgi], Wsgi]:
    """Return the paste filter that a deployment has there, with the options of Nova's own configuration."""
    without_networks()
    auth_token: Any = importlib.import_module("keystonemiddleware.auth_token")
    found: Callable[[Wsgi], Wsgi] = auth_token.filter_factory(settings, **options)
    return found

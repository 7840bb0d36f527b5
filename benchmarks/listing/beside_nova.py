"""What the real Nova loads beside itself: a caller without Keystone, and servers without networks.

Runs in its environment, named by the paste file that ``real_nova.py`` writes; nova_lite is not there.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def without_networks() -> None:
    """Have the question for security groups, which would go to Neutron, answered at once: no server has a port here.

    What that costs the real one is left out of its figures.
    """
    groups: Any = importlib.import_module("nova.network.security_group_api")
    groups.get_instances_security_groups_bindings = lambda *_args, **_named: {}


def noauth(_settings: object, **_options: str) -> Callable[[Wsgi], Wsgi]:
    """Return a paste filter that believes a token ``user:project``, as ours does with ``auth_strategy = noauth2``."""
    without_networks()

    def around(app: Wsgi) -> Wsgi:
        def believing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            user, _, project = environ.get("HTTP_X_AUTH_TOKEN", "").partition(":")
            roles = "admin,member,reader" if user == "admin" else "member,reader"
            environ["HTTP_X_USER_ID"] = user
            environ["HTTP_X_PROJECT_ID"] = project or user
            environ["HTTP_X_ROLES"] = roles
            environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
            return app(environ, start_response)

        return believing

    return around

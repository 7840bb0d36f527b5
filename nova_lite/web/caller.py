"""Who is calling: turns a request's headers into a ``Caller``, by Keystone or by the token's own words."""

import abc
import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import falcon
from oslo_config import cfg

from nova_lite import errors
from nova_lite.model.caller import Caller, Policy

_NOAUTH_TOKEN = re.compile(r"[^\s:\x00-\x1f\x7f]{1,255}(?::[^\s:\x00-\x1f\x7f]{0,255})?")

_NO_ROLES: frozenset[str] = frozenset()
_ROLES = frozenset({"reader", "member"})
_ADMIN_ROLES = frozenset({"reader", "member", "admin"})
_SERVICE_ROLES = frozenset({"service"})


class Authenticator(abc.ABC):
    """Finds the caller of a request, or answers 401."""

    @abc.abstractmethod
    def caller(self, req: falcon.Request, request_id: str, global_request_id: str | None) -> Caller:
        """Return who makes ``req``; raises falcon.HTTPUnauthorized, or Unavailable when nobody can tell now."""


def unauthorized(challenge: str | None = None) -> falcon.HTTPUnauthorized:
    """Return the 401 every API answers to a request without a good token."""
    return falcon.HTTPUnauthorized(
        title="Unauthorized",
        description="The request you have made requires authentication.",
        challenges=[challenge] if challenge else None,
    )


class NoAuth(Authenticator):
    """``noauth2``: the token says who calls, ``user`` or ``user:project``. For trying and testing only.

    With ``roles_header`` a request may name its roles, too: ``X-Roles: reader,service``.
    """

    def __init__(self, policy: Policy, *, roles_header: bool = False) -> None:
        self._policy = policy
        self._roles_header = roles_header

    def caller(self, req: falcon.Request, request_id: str, global_request_id: str | None) -> Caller:
        """Return the caller the token names; user ``admin`` is the administrator."""
        token = req.get_header("X-Auth-Token")
        if token is None or _NOAUTH_TOKEN.fullmatch(token) is None:
            raise unauthorized()
        user_id, _, project_id = token.partition(":")
        named = req.env.get("HTTP_X_ROLES") if self._roles_header else None
        return Caller(
            user_id=user_id,
            project_id=project_id or user_id,
            roles=(_ADMIN_ROLES if user_id == "admin" else _ROLES) if named is None else _names(named),
            request_id=request_id,
            global_request_id=global_request_id,
            token=token,
            service_roles=_SERVICE_ROLES if user_id == "admin" else _NO_ROLES,
            policy=self._policy,
        )


class KeystoneAuth(Authenticator):
    """Tokens checked by keystonemiddleware, with the options of ``[keystone_authtoken]``."""

    def __init__(self, conf: cfg.ConfigOpts, policy: Policy) -> None:
        # Slow to import, and not needed where nobody checks tokens.
        from keystonemiddleware import auth_token  # noqa: PLC0415

        self._policy = policy
        # With a delayed decision it would take an unreachable Keystone for a bad token: 401 instead of 503.
        # Nobody here looks into a caller's catalog, which would be written anew into the headers of each request.
        options = {"oslo_config_config": conf, "delay_auth_decision": False, "include_service_catalog": False}
        self._middleware = auth_token.AuthProtocol(_accept, options)
        _require_memcached(conf)

    def caller(self, req: falcon.Request, request_id: str, global_request_id: str | None) -> Caller:
        """Return the caller Keystone vouches for."""
        env = req.env
        self._run_middleware(env)
        if env.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
            raise unauthorized()
        return Caller(
            # What a token has not is None there: in a question that would mean anybody's.
            user_id=env.get("HTTP_X_USER_ID") or "",
            project_id=env.get("HTTP_X_PROJECT_ID") or "",
            roles=_names(env.get("HTTP_X_ROLES")),
            request_id=request_id,
            global_request_id=global_request_id,
            token=env.get("HTTP_X_AUTH_TOKEN"),
            service_roles=(
                _names(env.get("HTTP_X_SERVICE_ROLES"))
                if env.get("HTTP_X_SERVICE_IDENTITY_STATUS") == "Confirmed"
                else _NO_ROLES
            ),
            system_scope=_system_scope(env),
            domain_id=env.get("HTTP_X_DOMAIN_ID"),
            user_domain_id=env.get("HTTP_X_USER_DOMAIN_ID"),
            project_domain_id=env.get("HTTP_X_PROJECT_DOMAIN_ID"),
            policy=self._policy,
        )

    def _run_middleware(self, env: dict[str, Any]) -> None:
        """Run keystonemiddleware on ``env``; it replaces the identity headers by what Keystone said."""
        answers: list[tuple[str, dict[str, str]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
            answers.append((status, {name.lower(): value for name, value in headers}))

        for _ in self._middleware(env, start_response):
            pass
        status, headers = answers[-1]
        if status.startswith("401"):
            raise unauthorized(headers.get("www-authenticate"))
        if not status.startswith("200"):
            raise errors.Unavailable("The identity service does not answer.", status=status)


def _system_scope(env: Mapping[str, Any]) -> str | None:
    """Return what the user's token is of: keystonemiddleware's header is of the service's, where there is one."""
    token = env["keystone.token_auth"].user
    return "all" if token.system_scoped else None


def _accept(env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """End of the road for keystonemiddleware: all that counts is what it wrote into ``env``."""
    start_response("200 OK", [])
    return []


def _require_memcached(conf: cfg.ConfigOpts) -> None:
    """Raise Misconfigured where tokens are to be kept in memcached and the package that speaks to it is missing.

    keystonemiddleware looks for it only when it has a token to keep.
    """
    group = conf.keystone_authtoken
    if not group.memcached_servers:
        return
    name = "bmemcached" if group.memcache_sasl_enabled else "memcache"
    try:
        importlib.import_module(name)
    except ImportError as exc:
        package = f"python-{'binary-' if group.memcache_sasl_enabled else ''}memcached"
        raise errors.Misconfigured(f"[keystone_authtoken] memcached_servers: {package} is not installed") from exc


def _names(header: str | None) -> frozenset[str]:
    return frozenset(name.strip() for name in (header or "").split(",") if name.strip())


def authenticator(conf: cfg.ConfigOpts, policy: Policy, *, roles_header: bool = False) -> Authenticator:
    """Return the authenticator ``[api] auth_strategy`` names; ``roles_header`` is for ``noauth2``, see there."""
    strategy = conf.api.auth_strategy
    if strategy == "noauth2":
        return NoAuth(policy, roles_header=roles_header)
    if strategy == "keystone":
        return KeystoneAuth(conf, policy)
    raise errors.Misconfigured(f"[api] auth_strategy: {strategy!r} is neither keystone nor noauth2")

"""What a proxy in front of an API says of the request it passes on: by which scheme, host and path clients reach us.

Believed only where ``[oslo_middleware] enable_proxy_headers_parsing`` says that a proxy sets these headers, for anyone
could send them.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from oslo_config import cfg

Wsgi: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: What may stand in links: a name or an address, and a port.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_SCHEMES = frozenset({"http", "https"})


def behind_proxy(conf: cfg.ConfigOpts, app: Wsgi) -> Wsgi:
    """Return ``app`` as it is, or believing the headers of the proxy that ``conf`` says is before it."""
    return _ProxyHeaders(app) if conf.oslo_middleware.enable_proxy_headers_parsing else app


class _ProxyHeaders:
    """WSGI middleware: ``Forwarded``, else ``X-Forwarded-Proto`` and ``-Host``; ``X-Forwarded-Prefix`` beside either.

    Of several proxies the first counts, the one clients know. What is no scheme, host or path is not believed.
    """

    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        forwarded = env.get("HTTP_FORWARDED")
        if forwarded:
            said = _first_of(forwarded)
            scheme, host = said.get("proto", ""), said.get("host", "")
        else:
            scheme, host = _first(env.get("HTTP_X_FORWARDED_PROTO")), _first(env.get("HTTP_X_FORWARDED_HOST"))
        if scheme.lower() in _SCHEMES:
            env["wsgi.url_scheme"] = scheme.lower()
        if _HOST.fullmatch(host):
            env["HTTP_HOST"] = host
        prefix = _first(env.get("HTTP_X_FORWARDED_PREFIX")).rstrip("/")
        if _PREFIX.fullmatch(prefix):
            env["SCRIPT_NAME"] = prefix + env.get("SCRIPT_NAME", "")
        return self._app(env, start_response)


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()


def _first_of(forwarded: str) -> dict[str, str]:
    """Return what the first proxy of a ``Forwarded`` header (RFC 7239) says."""
    pairs = (part.partition("=") for part in _first(forwarded).split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}

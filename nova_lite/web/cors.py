"""Cross-origin requests: which pages' scripts a browser lets talk to an API, by the options of ``[cors]``."""

from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from nova_lite.web.proxies import Wsgi

_Headers = list[tuple[str, str]]

#: What browsers let scripts send anywhere.
_SIMPLE_HEADERS = frozenset(
    {
        "accept",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    }
)


def shared(conf: cfg.ConfigOpts, app: Wsgi) -> Wsgi:
    """Return ``app`` as it is, or shared with the origins that ``[cors] allowed_origin`` names."""
    return _Cors(app, conf.cors) if conf.cors.allowed_origin else app


class _Cors:
    """WSGI middleware: tells browsers what they ask before a request, and in answers whose scripts may read them."""

    def __init__(self, app: Wsgi, options: Any) -> None:
        self._app = app
        self._origins = frozenset(options.allowed_origin)
        self._methods = frozenset(options.allow_methods)
        self._headers = frozenset(name.lower() for name in options.allow_headers) | _SIMPLE_HEADERS
        self._max_age = options.max_age
        self._exposed = ",".join(options.expose_headers)
        self._with_credentials = options.allow_credentials

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = env.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if env["REQUEST_METHOD"] == "OPTIONS" and method is not None:
            # Browsers ask without a token; what they may not do they are not told.
            start_response(
                "200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0"), *self._before(env, method)]
            )
            return []
        permission = self._permission(env)
        if self._exposed and len(permission) > 1:
            permission.append(("Access-Control-Expose-Headers", self._exposed))

        def start(status: str, headers: _Headers, *exc_info: Any) -> Any:
            return start_response(status, [*headers, *permission], *exc_info)

        return self._app(env, start)

    def _permission(self, env: dict[str, Any]) -> _Headers:
        """Return the headers that let the request's origin read the answer; caches hear that it depends on it."""
        origin = env.get("HTTP_ORIGIN")
        vary = ("Vary", "Origin")
        if origin is None or not {origin, "*"} & self._origins:
            return [vary]
        headers = [vary, ("Access-Control-Allow-Origin", origin if origin in self._origins else "*")]
        if self._with_credentials:
            headers.append(("Access-Control-Allow-Credentials", "true"))
        return headers

    def _before(self, env: dict[str, Any], method: str) -> _Headers:
        permission = self._permission(env)
        named = [name.strip() for name in env.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").split(",")]
        wanted = [name for name in named if name]
        if len(permission) == 1 or method not in self._methods or {name.lower() for name in wanted} - self._headers:
            return permission[:1]
        if self._max_age:
            permission.append(("Access-Control-Max-Age", str(self._max_age)))
        permission.append(("Access-Control-Allow-Methods", method))
        if wanted:
            permission.append(("Access-Control-Allow-Headers", ",".join(wanted)))
        return permission

"""What uWSGI leaves to applications, and does for them unasked.

It reads chunked bodies only for those who ask it to, and believes anyone's ``X-Forwarded-Proto`` and ``-SSL``.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from nova_lite.web.proxies import Wsgi


def fit(app: Wsgi) -> Wsgi:
    """Return ``app``; under uWSGI as it is under other servers."""
    try:
        server: Any = importlib.import_module("uwsgi")
    except ImportError:
        return app
    return UnderUwsgi(app, server.chunked_read)


class UnderUwsgi:
    """WSGI middleware: chunks, read by ``read_chunk``, become a body whose end is known; the scheme is the server's."""

    def __init__(self, app: Wsgi, read_chunk: Callable[[], bytes]) -> None:
        self._app = app
        self._read_chunk = read_chunk

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        coding = env.get("HTTP_TRANSFER_ENCODING", "")
        # With a length besides, whatever was before us may have believed the other one.
        if coding.strip().lower() == "chunked" and not env.get("CONTENT_LENGTH"):
            env["wsgi.input"] = _Body(self._read_chunk)
            env["wsgi.input_terminated"] = True
        if "HTTP_X_FORWARDED_PROTO" in env or "HTTP_X_FORWARDED_SSL" in env:
            # Whether to believe it the configuration says, and comes later.
            is_secure = env.get("HTTPS", "").lower() in ("on", "1")
            env["wsgi.url_scheme"] = env.get("UWSGI_SCHEME") or ("https" if is_secure else "http")
        return self._app(env, start_response)


class _Body:
    """A body that is read forward, once."""

    def __init__(self, read_chunk: Callable[[], bytes]) -> None:
        self._read_chunk = read_chunk
        self._kept = b""

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end. Raises OSError where the chunks are none."""
        while len(self._kept) < size and (chunk := self._read_chunk()):
            self._kept += chunk
        found, self._kept = self._kept[:size], self._kept[size:]
        return found

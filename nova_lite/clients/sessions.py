"""The HTTP sessions of clients: ``requests`` without what it does anew for each request and always finds the same.

By itself it looks at each request for proxies and certificates in the environment, and for a password in ``~/.netrc``:
that costs half as much as the request. Here the environment is asked once for each server, and ``.netrc`` never, for
our neighbours want tokens. A URL that can be sent as it is written is not taken apart and put together again.
"""

import re
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1.session import TCPKeepAliveAdapter
from requests.hooks import default_hooks

#: URLs in which nothing is to be quoted, resolved or translated, and nobody is named.
_PLAIN = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(:[0-9]+)?/(?!.*(^|/)\.)[A-Za-z0-9/._~-]*", re.ASCII)


class LeanSession(requests.Session):
    """To be given to keystoneauth's session in the place of its own; safe for threads."""

    def __init__(self) -> None:
        super().__init__()
        #: Server, and how it may be checked → what the environment says of it.
        self._settings: dict[tuple[object, ...], dict[str, Any]] = {}
        self.auth = _as_it_is  # or .netrc is asked
        for scheme in list(self.adapters):
            self.mount(scheme, TCPKeepAliveAdapter())

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Return what is sent for ``request``, as ``requests`` makes it, without what a plain one does not need."""
        headers = request.headers or {}
        more = request.params or request.files or request.cookies or request.auth or request.json is not None
        more = more or self.params or self.cookies or None in headers.values()  # None takes one of the session's away
        if more or not _PLAIN.fullmatch(str(request.url)):
            return super().prepare_request(request)
        prepared = requests.PreparedRequest()
        prepared.prepare_method(request.method)
        prepared.url = str(request.url)
        prepared.prepare_headers({**self.headers, **headers})
        prepared.prepare_body(request.data, None)
        prepared.hooks = request.hooks or default_hooks()
        prepared._cookies = self.cookies
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return with what settings to send a request to ``url``: what was found when its server was first asked."""
        if proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        server = (*urlsplit(url)[:2], verify, cert)
        if server not in self._settings:
            self._settings[server] = super().merge_environment_settings(url, {}, None, verify, cert)
        return {**self._settings[server], "stream": bool(stream)}


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request

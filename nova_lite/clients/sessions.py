"""The HTTP sessions of clients: ``requests`` without what it does anew for each request and always finds the same.

By itself it looks at each request for proxies and certificates in the environment, and for a password in ``~/.netrc``:
that costs half as much as the request. Here the environment is asked once for each server, and ``.netrc`` never, for
our neighbours want tokens.
"""

from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1.session import TCPKeepAliveAdapter


class LeanSession(requests.Session):
    """To be given to keystoneauth's session in the place of its own; safe for threads."""

    def __init__(self) -> None:
        super().__init__()
        #: Server, and how it may be checked → what the environment says of it.
        self._settings: dict[tuple[object, ...], dict[str, Any]] = {}
        self.auth = _as_it_is  # or .netrc is asked
        for scheme in list(self.adapters):
            self.mount(scheme, TCPKeepAliveAdapter())

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

"""``/os-volumes_boot``: servers under another name, which they had up to 2.102."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import falcon

from nova_lite.web.endpoint import declared_endpoint
from nova_lite.web.versions import Version

_WITHOUT = Version(2, 103)
_LAST = Version(_WITHOUT.major, _WITHOUT.minor - 1)
_SERVERS = "/servers"
#: What of servers has the other name, too.
_PATHS = (_SERVERS, f"{_SERVERS}/detail", f"{_SERVERS}/{{server_id}}", f"{_SERVERS}/{{server_id}}/action")


def routes(table: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return the other names of what is in the URL table."""
    return [(path.replace(_SERVERS, "/os-volumes_boot", 1), Former(each)) for path, each in table if path in _PATHS]


class Former:
    """Does what another handler does, for those whose version knows the former name."""

    def __init__(self, handler: object) -> None:
        for name, responder in inspect.getmembers(handler, callable):
            if name.startswith("on_"):
                setattr(self, name, _until_last(responder))


def _until_last(responder: Callable[..., object]) -> Callable[..., None]:
    @functools.wraps(responder)
    def run(req: falcon.Request, resp: falcon.Response, **parts: Any) -> None:
        if req.context.version >= _WITHOUT:
            raise falcon.HTTPNotFound(title="Not Found")
        responder(req, resp, **parts)

    declared = declared_endpoint(responder)
    run.endpoint = declared and replace(declared, until=_LAST)  # type: ignore[attr-defined]
    return run

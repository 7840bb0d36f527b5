"""Last-Modified and Cache-Control, from 1.15."""

import time
from email.utils import formatdate

import falcon

from nova_lite.web.versions import Version

_SINCE = Version(1, 15)


def stamp_undated(req: falcon.Request, resp: falcon.Response) -> None:
    """Tell that what is answered may change, of something that has no time of its own."""
    if req.context.version >= _SINCE:
        resp.set_header("Cache-Control", "no-cache")


def stamp(req: falcon.Request, resp: falcon.Response, *updated_at: float) -> None:
    """Tell when what is answered last changed: the youngest of ``updated_at``, or now when that is nothing."""
    if req.context.version >= _SINCE:
        youngest = max(updated_at, default=0.0) or time.time()
        resp.set_header("Last-Modified", formatdate(youngest, usegmt=True))
        resp.set_header("Cache-Control", "no-cache")

"""What Placement's protocol asks of every request, whatever its URL: methods, Accept, Content-Type, Location."""

from functools import lru_cache

import falcon

from nova_lite import errors


class WireRules:
    """Middleware: refuses what no URL takes, before anyone asks who may; ``any_accept`` answer whatever Accept says."""

    def __init__(self, any_accept: tuple[type, ...]) -> None:
        self._any_accept = any_accept
        self._allowed: dict[type, tuple[str, ...]] = {}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise 400 for a body that does not say what it is, even where none is read."""
        if req.method not in falcon.COMBINED_METHODS:
            # No URL takes it; where there is one, the answer tells what it does take.
            req.method = "TRACE"
        length = req.env.get("CONTENT_LENGTH")
        if length and length != "0":
            if not (length.isascii() and length.isdigit()):
                raise errors.Invalid("Content-Length: not a whole number")
            if not req.env.get("CONTENT_TYPE"):
                raise errors.Invalid("Content-Type: required when there is a body")

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        """Raise 404 for a slash at the end, 405 naming the methods there are, or 406 for who takes no JSON."""
        if req.path.endswith("/") and req.path != "/":
            raise falcon.HTTPNotFound(title="Not Found")
        kind = type(resource)
        allowed = self._allowed.get(kind) or self._allowed.setdefault(kind, _methods(kind))
        if req.method not in allowed:
            raise falcon.HTTPMethodNotAllowed(allowed)
        accept = req.env.get("HTTP_ACCEPT")
        if req.method == "GET" and accept and not _takes_json(accept) and not isinstance(resource, self._any_accept):
            raise falcon.HTTPNotAcceptable(description="Only application/json is provided.")

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Make a Location whole: some clients do not resolve it themselves."""
        location = resp.get_header("location")
        if location is not None and location.startswith("/"):
            resp.set_header("location", f"{req.scheme}://{req.netloc}{location}")


def _methods(resource: type) -> tuple[str, ...]:
    return tuple(name[3:].upper() for name in sorted(dir(resource)) if name.startswith("on_"))


@lru_cache(maxsize=256)
def _takes_json(accept: str) -> bool:
    """Return whether ``accept`` admits JSON; one that cannot be understood counts as none."""
    try:
        return falcon.mediatypes.quality(falcon.MEDIA_JSON, accept) > 0.0
    except (falcon.InvalidMediaRange, falcon.InvalidMediaType):
        return True

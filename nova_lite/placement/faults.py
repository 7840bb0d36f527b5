"""How Placement tells an error: ``{"errors": [{status, title, detail, request_id, code}]}``."""

import http

import falcon

from nova_lite.web.app import Fault
from nova_lite.web.versions import Version, VersionNotSupported

UNDEFINED_CODE = "placement.undefined_code"
_CODES_SINCE = Version(1, 23)


def render(fault: Fault, req: falcon.Request) -> dict[str, object]:
    """Return the body that tells ``fault``."""
    entry: dict[str, object] = {
        "status": fault.status,
        "title": http.HTTPStatus(fault.status).phrase,
        "detail": fault.message,
        "request_id": fault.request_id,
    }
    if req.context.version >= _CODES_SINCE:
        entry["code"] = fault.code or UNDEFINED_CODE
    if isinstance(fault.cause, VersionNotSupported):
        entry["max_version"] = str(fault.cause.maximum)
        entry["min_version"] = str(fault.cause.minimum)
    return {"errors": [entry]}

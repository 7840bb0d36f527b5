"""Error kind → status and fault name, as Compute API clients know them."""

from collections.abc import Mapping

import falcon

from nova_lite import errors
from nova_lite.web.app import STATUSES, Fault
from nova_lite.web.versions import VersionNotSupported

#: Status → the key an error body has at its top.
FAULT_NAMES: Mapping[int, str] = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}

STATUS_OF: Mapping[type[errors.NovaLiteError], int] = dict(STATUSES)


def render(fault: Fault, req: falcon.Request) -> object:
    """Return the JSON body that tells ``fault``."""
    if isinstance(fault.cause, VersionNotSupported):
        return _version_choice(fault, fault.cause)
    body: dict[str, object] = {"code": fault.status, "message": fault.message}
    retry_after = fault.headers.get("Retry-After")
    if retry_after is not None:
        body["retryAfter"] = retry_after
    return {FAULT_NAMES.get(fault.status, "computeFault"): body}


def _version_choice(fault: Fault, cause: VersionNotSupported) -> object:
    """Return the body of a 406 that also tells programs what would be accepted."""
    return {
        "computeFault": {
            "code": fault.status,
            "message": fault.message,
            "min_version": str(cause.minimum),
            "max_version": str(cause.maximum),
        }
    }

"""``/os-instance_usage_audit_log`` and ``/os-instance_usage_audit_log/{before}``."""

from datetime import datetime

import falcon

from nova_lite import errors
from nova_lite.api.policies import instance_usage_audit_log as policies
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.instance_usage_audit_log import AuditLogService
from nova_lite.api.views import instance_usage_audit_log as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


class LatestAuditLog:
    """``/os-instance_usage_audit_log``"""

    def __init__(self, logs: AuditLogService) -> None:
        self._logs = logs

    @endpoint(policy=policies.INDEX, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"instance_usage_audit_logs": views.one(self._logs.latest(req.context.caller))})


class AuditLogBefore:
    """``/os-instance_usage_audit_log/{before}``"""

    def __init__(self, logs: AuditLogService) -> None:
        self._logs = logs

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, before: str) -> None:
        found = self._logs.before(req.context.caller, _moment(before))
        send_json(resp, {"instance_usage_audit_log": views.one(found)})


def _moment(text: str) -> datetime:
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - it is UTC, as all moments are
    except ValueError:
        raise errors.Invalid(f"{text[:64]!r} is no moment of the form YYYY-MM-DD hh:mm:ss") from None

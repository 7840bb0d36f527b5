"""Rules of the log of usage audits."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-instance-usage-audit-log:list"
SHOW = "os_compute_api:os-instance-usage-audit-log:show"

RULES = (
    rule(INDEX, ADMIN, "Show what hosts audited of the last month."),
    rule(SHOW, ADMIN, "Show what hosts audited of the last month before a moment."),
)

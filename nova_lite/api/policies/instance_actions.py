"""Rules of what was done to a server."""

from nova_lite.api.policies.base import ADMIN, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:os-instance-actions:list"
SHOW = "os_compute_api:os-instance-actions:show"
EVENTS = "os_compute_api:os-instance-actions:events"
EVENT_DETAILS = "os_compute_api:os-instance-actions:events:details"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "List what was done to a server."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show one thing that was done to a server."),
    rule(EVENTS, ADMIN, "Show on which host an event happened, its traceback, and before 2.51 events at all."),
    rule(EVENT_DETAILS, ADMIN, "Show the details of an event that failed."),
)

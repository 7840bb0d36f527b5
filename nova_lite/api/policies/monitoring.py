"""Rules of what the API tells of itself."""

from nova_lite.api.policies.base import SERVICE_OR_ADMIN, rule

METRICS = "os_compute_api:metrics:show"

RULES = (rule(METRICS, SERVICE_OR_ADMIN, "Read the numbers the API keeps of itself, GET /metrics."),)

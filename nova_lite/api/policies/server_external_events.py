"""Rules of what other services tell of servers."""

from nova_lite.api.policies.base import SERVICE_OR_ADMIN, rule

CREATE = "os_compute_api:os-server-external-events:create"

RULES = (rule(CREATE, SERVICE_OR_ADMIN, "Tell what happened to servers in other services."),)

"""Rules of the services that make up the cloud."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-services:list"
UPDATE = "os_compute_api:os-services:update"
DELETE = "os_compute_api:os-services:delete"

RULES = (
    rule(INDEX, ADMIN, "List services."),
    rule(UPDATE, ADMIN, "Disable, enable or force down a compute service."),
    rule(DELETE, ADMIN, "Delete a service."),
)

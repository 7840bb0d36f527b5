"""Rules of host aggregates."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-aggregates:index"
SHOW = "os_compute_api:os-aggregates:show"
CREATE = "os_compute_api:os-aggregates:create"
UPDATE = "os_compute_api:os-aggregates:update"
DELETE = "os_compute_api:os-aggregates:delete"
ADD_HOST = "os_compute_api:os-aggregates:add_host"
REMOVE_HOST = "os_compute_api:os-aggregates:remove_host"
SET_METADATA = "os_compute_api:os-aggregates:set_metadata"
CACHE_IMAGES = "compute:aggregates:images"

RULES = (
    rule(INDEX, ADMIN, "List host aggregates."),
    rule(SHOW, ADMIN, "Show a host aggregate."),
    rule(CREATE, ADMIN, "Create a host aggregate."),
    rule(UPDATE, ADMIN, "Rename a host aggregate, or make it another availability zone."),
    rule(DELETE, ADMIN, "Delete a host aggregate."),
    rule(ADD_HOST, ADMIN, "Put a host into an aggregate."),
    rule(REMOVE_HOST, ADMIN, "Take a host out of an aggregate."),
    rule(SET_METADATA, ADMIN, "Change a host aggregate's metadata."),
    rule(CACHE_IMAGES, ADMIN, "Bring images to the hosts of an aggregate before servers need them there."),
)

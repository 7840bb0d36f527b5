"""Rules of snapshots that compute helps the block storage service with."""

from nova_lite.api.policies.base import SERVICE_OR_ADMIN, rule

CREATE = "os_compute_api:os-assisted-volume-snapshots:create"
DELETE = "os_compute_api:os-assisted-volume-snapshots:delete"

RULES = (
    rule(CREATE, SERVICE_OR_ADMIN, "Have a server's host snapshot a volume."),
    rule(DELETE, SERVICE_OR_ADMIN, "Have a server's host remove a volume's snapshot."),
)

"""Rules of keypairs: they belong to users, not to projects."""

from nova_lite.api.policies.base import OWNER_OR_ADMIN, rule

INDEX = "os_compute_api:os-keypairs:index"
SHOW = "os_compute_api:os-keypairs:show"
CREATE = "os_compute_api:os-keypairs:create"
DELETE = "os_compute_api:os-keypairs:delete"

RULES = (
    rule(INDEX, OWNER_OR_ADMIN, "List a user's keypairs."),
    rule(SHOW, OWNER_OR_ADMIN, "Show a user's keypair."),
    rule(CREATE, OWNER_OR_ADMIN, "Import or generate a keypair for a user."),
    rule(DELETE, OWNER_OR_ADMIN, "Delete a user's keypair."),
)

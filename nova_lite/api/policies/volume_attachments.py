"""Rules of the volumes of servers."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, SERVICE_OR_ADMIN, rule

INDEX = "os_compute_api:os-volumes-attachments:index"
SHOW = "os_compute_api:os-volumes-attachments:show"
CREATE = "os_compute_api:os-volumes-attachments:create"
UPDATE = "os_compute_api:os-volumes-attachments:update"
SWAP = "os_compute_api:os-volumes-attachments:swap"
DELETE = "os_compute_api:os-volumes-attachments:delete"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "List a server's volumes."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show one of a server's volumes."),
    rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Attach a volume to a server."),
    rule(UPDATE, PROJECT_MEMBER_OR_ADMIN, "Say whether a volume goes with its server."),
    rule(SWAP, SERVICE_OR_ADMIN, "Put a volume in another one's place; for the block storage service."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Detach a volume from a server."),
)

"""Rules of volumes and their snapshots, as old clients reach them here. Whose they are says block storage."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

LIST = "os_compute_api:os-volumes:list"
CREATE = "os_compute_api:os-volumes:create"
DETAIL = "os_compute_api:os-volumes:detail"
SHOW = "os_compute_api:os-volumes:show"
DELETE = "os_compute_api:os-volumes:delete"
SNAPSHOTS_LIST = "os_compute_api:os-volumes:snapshots:list"
SNAPSHOTS_CREATE = "os_compute_api:os-volumes:snapshots:create"
SNAPSHOTS_DETAIL = "os_compute_api:os-volumes:snapshots:detail"
SNAPSHOTS_SHOW = "os_compute_api:os-volumes:snapshots:show"
SNAPSHOTS_DELETE = "os_compute_api:os-volumes:snapshots:delete"

RULES = (
    rule(LIST, PROJECT_READER_OR_ADMIN, "List volumes, up to 2.35."),
    rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Make a volume, up to 2.35."),
    rule(DETAIL, PROJECT_READER_OR_ADMIN, "List volumes with all there is of them, up to 2.35."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a volume, up to 2.35."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a volume, up to 2.35."),
    rule(SNAPSHOTS_LIST, PROJECT_READER_OR_ADMIN, "List snapshots of volumes, up to 2.35."),
    rule(SNAPSHOTS_CREATE, PROJECT_MEMBER_OR_ADMIN, "Make a snapshot of a volume, up to 2.35."),
    rule(SNAPSHOTS_DETAIL, PROJECT_READER_OR_ADMIN, "List snapshots with all there is of them, up to 2.35."),
    rule(SNAPSHOTS_SHOW, PROJECT_READER_OR_ADMIN, "Show a snapshot of a volume, up to 2.35."),
    rule(SNAPSHOTS_DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a snapshot of a volume, up to 2.35."),
)

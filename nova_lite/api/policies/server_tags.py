"""Rules of servers' tags."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

INDEX = "os_compute_api:os-server-tags:index"
SHOW = "os_compute_api:os-server-tags:show"
UPDATE = "os_compute_api:os-server-tags:update"
UPDATE_ALL = "os_compute_api:os-server-tags:update_all"
DELETE = "os_compute_api:os-server-tags:delete"
DELETE_ALL = "os_compute_api:os-server-tags:delete_all"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "Show a server's tags."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Find out whether a server has a tag."),
    rule(UPDATE, PROJECT_MEMBER_OR_ADMIN, "Give a server a tag."),
    rule(UPDATE_ALL, PROJECT_MEMBER_OR_ADMIN, "Replace a server's tags."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Take a tag off a server."),
    rule(DELETE_ALL, PROJECT_MEMBER_OR_ADMIN, "Take all tags off a server."),
)

"""Rules of shares of servers."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

LIST = "os_compute_api:os-server-shares:index"
SHOW = "os_compute_api:os-server-shares:show"
CREATE = "os_compute_api:os-server-shares:create"
DELETE = "os_compute_api:os-server-shares:delete"

RULES = (
    rule(LIST, PROJECT_READER_OR_ADMIN, "List the shares of a server, from 2.97: it has none."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a share of a server, from 2.97: it has none."),
    rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Attach a share to a server, from 2.97: refused."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Detach a share from a server, from 2.97: it has none."),
)

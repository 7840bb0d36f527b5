"""Rules of servers and their metadata and actions."""

from nova_lite.api.policies.base import (
    ADMIN,
    PROJECT_MANAGER_OR_ADMIN,
    PROJECT_MEMBER_OR_ADMIN,
    PROJECT_READER_OR_ADMIN,
    rule,
)

INDEX = "os_compute_api:servers:index"
DETAIL = "os_compute_api:servers:detail"
ALL_PROJECTS_INDEX = "os_compute_api:servers:index:get_all_tenants"
ALL_PROJECTS_DETAIL = "os_compute_api:servers:detail:get_all_tenants"
ALL_FILTERS = "os_compute_api:servers:allow_all_filters"
SHOW = "os_compute_api:servers:show"
SHOW_HOST_STATUS = "os_compute_api:servers:show:host_status"
SHOW_HOST_UNKNOWN = "os_compute_api:servers:show:host_status:unknown-only"
SHOW_EXTRA_SPECS = "os_compute_api:servers:show:flavor-extra-specs"
SHOW_EXTENDED = "os_compute_api:os-extended-server-attributes"
CREATE = "os_compute_api:servers:create"
CREATE_ON_HOST = "os_compute_api:servers:create:forced_host"
CREATE_ZERO_DISK = "os_compute_api:servers:create:zero_disk_flavor"
CREATE_WITH_VOLUMES = "os_compute_api:servers:create:attach_volume"
CREATE_FOR_HOST = "compute:servers:create:requested_destination"
UPDATE = "os_compute_api:servers:update"
DELETE = "os_compute_api:servers:delete"
START = "os_compute_api:servers:start"
STOP = "os_compute_api:servers:stop"
REBOOT = "os_compute_api:servers:reboot"
PAUSE = "os_compute_api:os-pause-server:pause"
UNPAUSE = "os_compute_api:os-pause-server:unpause"
SUSPEND = "os_compute_api:os-suspend-server:suspend"
RESUME = "os_compute_api:os-suspend-server:resume"
CREATE_IMAGE = "os_compute_api:servers:create_image"
CREATE_VOLUME_IMAGE = "os_compute_api:servers:create_image:allow_volume_backed"
CREATE_BACKUP = "os_compute_api:os-create-backup"
CONSOLE_OUTPUT = "os_compute_api:os-console-output"
RESTORE = "os_compute_api:os-deferred-delete:restore"
FORCE_DELETE = "os_compute_api:os-deferred-delete:force"
RESIZE = "os_compute_api:servers:resize"
CONFIRM_RESIZE = "os_compute_api:servers:confirm_resize"
REVERT_RESIZE = "os_compute_api:servers:revert_resize"
MIGRATE = "os_compute_api:os-migrate-server:migrate"
MIGRATE_TO_HOST = "os_compute_api:os-migrate-server:migrate:host"
MIGRATE_LIVE = "os_compute_api:os-migrate-server:migrate_live"
MIGRATE_LIVE_TO_HOST = "os_compute_api:os-migrate-server:migrate_live:host"
RESCUE = "os_compute_api:os-rescue"
UNRESCUE = "os_compute_api:os-unrescue"
REBUILD = "os_compute_api:servers:rebuild"
REBUILD_CERTIFICATES = "os_compute_api:servers:rebuild:trusted_certs"
EVACUATE = "os_compute_api:os-evacuate"
SHELVE = "os_compute_api:os-shelve:shelve"
SHELVE_OFFLOAD = "os_compute_api:os-shelve:shelve_offload"
UNSHELVE = "os_compute_api:os-shelve:unshelve"
UNSHELVE_TO_HOST = "os_compute_api:os-shelve:unshelve_to_host"
CHANGE_PASSWORD = "os_compute_api:os-admin-password"  # noqa: S105 - a rule
TRIGGER_CRASH_DUMP = "os_compute_api:servers:trigger_crash_dump"
LOCK = "os_compute_api:os-lock-server:lock"
UNLOCK = "os_compute_api:os-lock-server:unlock"
UNLOCK_OVERRIDE = "os_compute_api:os-lock-server:unlock:unlock_override"
RESET_STATE = "os_compute_api:os-admin-actions:reset_state"
INJECT_NETWORK_INFO = "os_compute_api:os-admin-actions:inject_network_info"
METADATA_INDEX = "os_compute_api:server-metadata:index"
METADATA_SHOW = "os_compute_api:server-metadata:show"
METADATA_CREATE = "os_compute_api:server-metadata:create"
METADATA_UPDATE = "os_compute_api:server-metadata:update"
METADATA_UPDATE_ALL = "os_compute_api:server-metadata:update_all"
METADATA_DELETE = "os_compute_api:server-metadata:delete"

RULES = (
    rule(INDEX, PROJECT_READER_OR_ADMIN, "List servers."),
    rule(DETAIL, PROJECT_READER_OR_ADMIN, "List servers with details."),
    rule(ALL_PROJECTS_INDEX, ADMIN, "List the servers of every project."),
    rule(ALL_PROJECTS_DETAIL, ADMIN, "List the servers of every project with details."),
    rule(ALL_FILTERS, ADMIN, "Filter a list of servers by anything, a host for example."),
    rule(SHOW, PROJECT_READER_OR_ADMIN, "Show a server."),
    rule(SHOW_HOST_STATUS, ADMIN, "Show the state of a server's host."),
    rule(SHOW_HOST_UNKNOWN, ADMIN, "Show the state of a server's host only when it is unknown."),
    rule(SHOW_EXTRA_SPECS, PROJECT_READER_OR_ADMIN, "Show the extra specs of a server's flavor."),
    rule(SHOW_EXTENDED, ADMIN, "Show a server's host and other attributes for operators."),
    rule(CREATE, PROJECT_MEMBER_OR_ADMIN, "Create a server."),
    rule(CREATE_ON_HOST, ADMIN, "Create a server on a host named in its availability zone."),
    rule(CREATE_ZERO_DISK, ADMIN, "Create a server from an image with a flavor that has no root disk."),
    rule(CREATE_WITH_VOLUMES, PROJECT_MEMBER_OR_ADMIN, "Create a server with block device mappings."),
    rule(CREATE_FOR_HOST, ADMIN, "Create a server with a host or a hypervisor asked for."),
    rule(UPDATE, PROJECT_MEMBER_OR_ADMIN, "Rename or describe a server."),
    rule(DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a server."),
    rule(START, PROJECT_MEMBER_OR_ADMIN, "Start a server."),
    rule(STOP, PROJECT_MEMBER_OR_ADMIN, "Stop a server."),
    rule(REBOOT, PROJECT_MEMBER_OR_ADMIN, "Reboot a server."),
    rule(PAUSE, PROJECT_MEMBER_OR_ADMIN, "Pause a server."),
    rule(UNPAUSE, PROJECT_MEMBER_OR_ADMIN, "Let a paused server run on."),
    rule(SUSPEND, PROJECT_MEMBER_OR_ADMIN, "Suspend a server."),
    rule(RESUME, PROJECT_MEMBER_OR_ADMIN, "Resume a suspended server."),
    rule(CREATE_IMAGE, PROJECT_MEMBER_OR_ADMIN, "Make an image of a server's disk."),
    rule(CREATE_VOLUME_IMAGE, PROJECT_MEMBER_OR_ADMIN, "Make an image of a server that boots from a volume."),
    rule(CREATE_BACKUP, PROJECT_MEMBER_OR_ADMIN, "Make an image of a server's disk and remove older ones."),
    rule(CONSOLE_OUTPUT, PROJECT_MEMBER_OR_ADMIN, "Read a server's console log."),
    rule(RESTORE, PROJECT_MEMBER_OR_ADMIN, "Restore a deleted server while that can be done."),
    rule(FORCE_DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete a server for good, even where deleted ones can be restored."),
    rule(RESIZE, PROJECT_MEMBER_OR_ADMIN, "Give a server another flavor."),
    rule(CONFIRM_RESIZE, PROJECT_MEMBER_OR_ADMIN, "Make a server's resize or migration final."),
    rule(REVERT_RESIZE, PROJECT_MEMBER_OR_ADMIN, "Move a server back that was resized or migrated."),
    rule(MIGRATE, PROJECT_MANAGER_OR_ADMIN, "Move a server to another host."),
    rule(MIGRATE_TO_HOST, ADMIN, "Name the host a server is moved to."),
    rule(MIGRATE_LIVE, PROJECT_MANAGER_OR_ADMIN, "Move a running server to another host."),
    rule(MIGRATE_LIVE_TO_HOST, ADMIN, "Name the host a running server is moved to."),
    rule(RESCUE, PROJECT_MEMBER_OR_ADMIN, "Boot a server from another image, to repair its disk."),
    rule(UNRESCUE, PROJECT_MEMBER_OR_ADMIN, "Boot a rescued server from its own disk again."),
    rule(REBUILD, PROJECT_MEMBER_OR_ADMIN, "Make a server's disks anew, from its image or another one."),
    rule(EVACUATE, ADMIN, "Make a server anew on another host, its own being down."),
    rule(REBUILD_CERTIFICATES, PROJECT_MEMBER_OR_ADMIN, "Say which certificates a rebuilt server's image needs."),
    rule(SHELVE, PROJECT_MEMBER_OR_ADMIN, "Put a server's disk into an image and take the server off its host."),
    rule(SHELVE_OFFLOAD, ADMIN, "Take a shelved server off its host at once."),
    rule(UNSHELVE, PROJECT_MEMBER_OR_ADMIN, "Bring a shelved server back."),
    rule(UNSHELVE_TO_HOST, ADMIN, "Name the host a shelved server is brought back to."),
    rule(CHANGE_PASSWORD, PROJECT_MEMBER_OR_ADMIN, "Set the administrator's password inside a running server."),
    rule(TRIGGER_CRASH_DUMP, PROJECT_MEMBER_OR_ADMIN, "Have a server's system dump its memory."),
    rule(LOCK, PROJECT_MEMBER_OR_ADMIN, "Lock a server."),
    rule(UNLOCK, PROJECT_MEMBER_OR_ADMIN, "Unlock a server."),
    rule(UNLOCK_OVERRIDE, ADMIN, "Act on a server that somebody locked, and unlock what somebody else locked."),
    rule(RESET_STATE, ADMIN, "Set a server's state by hand."),
    rule(INJECT_NETWORK_INFO, ADMIN, "Tell a server of its networks again."),
    rule(METADATA_INDEX, PROJECT_READER_OR_ADMIN, "Show a server's metadata."),
    rule(METADATA_SHOW, PROJECT_READER_OR_ADMIN, "Show one item of a server's metadata."),
    rule(METADATA_CREATE, PROJECT_MEMBER_OR_ADMIN, "Add to a server's metadata."),
    rule(METADATA_UPDATE, PROJECT_MEMBER_OR_ADMIN, "Set one item of a server's metadata."),
    rule(METADATA_UPDATE_ALL, PROJECT_MEMBER_OR_ADMIN, "Replace a server's metadata."),
    rule(METADATA_DELETE, PROJECT_MEMBER_OR_ADMIN, "Delete one item of a server's metadata."),
)

"""What there is to look at in both clouds, and what is asked of them. Pure: the real Nova's Python reads it, too."""

from collections.abc import Iterator, Mapping

PROJECT, ADMIN, MEMBER = "demo", "admin", "alice"
#: Who asks. The servers are the member's; her policy shows her less of them.
CALLERS = (f"{ADMIN}:{PROJECT}", f"{MEMBER}:{PROJECT}")
MAXIMUM = 104

#: Host → its compute node.
NODES = {"h1": "11110000-0000-4000-8000-000000000001", "h2": "11110000-0000-4000-8000-000000000002"}
CONTROL = "control"
IMAGE, VOLUME = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "99999999-9999-4999-8999-999999999999"
DEVICE, ATTACHMENT = "77777777-7777-4777-8777-777777777777", "88888888-8888-4888-8888-888888888888"
FAILED, RUNNING = "req-11111111-1111-4111-8111-111111111111", "req-21111111-1111-4111-8111-111111111111"
DELETED = "req-31111111-1111-4111-8111-111111111111"
MIGRATIONS = ("dddddddd-0000-4000-8000-000000000001", "dddddddd-0000-4000-8000-000000000002")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"

#: Server → its UUID, the same in both.
SERVERS = {
    name: f"5e0000{number:02}-0000-4000-8000-000000000000"
    for number, name in enumerate(("active", "error", "shelved", "building", "resized", "volume", "deleted"))
}

_SHOWN = tuple(f"/servers/{{{name}}}" for name in SERVERS)
_OF_ACTIVE = (
    *("metadata", "metadata/a", "tags", "tags/x", "topology", "ips", "os-server-password"),
    *("migrations", "migrations/{migration}", "os-instance-actions"),
    *(f"os-instance-actions/{request}" for request in (FAILED, RUNNING, DELETED)),
)
_OF_VOLUME = ("os-volume_attachments", f"os-volume_attachments/{VOLUME}")
_OF_DELETED = ("os-instance-actions", f"os-instance-actions/{DELETED}")
_SERVERS = (
    *("/servers/detail", "/servers", "/servers?limit=2", "/servers?deleted=1", "/servers/detail?all_tenants=1"),
    *_SHOWN,
    *(f"/servers/{{active}}/{path}" for path in _OF_ACTIVE),
    *(f"/servers/{{volume}}/{path}" for path in _OF_VOLUME),
    *(f"/servers/{{deleted}}/{path}" for path in _OF_DELETED),
)
_FLAVORS = (
    *("/flavors", "/flavors/detail", "/flavors/2", "/flavors/2/os-extra_specs", "/flavors/2/os-extra_specs/a"),
    *("/flavors/9/os-flavor-access", "/flavors/detail?is_public=none"),
)
_HOSTS = (
    *("/os-hypervisors", "/os-hypervisors/detail", "/os-hypervisors/statistics", "/os-hypervisors/h1/servers"),
    *("/os-hypervisors/h1/search", "/os-hypervisors?with_servers=true", "/os-hypervisors/{hypervisor}"),
    *("/os-hypervisors/detail?hypervisor_hostname_pattern=h1", "/os-services", "/os-services?binary=nova-compute"),
    *("/os-migrations", "/os-hosts", "/os-hosts/h1", "/os-availability-zone", "/os-availability-zone/detail"),
    *("/os-aggregates", "/os-aggregates/{aggregate}", "/os-instance_usage_audit_log"),
    *("/os-instance_usage_audit_log/2026-01-01%2000:00:00", "/os-baremetal-nodes"),
)
_PROJECTS = (
    *("/limits", "/os-quota-sets/demo", "/os-quota-sets/demo/detail", "/os-quota-sets/demo/defaults"),
    *("/os-quota-sets/demo?user_id=alice", "/os-quota-class-sets/default", "/os-server-groups"),
    *("/os-server-groups/{group}", "/os-keypairs", "/os-keypairs/k"),
    *("/os-simple-tenant-usage?detailed=1", "/os-simple-tenant-usage/demo", "/extensions"),
    *("/extensions/os-hypervisors",),
)
_IMAGES = (
    *("/images", "/images/detail", "/images/{image}", "/images/{image}/metadata"),
    *("/images/{image}/metadata/hw_machine_type", "/images/nowhere"),
)
#: What is asked, with names in braces for what each has under an id of its own.
PATHS = (*_SERVERS, *_FLAVORS, *_HOSTS, *_PROJECTS, *_IMAGES)


def requests(versions: Mapping[str, list[int]]) -> Iterator[tuple[str, str, int]]:
    """Yield who asks for which path in which version 2.N; ``versions`` says of each path which."""
    for path in PATHS:
        for version in versions[path]:
            for caller in CALLERS:
                yield caller, path, version


def key(caller: str, path: str, version: int) -> str:
    """Return under which name an answer is kept."""
    return f"{caller} {path} {version}"

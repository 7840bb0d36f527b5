"""What notifications there are and what is in each: the one table of names, versions and keys that listeners know.

``EVENTS`` is every event type; ``Shape`` is a kind of payload: which keys it has, and its name and version on the wire.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nova_lite.model import image_properties

_FLAVOR = (
    *("flavorid", "memory_mb", "vcpus", "root_gb", "ephemeral_gb", "name", "swap", "rxtx_factor", "vcpu_weight"),
    *("disabled", "is_public", "extra_specs", "projects", "description"),
)
_INSTANCE = (
    *("uuid", "user_id", "tenant_id", "reservation_id", "display_name", "display_description", "host_name", "host"),
    *("node", "os_type", "architecture", "availability_zone", "flavor", "image_uuid", "key_name", "kernel_id"),
    *("ramdisk_id", "created_at", "launched_at", "terminated_at", "deleted_at", "updated_at", "state", "power_state"),
    *("task_state", "progress", "ip_addresses", "block_devices", "metadata", "locked", "auto_disk_config"),
    *("request_id", "action_initiator_user", "action_initiator_project", "locked_reason", "shares"),
)
_ACTION = (*_INSTANCE, "fault")


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of payload: its name and version on the wire, and its keys."""

    name: str
    version: str
    keys: tuple[str, ...]

    def filled(self, **data: object) -> dict[str, object]:
        """Return a payload as it is on the wire; raises TypeError where ``data`` has other keys than this shape."""
        if wrong := data.keys() ^ set(self.keys):
            raise TypeError(f"{self.name} and what is told differ in {', '.join(sorted(wrong))}.")
        return {
            "nova_object.name": self.name,
            "nova_object.namespace": "nova",
            "nova_object.version": self.version,
            "nova_object.data": data,
        }

    def partly(self, **data: object) -> dict[str, object]:
        """Return a payload without what is not known; raises TypeError for keys that this shape has not."""
        return Shape(self.name, self.version, tuple(data.keys() & set(self.keys))).filled(**data)


AGGREGATE = Shape("AggregatePayload", "1.1", ("id", "uuid", "name", "hosts", "metadata"))
AGGREGATE_CACHE = Shape(
    "AggregateCachePayload",
    "1.0",
    ("id", "uuid", "name", "host", "images_cached", "images_failed", "index", "total"),
)
BLOCK_DEVICE = Shape(
    "BlockDevicePayload", "1.0", ("device_name", "boot_index", "delete_on_termination", "volume_id", "tag")
)
EXCEPTION = Shape(
    "ExceptionPayload", "1.1", ("module_name", "function_name", "exception", "exception_message", "traceback")
)
FLAVOR = Shape("FlavorPayload", "1.4", _FLAVOR)
LIBVIRT_ERROR = Shape("LibvirtErrorPayload", "1.0", ("ip", "reason"))
KEYPAIR = Shape("KeypairPayload", "1.0", ("user_id", "name", "fingerprint", "public_key", "type"))
SERVER_GROUP = Shape(
    "ServerGroupPayload",
    "1.1",
    ("uuid", "name", "user_id", "project_id", "policies", "members", "hosts", "policy", "rules"),
)
SERVICE = Shape(
    "ServiceStatusPayload",
    "1.1",
    (
        *("host", "binary", "topic", "report_count", "disabled", "disabled_reason", "availability_zone"),
        *("last_seen_up", "forced_down", "version", "uuid"),
    ),
)
INSTANCE_ACTION = Shape("InstanceActionPayload", "1.9", _ACTION)
INSTANCE_CREATE = Shape(
    "InstanceCreatePayload", "1.13", (*_ACTION, "keypairs", "tags", "trusted_image_certificates", "instance_name")
)
INSTANCE_REBUILD = Shape("InstanceActionRebuildPayload", "1.10", (*_ACTION, "trusted_image_certificates"))
INSTANCE_RESCUE = Shape("InstanceActionRescuePayload", "1.4", (*_ACTION, "rescue_image_ref"))
INSTANCE_RESIZE_PREP = Shape("InstanceActionResizePrepPayload", "1.4", (*_ACTION, "new_flavor"))
INSTANCE_SNAPSHOT = Shape("InstanceActionSnapshotPayload", "1.10", (*_ACTION, "snapshot_image_id"))
INSTANCE_VOLUME = Shape("InstanceActionVolumePayload", "1.7", (*_ACTION, "volume_id"))
INSTANCE_VOLUME_SWAP = Shape("InstanceActionVolumeSwapPayload", "1.9", (*_ACTION, "old_volume_id", "new_volume_id"))
INSTANCE_UPDATE = Shape(
    "InstanceUpdatePayload", "2.1", (*_INSTANCE, "state_update", "audit_period", "old_display_name", "tags")
)
INSTANCE_EXISTS = Shape("InstanceExistsPayload", "2.1", (*_INSTANCE, "audit_period"))
REQUEST_SPEC = Shape(
    "RequestSpecPayload",
    "1.1",
    (
        *("instance_uuid", "project_id", "user_id", "availability_zone", "flavor", "force_hosts", "force_nodes"),
        *("ignore_hosts", "image_meta", "instance_group", "image", "numa_topology", "pci_requests", "num_instances"),
        *("requested_destination", "retry", "scheduler_hints", "security_groups"),
    ),
)
DESTINATION = Shape("DestinationPayload", "1.0", ("host", "node", "cell", "aggregates"))
IMAGE = Shape(
    "ImageMetaPayload",
    "1.0",
    (
        *("id", "name", "status", "visibility", "protected", "checksum", "owner", "size", "virtual_size"),
        *("container_format", "disk_format", "created_at", "updated_at", "tags", "direct_url", "min_ram", "min_disk"),
        "properties",
    ),
)
IMAGE_PROPERTIES = Shape("ImageMetaPropsPayload", "1.20", image_properties.KNOWN)
COMPUTE_TASK = Shape("ComputeTaskPayload", "1.0", ("instance_uuid", "request_spec", "state", "reason"))
STATE_UPDATE = Shape("InstanceStateUpdatePayload", "1.0", ("old_state", "state", "old_task_state", "new_task_state"))
AUDIT_PERIOD = Shape("AuditPeriodPayload", "1.0", ("audit_period_beginning", "audit_period_ending"))

#: The name by which listeners know who tells.
API, COMPUTE, CONDUCTOR, SCHEDULER = "nova-api", "nova-compute", "nova-conductor", "nova-scheduler"
START, END, ERROR = "start", "end", "error"
_WHOLE = (START, END, ERROR)
_AROUND = (START, END)

#: Of servers: what has an end and no error.
_NEVER_FAIL = frozenset(
    {
        *("live_migration_abort", "live_migration_force_complete"),
        *("live_migration_rollback", "live_migration_rollback_dest"),
    }
)


@dataclass(frozen=True, slots=True)
class Who:
    """Whose request something is done for."""

    user_id: str
    project_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is told: the last parts of its event type, none where it is told once; ``when`` is for people."""

    name: str
    shape: Shape
    source: str
    when: str
    phases: tuple[str, ...] = ()


def _of_instances() -> Iterator[Event]:
    """Yield what is told of work on servers: when it begins, when it has ended, or that it failed."""
    for action, when in (
        ("delete", "deleted for good"),
        ("shutdown", "its guest is removed for good"),
        ("soft_delete", "deleted so that it can be restored"),
        ("restore", "restored"),
        ("power_on", "started"),
        ("power_off", "stopped"),
        ("reboot", "rebooted, softly or hard"),
        ("pause", "paused"),
        ("unpause", "unpaused"),
        ("suspend", "suspended"),
        ("resume", "resumed"),
        ("unrescue", "booted from its own disk again"),
        ("resize", "its disks leave their host, for a resize or a cold migration"),
        ("resize_finish", "its guest is made on the new host, or in the new size"),
        ("resize_confirm", "its move is confirmed"),
        ("resize_revert", "its move is taken back"),
        ("live_migration_pre", "the destination of its live migration gets ready"),
        ("live_migration_post", "what its live migration left behind is cleared"),
        ("live_migration_post_dest", "its live migration ends on the destination"),
        ("live_migration_abort", "its live migration is to be broken off"),
        ("live_migration_force_complete", "its live migration is to end soon"),
        ("live_migration_rollback", "a live migration that failed or was broken off is taken back"),
        ("live_migration_rollback_dest", "what that left on the destination is cleared"),
        ("trigger_crash_dump", "interrupted, for its system to dump its memory"),
        ("shelve", "shelved"),
        ("shelve_offload", "taken off its host while it is shelved"),
        ("unshelve", "unshelved"),
    ):
        phases = _AROUND if action in _NEVER_FAIL else _WHOLE
        yield Event(f"instance.{action}", INSTANCE_ACTION, COMPUTE, when, phases)
    for action, shape, when in (
        ("create", INSTANCE_CREATE, "made on a host"),
        ("rebuild", INSTANCE_REBUILD, "made anew, from an image or on another host"),
        ("rescue", INSTANCE_RESCUE, "booted from another disk"),
        ("resize_prep", INSTANCE_RESIZE_PREP, "hosts are asked whether it can move"),
        ("snapshot", INSTANCE_SNAPSHOT, "an image is made of it"),
        ("volume_attach", INSTANCE_VOLUME, "gets a volume"),
        ("volume_detach", INSTANCE_VOLUME, "loses a volume"),
        ("volume_swap", INSTANCE_VOLUME_SWAP, "gets another volume in place of one it has"),
    ):
        yield Event(f"instance.{action}", shape, COMPUTE, when, _WHOLE)
    yield Event("instance.lock", INSTANCE_ACTION, API, "locked")
    yield Event("instance.unlock", INSTANCE_ACTION, API, "unlocked")
    yield Event("instance.evacuate", INSTANCE_ACTION, API, "to be made anew elsewhere, for its host is down")
    yield Event(
        "instance.rebuild_scheduled", INSTANCE_REBUILD, CONDUCTOR, "to be made anew, and it is known on which host"
    )
    yield Event(
        "instance.exists",
        INSTANCE_EXISTS,
        COMPUTE,
        "about to be rebuilt, rescued, resized, migrated or shelved, or a resize of it to be taken back: what it was",
    )
    yield Event(
        "instance.update",
        INSTANCE_UPDATE,
        f"{API} or {COMPUTE}",
        "renamed; with ``notify_on_state_change`` its state changed while work was done on it",
    )
    yield Event("compute.exception", EXCEPTION, COMPUTE, "work on a server failed, or failed on one of several hosts")
    yield Event(
        "scheduler.select_destinations", REQUEST_SPEC, SCHEDULER, "hosts are sought for servers, or for a move", _AROUND
    )
    for task, when in (
        ("build_instances", "a server that is made found no host"),
        ("migrate_server", "a server that is to move found none"),
        ("rebuild_server", "a server that is to be made anew found none, or its host does not suit the image"),
    ):
        yield Event(f"compute_task.{task}", COMPUTE_TASK, CONDUCTOR, when, (ERROR,))


def _of_nouns() -> Iterator[Event]:
    """Yield what is told of everything else."""
    for action, when in (
        ("create", "made"),
        ("delete", "deleted"),
        ("update_prop", "renamed"),
        ("update_metadata", "its metadata or its zone changed"),
        ("add_host", "gets a host"),
        ("remove_host", "loses a host"),
    ):
        yield Event(f"aggregate.{action}", AGGREGATE, API, when, _AROUND)
    yield Event("aggregate.cache_images", AGGREGATE, API, "images are brought to its hosts", _AROUND)
    yield Event("aggregate.cache_images.progress", AGGREGATE_CACHE, CONDUCTOR, "how that went on one host")
    for action, when in (
        ("create", "made"),
        ("delete", "deleted"),
        ("update", "its description, its extra specs or the projects that may use it changed"),
    ):
        yield Event(f"flavor.{action}", FLAVOR, API, when)
    for action, when in (("create", "made by us"), ("import", "brought by its user"), ("delete", "deleted")):
        yield Event(f"keypair.{action}", KEYPAIR, API, when, _AROUND)
    for action, when in (("create", "made"), ("delete", "deleted"), ("add_member", "servers are made in it")):
        yield Event(f"server_group.{action}", SERVER_GROUP, API, when)
    for action, when in (
        ("create", "a host is seen for the first time"),
        ("update", "disabled, enabled, forced down or no more"),
        ("delete", "deleted"),
    ):
        yield Event(f"service.{action}", SERVICE, COMPUTE, when)
    yield Event("libvirt.connect", LIBVIRT_ERROR, COMPUTE, "a host does not reach its hypervisor any more", (ERROR,))


#: Every kind of event by its name, without its phase.
EVENTS: Mapping[str, Event] = {event.name: event for event in (*_of_instances(), *_of_nouns())}


def event_type(name: str, phase: str | None = None) -> str:
    """Return the event type that listeners see; raises KeyError for an event or phase that is not in the table."""
    event = EVENTS[name]
    if phase is None and not event.phases:
        return name
    if phase not in event.phases:
        raise KeyError(f"{name}.{phase}")
    return f"{name}.{phase}"

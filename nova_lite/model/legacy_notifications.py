"""Notifications of old, about servers: flat payloads under names that begin with ``compute.instance.``."""

from collections.abc import Mapping

from nova_lite.model.instance import Instance
from nova_lite.model.notifications import END, ERROR
from nova_lite.model.payloads import Payload, date

#: Who tells, before the host.
SOURCE = "compute"

#: Action of ``instance.*`` → its name here, where it is another one.
_NAMES: Mapping[str, str] = {
    "resize_finish": "finish_resize",
    "resize_confirm": "resize.confirm",
    "resize_revert": "resize.revert",
    "resize_prep": "resize.prep",
    "live_migration_pre": "live_migration.pre",
    "live_migration_post": "live_migration._post",
    "live_migration_post_dest": "live_migration.post.dest",
    "live_migration_rollback": "live_migration._rollback",
    "live_migration_rollback_dest": "live_migration.rollback.dest",
}
#: Actions told once, when they have ended.
_ONCE: Mapping[str, str] = {"volume_attach": "volume.attach", "volume_detach": "volume.detach"}
#: Actions not told, and those of which failures are told, too.
_UNTOLD = frozenset({"volume_swap"})
_WITH_FAILURES = frozenset({"create", "reboot", "rebuild", "resize"})


def event_type(action: str, phase: str) -> str | None:
    """Return the event type of old for ``instance.<action>.<phase>``; None where there is none."""
    if action in _UNTOLD or (phase == ERROR and action not in _WITH_FAILURES):
        return None
    if action in _ONCE:
        return f"compute.instance.{_ONCE[action]}" if phase == END else None
    return f"compute.instance.{_NAMES.get(action, action)}.{phase}"


def instance(of: Instance, *, message: str | None = None) -> Payload:
    """Tell of a server; ``message`` is how work on it ended."""
    flavor = of.flavor
    told: Payload = {
        "tenant_id": of.project_id,
        "user_id": of.user_id,
        "instance_id": of.uuid,
        "display_name": of.display_name,
        "reservation_id": of.reservation_id,
        "hostname": of.hostname,
        "instance_type": flavor.name,
        "instance_type_id": None,
        "instance_flavor_id": flavor.flavor_id,
        "architecture": of.image_properties.get("hw_architecture"),
        "memory_mb": flavor.ram_mib,
        "disk_gb": flavor.root_gib + flavor.ephemeral_gib,
        "vcpus": flavor.vcpus,
        "root_gb": flavor.root_gib,
        "ephemeral_gb": flavor.ephemeral_gib,
        "host": of.host,
        "node": of.node_name,
        "availability_zone": of.availability_zone,
        "cell_name": "",
        "created_at": str(of.created_at),
        "terminated_at": date(of.terminated_at) or "",
        "deleted_at": date(of.deleted_at) or "",
        "launched_at": date(of.launched_at) or "",
        "image_ref_url": of.image_id,
        "os_type": of.image_properties.get("os_type"),
        "kernel_id": of.image_properties.get("kernel_id", ""),
        "ramdisk_id": of.image_properties.get("ramdisk_id", ""),
        "state": of.vm_state.value,
        "state_description": "" if of.task_state is None else of.task_state.value,
        "progress": "",
        "access_ip_v4": of.access_ip_v4,
        "access_ip_v6": of.access_ip_v6,
        "image_meta": dict(of.image_properties),
        "metadata": dict(of.metadata),
    }
    return told if message is None else {**told, "message": message}

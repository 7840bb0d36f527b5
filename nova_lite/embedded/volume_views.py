"""Volumes, snapshots, attachments and types as the block storage API shows them, by microversion: pure."""

from typing import Any, TypeAlias

from nova_lite.embedded.volume_files import POOLS
from nova_lite.embedded.volume_records import StoredAttachment, StoredSnapshot, StoredType, StoredVolume
from nova_lite.web.versions import Version

Document: TypeAlias = dict[str, Any]

#: The service that all volumes say they are on: a name, not a process.
SERVICE_UUID = "5b6f2f0a-6c0d-4f0e-9f0a-3d6c1d4e7a12"


def links(prefix: str, noun: str, record_id: str) -> list[Document]:
    """Return where a thing is; ``prefix`` is the service's URL."""
    return [
        {"rel": "self", "href": f"{prefix}/v3/{noun}/{record_id}"},
        {"rel": "bookmark", "href": f"{prefix}/{noun}/{record_id}"},
    ]


def volume_summary(volume: StoredVolume, prefix: str) -> Document:
    """Return a volume in a list without details."""
    return {"id": volume.id, "name": volume.name, "links": links(prefix, "volumes", volume.id)}


def volume(
    found: StoredVolume,
    type_: StoredType | None,
    attachments: list[StoredAttachment],
    version: Version,
    prefix: str,
    *,
    is_admin: bool,
) -> Document:
    """Return a volume in full."""
    shown: Document = {
        **volume_summary(found, prefix),
        "attachments": [_use(one, is_admin=is_admin) for one in attachments if one.status == "attached"],
        "availability_zone": found.availability_zone,
        "bootable": str(found.is_bootable).lower(),
        "consistencygroup_id": None,
        "created_at": found.created_at,
        "description": found.description,
        "encrypted": False,
        "metadata": {**found.metadata, **({} if found.is_readonly is None else {"readonly": str(found.is_readonly)})},
        "multiattach": found.is_multiattach,
        "os-vol-tenant-attr:tenant_id": found.project_id,
        "replication_status": None,
        "size": found.size_gib,
        "snapshot_id": found.snapshot_id,
        "source_volid": found.source_volume_id,
        "status": found.status,
        "updated_at": found.updated_at,
        "user_id": found.user_id,
        "volume_type": type_.name if type_ else None,
    }
    if found.image_metadata:
        shown["volume_image_metadata"] = dict(found.image_metadata)
    if is_admin:
        shown |= {
            "migration_status": found.migration_status,
            "os-vol-host-attr:host": next((pool.host for pool in POOLS if pool.name == found.pool), None),
            "os-vol-mig-status-attr:migstat": found.migration_status,
            "os-vol-mig-status-attr:name_id": found.file_id,
        }
    since: tuple[tuple[int, bool, Document], ...] = (
        (13, True, {"group_id": None}),
        (21, is_admin, {"provider_id": None}),
        (48, True, {"shared_targets": False, "service_uuid": SERVICE_UUID}),
        (61, is_admin, {"cluster_name": None}),
        (63, True, {"volume_type_id": found.type_id}),
        (65, True, {"consumes_quota": True}),
    )
    for minor, is_shown, more in since:
        if is_shown and version >= (3, minor):
            shown |= more
    return shown


def attachment(found: StoredAttachment, *, detailed: bool = True) -> Document:
    """Return an attachment."""
    shown: Document = {
        "id": found.id,
        "instance": found.instance_uuid,
        "status": found.status,
        "volume_id": found.volume_id,
    }
    if detailed:
        shown |= {
            "attached_at": found.attached_at or "",
            "attach_mode": found.mode,
            "connection_info": dict(found.connection_info),
            "detached_at": "",
        }
    return shown


def snapshot(found: StoredSnapshot, version: Version, *, detailed: bool = True, is_new: bool = False) -> Document:
    """Return a snapshot; one just made or changed says less."""
    shown: Document = {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "volume_id": found.volume_id,
        "size": found.size_gib,
        "status": found.status,
        "metadata": dict(found.metadata),
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }
    if not detailed:
        return shown
    if not is_new:
        shown["os-extended-snapshot-attributes:progress"] = found.progress
        shown["os-extended-snapshot-attributes:project_id"] = found.project_id
    if version >= (3, 14):
        shown["group_snapshot_id"] = None
    if version >= (3, 41):
        shown["user_id"] = found.user_id
    if version >= (3, 65):
        shown["consumes_quota"] = True
    return shown


def volume_type(found: StoredType, *, is_admin: bool) -> Document:
    """Return a volume type; whoever is no administrator sees of its extra specs what users may know."""
    specs = found.extra_specs if is_admin else {k: v for k, v in found.extra_specs.items() if k in _TOLD_SPECS}
    shown: Document = {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "is_public": found.is_public,
        "os-volume-type-access:is_public": found.is_public,
        "extra_specs": dict(specs),
    }
    return {**shown, "qos_specs_id": None} if is_admin else shown


_TOLD_SPECS = frozenset({"multiattach", "RESKEY:availability_zones", "replication_enabled"})


def _use(found: StoredAttachment, *, is_admin: bool) -> Document:
    return {
        "id": found.volume_id,
        "attachment_id": found.id,
        "volume_id": found.volume_id,
        "server_id": found.instance_uuid,
        "host_name": found.host if is_admin else None,
        "device": found.mountpoint,
        "attached_at": found.attached_at,
    }

"""Volumes, attachments and snapshots over HTTP, through python-cinderclient, as compute needs them.

A volume is attached by the flow of microversion 3.27: an attachment is made (the volume is reserved), updated with a
host's connector (the answer says how that host reaches the volume), completed (3.44), and in the end deleted. Calls are
made as the user of a request, or as the service itself by workflows, which outlive tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.volume_calls import Calls, Version, VolumeService, is_configured
from nova_lite.model.volume import Attachment, NewVolume, Volume, VolumeSnapshot, VolumeUse

__all__ = ["Volumes", "VolumesAs", "is_configured", "newest_version"]

#: Attachments asked for at once.
_PAGE = 500
_YES = "true"

_T = TypeVar("_T")


def newest_version(conf: cfg.ConfigOpts) -> Version:
    """Return the newest microversion the block storage service speaks.

    Raises Unavailable when it does not answer, Misconfigured when its credentials cannot be used.
    """
    return VolumeService(conf).newest_version()


class Volumes:
    """A thread-safe client of one block storage service; connects on first use."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = VolumeService(conf)

    def version(self) -> Version:
        """Return the microversion calls are made at; raises Unsupported, Unavailable, Misconfigured."""
        return self._service.version()

    def as_user(self, token: str) -> "VolumesAs":
        """Return the volumes the owner of ``token`` sees. For the time of a request: keep it no longer."""
        return VolumesAs(self._service.calls(token), self._service.version())

    def as_service(self) -> "VolumesAs":
        """Return every project's volumes, as the service of ``[cinder]`` sees them."""
        return VolumesAs(self._service.calls(), self._service.version(), is_everybodys=True)


class VolumesAs:
    """What one caller may do.

    All raise NotFound, Invalid, Conflict, OverQuota and Forbidden in the service's words, Unavailable and Timeout.
    """

    def __init__(self, calls: Calls, version: Version, *, is_everybodys: bool = False) -> None:
        self._calls = calls
        self._version = version
        self._is_everybodys = is_everybodys

    # -- volumes --------------------------------------------------------------------------------------------------

    def show(self, volume_id: str) -> Volume:
        """Return a volume."""
        return self._calls.ask(_volume(volume_id), lambda api: _read_volume(api.volumes.get(volume_id).to_dict()))

    def create(self, new: NewVolume) -> Volume:
        """Begin to make a volume, which is ``available`` some time later. Not tried again when the answer is lost."""
        wanted = {
            "name": new.name,
            "description": new.description,
            "imageRef": new.image_id,
            "snapshot_id": new.snapshot_id,
            "source_volid": new.source_volume_id,
            "volume_type": new.volume_type,
            "availability_zone": new.availability_zone,
            "metadata": dict(new.metadata),
        }
        return self._calls.tell(
            f"volume {new.name or 'without a name'}",
            lambda api: _read_volume(api.volumes.create(new.size_gib, **wanted).to_dict()),
        )

    def delete(self, volume_id: str) -> None:
        """Begin to remove a volume; none is no error."""
        self._gone(_volume(volume_id), lambda api: api.volumes.delete(volume_id))

    def every(self) -> list[Volume]:
        """Return all volumes of the caller's project, newest first."""
        return self._calls.ask("volumes", lambda api: [_read_volume(found.to_dict()) for found in api.volumes.list()])

    def named(self, name: str) -> list[Volume]:
        """Return the volumes called ``name``: what a call made whose answer was lost."""
        search = {"name": name, **self._everywhere()}
        return self._calls.ask(
            f"volumes called {name}",
            lambda api: [_read_volume(found.to_dict()) for found in api.volumes.list(search_opts=search)],
        )

    def in_status(self, status: str) -> list[Volume]:
        """Return the volumes whose status this is."""
        search = {"status": status, **self._everywhere()}
        return self._calls.ask(
            f"volumes that are {status}",
            lambda api: [_read_volume(found.to_dict()) for found in api.volumes.list(search_opts=search)],
        )

    def begin_detaching(self, volume_id: str) -> None:
        """Have nobody else detach the volume: in-use becomes detaching."""
        self._calls.tell(_volume(volume_id), lambda api: api.volumes.begin_detaching(volume_id))

    def roll_detaching(self, volume_id: str) -> None:
        """Take ``begin_detaching`` back; nothing when it has not begun."""
        self._calls.ask(_volume(volume_id), lambda api: api.volumes.roll_detaching(volume_id))

    def reimage(self, volume_id: str, image_id: str, *, is_reserved: bool) -> None:
        """Begin to fill a volume anew from an image, also a reserved one if ``is_reserved``; raises Unsupported."""
        self._calls.tell(_volume(volume_id), lambda api: api.volumes.reimage(volume_id, image_id, is_reserved))

    def complete_extension(self, volume_id: str, *, has_failed: bool) -> None:
        """Say how the host's part of an extension ended (3.71); raises Unsupported."""
        self._calls.tell(_volume(volume_id), lambda api: api.volumes.extend_volume_completion(volume_id, has_failed))

    def complete_migration(self, old_id: str, new_id: str, *, has_failed: bool) -> str:
        """Say that a server went from one volume to another; return the id under which the data is from now on."""

        def completed(api: Any) -> str:
            return str(api.volumes.migrate_volume_completion(old_id, new_id, has_failed)["save_volume_id"])

        return self._calls.tell(_volume(old_id), completed)

    # -- attachments ----------------------------------------------------------------------------------------------

    def reserve(self, volume_id: str, instance_uuid: str) -> Attachment:
        """Make an attachment without a host: the volume is reserved for the server.

        Not tried again when the answer is lost: what it made is found by ``attachments_of``.
        """
        return self._create_attachment(volume_id, instance_uuid, None, None)

    def attach(
        self, volume_id: str, instance_uuid: str, connector: Mapping[str, Any], *, mode: str | None = None
    ) -> Attachment:
        """Make an attachment for a host at once; ``mode`` is rw or ro, where the service takes one (3.54)."""
        return self._create_attachment(volume_id, instance_uuid, connector, mode)

    def connect(self, attachment_id: str, connector: Mapping[str, Any]) -> Attachment:
        """Give an attachment to the host of ``connector``; return it with how that host reaches the volume."""
        return self._calls.ask(
            _attachment(attachment_id),
            lambda api: _read_attachment(api.attachments.update(attachment_id, dict(connector)).to_dict()),
        )

    def complete(self, attachment_id: str) -> bool:
        """Say that the server has the volume: it is in use now; return False where the service is too old to hear."""
        if self._version < (3, 44):
            return False
        self._calls.ask(_attachment(attachment_id), lambda api: api.attachments.complete(attachment_id))
        return True

    def attachment(self, attachment_id: str) -> Attachment:
        """Return an attachment, with its connection where it has one."""
        return self._calls.ask(
            _attachment(attachment_id), lambda api: _read_attachment(api.attachments.show(attachment_id).to_dict())
        )

    def attachments_of(self, instance_uuid: str) -> list[Attachment]:
        """Return every attachment of a server, without connections."""
        return self._attachments(f"attachments of server {instance_uuid}", {"instance_id": instance_uuid})

    def attachments_to(self, volume_id: str) -> list[Attachment]:
        """Return every attachment to a volume, without connections."""
        return self._attachments(f"attachments of {_volume(volume_id)}", {"volume_id": volume_id})

    def every_attachment(self) -> list[Attachment]:
        """Return every attachment there is, without connections."""
        return self._attachments("all volume attachments", {})

    def detach(self, attachment_id: str) -> None:
        """Remove an attachment; none is no error."""
        self._gone(_attachment(attachment_id), lambda api: api.attachments.delete(attachment_id))

    def _create_attachment(
        self, volume_id: str, instance_uuid: str, connector: Mapping[str, Any] | None, mode: str | None
    ) -> Attachment:
        info = dict(connector) if connector is not None else None
        return self._calls.tell(
            _volume(volume_id),
            lambda api: _read_attachment(api.attachments.create(volume_id, info, instance_uuid, mode or "null")),
        )

    def _attachments(self, what: str, search: Mapping[str, str]) -> list[Attachment]:
        options = {**search, **self._everywhere()}

        def every(api: Any) -> list[Attachment]:
            found: list[Attachment] = []
            while True:
                marker = found[-1].id if found else None
                page = api.attachments.list(detailed=True, search_opts=options, marker=marker, limit=_PAGE)
                known = {attachment.id for attachment in found}
                fresh = [_read_attachment(one.to_dict()) for one in page if one.id not in known]
                found += fresh
                if len(page) < _PAGE or not fresh:
                    return found

        return self._calls.ask(what, every)

    # -- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, snapshot_id: str) -> VolumeSnapshot:
        """Return a snapshot."""
        return self._calls.ask(
            f"snapshot {snapshot_id}", lambda api: _read_snapshot(api.volume_snapshots.get(snapshot_id).to_dict())
        )

    def every_snapshot(self) -> list[VolumeSnapshot]:
        """Return all snapshots of the caller's project, newest first."""
        return self._calls.ask(
            "snapshots", lambda api: [_read_snapshot(one.to_dict()) for one in api.volume_snapshots.list()]
        )

    def snapshots_of(self, volume_id: str) -> list[VolumeSnapshot]:
        """Return every snapshot of a volume."""
        search = {"volume_id": volume_id, **self._everywhere()}
        return self._calls.ask(
            f"snapshots of {_volume(volume_id)}",
            lambda api: [_read_snapshot(one.to_dict()) for one in api.volume_snapshots.list(search_opts=search)],
        )

    def create_snapshot(
        self, volume_id: str, name: str, description: str = "", *, metadata: Mapping[str, str] | None = None
    ) -> VolumeSnapshot:
        """Begin to snapshot a volume, also one in use. Not tried again when the answer is lost."""
        wanted = {"force": True, "name": name, "description": description, "metadata": dict(metadata or {})}
        return self._calls.tell(
            _volume(volume_id),
            lambda api: _read_snapshot(api.volume_snapshots.create(volume_id, **wanted).to_dict()),
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Begin to remove a snapshot; none is no error."""
        self._gone(f"snapshot {snapshot_id}", lambda api: api.volume_snapshots.delete(snapshot_id))

    def update_snapshot_status(self, snapshot_id: str, status: str, progress: str) -> None:
        """Say how the host's part of a snapshot goes; ``progress`` is like ``90%``."""
        update = {"status": status, "progress": progress}
        self._calls.ask(
            f"snapshot {snapshot_id}", lambda api: api.volume_snapshots.update_snapshot_status(snapshot_id, update)
        )

    # -- common ---------------------------------------------------------------------------------------------------

    def _gone(self, what: str, call: Callable[[Any], object]) -> None:
        try:
            self._calls.ask(what, call)
        except errors.NotFound:
            return

    def _everywhere(self) -> dict[str, str]:
        return {"all_tenants": "1"} if self._is_everybodys else {}


def _volume(volume_id: str) -> str:
    return f"volume {volume_id}"


def _attachment(attachment_id: str) -> str:
    return f"volume attachment {attachment_id}"


def _read_volume(found: Mapping[str, Any]) -> Volume:
    return Volume(
        id=found["id"],
        size_gib=int(found["size"]),
        status=found["status"],
        name=found.get("name") or "",
        is_bootable=found.get("bootable") == _YES,
        is_multiattach=bool(found.get("multiattach")),
        is_encrypted=bool(found.get("encrypted")),
        availability_zone=found.get("availability_zone"),
        volume_type=found.get("volume_type"),
        project_id=found.get("os-vol-tenant-attr:tenant_id"),
        snapshot_id=found.get("snapshot_id"),
        migration_status=found.get("migration_status") or found.get("os-vol-mig-status-attr:migstat"),
        has_shared_targets=found.get("shared_targets"),
        service_uuid=found.get("service_uuid"),
        cluster=found.get("cluster_name"),
        attachments=tuple(_read_use(use) for use in found.get("attachments") or ()),
        metadata=dict(found.get("metadata") or {}),
        image_metadata=dict(found.get("volume_image_metadata") or {}),
        description=found.get("description"),
        created_at=found.get("created_at"),
    )


def _read_use(found: Mapping[str, Any]) -> VolumeUse:
    return VolumeUse(
        attachment_id=found["attachment_id"],
        instance_uuid=found.get("server_id") or None,
        device=found.get("device"),
        host=found.get("host_name"),
    )


def _read_attachment(found: Mapping[str, Any]) -> Attachment:
    return Attachment(
        id=found["id"],
        volume_id=found["volume_id"],
        status=found["status"],
        instance_uuid=found.get("instance"),
        mode=found.get("attach_mode"),
        connection_info=dict(found.get("connection_info") or {}),
    )


def _read_snapshot(found: Mapping[str, Any]) -> VolumeSnapshot:
    return VolumeSnapshot(
        id=found["id"],
        volume_id=found["volume_id"],
        size_gib=int(found["size"]),
        status=found["status"],
        name=found.get("name") or "",
        progress=found.get("os-extended-snapshot-attributes:progress") or "",
        metadata=dict(found.get("metadata") or {}),
        description=found.get("description"),
        created_at=found.get("created_at"),
    )

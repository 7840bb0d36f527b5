"""Attachments of the embedded block storage service: who has a volume, and how a host reaches it.

The volume's status follows from its attachments as in Cinder: attached before attaching before detaching before
reserved, and available without any.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nova_lite import errors
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.embedded.volume_store import IDLE_MIGRATIONS, VolumeCaller, VolumeStore, now

#: A volume's status by the first of its attachments' in the order of the alphabet.
_STATUS = {"attached": "in-use", "detached": "available"}
_RESERVABLE = ("available", "downloading")
_RESERVABLE_AGAIN = ("available", "in-use", "downloading")
#: What the attachment of a volume that nobody said more about is called.
_NO_MODE = "null"


class VolumeAttachments:
    """The attachments of one store's volumes."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store
        self._records = store.records

    def attachment(self, caller: VolumeCaller, attachment_id: str) -> StoredAttachment:
        """Return an attachment; raises NotFound, also when it is not the caller's."""
        found = self._records.get(StoredAttachment, attachment_id)
        if found is None or not caller.sees(found.project_id):
            raise errors.NotFound(
                f"Volume attachment could not be found with filter: attachment_id = {attachment_id[:64]}."
            )
        return found

    def attachments(self, caller: VolumeCaller, *, of_all: bool = False) -> list[StoredAttachment]:
        """Return the attachments of the project's volumes, or everybody's, newest first."""
        found = reversed(self._records.all(StoredAttachment))
        return [one for one in found if of_all or one.project_id == caller.project_id]

    def create(
        self,
        caller: VolumeCaller,
        volume_id: str,
        instance_uuid: str | None,
        connector: Mapping[str, Any] | None,
        mode: str | None,
    ) -> StoredAttachment:
        """Reserve a volume; with a ``connector`` give it to that host too.

        What is returned shows, as Cinder does, the attachment as it was before the host got it, but for its connection.
        Raises NotFound, Invalid.
        """
        with self._records.changing():
            volume = self._store.volume(caller, volume_id)
            if "error" in volume.status:
                raise errors.Invalid(
                    "Invalid volume: Volume attachments can not be created if the volume is in an error state. "
                    f"The Volume {volume_id} currently has a status of: {volume.status}"
                )
            allowed = _RESERVABLE_AGAIN if volume.is_multiattach else _RESERVABLE
            if volume.status in allowed:
                volume = self._records.put(replace(volume, status="reserved", updated_at=now()))
            elif not self._may_have_again(volume, instance_uuid):
                raise errors.Invalid(
                    f"Invalid volume: Volume {volume_id} status must be {' or '.join(allowed)} to reserve, "
                    f"but the current status is {volume.status}."
                )
            made = StoredAttachment(
                id=str(uuid.uuid4()),
                volume_id=volume_id,
                project_id=volume.project_id,
                status="reserved",
                instance_uuid=instance_uuid,
                mode="ro" if volume.is_readonly else mode or _NO_MODE,
            )
            self._records.put(made)
            if connector is None:
                return made
            return replace(made, connection_info=self._give(made, volume, connector).connection_info)

    def update(self, caller: VolumeCaller, attachment_id: str, connector: Mapping[str, Any]) -> StoredAttachment:
        """Give a reserved volume to the host of ``connector``; returned as by ``create``.

        Raises NotFound, and Conflict for a volume that may have one host alone and has one: also when that is this
        attachment's, and another attachment is there beside it.
        """
        with self._records.changing():
            found = self.attachment(caller, attachment_id)
            volume = self._volume(found)
            if "error" in volume.status:
                raise errors.Conflict(
                    "Resource conflict: Volume attachments can not be updated if the volume is in an error state. "
                    f"The Volume {volume.id} currently has a status of: {volume.status}"
                )
            others = self._records.of_volume(StoredAttachment, volume.id)
            if len(others) > 1 and not volume.is_multiattach and any(one.connection_info for one in others):
                raise errors.Conflict(f"Resource conflict: duplicate connectors detected on volume {volume.id}")
            return replace(found, connection_info=self._give(found, volume, connector).connection_info)

    def complete(self, caller: VolumeCaller, attachment_id: str) -> None:
        """Say that the server has the volume; once more does no harm. Raises NotFound."""
        with self._records.changing():
            found = self.attachment(caller, attachment_id)
            self._records.put(replace(found, status="attached"))
            self._records.put(replace(self._volume(found), status="in-use", attach_status="attached", updated_at=now()))

    def delete(self, caller: VolumeCaller, attachment_id: str) -> list[StoredAttachment]:
        """Remove an attachment and return those left of its volume.

        Raises NotFound, and Conflict for one that a server may be using when it is not compute that asks: taking the
        disk from below a guest would lose data.
        """
        with self._records.changing():
            found = self.attachment(caller, attachment_id)
            if found.instance_uuid and found.connection_info and not caller.is_service:
                raise errors.Conflict(f"Detach volume from instance {found.instance_uuid} using the Compute API")
            self._records.remove(StoredAttachment, attachment_id)
            left = self._records.of_volume(StoredAttachment, found.volume_id)[::-1]
            first = min((one.status for one in left if not one.status.startswith("error_")), default="detached")
            volume = self._volume(found)
            # One that is being migrated is not free for having no attachment.
            is_told = left or volume.migration_status in IDLE_MIGRATIONS
            status = _STATUS.get(first, first) if is_told else volume.status
            self._records.put(replace(volume, status=status, attach_status=first, updated_at=now()))
            return left

    def begin_detaching(self, caller: VolumeCaller, volume_id: str) -> None:
        """Have nobody else detach a volume; raises NotFound, Invalid."""
        with self._records.changing():
            volume = self._store.volume(caller, volume_id)
            if volume.migration_status not in IDLE_MIGRATIONS:
                return
            if (volume.status, volume.attach_status) != ("in-use", "attached"):
                raise errors.Invalid(
                    "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be "
                    "'attached' to detach."
                )
            self._records.put(replace(volume, status="detaching", updated_at=now()))

    def roll_detaching(self, caller: VolumeCaller, volume_id: str) -> None:
        """Take ``begin_detaching`` back; nothing where it has not begun. Raises NotFound."""
        with self._records.changing():
            volume = self._store.volume(caller, volume_id)
            if volume.status == "detaching":
                self._records.put(replace(volume, status="in-use", updated_at=now()))

    def _may_have_again(self, volume: StoredVolume, instance_uuid: str | None) -> bool:
        """Return whether a server that has the volume may have it once more: it may be about to move."""
        if instance_uuid is None or volume.status not in ("in-use", "reserved"):
            return False
        held = self._records.of_volume(StoredAttachment, volume.id)
        return any(one.instance_uuid == instance_uuid for one in held)

    def _give(
        self, attachment: StoredAttachment, volume: StoredVolume, connector: Mapping[str, Any]
    ) -> StoredAttachment:
        if not connector.get("host"):
            raise errors.NovaLiteError("Unable to update the attachment.")
        mode = attachment.mode if attachment.mode != _NO_MODE else connector.get("mode") or "rw"
        connection = {
            "driver_volume_type": "local",
            "device_path": str(self._store.path_of(volume)),
            "access_mode": mode,
            "attachment_id": attachment.id,
            "cacheable": False,
            "encrypted": False,
            "enforce_multipath": False,
            "qos_specs": None,
        }
        given = replace(
            attachment,
            status="attaching",
            mode=mode,
            host=str(connector.get("host") or ""),
            mountpoint=str(connector.get("mountpoint") or "na"),
            attached_at=now(),
            connector=dict(connector),
            connection_info=connection,
        )
        self._records.put(given)
        self._records.put(replace(volume, status="attaching", attach_status="attaching", updated_at=now()))
        return given

    def _volume(self, attachment: StoredAttachment) -> StoredVolume:
        volume = self._records.get(StoredVolume, attachment.volume_id)
        if volume is None:
            raise errors.NotFound(f"Volume {attachment.volume_id} could not be found.")
        return volume

"""The embedded block storage service without its API: volumes and snapshots, their states, and the work behind them.

States move as Cinder moves them. What takes time (filling, copying, removing files) is done by one worker; a restart
goes on with what was begun. Attachments: ``volume_attachments.py``; the API: ``volume_api.py``.
"""

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nova_lite import errors
from nova_lite.embedded import volume_events
from nova_lite.embedded.image_directory import ACTIVE, ImageDirectory, StoredImage
from nova_lite.embedded.volume_events import nobody
from nova_lite.embedded.volume_files import VolumeFiles
from nova_lite.embedded.volume_records import Records, StoredAttachment, StoredSnapshot, StoredVolume
from nova_lite.embedded.volume_types import VolumeTypes
from nova_lite.model.volume import NewVolume

LOG = logging.getLogger(__name__)

#: The availability zone of everything here.
ZONE = "nova"
_GIB = 1 << 30
_DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
# fmt: off
#: What an administrator may say that a volume, or a snapshot, is.
VOLUME_STATES = (
    "creating", "available", "deleting", "error", "error_deleting", "error_managing", "managing", "attaching", "in-use",
    "detaching", "maintenance", "restoring-backup", "error_restoring", "reserved", "awaiting-transfer", "backing-up",
    "error_backing-up", "error_extending", "downloading", "uploading", "retyping", "extending",
)
# fmt: on
SNAPSHOT_STATES = ("available", "creating", "deleting", "error", "error_deleting")
_IN_USE, _RESERVED = "in-use", "reserved"
#: What administrators say where there is to be no migration.
_NO_MIGRATION = "none"
#: What a volume's migration is when there is none under way.
IDLE_MIGRATIONS = (None, "deleting", "error", "success")


@dataclass(frozen=True, slots=True)
class VolumeCaller:
    """Who asks. ``is_service`` says that a service vouches for the request, as compute does for its own."""

    user_id: str
    project_id: str
    is_admin: bool = False
    is_service: bool = False

    def sees(self, project_id: str) -> bool:
        """Return whether things of a project are the caller's to see."""
        return self.is_admin or self.project_id == project_id


class VolumeStore:
    """Volumes and snapshots in one directory: ``volumes.sqlite`` and a file for each.

    ``quota_gib`` is what the volumes and snapshots of a project may come to, ``tell`` tells compute what was done.
    """

    def __init__(
        self, directory: Path, images: ImageDirectory, *, quota_gib: int = 5000, tell: volume_events.Tell = nobody
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.files = VolumeFiles(directory)
        self.records = Records(directory / "volumes.sqlite")
        self.types = VolumeTypes(self.records)
        self._images = images
        self._quota_gib = quota_gib
        self._tell = tell
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="volume-work", daemon=True)

    def start(self) -> None:
        """Begin to work, first on what an earlier run left."""
        for volume in self.records.all(StoredVolume):
            job = {
                "creating": self._fill,
                "deleting": self.erase,
                "extending": self._extend,
                "downloading": self._refill,
            }.get(volume.status)
            if job is not None:
                self.later(job, volume.id)
        for snapshot in self.records.all(StoredSnapshot):
            if snapshot.status in ("creating", "deleting"):
                self.later(self._take if snapshot.status == "creating" else self._drop, snapshot.id)
        self._worker.start()

    def stop(self) -> None:
        """Finish the piece of work in hand and give everything back."""
        if self._worker.is_alive():
            self._jobs.put(None)
            self._worker.join()
        self.records.close()

    # -- volumes --------------------------------------------------------------------------------------------------

    def volume(self, caller: VolumeCaller, volume_id: str) -> StoredVolume:
        """Return a volume; raises NotFound, also when it is not the caller's."""
        found = self.records.get(StoredVolume, volume_id)
        if found is None or not caller.sees(found.project_id):
            raise errors.NotFound(f"Volume {volume_id[:64]} could not be found.")
        return found

    def volumes(self, caller: VolumeCaller, *, of_all: bool = False) -> list[StoredVolume]:
        """Return the project's volumes, or everybody's, newest first."""
        found = reversed(self.records.all(StoredVolume))
        return [one for one in found if (of_all or one.project_id == caller.project_id) and not is_target(one)]

    def create(self, caller: VolumeCaller, new: NewVolume, size_gib: int | None) -> StoredVolume:
        """Begin to make a volume; without a size as big as what it is made of."""
        if new.availability_zone not in (None, "", ZONE):
            raise errors.Invalid(f"Availability zone '{new.availability_zone}' is invalid.")
        type_ = self.types.named(new.volume_type) if new.volume_type else self.types.default()
        snapshot = self.snapshot(caller, new.snapshot_id) if new.snapshot_id else None
        source = self.volume(caller, new.source_volume_id) if new.source_volume_id else None
        image = self._image(new.image_id, size_gib) if new.image_id else None
        size = _size(size_gib, snapshot, source)
        if source is not None and source.status not in ("available", _IN_USE):
            raise errors.Invalid(f"Invalid volume: Volume status must be available or in-use, not {source.status}.")
        if snapshot is not None and snapshot.status != "available":
            raise errors.Invalid("Invalid snapshot: Originating snapshot status must be one of 'available' values")
        origin = self._origin(snapshot, source)
        type_id = type_.id if new.volume_type or origin is None else origin.type_id
        with self.records.changing():
            self._check_quota(caller.project_id, size)
            made = StoredVolume(
                id=str(uuid.uuid4()),
                project_id=caller.project_id,
                user_id=caller.user_id,
                size_gib=size,
                status="creating",
                type_id=type_id,
                created_at=now(),
                name=new.name or None,
                description=new.description or None,
                snapshot_id=new.snapshot_id,
                source_volume_id=new.source_volume_id,
                is_multiattach=self.types.is_multiattach(type_id),
                is_bootable=image is not None or (origin is not None and origin.is_bootable),
                job_image_id=new.image_id,
                metadata=dict(new.metadata),
                image_metadata=_image_metadata(image) if image else dict(origin.image_metadata if origin else {}),
            )
            self.records.put(made)
        self.later(self._fill, made.id)
        return made

    def change(self, caller: VolumeCaller, volume_id: str, **values: object) -> StoredVolume:
        """Change what is said of a volume: its fields by name."""
        with self.records.changing():
            return self._put(self.volume(caller, volume_id), **values)

    def path_of(self, volume: StoredVolume) -> Path:
        """Return the file of a volume."""
        return self.files.volume(volume.file_id or volume.id, volume.pool)

    def delete(self, caller: VolumeCaller, volume_id: str, *, cascade: bool = False, force: bool = False) -> None:
        """Begin to remove a volume; with ``cascade`` its snapshots too, with ``force`` in any state but attached."""
        with self.records.changing():
            volume = self.volume(caller, volume_id)
            snapshots = self.records.of_volume(StoredSnapshot, volume_id)
            is_free = volume.attach_status != "attached" and (force or volume.status in _DELETABLE)
            if not is_free or volume.migration_status not in IDLE_MIGRATIONS or (snapshots and not cascade):
                raise errors.Invalid(
                    f"Invalid volume: Volume status must be {' or '.join(_DELETABLE)} and must not be migrating, "
                    "attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from "
                    "snapshots after volume transfer."
                )
            for snapshot in snapshots:
                self.records.put(replace(snapshot, status="deleting"))
            self._put(volume, status="deleting")
        for snapshot in snapshots:
            self.later(self._drop, snapshot.id)
        self.later(self.erase, volume_id)

    def extend(self, caller: VolumeCaller, volume_id: str, size_gib: int, *, may_be_used: bool) -> None:
        """Begin to make a volume bigger; one in use only if ``may_be_used`` (3.42)."""
        with self.records.changing():
            volume = self.volume(caller, volume_id)
            if size_gib <= volume.size_gib:
                raise errors.Invalid(
                    "Invalid input received: New size for extend must be greater than current size. "
                    f"(current: {volume.size_gib}, extended: {size_gib})."
                )
            if volume.status not in (("available", _IN_USE) if may_be_used else ("available",)):
                raise errors.Invalid(
                    f"Invalid volume: Volume {volume_id} status must be available to extend, currently {volume.status}."
                )
            self._check_quota(volume.project_id, size_gib - volume.size_gib)
            self._put(volume, status="extending", previous_status=volume.status, job_size_gib=size_gib)
        self.later(self._extend, volume_id)

    def reimage(self, caller: VolumeCaller, volume_id: str, image_id: str, *, may_be_reserved: bool) -> None:
        """Begin to fill a volume anew from an image."""
        allowed = ("available", "error", "reserved") if may_be_reserved else ("available", "error")
        with self.records.changing():
            volume = self.volume(caller, volume_id)
            if len(self.records.of_volume(StoredAttachment, volume_id)) > 1:
                raise errors.Conflict("Cannot re-image a volume which is attached to more than one server.")
            if volume.status not in allowed:
                raise errors.Invalid(
                    f"Invalid volume: Volume {volume_id} status must be {' or '.join(allowed)}, "
                    f"but current status is {volume.status}."
                )
            if image_id not in (image.id for image in self._images.images()):
                raise errors.NotFound(f"Image {image_id} could not be found.")
            self._image(image_id, volume.size_gib)
            self._put(volume, status="downloading", previous_status=volume.status, job_image_id=image_id)
        self.later(self._refill, volume_id)

    def reset(self, caller: VolumeCaller, volume_id: str, values: Mapping[str, str]) -> None:
        """Set the status as an administrator says, without looking at anything else."""
        status = values.get("status")
        if status is not None and status not in VOLUME_STATES:
            raise errors.Invalid(f"Volume status: {status[:64]} is invalid, valid statuses are: {VOLUME_STATES}.")
        with self.records.changing():
            told = {name: None if value == _NO_MIGRATION else value for name, value in values.items()}
            self._put(self.volume(caller, volume_id), **told)

    def usage(self, project_id: str) -> dict[str, int]:
        """Return what a project has, and how much it may have; numbers have no limit (-1)."""
        volumes = [one for one in self.records.all(StoredVolume) if one.project_id == project_id and not is_target(one)]
        snapshots = [one for one in self.records.all(StoredSnapshot) if one.project_id == project_id]
        return {
            "maxTotalVolumes": -1,
            "maxTotalSnapshots": -1,
            "maxTotalVolumeGigabytes": self._quota_gib,
            "totalVolumesUsed": len(volumes),
            "totalSnapshotsUsed": len(snapshots),
            "totalGigabytesUsed": sum(one.size_gib for one in volumes) + sum(one.size_gib for one in snapshots),
        }

    # -- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, caller: VolumeCaller, snapshot_id: str) -> StoredSnapshot:
        """Return a snapshot; raises NotFound, also when it is not the caller's."""
        found = self.records.get(StoredSnapshot, snapshot_id)
        if found is None or not caller.sees(found.project_id):
            raise errors.NotFound(f"Snapshot {snapshot_id[:64]} could not be found.")
        return found

    def snapshots(self, caller: VolumeCaller, *, of_all: bool = False) -> list[StoredSnapshot]:
        """Return the project's snapshots, or everybody's, newest first."""
        found = reversed(self.records.all(StoredSnapshot))
        return [one for one in found if of_all or one.project_id == caller.project_id]

    def create_snapshot(
        self, caller: VolumeCaller, volume_id: str, *, is_forced: bool, **values: object
    ) -> StoredSnapshot:
        """Begin to snapshot a volume; one in use only if forced."""
        with self.records.changing():
            volume = self.volume(caller, volume_id)
            allowed = ("available", _IN_USE) if is_forced else ("available",)
            if volume.status not in allowed:
                raise errors.Invalid(
                    f"Invalid volume: Volume {volume_id} status must be {' or '.join(allowed)}, "
                    f"but current status is: {volume.status}."
                )
            self._check_quota(caller.project_id, volume.size_gib)
            made = StoredSnapshot(
                id=str(uuid.uuid4()),
                volume_id=volume_id,
                project_id=caller.project_id,
                user_id=caller.user_id,
                size_gib=volume.size_gib,
                status="creating",
                created_at=now(),
                **values,  # type: ignore[arg-type]  # name, description and metadata, checked by who read them
            )
            self.records.put(made)
        self.later(self._take, made.id)
        return made

    def change_snapshot(self, caller: VolumeCaller, snapshot_id: str, **values: object) -> StoredSnapshot:
        """Change what is said of a snapshot, or its state."""
        with self.records.changing():
            found = self.snapshot(caller, snapshot_id)
            return self.records.put(replace(found, **values, updated_at=now()))  # type: ignore[arg-type]

    def delete_snapshot(self, caller: VolumeCaller, snapshot_id: str, *, force: bool = False) -> None:
        """Begin to remove a snapshot."""
        with self.records.changing():
            found = self.snapshot(caller, snapshot_id)
            if not force and found.status not in ("available", "error"):
                raise errors.Invalid(
                    "Invalid snapshot: Snapshot status must be available or error and must not be part of a group."
                )
            self.records.put(replace(found, status="deleting", updated_at=now()))
        self.later(self._drop, snapshot_id)

    # -- work -----------------------------------------------------------------------------------------------------

    def later(self, job: Callable[[str], None], record_id: str) -> None:
        """Have a piece of work about a record done, after all others."""
        self._jobs.put(lambda: job(record_id))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # the outermost loop of this thread; what failed says so by its state
                LOG.exception("Work on a volume failed")

    def _fill(self, volume_id: str) -> None:
        volume = self.records.get(StoredVolume, volume_id)
        if volume is None or volume.status != "creating":
            return
        target = self.path_of(volume)
        try:
            if volume.snapshot_id:
                self.files.make_copy(target, self.files.snapshot(volume.snapshot_id), volume.size_gib)
            elif volume.source_volume_id:
                source = self.records.get(StoredVolume, volume.source_volume_id)
                if source is None:
                    raise errors.NotFound(f"Volume {volume.source_volume_id} could not be found.")
                self.files.make_copy(target, self.path_of(source), volume.size_gib)
            elif volume.job_image_id:
                image, path = self._images.image(volume.job_image_id)
                self.files.make_from_image(target, path, image.disk_format, volume.size_gib)
            else:
                self.files.make_blank(target, volume.size_gib)
        except (OSError, errors.NovaLiteError) as exc:
            self._failed(volume_id, "error", exc)
            return
        self._done(volume_id, status="available", job_image_id=None)

    def erase(self, volume_id: str) -> None:
        """Remove a volume, its file first, and what held it."""
        volume = self.records.get(StoredVolume, volume_id)
        if volume is None:
            return
        self.files.remove(self.path_of(volume))
        with self.records.changing():
            for attachment in self.records.of_volume(StoredAttachment, volume_id):
                self.records.remove(StoredAttachment, attachment.id)
            self.records.remove(StoredVolume, volume_id)

    def _extend(self, volume_id: str) -> None:
        volume = self.records.get(StoredVolume, volume_id)
        if volume is None or volume.status != "extending" or volume.job_size_gib is None:
            return
        try:
            self.files.extend(self.path_of(volume), volume.job_size_gib)
        except OSError as exc:
            self._failed(volume_id, "error_extending", exc)
            return
        status = volume.previous_status or "available"
        self._done(volume_id, status=status, previous_status=None, size_gib=volume.job_size_gib, job_size_gib=None)
        if status == _IN_USE:
            self._tell(volume_events.EXTENDED, volume_id, self._servers(volume_id))

    def _refill(self, volume_id: str) -> None:
        volume = self.records.get(StoredVolume, volume_id)
        if volume is None or volume.status != "downloading" or volume.job_image_id is None:
            return
        try:
            image, path = self._images.image(volume.job_image_id)
            self.files.fill(self.path_of(volume), path, image.disk_format, volume.size_gib)
        except (OSError, errors.NovaLiteError) as exc:
            self._failed(volume_id, "error", exc)
            return
        status = volume.previous_status or "available"
        metadata = _image_metadata(image)
        self._done(
            volume_id, status=status, previous_status=None, job_image_id=None, is_bootable=True, image_metadata=metadata
        )
        if status == _RESERVED:
            self._tell(volume_events.REIMAGED, volume_id, self._servers(volume_id))

    def _take(self, snapshot_id: str) -> None:
        snapshot = self.records.get(StoredSnapshot, snapshot_id)
        if snapshot is None or snapshot.status != "creating":
            return
        values = {"status": "available", "progress": "100%"}
        try:
            volume = self.records.get(StoredVolume, snapshot.volume_id)
            if volume is None:
                raise errors.NotFound(f"Volume {snapshot.volume_id} could not be found.")
            self.files.make_copy(self.files.snapshot(snapshot_id), self.path_of(volume))
        except (OSError, errors.NovaLiteError) as exc:
            LOG.warning("Snapshot %s cannot be made: %s", snapshot_id, exc)
            values = {"status": "error"}
        with self.records.changing():
            found = self.records.get(StoredSnapshot, snapshot_id)
            if found is not None and found.status == "creating":
                self.records.put(replace(found, **values, updated_at=now()))  # type: ignore[arg-type]

    def _drop(self, snapshot_id: str) -> None:
        self.files.remove(self.files.snapshot(snapshot_id))
        self.records.remove(StoredSnapshot, snapshot_id)

    def _done(self, volume_id: str, **values: object) -> None:
        with self.records.changing():
            volume = self.records.get(StoredVolume, volume_id)
            if volume is not None:
                self._put(volume, **values)

    def _servers(self, volume_id: str) -> list[str]:
        """Return the servers that have a volume."""
        found = self.records.of_volume(StoredAttachment, volume_id)
        return sorted({one.instance_uuid for one in found if one.instance_uuid is not None})

    def _failed(self, volume_id: str, status: str, exc: Exception) -> None:
        LOG.warning("Work on volume %s failed: %s", volume_id, exc)
        self._done(volume_id, status=status)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _put(self, volume: StoredVolume, **values: object) -> StoredVolume:
        return self.records.put(replace(volume, **values, updated_at=now()))  # type: ignore[arg-type]

    def _origin(self, snapshot: StoredSnapshot | None, source: StoredVolume | None) -> StoredVolume | None:
        return self.records.get(StoredVolume, snapshot.volume_id) if snapshot is not None else source

    def _image(self, image_id: str, size_gib: int | None) -> StoredImage:
        try:
            image, _ = self._images.image(image_id)
        except errors.NotFound as exc:
            raise errors.Invalid("Invalid image identifier or unable to access requested image.") from exc
        if image.status != ACTIVE:
            raise errors.Invalid(f"Invalid input received: Image {image_id} is not active.")
        bytes_ = max(image.virtual_size or 0, image.size)
        if size_gib is not None and bytes_ > size_gib * _GIB:
            raise errors.Invalid(
                f"Invalid input received: Size of specified image {-(-bytes_ // _GIB)}GB is larger than volume size "
                f"{size_gib}GB."
            )
        if size_gib is not None and image.min_disk > size_gib:
            raise errors.Invalid(
                f"Invalid input received: Volume size {size_gib}GB cannot be smaller than the image minDisk size "
                f"{image.min_disk}GB."
            )
        return image

    def _check_quota(self, project_id: str, more_gib: int) -> None:
        used = self.usage(project_id)["totalGigabytesUsed"]
        if used + more_gib > self._quota_gib:
            raise errors.OverQuota(
                "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. "
                f"Requested {more_gib}G, quota is {self._quota_gib}G and {used}G has been consumed."
            )


def is_target(volume: StoredVolume, *, of: str = "") -> bool:
    """Return whether a volume is there for another one, or for that one, to be taken to."""
    return (volume.migration_status or "").startswith(f"target:{of}")


def now() -> str:
    """Return the time as the API shows it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _size(asked: int | None, snapshot: StoredSnapshot | None, source: StoredVolume | None) -> int:
    least = snapshot.size_gib if snapshot is not None else source.size_gib if source is not None else None
    size = asked if asked is not None else least
    if size is None:
        raise errors.Invalid("size: how big a new volume is to be must be said")
    if least is not None and size < least:
        what = "the snapshot" if snapshot is not None else "original volume"
        raise errors.Invalid(
            f"Invalid input received: Volume size '{size}'GB cannot be smaller than {what} size {least}GB."
        )
    return size


def _image_metadata(image: StoredImage) -> dict[str, str]:
    return {
        **image.properties,
        "image_id": image.id,
        "image_name": image.name,
        "checksum": image.checksum,
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": str(image.min_disk),
        "min_ram": str(image.min_ram),
        "size": str(image.size),
    }

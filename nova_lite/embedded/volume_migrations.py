"""Volumes that go to the other place of the embedded block storage service, with another type or without one.

As in Cinder: another volume is made there, the volume's data is copied to it, by compute where a server has it, and in
the end the volume is what the other one was, under its own id; what it was goes with the other one's.
"""

import logging
import uuid
from dataclasses import replace

from nova_lite import errors
from nova_lite.embedded.compute_calls import Compute
from nova_lite.embedded.volume_files import POOLS
from nova_lite.embedded.volume_records import StoredAttachment, StoredSnapshot, StoredType, StoredVolume
from nova_lite.embedded.volume_store import IDLE_MIGRATIONS, VolumeCaller, VolumeStore, is_target, now

LOG = logging.getLogger(__name__)

_STARTING, _MIGRATING, _SUCCESS, _ERROR, _DELETING = "starting", "migrating", "success", "error", "deleting"
_RETYPING, _DEMANDED = "retyping", "on-demand"
_MOVABLE = ("available", "in-use")
#: What of a volume's type says where its volumes are.
_PLACE = "volume_backend_name"


class VolumeMigrations:
    """The migrations of one store's volumes."""

    def __init__(self, store: VolumeStore, compute: Compute) -> None:
        self._store = store
        self._records = store.records
        self._compute = compute
        for volume in self._records.all(StoredVolume):
            if volume.migration_status in (_STARTING, _MIGRATING):
                store.later(self._take_up, volume.id)

    def migrate(self, caller: VolumeCaller, volume_id: str, host: str) -> None:
        """Begin to take a volume to another place; raises NotFound, Invalid."""
        pool = next((each.name for each in POOLS if each.host == host), None)
        if pool is None:
            raise errors.Invalid(f"Invalid host: No available service named '{host[:64]}'")
        with self._records.changing():
            volume = self._store.volume(caller, volume_id)
            has_snapshots = bool(self._records.of_volume(StoredSnapshot, volume_id))
            if not _is_movable(volume) or has_snapshots or volume.pool == pool:
                raise errors.Invalid(
                    f"Invalid volume: Volume {volume_id} status must be available or in-use, must not be migrating, "
                    "have snapshots, be replicated, be part of a group and destination host/cluster must be different "
                    "than the current one"
                )
            self._begin(volume, pool, volume.type_id)

    def retype(self, caller: VolumeCaller, volume_id: str, type_name: str, policy: str | None) -> None:
        """Begin to give a volume another type, which may mean another place; raises NotFound, Invalid."""
        with self._records.changing():
            volume = self._store.volume(caller, volume_id)
            wanted = self._store.types.named(type_name)
            self._refuse_retype(volume, wanted)
            pool = wanted.extra_specs.get(_PLACE) or volume.pool
            if pool == volume.pool:
                is_shared = self._store.types.is_multiattach(wanted.id)
                self._records.put(replace(volume, type_id=wanted.id, is_multiattach=is_shared, updated_at=now()))
                return
            has_snapshots = bool(self._records.of_volume(StoredSnapshot, volume_id))
            if policy != _DEMANDED or has_snapshots or pool not in {each.name for each in POOLS}:
                LOG.warning("Volume %s keeps its type: another one means another place", volume_id)
                return
            self._begin(volume, pool, wanted.id, status=_RETYPING)

    def complete(self, caller: VolumeCaller, volume_id: str, new_id: str, *, has_failed: bool) -> str:
        """Have a volume be what the new one is, or the new one go; return the id under which the data is."""
        with self._records.changing():
            volume, new = self._store.volume(caller, volume_id), self._store.volume(caller, new_id)
            if not (volume.migration_status or new.migration_status):
                return new_id
            _refuse_completion(volume, new)
            if has_failed:
                self._fail(volume, new)
            else:
                self._become(volume, new)
        self._store.later(self._store.erase, new_id)
        return volume_id

    def _refuse_retype(self, volume: StoredVolume, wanted: StoredType) -> None:
        if volume.is_multiattach != self._store.types.is_multiattach(wanted.id) and volume.status != "available":
            raise errors.Invalid(
                "Invalid input received: Invalid volume_type passed, retypes affecting multiattach are only allowed on "
                f"available volumes, the specified volume however currently has a status of: {volume.status}."
            )
        if not _is_movable(volume) or volume.type_id == wanted.id:
            raise errors.Invalid(
                "Invalid volume: Retype needs volume to be in available or in-use state, not be part of an active "
                "migration or a consistency group, requested type has to be different that the one from the volume, "
                "and for in-use volumes front-end qos specs cannot change."
            )

    def _begin(self, volume: StoredVolume, pool: str, type_id: str, **values: str) -> None:
        begun = replace(
            volume,
            migration_status=_STARTING,
            previous_status=volume.status,
            job_pool=pool,
            job_type_id=type_id,
            updated_at=now(),
        )
        self._records.put(replace(begun, **values))  # type: ignore[arg-type]
        self._store.later(self._migrate, volume.id)

    # -- work -----------------------------------------------------------------------------------------------------

    def _take_up(self, volume_id: str) -> None:
        """Go on with what an earlier run began; what it was in the middle of, and compute has not begun, has failed."""
        targets = [each for each in self._records.all(StoredVolume) if is_target(each, of=volume_id)]
        volume = self._records.get(StoredVolume, volume_id)
        if volume is None or volume.migration_status == _STARTING:
            self._migrate(volume_id)
            return
        for new in targets:
            if not self._records.of_volume(StoredAttachment, new.id):
                self._clean(volume_id, new.id)

    def _migrate(self, volume_id: str) -> None:
        """Make the other volume; copy the data where nobody has the volume, else have compute do that."""
        with self._records.changing():
            volume = self._records.get(StoredVolume, volume_id)
            if volume is None or volume.migration_status != _STARTING:
                return
            volume = self._records.put(replace(volume, migration_status=_MIGRATING))
            new = self._records.put(_target(volume))
            users = self._records.of_volume(StoredAttachment, volume_id)
        source, target = self._store.path_of(volume), self._store.path_of(new)
        try:
            if users:
                self._store.files.make_blank(target, new.size_gib)
                self._records.put(replace(new, status="available"))
                for use in users:
                    self._compute.swap_volume(use.instance_uuid or "", volume_id, new.id)
                return
            self._store.files.make_copy(target, source, new.size_gib)
        except (OSError, errors.NovaLiteError) as exc:
            LOG.warning("Volume %s stays where it is: %s", volume_id, exc)
            self._clean(volume_id, new.id)
            return
        self.complete(VolumeCaller("", "", is_admin=True), volume_id, new.id, has_failed=False)

    def _clean(self, volume_id: str, new_id: str) -> None:
        """Leave a volume where it is whose migration was refused, unless it ended otherwise meanwhile."""
        with self._records.changing():
            volume, new = self._records.get(StoredVolume, volume_id), self._records.get(StoredVolume, new_id)
            if volume is None or new is None or volume.migration_status != _MIGRATING:
                return
            self._fail(volume, new)
        self._store.later(self._store.erase, new_id)

    def _fail(self, volume: StoredVolume, new: StoredVolume) -> None:
        self._records.put(replace(new, status=_DELETING, updated_at=now()))
        self._records.put(
            replace(
                volume,
                migration_status=_ERROR,
                status=volume.previous_status or volume.status,
                job_pool=None,
                job_type_id=None,
                updated_at=now(),
            )
        )

    def _become(self, volume: StoredVolume, new: StoredVolume) -> None:
        """Swap what the two are, and give the volume the attachments of the new one in the place of its own."""
        for old in self._records.of_volume(StoredAttachment, volume.id):
            self._records.remove(StoredAttachment, old.id)
        for come in self._records.of_volume(StoredAttachment, new.id):
            self._records.put(replace(come, volume_id=volume.id))
        left = replace(new, pool=volume.pool, file_id=volume.file_id or volume.id, updated_at=now())
        self._records.put(replace(left, status=_DELETING, migration_status=_DELETING))
        self._records.put(
            replace(
                volume,
                status=volume.previous_status or volume.status,
                previous_status=volume.status,
                migration_status=_SUCCESS,
                attach_status=new.attach_status,
                pool=new.pool,
                file_id=new.file_id or new.id,
                type_id=new.type_id,
                size_gib=new.size_gib,
                job_pool=None,
                job_type_id=None,
                updated_at=now(),
            )
        )


def _target(volume: StoredVolume) -> StoredVolume:
    """Return the volume that is to become another: pure but for its name."""
    return replace(
        volume,
        id=str(uuid.uuid4()),
        pool=volume.job_pool or "",
        file_id=None,
        type_id=volume.job_type_id or volume.type_id,
        status="creating",
        attach_status="detached",
        migration_status=f"target:{volume.id}",
        previous_status=None,
        job_pool=None,
        job_type_id=None,
        created_at=now(),
    )


def _is_movable(volume: StoredVolume) -> bool:
    return volume.status in _MOVABLE and volume.migration_status in IDLE_MIGRATIONS


def _refuse_completion(volume: StoredVolume, new: StoredVolume) -> None:
    if not volume.migration_status:
        raise errors.Invalid("Invalid volume: Source volume not mid-migration.")
    if not new.migration_status:
        raise errors.Invalid("Invalid volume: Destination volume not mid-migration.")
    if not is_target(new, of=volume.id):
        raise errors.Invalid(
            f"Invalid volume: Destination has migration_status {new.migration_status}, expected target:{volume.id}."
        )

"""Images made of servers: snapshots, and backups of which only the newest are kept."""

import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.images import Images
from nova_lite.api.services.quotas import Quotas
from nova_lite.api.services.server_lookup import ServerLookup, hosting_cell, target
from nova_lite.api.services.server_metadata import refuse_too_much
from nova_lite.api.services.volume_images import VolumeImages
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes
from nova_lite.model import block_device
from nova_lite.model.caller import Caller
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

#: Properties of an image that say something of its own file.
_NOT_INHERITED = (
    "bittorrent",
    "cache_in_nova",
    "img_signature",
    "os_glance_",
    "owner_specified.",
    "signature_verified",
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Of which type a backup is, and how many of it are kept."""

    backup_type: str
    keep: int


class ServerSnapshotService:
    """Makes images that wait for a server's disk; the server's host fills them.

    An image is made with the caller's own token, so that the image service decides whether they may.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, api_db: Database, lookup: ServerLookup, images: Images, volumes: Volumes
    ) -> None:
        self._conf = conf
        self._quotas = Quotas(conf)
        self._api_db = api_db
        self._lookup = lookup
        self._images = images
        self._of_volumes = VolumeImages(conf, images, volumes)

    def create_image(
        self, caller: Caller, uuid: str, name: str, metadata: Mapping[str, str], *, is_limited: bool
    ) -> str:
        """Begin a snapshot and return the new image's id; that of a server that boots from a volume is there already.

        Raises Conflict in a state that cannot be copied, OverQuota for too much metadata where it ``is_limited``,
        Forbidden with the image service's words, Unavailable.
        """
        return self._begin(caller, uuid, rules.CREATE_IMAGE, name, metadata, None, is_limited=is_limited)

    def create_backup(
        self,
        caller: Caller,
        uuid: str,
        name: str,
        metadata: Mapping[str, str],
        rotation: Rotation,
        *,
        is_limited: bool,
    ) -> str:
        """Begin a backup and return the new image's id; the oldest beyond ``rotation`` are removed when it is there.

        Raises what ``create_image`` does, and Invalid for a server that boots from a volume.
        """
        return self._begin(caller, uuid, rules.CREATE_BACKUP, name, metadata, rotation, is_limited=is_limited)

    def _begin(
        self,
        caller: Caller,
        uuid: str,
        rule: str,
        name: str,
        metadata: Mapping[str, str],
        rotation: Rotation | None,
        *,
        is_limited: bool,
    ) -> str:
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rule, **target(instance))
        if is_limited:
            with self._api_db.reader() as session:
                refuse_too_much(metadata, self._quotas.allowance(session, instance.project_id, caller.user_id))
        action = "snapshot" if rotation is None else "backup"
        operations.refuse_if_wrong_state(instance, action)
        cell = hosting_cell(located)
        if block_device.root_of(instance.volumes) is not None:
            if rotation is not None:
                raise errors.Invalid("Backup is not supported for volume-backed instances.")
            caller.require(rules.CREATE_VOLUME_IMAGE, **target(instance))
            return self._of_volumes.create(caller, cell, instance, image_of_disk(instance, name, metadata))
        image = self._images.create(image_of_disk(instance, name, metadata, rotation), caller.token)
        inputs: dict[str, object] = {"image": image.id}
        if rotation is not None:
            inputs |= {"backup_type": rotation.backup_type, "rotation": rotation.keep}
        try:
            begun = self._record(cell, uuid, action, caller, inputs)
        except errors.NovaLiteError:
            # Somebody else was faster, or deleted the server.
            self._images.delete(image.id, caller.token)
            raise
        ConductorClient(cell.bus).wake(begun.uuid)
        return image.id

    @retried
    def _record(self, cell: OpenCell, uuid: str, action: str, caller: Caller, inputs: Mapping[str, object]) -> Workflow:
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        with cell.db.writer() as session:
            return operations.begin(
                session, uuid, action, requester, timeout_s=self._conf.snapshot_timeout, inputs=inputs
            )


def image_of_disk(
    instance: Instance, name: str, metadata: Mapping[str, str], rotation: Rotation | None = None
) -> Image:
    """Return the image that waits for the instance's disk: pure, but for its new id."""
    inherited = {key: value for key, value in instance.image_properties.items() if not key.startswith(_NOT_INHERITED)}
    ours = {
        "instance_uuid": instance.uuid,
        "user_id": instance.user_id,
        "owner_id": instance.project_id,
        "base_image_ref": instance.image_id,
        "image_location": "snapshot",
    }
    if rotation is not None:
        ours |= {"image_type": "backup", "backup_type": rotation.backup_type}
    return Image(
        id=str(uuids.uuid4()),
        name=name,
        status="queued",
        disk_format="",
        size=0,
        min_disk_gib=instance.flavor.root_gib,
        # Of what type a snapshot is the caller may say otherwise; backups are told apart by it.
        properties={**inherited, "image_type": "snapshot", **metadata, **ours},
    )

"""Images of servers that boot from volumes: records without data that name snapshots of all the server's volumes.

Snapshots belong to whoever makes them, and the user's token ends with the request, so that everything is made here.
What removes it again when we die or fail is written down before: ``cells/volume_images.py``.
"""

import logging
import time
import uuid as uuids
from dataclasses import replace

import orjson
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.images import Images
from nova_lite.cells import volume_images
from nova_lite.cells.operations import Requester
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.caller import Caller
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.rpc.compute import ComputeClient
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)

#: Seconds before what is made is removed, in which nothing more is begun.
_MARGIN_S = 120.0
_YES = frozenset({"1", "t", "true", "on", "y", "yes"})
_NAME_LENGTH = 255


class VolumeImages:
    """Makes images of servers that boot from volumes."""

    def __init__(self, conf: cfg.ConfigOpts, images: Images, volumes: Volumes) -> None:
        self._conf = conf
        self._images = images
        self._volumes = volumes

    def create(self, caller: Caller, cell: OpenCell, instance: Instance, image: Image) -> str:
        """Make ``image`` (its data left out) and snapshots of the server's volumes, and return the image's id.

        The server goes on meanwhile, its file systems frozen where its guest has an agent for that. Raises Conflict in
        a state that forbids it, or where its image asks for a freeze and that failed, Invalid for volumes that have no
        snapshots, OverQuota, Forbidden, Unavailable; then nothing is left, or soon.
        """
        making = _Making(caller, cell, str(uuids.uuid4()), time.monotonic() + volume_images.REQUEST_S - _MARGIN_S)
        service = self._as_user(caller)
        found = self._begin(making, instance.uuid, freezes=_may_freeze(instance))
        try:
            is_frozen = _freeze(making, found)
            mappings = [_mapping(each, making.snapshot(service, each, image.name)) for each in _devices(found)]
            making.refuse_if_late()
            described = _described(replace(image, id=making.image_id), found, mappings)
            self._images.create(described, caller.token)
            self._images.activate(making.image_id, caller.token)
            thawing = self._keep(making, instance.uuid, thaws=is_frozen)
        except BaseException as exc:
            reason = exc.message if isinstance(exc, errors.NovaLiteError) else "An internal error happened."
            self._give_up(making, instance.uuid, reason)
            raise
        if thawing is not None:
            ConductorClient(cell.bus).wake(thawing)
        return making.image_id

    def _as_user(self, caller: Caller) -> VolumesAs:
        try:
            return self._volumes.as_user(caller.token or "")
        except errors.Misconfigured as exc:
            raise errors.Unavailable("There is no block storage service that could be asked.", cause=str(exc)) from exc

    @retried
    def _begin(self, making: "_Making", uuid: str, *, freezes: bool) -> Instance:
        with making.cell.db.writer() as session:
            return volume_images.begin(
                session,
                uuid,
                making.image_id,
                making.requester,
                freezes=freezes,
                timeout_s=self._conf.operation_timeout,
            )

    @retried
    def _keep(self, making: "_Making", uuid: str, *, thaws: bool) -> str | None:
        with making.cell.db.writer() as session:
            return volume_images.keep(
                session, uuid, making.image_id, making.snapshot_ids, making.requester, thaws=thaws
            )

    def _give_up(self, making: "_Making", uuid: str, reason: str) -> None:
        """Have a conductor remove what there is; if nobody can be told, that happens later."""
        try:
            with making.cell.db.writer() as session:
                volume_images.give_up(session, uuid, making.image_id, making.requester, reason)
        except errors.NovaLiteError as exc:
            LOG.warning("Image %s is removed only in %s s: %s", making.image_id, volume_images.REQUEST_S, exc)
            return
        ConductorClient(making.cell.bus).wake(making.image_id)


class _Making:
    """One image that is being made; ``late_at`` is by ``time.monotonic``."""

    def __init__(self, caller: Caller, cell: OpenCell, image_id: str, late_at: float) -> None:
        self.requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        self.cell = cell
        self.image_id = image_id
        self.snapshot_ids: list[str] = []
        self._late_at = late_at

    def refuse_if_late(self) -> None:
        """Raise Timeout when there is no time left to begin anything before all is removed."""
        if time.monotonic() > self._late_at:
            raise errors.Timeout("It took too long to make the snapshots of the server's volumes.")

    def snapshot(self, service: VolumesAs, device: BlockDevice, image_name: str) -> str:
        """Begin a snapshot of a volume and return its id.

        Raises Invalid for what block storage refuses, Timeout when the snapshots before took too long.
        """
        self.refuse_if_late()
        name = f"snapshot for {image_name}"[:_NAME_LENGTH]
        made_for = {volume_images.MADE_FOR: self.image_id}
        try:
            made = service.create_snapshot(str(device.volume_id), name, metadata=made_for)
        except (errors.NotFound, errors.Conflict) as exc:
            raise errors.Invalid(exc.message) from exc
        self.snapshot_ids.append(made.id)
        return made.id


def _devices(instance: Instance) -> list[BlockDevice]:
    return volume_images.snapshotted(instance.volumes)


def _may_freeze(instance: Instance) -> bool:
    return instance.vm_state is VmState.ACTIVE and _is_true(instance, "hw_qemu_guest_agent")


def _freeze(making: _Making, instance: Instance) -> bool:
    """Freeze the file systems of a server that runs and has an agent; return whether that is done."""
    if instance.vm_state is not VmState.ACTIVE:
        return False
    must = _is_true(instance, "os_require_quiesce")
    if not _may_freeze(instance):
        if must:
            raise errors.Invalid("QEMU guest agent is not enabled")
        return False
    try:
        agents = ComputeClient(making.cell.bus)
        agents.freeze(instance.host or "", instance.uuid, instance.epoch, making.image_id)
    except (errors.Conflict, errors.Unsupported, errors.NotFound) as exc:
        if must:
            raise errors.Conflict(f"Failed to quiesce instance: {exc.message}") from exc
        LOG.info("Server %s goes on while its volumes are snapshotted: %s", instance.uuid, exc)
        return False
    return True


def _is_true(instance: Instance, name: str) -> bool:
    return instance.image_properties.get(name, "").strip().lower() in _YES


def _described(image: Image, instance: Instance, mappings: list[dict[str, object]]) -> Image:
    """Return the image with what a server is booted by from it."""
    root = block_device.root_of(instance.volumes)
    ours = {
        "bdm_v2": "True",
        "block_device_mapping": orjson.dumps(mappings).decode(),
        "root_device_name": root.device_name if root is not None else "",
    }
    return replace(
        image,
        disk_format="raw",
        # Whoever boots from it has a volume as large as this one is.
        min_disk_gib=(root.size_gib if root is not None else None) or 0,
        properties={**image.properties, **ours},
    )


def _mapping(device: BlockDevice, snapshot_id: str) -> dict[str, object]:
    """Return what an image says of a volume: how a new one is made of its snapshot, and where it goes."""
    return {
        "source_type": "snapshot",
        "destination_type": "volume",
        "snapshot_id": snapshot_id,
        "volume_size": device.size_gib,
        "boot_index": device.boot_index,
        "device_name": device.device_name,
        "delete_on_termination": device.delete_on_termination,
        "disk_bus": device.disk_bus,
        "device_type": device.device_type,
        **dict.fromkeys(("guest_format", "image_id", "no_device", "tag", "volume_id", "volume_type")),
    }

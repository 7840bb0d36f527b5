"""Rebuilding servers: what is asked for is checked and written down here; conductors do the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import image_mappings
from nova_lite.api.services.guest_data import (
    needs_config_drive,
    refuse_bad_files,
    refuse_bad_user_data,
    refuse_too_many_files,
)
from nova_lite.api.services.images import Images
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quotas import Quotas
from nova_lite.api.services.rebuilt_volumes import RebuiltVolumes
from nova_lite.api.services.server_creation import refuse_unfit
from nova_lite.api.services.server_lookup import ServerLookup, hosting_cell, refuse_if_locked, target
from nova_lite.api.services.server_metadata import refuse_too_much
from nova_lite.api.services.servers import Details, ServerService
from nova_lite.cells import operations, rebuilds
from nova_lite.cells.operations import Requester
from nova_lite.cells.rebuilds import REBUILD, REIMAGE, Rebuild
from nova_lite.cells.registry import OpenCell
from nova_lite.clients.volumes import Volumes
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import keypairs, workflows
from nova_lite.model import block_device
from nova_lite.model.caller import Caller
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import Database, retried

_GIB = 1 << 30
#: Attributes of Instance whose columns have other names.
_COLUMNS: Mapping[str, str] = {"metadata": "user_metadata", "has_config_drive": "config_drive"}


@dataclass(frozen=True)
class AskedRebuild:
    """What a client asked for; ``changes`` are attributes of Instance as they are to be.

    ``reimages``: a volume that the server boots from is to be filled with the image.
    """

    image_id: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    names_certificates: bool = False
    preserves_ephemeral: bool = False
    reimages: bool = False


class RebuildService:
    """Begins rebuilds."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        api_db: Database,
        lookup: ServerLookup,
        images: Images,
        api_bus: Bus,
        *,
        volumes: Volumes,
        notices: Notices,
    ) -> None:
        self._servers = ServerService(api_db, lookup, notices)
        self._conf = conf
        self._quotas = Quotas(conf)
        self._api_db = api_db
        self._lookup = lookup
        self._images = images
        self._rebuilt = RebuiltVolumes(volumes)
        self._api_bus = api_bus

    def rebuild(self, caller: Caller, uuid: str, asked: AskedRebuild) -> Details:
        """Begin to rebuild the server and return it as it is to be.

        Raises Invalid for an image that cannot be, Conflict in a state that forbids it, OverQuota for metadata.
        """
        located = self._lookup.find(caller, uuid)
        instance = located.instance
        caller.require(rules.REBUILD, **target(instance))
        if asked.names_certificates:
            caller.require(rules.REBUILD_CERTIFICATES, **target(instance))
        refuse_if_locked(caller, instance)
        operations.refuse_if_wrong_state(instance, REBUILD)
        cell = hosting_cell(located)
        image = self._image(caller, asked.image_id)
        root = block_device.root_of(instance.volumes)
        reimages = asked.reimages and root is not None
        if root is not None:
            self._rebuilt.refuse_unfit(caller, instance, root, image, reimages=reimages)
        changes = {**asked.changes, **self._checked(caller, instance, asked.changes)}
        refuse_unfit(image, instance.claimed_flavor)
        if needs_config_drive(self._conf, image):
            changes["has_config_drive"] = True
        columns = {_COLUMNS.get(name, name): msgspec.to_builtins(value) for name, value in changes.items()}
        wanted = Rebuild(
            image.id,
            image.properties,
            image.disk_format,
            columns,
            asked.preserves_ephemeral,
            image_gib=max(1, -(-image.size // _GIB)) if reimages else 0,
        )
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        if reimages:
            self._begin_check(cell, uuid, wanted, requester, REIMAGE)
        elif root is not None or image.id == instance.image_id:
            begun = self._begin(cell, uuid, wanted, requester)
            ConductorClient(cell.bus).wake(begun.uuid)
        else:
            self._begin_check(cell, uuid, wanted, requester, REBUILD)
        rebuilt = replace(
            instance,
            image_id=image.id,
            image_properties=image.properties,
            task_state=ACTIONS[REBUILD].while_busy,
            updated_at=utcnow(),
            **changes,
        )
        return self._servers.details(replace(located, instance=rebuilt), with_host_status=True, with_hints=True)

    def _image(self, caller: Caller, image_id: str) -> Image:
        try:
            image = self._images.show(image_id, caller.token)
        except errors.NotFound as exc:
            raise errors.Invalid("Cannot find image for rebuild") from exc
        if image.status != "active":
            raise errors.Invalid(f"Image {image_id} is not active.")
        if any(one.is_root for one in image_mappings.of_image(image)):
            raise errors.Invalid(f"Image {image_id} is unacceptable: it has no data, it names snapshots of volumes.")
        return image

    def _checked(self, caller: Caller, instance: Instance, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what follows from ``changes``, the public key of the keypair named; raises what is against them."""
        if "user_data" in changes:
            refuse_bad_user_data(changes["user_data"])
        refuse_bad_files(changes.get("personality", ()))
        with self._api_db.reader() as session:
            if "metadata" in changes:
                refuse_too_much(
                    changes["metadata"], self._quotas.allowance(session, instance.project_id, instance.user_id)
                )
            if "personality" in changes:
                # Its user's limits, as everything of a server is that has one.
                refuse_too_many_files(
                    changes["personality"], self._quotas.allowance(session, instance.project_id, instance.user_id)
                )
            if "key_name" not in changes:
                return {}
            if changes["key_name"] is None:
                return {"key_data": None}
            try:
                # Keypairs are users'; servers are projects', and another user may rebuild one.
                return {"key_data": keypairs.get(session, caller.user_id, changes["key_name"]).public_key}
            except errors.NotFound as exc:
                raise errors.Invalid("Invalid key_name provided.") from exc

    @retried
    def _begin(self, cell: OpenCell, uuid: str, wanted: Rebuild, requester: Requester) -> Workflow:
        with cell.db.writer() as session:
            return rebuilds.begin(session, uuid, wanted, requester, timeout_s=self._conf.operation_timeout)

    def _begin_check(self, cell: OpenCell, uuid: str, wanted: Rebuild, requester: Requester, kind: str) -> None:
        """Write down above the cells that another image is to be checked, and begin in the cell, which may refuse."""
        workflow = Workflow.asked_by(
            requester, kind, uuid, {"cell_uuid": cell.cell.uuid, "rebuild": msgspec.to_builtins(wanted)}
        )
        self._record(workflow)
        try:
            _written(cell, uuid, requester)
        except (errors.Conflict, errors.NotFound):
            if self._withdraw(workflow):
                raise
        except errors.Unavailable:
            pass  # a conductor begins it in the cell when that answers
        ConductorClient(self._api_bus).wake(workflow.uuid)

    @retried
    def _record(self, workflow: Workflow) -> None:
        with self._api_db.writer() as session:
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)

    @retried
    def _withdraw(self, workflow: Workflow) -> bool:
        with self._api_db.writer() as session:
            return workflows.withdraw(session, ApiWorkflowRow, workflow.uuid)


@retried
def _written(cell: OpenCell, uuid: str, requester: Requester) -> None:
    with cell.db.writer() as session:
        rebuilds.begin_check(session, uuid, requester)

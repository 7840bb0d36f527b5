"""Deletes for good the servers of a cell that were deleted so that they could be restored, once their time is up."""

import uuid as uuids
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.conductor.overdue_looker import OverdueLooker
from nova_lite.db.repositories import instances
from nova_lite.model.states import VmState


class Reclaimer(OverdueLooker):
    """Begins to delete what was deleted long enough ago."""

    wanted = "servers to reclaim"
    option = "reclaim_instance_interval"

    def due(self, session: Session, before: datetime, limit: int) -> Sequence[str]:
        return [instance.uuid for instance in instances.reclaimable(session, before=before, limit=limit)]

    def begin(self, session: Session, uuid: str, before: datetime, *, timeout_s: float) -> str | None:
        try:
            found = instances.lock(session, uuid)
        except errors.NotFound:
            return None
        is_at_rest = (found.vm_state, found.task_state) == (VmState.SOFT_DELETED, None)
        if not is_at_rest or found.deleted_at is None or found.deleted_at >= before:
            return None
        requester = Requester(found.user_id, found.project_id, f"req-{uuids.uuid4()}")
        begun = operations.begin_delete(session, uuid, requester, timeout_s=timeout_s)
        return None if begun is None else begun.uuid

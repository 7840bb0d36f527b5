"""Boots a cell's servers from their own disks again that have been rescued for too long, if operators want that."""

import uuid as uuids
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.conductor.overdue_looker import OverdueLooker
from nova_lite.db.repositories import instances, rescues


class RescueTimeouts(OverdueLooker):
    """Begins to unrescue what was rescued long enough ago."""

    wanted = "servers to unrescue"
    option = "rescue_timeout"

    def due(self, session: Session, before: datetime, limit: int) -> Sequence[str]:
        return rescues.overdue(session, before=before, limit=limit)

    def begin(self, session: Session, uuid: str, before: datetime, *, timeout_s: float) -> str | None:
        try:
            instance = instances.lock(session, uuid)
            requester = Requester(instance.user_id, instance.project_id, f"req-{uuids.uuid4()}")
            return operations.begin(session, uuid, "unrescue", requester, timeout_s=timeout_s).uuid
        except (errors.NotFound, errors.Conflict):
            return None

"""Deletes for good the servers of a cell that were deleted so that they could be restored, once their time is up."""

import logging
import uuid as uuids
from collections.abc import Callable
from datetime import datetime, timedelta

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.concurrency import Ticker
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds between two looks, at most; servers one look takes up, at most.
_INTERVAL_S = 60.0
_LIMIT = 100


class Reclaimer:
    """Looks from time to time, unless ``reclaim_instance_interval`` is 0; any number of conductors may look at once.

    ``wake`` is told each workflow begun.
    """

    def __init__(self, conf: cfg.ConfigOpts, db: Database, wake: Callable[[str], None]) -> None:
        self._conf = conf
        self._db = db
        self._wake = wake
        interval_s = min(_INTERVAL_S, conf.reclaim_instance_interval)
        self._ticker = Ticker(interval_s, self.look, "reclaim") if interval_s > 0 else None

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self._ticker is not None:
            self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        if self._ticker is not None:
            self._ticker.stop()

    def look(self) -> None:
        """Begin to delete what was deleted long enough ago."""
        before = utcnow() - timedelta(seconds=self._conf.reclaim_instance_interval)
        try:
            with self._db.reader() as session:
                due = instances.reclaimable(session, before=before, limit=_LIMIT)
            for instance in due:
                begun = self._reclaim(instance, before)
                if begun is not None:
                    LOG.info("Server %s was deleted at %s and goes now", instance.uuid, instance.deleted_at)
                    self._wake(begun)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for servers to reclaim: %s %s", exc, exc.facts)

    @retried
    def _reclaim(self, instance: Instance, before: datetime) -> str | None:
        requester = Requester(instance.user_id, instance.project_id, f"req-{uuids.uuid4()}")
        with self._db.writer() as session:
            try:
                found = instances.lock(session, instance.uuid)
            except errors.NotFound:
                return None
            is_at_rest = (found.vm_state, found.task_state) == (VmState.SOFT_DELETED, None)
            if not is_at_rest or found.deleted_at is None or found.deleted_at >= before:
                return None
            begun = operations.begin_delete(session, instance.uuid, requester, timeout_s=self._conf.operation_timeout)
            return None if begun is None else begun.uuid

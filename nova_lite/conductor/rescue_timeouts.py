"""Boots a cell's servers from their own disks again that have been rescued for too long, if operators want that."""

import logging
import uuid as uuids
from collections.abc import Callable
from datetime import timedelta

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.operations import Requester
from nova_lite.concurrency import Ticker
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances, rescues
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds between two looks, at most; servers one look takes up, at most.
_INTERVAL_S = 60.0
_LIMIT = 100


class RescueTimeouts:
    """Looks from time to time, unless ``rescue_timeout`` is 0; any number of conductors may look at once.

    ``wake`` is told each workflow begun.
    """

    def __init__(self, conf: cfg.ConfigOpts, db: Database, wake: Callable[[str], None]) -> None:
        self._conf = conf
        self._db = db
        self._wake = wake
        interval_s = min(_INTERVAL_S, conf.rescue_timeout)
        self._ticker = Ticker(interval_s, self.look, "rescue-timeouts") if interval_s > 0 else None

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self._ticker is not None:
            self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        if self._ticker is not None:
            self._ticker.stop()

    def look(self) -> None:
        """Begin to unrescue what was rescued long enough ago."""
        before = utcnow() - timedelta(seconds=self._conf.rescue_timeout)
        try:
            with self._db.reader() as session:
                due = rescues.overdue(session, before=before, limit=_LIMIT)
            for uuid in due:
                begun = self._unrescue(uuid)
                if begun is not None:
                    LOG.info("Server %s was rescued before %s, and nobody unrescues it: that is done now", uuid, before)
                    self._wake(begun)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for servers to unrescue: %s %s", exc, exc.facts)

    @retried
    def _unrescue(self, uuid: str) -> str | None:
        """Begin it for the server's owner, unless somebody was faster."""
        with self._db.writer() as session:
            try:
                instance = instances.lock(session, uuid)
                requester = Requester(instance.user_id, instance.project_id, f"req-{uuids.uuid4()}")
                timeout_s = self._conf.operation_timeout
                return operations.begin(session, uuid, "unrescue", requester, timeout_s=timeout_s).uuid
            except (errors.NotFound, errors.Conflict):
                return None

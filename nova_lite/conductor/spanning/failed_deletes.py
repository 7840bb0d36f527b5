"""Counts servers again whose deletion failed for good.

A server counts no more as soon as its deletion is accepted. Should its cell give up, nothing there may tell the API
database, so the super conductor looks.
"""

import logging

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.concurrency import Ticker
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import failed_deletes, workflows
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds that a conductor which stops waits for a look under way.
_PATIENCE_S = 2.0


class FailedDeletes:
    """Looks every ``[quota] recount_interval`` seconds, unless that is 0; any number may look at once."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._api_db = api_db
        self._cells = cells
        interval_s = conf.quota.recount_interval
        self._ticker = Ticker(interval_s, self.look, "failed-deletes") if interval_s > 0 else None

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self._ticker is not None:
            self._ticker.start()

    def stop(self) -> None:
        """Look no more; a look that waits for a silent cell is left alone."""
        if self._ticker is not None:
            self._ticker.stop(wait_s=_PATIENCE_S)

    def look(self) -> None:
        """Count what a failed deletion left in any cell that answers."""
        try:
            cells = self._cells.all(with_cell0=False)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for failed deletions: %s", exc)
            return
        for opened in cells:
            try:
                self._look_at(opened)
            except errors.Unavailable as exc:
                LOG.info("Could not look for failed deletions in cell %s: %s", opened.cell.uuid, exc)

    def _look_at(self, opened: OpenCell) -> None:
        with opened.db.reader() as session:
            left = failed_deletes.in_cell(session)
        if not left:
            return
        with self._api_db.reader() as session:
            uncounted = failed_deletes.uncounted(session, left)
        for uuid in uncounted:
            if self._count_again(opened, uuid):
                LOG.warning("Server %s could not be deleted and counts again for its project's quota", uuid)

    @retried
    def _count_again(self, opened: OpenCell, uuid: str) -> bool:
        """Count a server, unless it is being deleted again: whoever accepts that must wait for this transaction."""
        with self._api_db.writer() as session:
            if not failed_deletes.uncounted(session, [uuid], for_update=True):
                return False
            if workflows.subjects_at_work(session, ApiWorkflowRow, [uuid]):
                return False
            with opened.db.reader() as cell_session:
                if not failed_deletes.in_cell(cell_session, [uuid]):
                    return False
            failed_deletes.count_again(session, uuid)
            return True

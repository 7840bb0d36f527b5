"""Counts servers again whose deletion failed for good.

A server counts no more as soon as its deletion is accepted. Should its cell give up, nothing there may tell the API
database, so the super conductor looks.
"""

import logging

from oslo_config import cfg

from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.spanning.cell_looker import CellLooker
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import failed_deletes, workflows
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)


class FailedDeletes(CellLooker):
    """Looks every ``[quota] recount_interval`` seconds."""

    wanted = "failed deletions"

    @staticmethod
    def interval_s(conf: cfg.ConfigOpts) -> float:
        return float(conf.quota.recount_interval)

    def look_at(self, opened: OpenCell) -> None:
        """Count what a failed deletion left."""
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

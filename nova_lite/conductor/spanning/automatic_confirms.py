"""Confirms moves that their users have not confirmed in time, if operators want that."""

import datetime
import logging
import uuid as uuids

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells import moves
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.concurrency import Ticker
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import mappings, migrations, workflows
from nova_lite.model.migration import Migration
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds between two looks; and what a conductor which stops waits for one under way.
_INTERVAL_S, _PATIENCE_S = 60.0, 2.0


class AutomaticConfirms:
    """Looks every minute, or as often as the window is long, unless ``resize_confirm_window`` is 0; any may look."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._api_db = api_db
        self._cells = cells
        self._window_s: int = conf.resize_confirm_window
        self._timeout_s: int = conf.operation_timeout
        interval_s = min(_INTERVAL_S, self._window_s)
        self._ticker = Ticker(interval_s, self.look, "automatic-confirms") if self._window_s > 0 else None

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self._ticker is not None:
            self._ticker.start()

    def stop(self) -> None:
        """Look no more; a look that waits for a silent cell is left alone."""
        if self._ticker is not None:
            self._ticker.stop(wait_s=_PATIENCE_S)

    def look(self) -> None:
        """Begin to confirm what has waited too long in any cell that answers; scans take that up."""
        try:
            cells = self._cells.all(with_cell0=False)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for moves to confirm: %s", exc)
            return
        for opened in cells:
            try:
                self._look_at(opened)
            except errors.Unavailable as exc:
                LOG.info("Could not look for moves to confirm in cell %s: %s", opened.cell.uuid, exc)

    def _look_at(self, opened: OpenCell) -> None:
        with opened.db.reader() as session:
            waiting = migrations.unconfirmed(session, before=utcnow() - datetime.timedelta(seconds=self._window_s))
        for migration in waiting:
            if self._begin(opened, migration):
                LOG.info("Server %s was moved and nobody confirms it: that is done now", migration.instance_uuid)

    @retried
    def _begin(self, opened: OpenCell, migration: Migration) -> bool:
        """Record the confirming of a move, unless another part of a move of the server is under way."""
        uuid = migration.instance_uuid
        workflow = Workflow(
            uuid=str(uuids.uuid4()),
            kind=moves.CONFIRM,
            subject=uuid,
            project_id=migration.project_id,
            user_id=migration.user_id,
            request_id=f"req-{uuids.uuid4()}",
            inputs={"cell_uuid": opened.cell.uuid},
            deadline=0.0,
        )
        with self._api_db.writer() as session:
            try:
                mappings.counted(session, uuid)
            except errors.NotFound:
                return False
            if workflows.others_about(session, ApiWorkflowRow, uuid, workflow.uuid, moves.KINDS):
                return False
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._timeout_s)
        return True

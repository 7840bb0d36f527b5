"""Takes servers off their hosts that have been shelved for so long as operators want them to stay there."""

import datetime
import logging
import uuid as uuids

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells import moves, shelving
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.concurrency import Ticker
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances, mappings, workflows
from nova_lite.model.instance import Instance
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds between two looks; and what a conductor which stops waits for one under way.
_INTERVAL_S, _PATIENCE_S = 60.0, 2.0
#: Servers of one cell that one look takes off at most.
_AT_ONCE = 100


class AutomaticOffloads:
    """Looks every minute, or as often as the time is long, if ``shelved_offload_time`` is more than 0; any may look."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._api_db = api_db
        self._cells = cells
        self._after_s: int = conf.shelved_offload_time
        self._timeout_s: int = conf.operation_timeout
        interval_s = min(_INTERVAL_S, self._after_s)
        self._ticker = Ticker(interval_s, self.look, "automatic-offloads") if self._after_s > 0 else None

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self._ticker is not None:
            self._ticker.start()

    def stop(self) -> None:
        """Look no more; a look that waits for a silent cell is left alone."""
        if self._ticker is not None:
            self._ticker.stop(wait_s=_PATIENCE_S)

    def look(self) -> None:
        """Begin to offload what has been shelved too long in any cell that answers; scans take that up."""
        try:
            cells = self._cells.all(with_cell0=False)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for servers to offload: %s", exc)
            return
        for opened in cells:
            try:
                self._look_at(opened)
            except errors.Unavailable as exc:
                LOG.info("Could not look for servers to offload in cell %s: %s", opened.cell.uuid, exc)

    def _look_at(self, opened: OpenCell) -> None:
        before = utcnow() - datetime.timedelta(seconds=self._after_s)
        with opened.db.reader() as session:
            shelved = instances.offloadable(session, before=before, limit=_AT_ONCE)
        for instance in shelved:
            if self._begin(opened, instance):
                LOG.info("Server %s has been shelved for long enough and is offloaded", instance.uuid)

    @retried
    def _begin(self, opened: OpenCell, instance: Instance) -> bool:
        """Record the offloading of a server, unless something else that moves it is under way."""
        workflow = Workflow(
            uuid=str(uuids.uuid4()),
            kind=shelving.OFFLOAD,
            subject=instance.uuid,
            project_id=instance.project_id,
            user_id=instance.user_id,
            request_id=f"req-{uuids.uuid4()}",
            inputs={"cell_uuid": opened.cell.uuid},
            deadline=0.0,
        )
        with self._api_db.writer() as session:
            try:
                mappings.counted(session, instance.uuid)
            except errors.NotFound:
                return False
            kinds = (*moves.KINDS, *shelving.KINDS)
            if workflows.others_about(session, ApiWorkflowRow, instance.uuid, workflow.uuid, kinds):
                return False
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._timeout_s)
        return True

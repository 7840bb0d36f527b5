"""What looks into every cell now and then for servers that nobody asks about, and begins what is due for them."""

import logging
import uuid as uuids
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import mappings, workflows
from nova_lite.model.workflow import Workflow
from nova_lite.reloading import ticker
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds that a conductor which stops waits for a look under way.
_PATIENCE_S = 2.0


class CellLooker(ABC):
    """Looks every so many seconds, unless that is 0. Any number may look at once."""

    #: What is looked for, as the log calls it.
    wanted: ClassVar[str]

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._ticker = ticker(conf, lambda: self.interval_s(conf), self.look, f"look for {self.wanted}")

    @staticmethod
    @abstractmethod
    def interval_s(conf: cfg.ConfigOpts) -> float:
        """Return the seconds between two looks, 0 for none."""

    @abstractmethod
    def look_at(self, opened: OpenCell) -> None:
        """Look into one cell."""

    def start(self) -> None:
        """Begin to look, as long as that is wanted."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more; a look that waits for a silent cell is left alone."""
        self._ticker.stop(wait_s=_PATIENCE_S)

    def look(self) -> None:
        """Look into any cell that answers."""
        try:
            cells = self._cells.all(with_cell0=False)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for %s: %s", self.wanted, exc)
            return
        for opened in cells:
            try:
                self.look_at(opened)
            except errors.Unavailable as exc:
                LOG.info("Could not look for %s in cell %s: %s", self.wanted, opened.cell.uuid, exc)

    @retried
    def begin(
        self, kind: str, opened: OpenCell, server: str, *, owner: tuple[str, str], unless: Collection[str]
    ) -> bool:
        """Record a workflow about a server for its ``owner`` (project and user); scans take it up.

        False when the server is gone, or a workflow of a kind of ``unless`` is about it.
        """
        project_id, user_id = owner
        workflow = Workflow(
            uuid=str(uuids.uuid4()),
            kind=kind,
            subject=server,
            project_id=project_id,
            user_id=user_id,
            request_id=f"req-{uuids.uuid4()}",
            inputs={"cell_uuid": opened.cell.uuid},
            deadline=0.0,
        )
        with self._api_db.writer() as session:
            try:
                mappings.counted(session, server)
            except errors.NotFound:
                return False
            if workflows.others_about(session, ApiWorkflowRow, server, workflow.uuid, unless):
                return False
            workflows.add(session, ApiWorkflowRow, workflow, timeout_s=self._conf.operation_timeout)
        return True

"""Confirms moves that their users have not confirmed in time, if operators want that."""

import datetime
import logging

from oslo_config import cfg

from nova_lite.cells import moves
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.spanning.cell_looker import CellLooker
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import migrations

LOG = logging.getLogger(__name__)

#: Seconds between two looks, at most.
_INTERVAL_S = 60


class AutomaticConfirms(CellLooker):
    """Looks every minute, or as often as the window is long, unless ``resize_confirm_window`` is 0."""

    wanted = "moves to confirm"

    @staticmethod
    def interval_s(conf: cfg.ConfigOpts) -> float:
        return float(min(_INTERVAL_S, conf.resize_confirm_window))

    def look_at(self, opened: OpenCell) -> None:
        """Begin to confirm what has waited too long."""
        before = utcnow() - datetime.timedelta(seconds=self._conf.resize_confirm_window)
        with opened.db.reader() as session:
            waiting = migrations.unconfirmed(session, before=before)
        for move in waiting:
            owner = move.project_id, move.user_id
            if self.begin(moves.CONFIRM, opened, move.instance_uuid, owner=owner, unless=moves.KINDS):
                LOG.info("Server %s was moved and nobody confirms it: that is done now", move.instance_uuid)

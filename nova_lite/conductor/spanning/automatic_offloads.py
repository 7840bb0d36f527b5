"""Takes servers off their hosts that have been shelved for so long as operators want them to stay there."""

import datetime
import logging

from oslo_config import cfg

from nova_lite.cells import moves, shelving
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.spanning.cell_looker import CellLooker
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances

LOG = logging.getLogger(__name__)

#: Seconds between two looks, at most; servers of one cell that one look takes off, at most.
_INTERVAL_S, _AT_ONCE = 60, 100


class AutomaticOffloads(CellLooker):
    """Looks every minute, or as often as the time is long, if ``shelved_offload_time`` is more than 0."""

    wanted = "servers to offload"

    @staticmethod
    def interval_s(conf: cfg.ConfigOpts) -> float:
        return float(min(_INTERVAL_S, conf.shelved_offload_time))

    def look_at(self, opened: OpenCell) -> None:
        """Begin to offload what has been shelved too long."""
        before = utcnow() - datetime.timedelta(seconds=self._conf.shelved_offload_time)
        with opened.db.reader() as session:
            shelved = instances.offloadable(session, before=before, limit=_AT_ONCE)
        for instance in shelved:
            owner, others = (instance.project_id, instance.user_id), (*moves.KINDS, *shelving.KINDS)
            if self.begin(shelving.OFFLOAD, opened, instance.uuid, owner=owner, unless=others):
                LOG.info("Server %s has been shelved for long enough and is offloaded", instance.uuid)

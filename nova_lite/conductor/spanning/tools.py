"""What workflows that span cells share."""

from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database


@dataclass(frozen=True)
class SuperTools:
    """What workflows that span cells work with."""

    conf: cfg.ConfigOpts
    api_db: Database
    cells: Cells
    fanout: Fanout
    scheduler: SchedulerClient
    placement: PlacementClient
    volumes: Volumes

    def database(self, cell: OpenCell) -> Database:
        """Return a cell's database that answers; raises Unavailable, at once when it is known to be silent.

        So a silent cell does not hold the threads that work for others, but for those that come in the tenth of a
        second after its last answer.
        """
        if self.fanout.has_just_answered(cell.cell.uuid):
            return cell.db
        answers = self.fanout.ask(_ping, of=[cell])
        if answers.down:
            raise errors.Unavailable("The cell does not answer.", cells=answers.down)
        return cell.db


def _ping(cell: OpenCell) -> float:
    return cell.db.ping()

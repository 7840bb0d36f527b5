"""What workflows that span cells share."""

from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.cells.registry import Cells
from nova_lite.clients.placement import PlacementClient
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database


@dataclass(frozen=True)
class SuperTools:
    """What workflows that span cells work with."""

    conf: cfg.ConfigOpts
    api_db: Database
    cells: Cells
    scheduler: SchedulerClient
    placement: PlacementClient

"""What stands for the database or the bus of a cell whose mapping cannot be used: whoever uses it is told why.

So a mapping with a mistake in it is a cell that is down, and no trouble to the others.
"""

from typing import Any

from oslo_config import cfg
from sqlalchemy.engine import Engine

from nova_lite import errors
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database


class UnusableDatabase(Database):
    """A database that nobody can reach; every use raises Unavailable."""

    def __init__(self, why: str) -> None:
        super().__init__("sqlite://")
        self.why = why

    def _engine_to(self, purpose: str) -> Engine:
        raise errors.Unavailable(self.why)


class UnusableBus(Bus):
    """A bus that nobody can reach; every use raises Unavailable."""

    def __init__(self, conf: cfg.ConfigOpts, why: str) -> None:
        super().__init__(conf, "none:///")
        self.why = why

    def _join(self) -> Any:
        raise errors.Unavailable("The message bus does not answer.", cause=self.why)

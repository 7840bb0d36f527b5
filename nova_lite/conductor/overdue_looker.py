"""What looks into a cell now and then for servers that have been in a state for too long, and begins what is due."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.columns import utcnow
from nova_lite.reloading import ticker
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)

#: Seconds between two looks, at most; servers one look takes up, at most.
_INTERVAL_S = 60.0
_LIMIT = 100


class OverdueLooker(ABC):
    """Looks from time to time, unless its option is 0; any number of conductors may look at once.

    ``wake`` is told each workflow begun.
    """

    #: What is looked for, as the log calls it.
    wanted: ClassVar[str]
    #: The option that says after how many seconds a server is overdue.
    option: ClassVar[str]

    def __init__(self, conf: cfg.ConfigOpts, db: Database, wake: Callable[[str], None]) -> None:
        self._conf = conf
        self._db = db
        self._wake = wake
        self._ticker = ticker(conf, lambda: min(_INTERVAL_S, conf[self.option]), self.look, f"look for {self.wanted}")

    @abstractmethod
    def due(self, session: Session, before: datetime, limit: int) -> Sequence[str]:
        """Return the servers that have been so since ``before``."""

    @abstractmethod
    def begin(self, session: Session, uuid: str, before: datetime, *, timeout_s: float) -> str | None:
        """Begin what is due, for the server's owner; return the workflow, None when somebody was faster."""

    def start(self) -> None:
        """Begin to look, as long as that is wanted."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def look(self) -> None:
        """Begin what is due."""
        before = utcnow() - timedelta(seconds=self._conf[self.option])
        try:
            with self._db.reader() as session:
                due = self.due(session, before, _LIMIT)
            for uuid in due:
                begun = self._begun(uuid, before)
                if begun is not None:
                    LOG.info("Server %s is one of the %s: it has been so since before %s", uuid, self.wanted, before)
                    self._wake(begun)
        except errors.Unavailable as exc:
            LOG.warning("Could not look for %s: %s %s", self.wanted, exc, exc.facts)

    @retried
    def _begun(self, uuid: str, before: datetime) -> str | None:
        with self._db.writer() as session:
            return self.begin(session, uuid, before, timeout_s=self._conf.operation_timeout)

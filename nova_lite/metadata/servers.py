"""Where the metadata service finds servers: in any cell, or in its own; and what it remembers of them for a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.clients.vendordata import Teller
from nova_lite.db.repositories import instances, mappings, server_passwords
from nova_lite.metadata.askers import Asker
from nova_lite.model.guest_documents import Told
from nova_lite.model.instance import Instance
from nova_lite.storage import Database, retried

#: Servers a process remembers; each is as long as its user data.
_MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A server, the password its guest posted, and the database of its cell."""

    instance: Instance
    password: str | None
    db: Database


class Finder(Protocol):
    """Finds servers."""

    def find(self, uuid: str) -> Found:
        """Return a server that lives in a cell; raises NotFound, Unavailable."""
        ...


class FindsAnywhere:
    """Finds servers by the API database, in whichever cell they are."""

    def __init__(self, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def find(self, uuid: str) -> Found:
        """Return a server; raises NotFound, Unavailable when its cell does not answer."""
        with self._api_db.reading() as connection:
            cell_uuid = mappings.instance(connection, uuid).cell_uuid
        if cell_uuid is None:
            raise errors.NotFound(f"Instance {uuid} is in no cell yet.")
        cell = self._cells.get(cell_uuid)

        def read(cell: OpenCell) -> Found:
            return _read(cell.db, uuid)

        answers = self._fanout.ask(read, of=[cell])
        if answers.down:
            raise errors.Unavailable("The server's cell does not answer.", cell=cell_uuid)
        return answers.found[cell_uuid]


class FindsInCell:
    """Finds servers of one cell, and knows nothing above it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, uuid: str) -> Found:
        """Return a server of this cell; raises NotFound, Unavailable."""
        return _read(self._db, uuid)


class MetadataService:
    """Tells guests what they may know, and keeps their passwords."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        finder: Finder,
        teller: Teller | None = None,
        clock: Callable[[], float] = concurrency.monotonic,
    ) -> None:
        self._finder = finder
        self._teller = teller or Teller(conf)
        self._keep_s = conf.api.metadata_cache_expiration
        self._clock = clock
        self._lock = threading.Lock()
        #: Server → when it was found, and what; those found last come last.
        self._remembered: OrderedDict[str, tuple[float, Found]] = OrderedDict()

    def told(self, asker: Asker) -> Told:
        """Return what a guest is told; raises NotFound for a server that is not there or of another project."""
        found = self._found(asker)
        return self._teller.told(found.instance, address=asker.address, password=found.password)

    def keep_password(self, asker: Asker, sealed: str) -> None:
        """Keep a guest's password, which it sealed; raises Conflict when one is kept, NotFound as ``told`` does."""
        found = self._found(asker)
        kept = _keep(found.db, asker.instance_uuid, sealed)
        with self._lock:
            self._remembered.pop(asker.instance_uuid, None)
        if not kept:
            raise errors.Conflict("A password is kept already, and is not written over.")

    def _found(self, asker: Asker) -> Found:
        found = self._recalled(asker.instance_uuid)
        if found is None:
            found = self._finder.find(asker.instance_uuid)
            self._remember(found)
        if found.instance.project_id != asker.project_id:
            raise errors.NotFound(f"Instance {asker.instance_uuid} is not one of that project.")
        return found

    def _recalled(self, uuid: str) -> Found | None:
        with self._lock:
            found_at, found = self._remembered.get(uuid, (float("-inf"), None))
        return found if self._clock() - found_at < self._keep_s else None

    def _remember(self, found: Found) -> None:
        if not self._keep_s:
            return
        with self._lock:
            self._remembered[found.instance.uuid] = (self._clock(), found)
            self._remembered.move_to_end(found.instance.uuid)
            while len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)


def _read(db: Database, uuid: str) -> Found:
    with db.reader() as session:
        return Found(instances.get(session, uuid), server_passwords.get(session, uuid), db)


@retried
def _keep(db: Database, uuid: str, sealed: str) -> bool:
    with db.writer() as session:
        return server_passwords.put_first(session, uuid, sealed)

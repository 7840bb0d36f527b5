"""Where what is known about a server is to be read, as long as anything is: also when the server is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.orm import Session

from nova_lite.api.services.server_lookup import not_found
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import mappings
from nova_lite.errors import Unavailable
from nova_lite.model.caller import Caller
from nova_lite.storage import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A server's cell, None when it has none yet, and what policy judges about it."""

    cell: OpenCell | None
    target: dict[str, object]


class ServerHistory:
    """Reads what is known about servers, from their cells."""

    def __init__(self, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self.api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def locate(self, caller: Caller, server_id: str, rule: str) -> Place:
        """Return where a server is or was; those of other projects do not exist for the caller."""
        with self.api_db.reader() as session:
            mapping = mappings.instance(session, server_id)
        if mapping.project_id != caller.project_id and not caller.is_admin:
            raise not_found(server_id)
        target: dict[str, object] = {"project_id": mapping.project_id, "user_id": mapping.user_id}
        caller.require(rule, **target)
        if mapping.cell_uuid is None:
            if mapping.is_queued_for_delete:
                raise not_found(server_id)
            return Place(None, target)
        return Place(self._cells.get(mapping.cell_uuid), target)

    def ask(self, cell: OpenCell, read: Callable[[Session], T]) -> T:
        """Return what ``read`` finds in a cell; raises Unavailable within the time a cell has to answer."""

        def question(cell: OpenCell) -> T:
            with cell.db.reader() as session:
                return read(session)

        answers = self._fanout.ask(question, of=[cell])
        if answers.down:
            raise Unavailable("The server's cell does not answer.", cell=cell.cell.uuid)
        return answers.found[cell.cell.uuid]

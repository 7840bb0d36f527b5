"""What is being done to a server and what was done: how far it is, until when it has, why it failed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import server_operations as policies
from nova_lite.api.services.server_history import Place, ServerHistory
from nova_lite.cells.operations import shown
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import operations
from nova_lite.model import operation as model
from nova_lite.model.caller import Caller
from nova_lite.model.migration import Progress
from nova_lite.model.operation import Operation

#: What work above the cells is called, as long as its cell does not call it anything.
_CALLED = {"schedule": "create", "move": "migrate", "reimage": "rebuild"}


@dataclass(frozen=True, slots=True)
class Seen:
    """Operations, and whether the caller may see their hosts."""

    operations: list[Operation]
    shows_hosts: bool
    has_more: bool = False


class ServerOperationService:
    """Reads operations from both databases, as long as these keep them: also those of servers that are gone.

    Raises NotFound, Unavailable when the server's cell does not answer.
    """

    def __init__(self, history: ServerHistory) -> None:
        self._history = history

    def page(self, caller: Caller, server_id: str, *, limit: int, marker: str | None) -> Seen:
        """Return a page of a server's operations, newest first; raises Invalid for an unknown ``marker``."""
        place = self._history.locate(caller, server_id, policies.INDEX)
        found = self._all(place, server_id)
        if marker is not None:
            beyond = model.behind(found, marker)
            if beyond is None:
                raise errors.Invalid(f"marker: operation {marker[:64]!r} could not be found")
            found = beyond
        return Seen(
            self._told(place, server_id, found[:limit]),
            caller.may(policies.SHOW_HOSTS, **place.target),
            has_more=0 < limit < len(found),
        )

    def show(self, caller: Caller, server_id: str, operation_id: str) -> Seen:
        """Return one operation; raises NotFound."""
        place = self._history.locate(caller, server_id, policies.SHOW)
        found = [each for each in self._all(place, server_id) if each.lead.uuid == operation_id]
        if not found:
            raise errors.NotFound(f"Server {server_id} has no operation {operation_id[:64]}.")
        return Seen(self._told(place, server_id, found), caller.may(policies.SHOW_HOSTS, **place.target))

    def of_request(self, place: Place, server_id: str, request_id: str) -> Operation | None:
        """Return what a request does to a server that is at ``place``, if known; policy is asked before."""
        found = [each for each in self._all(place, server_id) if each.lead.request_id == request_id]
        return self._told(place, server_id, found[:1])[0] if found else None

    def _all(self, place: Place, server_id: str) -> list[Operation]:
        # The cell first: what it has begun was written down above before.
        in_cell = []
        if place.cell is not None:
            in_cell = self._history.ask(
                place.cell, lambda session: operations.about(session, CellWorkflowRow, server_id)
            )
        with self._history.api_db.reader() as session:
            above = operations.about(session, ApiWorkflowRow, server_id)
        return model.merged(above, in_cell)

    def _told(self, place: Place, server_id: str, found: Sequence[Operation]) -> list[Operation]:
        """Return ``found`` with what the server's cell knows about it."""

        def read(session: Session) -> list[Operation]:
            known = operations.known(session, server_id, [each.lead.request_id for each in found])
            moved = operations.moved(session, [each.lead.uuid for each in found])
            return [_told(each, known, moved) for each in found]

        if place.cell is None or not found:
            return [_told(each, {}, {}) for each in found]
        return self._history.ask(place.cell, read)


def _told(
    each: Operation, known: dict[str, operations.Known], moved: dict[str, tuple[str | None, Progress]]
) -> Operation:
    kind = each.lead.kind
    of_request = known.get(each.lead.request_id)
    host, progress = moved.get(each.lead.uuid, (None, Progress()))
    return replace(
        each,
        action=_CALLED.get(kind, shown(kind)) if of_request is None else of_request.action,
        host=host or (None if of_request is None else of_request.host),
        moved=progress,
    )

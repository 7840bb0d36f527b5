"""What was done to a server: outlives the server itself."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from nova_lite.api.policies import instance_actions as policies
from nova_lite.api.services.server_history import ServerHistory
from nova_lite.api.services.server_operations import ServerOperationService
from nova_lite.db.repositories import actions, instances
from nova_lite.db.repositories.actions import InstanceAction
from nova_lite.errors import Invalid, NotFound
from nova_lite.model.caller import Caller
from nova_lite.model.operation import Operation


@dataclass(frozen=True)
class ActionQuery:
    """Which part of a server's actions to list."""

    limit: int | None = None
    marker: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class SeenAction:
    """An action with what the caller may see of its events; ``operation`` is how far it is, while it is under way."""

    action: InstanceAction
    shows_hosts: bool
    shows_details: bool
    operation: Operation | None = None


class InstanceActionService:
    """Reads actions from the cell of their server; one that is in no cell yet had none.

    Raises Unavailable within the time a cell has to answer when that of the server does not.
    """

    def __init__(self, history: ServerHistory, operations: ServerOperationService) -> None:
        self._history = history
        self._operations = operations

    def page(
        self, caller: Caller, server_id: str, wanted: ActionQuery, *, with_deleted: bool
    ) -> tuple[list[InstanceAction], bool]:
        """Return a page of a server's actions, newest first, and whether more follows."""
        cell = self._history.locate(caller, server_id, policies.INDEX).cell
        if cell is None:
            if wanted.marker is not None:
                raise Invalid(f"marker: request {wanted.marker[:64]!r} could not be found")
            return [], False

        def read(session: Session) -> list[InstanceAction]:
            if not with_deleted:
                instances.get(session, server_id)
            if wanted.limit is None:
                return actions.of_instance(session, server_id)
            return actions.page(
                session,
                server_id,
                wanted.limit + 1,
                marker=wanted.marker,
                since=wanted.since,
                before=wanted.before,
            )

        found = self._history.ask(cell, read)
        if wanted.limit is None:
            return found, False
        return found[: wanted.limit], 0 < wanted.limit < len(found)

    def show(
        self, caller: Caller, server_id: str, request_id: str, *, with_deleted: bool, tells_progress: bool
    ) -> SeenAction:
        """Return what one request did to a server, with its events; raises NotFound.

        With ``tells_progress`` also how far it is, if it is under way and the caller may see details.
        """
        place = self._history.locate(caller, server_id, policies.SHOW)

        def read(session: Session) -> InstanceAction | None:
            if not with_deleted:
                instances.get(session, server_id)
            return actions.of_request(session, server_id, request_id)

        found = None if place.cell is None else self._history.ask(place.cell, read)
        if found is None:
            raise NotFound(f"Action for request_id {request_id[:64]} on instance {server_id} not found")
        shows_details = caller.may(policies.EVENT_DETAILS, **place.target)
        is_told = shows_details and tells_progress and found.finish_time is None
        return SeenAction(
            found,
            shows_hosts=caller.may(policies.EVENTS, **place.target),
            shows_details=shows_details,
            operation=self._operations.of_request(place, server_id, request_id) if is_told else None,
        )

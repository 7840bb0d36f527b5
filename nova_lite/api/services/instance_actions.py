"""What was done to a server: outlives the server itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from nova_lite.api.policies import instance_actions as policies
from nova_lite.api.services.server_lookup import not_found
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import actions, instances, mappings
from nova_lite.db.repositories.actions import InstanceAction
from nova_lite.errors import Invalid, NotFound, Unavailable
from nova_lite.model.caller import Caller
from nova_lite.storage import Database

T = TypeVar("T")


@dataclass(frozen=True)
class ActionQuery:
    """Which part of a server's actions to list."""

    limit: int | None = None
    marker: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class SeenAction:
    """An action with what the caller may see of its events."""

    action: InstanceAction
    shows_hosts: bool
    shows_details: bool


class InstanceActionService:
    """Reads actions from the cell of their server; one that is in no cell yet had none.

    Raises Unavailable within the time a cell has to answer when that of the server does not.
    """

    def __init__(self, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def page(
        self, caller: Caller, server_id: str, wanted: ActionQuery, *, with_deleted: bool
    ) -> tuple[list[InstanceAction], bool]:
        """Return a page of a server's actions, newest first, and whether more follows."""
        cell, _ = self._locate(caller, server_id, policies.INDEX)
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

        found = self._ask(cell, read)
        if wanted.limit is None:
            return found, False
        return found[: wanted.limit], 0 < wanted.limit < len(found)

    def show(self, caller: Caller, server_id: str, request_id: str, *, with_deleted: bool) -> SeenAction:
        """Return what one request did to a server, with its events; raises NotFound."""
        cell, target = self._locate(caller, server_id, policies.SHOW)

        def read(session: Session) -> InstanceAction | None:
            if not with_deleted:
                instances.get(session, server_id)
            return actions.of_request(session, server_id, request_id)

        found = None if cell is None else self._ask(cell, read)
        if found is None:
            raise NotFound(f"Action for request_id {request_id[:64]} on instance {server_id} not found")
        return SeenAction(
            found,
            shows_hosts=caller.may(policies.EVENTS, **target),
            shows_details=caller.may(policies.EVENT_DETAILS, **target),
        )

    def _ask(self, cell: OpenCell, read: Callable[[Session], T]) -> T:
        def question(cell: OpenCell) -> T:
            with cell.db.reader() as session:
                return read(session)

        answers = self._fanout.ask(question, of=[cell])
        if answers.down:
            raise Unavailable("The server's cell does not answer.", cell=cell.cell.uuid)
        return answers.found[cell.cell.uuid]

    def _locate(self, caller: Caller, server_id: str, rule: str) -> tuple[OpenCell | None, dict[str, object]]:
        """Return the server's cell, None when it has none yet, and what policy judges; other projects' do not exist."""
        with self._api_db.reader() as session:
            mapping = mappings.instance(session, server_id)
        if mapping.project_id != caller.project_id and not caller.is_admin:
            raise not_found(server_id)
        target: dict[str, object] = {"project_id": mapping.project_id, "user_id": mapping.user_id}
        caller.require(rule, **target)
        if mapping.cell_uuid is None:
            if mapping.is_queued_for_delete:
                raise not_found(server_id)
            return None, target
        return self._cells.get(mapping.cell_uuid), target

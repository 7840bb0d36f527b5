"""Changing attributes of a server wherever it is, under its lock, so that no two changes lose each other."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nova_lite import errors
from nova_lite.api.services.server_lookup import Located, ServerLookup
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import build_requests, instances
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.storage import Database, retried

#: Given the server as it is, locked: the attributes of Instance to set. What it raises undoes everything.
Edit = Callable[[Instance], Mapping[str, Any]]

#: Attributes whose columns have other names.
_COLUMNS: Mapping[str, str] = {"metadata": "user_metadata"}


class ServerChanges:
    """Applies edits."""

    def __init__(self, api_db: Database, lookup: ServerLookup) -> None:
        self._api_db = api_db
        self._lookup = lookup

    def apply(self, caller: Caller, located: Located, edit: Edit) -> Located:
        """Edit the server and return it as it is then, following it should it just have got its cell.

        Raises Conflict when it is on its way there for longer than that; what ``edit`` raises changes nothing.
        """
        uuid = located.instance.uuid
        if located.cell is None:
            changed = self._apply_waiting(uuid, edit)
            if changed is not None:
                return replace(located, instance=changed)
            located = self._lookup.find(caller, uuid)
            if located.cell is None:
                raise errors.Conflict(f"Instance {uuid} is just being put on a host; try again.")
        return replace(located, instance=_apply_in_cell(located.cell, uuid, edit))

    @retried
    def _apply_waiting(self, uuid: str, edit: Edit) -> Instance | None:
        """Edit a server in its build request; None when it is no longer there."""
        with self._api_db.writer() as session:
            instance = build_requests.get(session, uuid, for_update=True)
            if instance is None:
                return None
            instance = replace(instance, **edit(instance))
            return instance if build_requests.rename(session, instance) else None


@retried
def _apply_in_cell(cell: OpenCell, uuid: str, edit: Edit) -> Instance:
    with cell.db.writer() as session:
        changes = edit(instances.lock(session, uuid))
        if changes:
            instances.change(session, uuid, **{_COLUMNS.get(name, name): value for name, value in changes.items()})
        return instances.get(session, uuid)

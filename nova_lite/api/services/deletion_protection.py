"""Protecting servers from being deleted, whoever asks for it.

The mark stands beside whether a server counts, which is what a delete writes first: of a delete and a protection at the
same moment the database lets one win, and the other hears of it.
"""

import logging

from nova_lite import errors
from nova_lite.api.policies import deletion_protection as rules
from nova_lite.api.services.server_lookup import Located, ServerLookup, refuse_if_locked, target
from nova_lite.cells import marks
from nova_lite.cells.operations import Requester
from nova_lite.db.repositories import mappings
from nova_lite.model.caller import Caller
from nova_lite.model.states import VmState
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)


class DeletionProtectionService:
    """Shows and sets the mark."""

    def __init__(self, api_db: Database, lookup: ServerLookup) -> None:
        self._api_db = api_db
        self._lookup = lookup

    def show(self, caller: Caller, uuid: str) -> bool:
        """Return whether the server is protected."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.SHOW, **target(located.instance))
        with self._api_db.reader() as session:
            return mappings.is_protected(session, uuid)

    def set(self, caller: Caller, uuid: str, *, is_protected: bool) -> None:
        """Protect the server, or no longer; raises Conflict when it is locked or being deleted."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.SET, **target(located.instance))
        refuse_if_locked(caller, located.instance)
        # One that is being restored may turn out to stay deleted.
        is_gone = located.instance.vm_state is VmState.SOFT_DELETED
        if is_gone or not self._write(uuid, is_protected=is_protected):
            raise errors.Conflict(f"Instance {uuid} is being deleted, or is deleted until it is restored.")
        self._note(caller, located, "protect" if is_protected else "unprotect")

    @retried
    def _write(self, uuid: str, *, is_protected: bool) -> bool:
        with self._api_db.writer() as session:
            return mappings.protect(session, uuid, is_protected=is_protected)

    def _note(self, caller: Caller, located: Located, action: str) -> None:
        """Record among the server's actions who did it; a server without a cell has no such record yet."""
        if located.cell is None:
            return
        requester = Requester(caller.user_id, caller.project_id, caller.request_id)
        try:
            with located.cell.db.writer() as session:
                marks.note(session, located.instance.uuid, action, requester, event=f"api_{action}", error=None)
        except errors.NovaLiteError as exc:
            LOG.warning("That server %s is %sed is not in its actions: %s", located.instance.uuid, action, exc)

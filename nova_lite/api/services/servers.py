"""Servers as they are: show, update.

Making them: ``server_creation.py``; listing: ``server_lists.py``; deleting: ``server_deletion.py``.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.server_changes import ServerChanges
from nova_lite.api.services.server_lookup import Located, ServerLookup, not_found, target
from nova_lite.db.repositories import build_requests, mappings
from nova_lite.model.caller import Caller
from nova_lite.model.host import AgentState, Service
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database, retried

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Details:
    """A server with what its view may need from elsewhere; what was not asked for is None."""

    instance: Instance
    host_status: str | None = None
    hints: Mapping[str, object] | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Remains:
    """What the API database knows of a server whose cell does not answer; its other attributes mean nothing."""

    instance: Instance


class ServerService:
    """One server at a time."""

    def __init__(self, api_db: Database, lookup: ServerLookup, notices: Notices) -> None:
        self._notices = notices
        self._api_db = api_db
        self._lookup = lookup
        self._changes = ServerChanges(api_db, lookup)

    def show(
        self,
        caller: Caller,
        uuid: str,
        *,
        with_host_status: bool = False,
        with_hints: bool = False,
        bears_down_cell: bool = False,
    ) -> Details | Remains:
        """Return the server, or with ``bears_down_cell`` what is known of it when its cell does not answer.

        Raises NotFound, Unavailable.
        """
        try:
            located = self._lookup.find(caller, uuid)
        except errors.Unavailable:
            if not bears_down_cell:
                raise
            return self._remains(caller, uuid)
        caller.require(rules.SHOW, **target(located.instance))
        return self.details(located, with_host_status=with_host_status, with_hints=with_hints)

    def update(
        self,
        caller: Caller,
        uuid: str,
        changes: Mapping[str, Any],
        *,
        with_host_status: bool = False,
        with_hints: bool = False,
    ) -> Details:
        """Set ``changes`` (attributes of Instance) and return the server as it is then."""
        located = self._lookup.find(caller, uuid)
        caller.require(rules.UPDATE, **target(located.instance))
        if changes.get("requested_zone", located.instance.requested_zone) != located.instance.requested_zone:
            _refuse_bad_pin(located.instance, changes["requested_zone"])
            self._pin(uuid, changes["requested_zone"])
        if changes:
            old_name = located.instance.display_name
            located = self._changes.apply(caller, located, lambda instance: changes)
            if located.instance.display_name != old_name:
                self._notices.renamed(caller, located.instance, old_name)
        return self.details(located, with_host_status=with_host_status, with_hints=with_hints)

    @retried
    def _pin(self, uuid: str, zone: str | None) -> None:
        with self._api_db.writer() as session:
            build_requests.pin(session, uuid, zone)

    def _remains(self, caller: Caller, uuid: str) -> Remains:
        with self._api_db.reader() as session:
            mapping = mappings.instance(session, uuid)
            spec = build_requests.spec(session, uuid)
        if mapping.is_queued_for_delete or spec is None:
            raise not_found(uuid)
        instance = Instance(
            uuid=uuid,
            project_id=mapping.project_id,
            user_id=mapping.user_id,
            display_name="",
            hostname="",
            vm_state=VmState.BUILDING,
            task_state=None,
            flavor=spec.flavor,
            image_id=spec.image_id,
            image_properties=spec.image_properties,
            created_at=mapping.created_at,
            updated_at=mapping.created_at,
            requested_zone=spec.availability_zone,
        )
        caller.require(rules.SHOW, **target(instance))
        return Remains(instance)

    def details(self, located: Located, *, with_host_status: bool, with_hints: bool) -> Details:
        """Return a server that was looked up, with what its view may need from elsewhere."""
        hints = None
        if with_hints:
            with self._api_db.reader() as session:
                spec = build_requests.spec(session, located.instance.uuid)
            hints = {} if spec is None else spec.hints
        status = None
        if with_host_status:
            has_host = located.cell is not None and located.instance.host is not None
            status = host_status(located.agent) if has_host else ""
        return Details(located.instance, status, hints, located.group)


def host_status(service: Service | AgentState | None) -> str:
    """Return the state of a host as shown with its servers."""
    if service is None:
        return "UNKNOWN"
    if service.is_forced_down:
        return "DOWN"
    if service.is_disabled:
        return "MAINTENANCE"
    return "UP" if service.is_up else "UNKNOWN"


def _refuse_bad_pin(instance: Instance, zone: str | None) -> None:
    """Raise Conflict unless the change of zone unpins the server or pins it to where it is."""
    if zone is None:
        return
    if instance.requested_zone is not None:
        raise errors.Conflict(
            f"Server {instance.uuid} is pinned to availability zone {instance.requested_zone}; unpin it first."
        )
    if zone != instance.availability_zone:
        raise errors.Conflict(
            f"Server {instance.uuid} is in availability zone {instance.availability_zone} and can only be pinned there."
        )

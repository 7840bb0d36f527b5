"""Finding one server wherever it is: in its build request, in cell0 or in a cell."""

import re
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import build_requests, hosts, mappings
from nova_lite.model.caller import Caller
from nova_lite.model.host import AgentState
from nova_lite.model.instance import Instance
from nova_lite.storage import Database

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Looks at a server that moves from its build request into a cell while it is looked for.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Located:
    """A server and where it is; ``cell`` is None while it waits in its build request.

    ``group`` is its server group, ``agent`` that of its host, if it has one.
    """

    instance: Instance
    cell: OpenCell | None
    is_queued_for_delete: bool
    group: str | None = None
    agent: AgentState | None = None


class ServerLookup:
    """Finds servers for callers: those of other projects do not exist for them.

    A server's cell is asked as all cells are: under a deadline, and not at all while it is silent.
    """

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def find(self, caller: Caller, uuid: str) -> Located:
        """Return the server; raises NotFound, Unavailable when its cell does not answer."""
        return self._find(caller, uuid)

    def find_for_services(self, uuid: str) -> Located:
        """Return a server of whichever project, for callers that policy lets act on all; raises as ``find``."""
        return self._find(None, uuid)

    def _find(self, caller: Caller | None, uuid: str) -> Located:
        if _UUID.fullmatch(uuid) is None:
            raise not_found(uuid)
        for _ in range(_LOOKS):
            found = self._look(caller, uuid)
            if found is not None:
                return found
        raise not_found(uuid)

    def _look(self, caller: Caller | None, uuid: str) -> Located | None:
        """Return the server, None when it was just moving into a cell."""
        with self._api_db.reading() as connection:
            mapping = mappings.instance(connection, uuid)
        if caller is not None and mapping.project_id != caller.project_id and not caller.is_admin:
            raise not_found(uuid)
        if mapping.cell_uuid is None:
            if mapping.is_queued_for_delete:
                raise not_found(uuid)
            with self._api_db.reader() as session:
                waiting = build_requests.get(session, uuid)
            if waiting is None:
                return None
            return Located(waiting, None, is_queued_for_delete=False, group=mapping.group)
        cell = self._cells.get(mapping.cell_uuid)

        def read(cell: OpenCell) -> tuple[Instance, AgentState | None]:
            with cell.db.reading() as connection:
                return hosts.instance_with_agent(connection, uuid, down_after_s=self._conf.service_down_time)

        answers = self._fanout.ask(read, of=[cell])
        if answers.down:
            raise errors.Unavailable("The server's cell does not answer.", cell=mapping.cell_uuid)
        instance, agent = answers.found[mapping.cell_uuid]
        return Located(instance, cell, mapping.is_queued_for_delete, mapping.group, agent)


def not_found(uuid: str) -> errors.NotFound:
    """Return what a caller hears about a server that is not there or not theirs."""
    return errors.NotFound(f"Instance {uuid[:64]} could not be found.")


def refuse_if_locked(caller: Caller, instance: Instance) -> None:
    """Raise Conflict when the server is locked and policy does not let the caller act all the same."""
    if instance.is_locked and not caller.may(rules.UNLOCK_OVERRIDE, **target(instance)):
        raise errors.Conflict(f"Instance {instance.uuid} is locked")


def hosting_cell(located: Located) -> OpenCell:
    """Return the server's cell; raises Conflict when nothing hosts it."""
    if located.cell is None or located.instance.host is None:
        raise errors.Conflict(f"Instance {located.instance.uuid} is not ready: it has no host.")
    return located.cell


def target(instance: Instance) -> dict[str, object]:
    """Return what policy judges about a server."""
    return {"project_id": instance.project_id, "user_id": instance.user_id}

"""One list of all servers: those waiting in build requests, those in cell0 and those in every cell, in one order."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import server_filters
from nova_lite.api.services.server_filters import Filters
from nova_lite.api.services.servers import host_status
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.listing import Key, Listed, Listing, Row, Wanted
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import build_requests, hosts, instance_lists, instances, mappings
from nova_lite.db.repositories.instance_lists import InstanceQuery
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.storage import Database

#: Looks at a marker that moves from its build request into a cell while it is looked for.
_LOOKS = 3


@dataclass(frozen=True)
class ListRequest:
    """A list as asked for. ``bears_down_cells`` shows what is known of servers whose cell does not answer."""

    filters: Filters
    sort_keys: Sequence[str]
    sort_dirs: Sequence[str]
    limit: int
    marker: str | None = None
    is_detailed: bool = False
    known_status_only: bool = False
    with_host_status: bool = False
    with_hints: bool = False
    bears_down_cells: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """What the API database knows of a server whose cell does not answer."""

    uuid: str
    project_id: str
    created_at: datetime


@dataclass(frozen=True)
class ServerPage:
    """One page of servers, with what their views need from elsewhere, by server.

    ``last_uuid`` is the server the next page begins after, None on the last page.
    """

    servers: list[Instance] = field(default_factory=list)
    last_uuid: str | None = None
    host_statuses: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    unreachable: list[Unreachable] = field(default_factory=list)


class ServerListService:
    """Lists servers."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout
        self._listing = Listing(conf, fanout)

    def page(self, caller: Caller, asked: ListRequest) -> ServerPage:
        """Return the page asked for.

        Raises Invalid naming what is wrong with the question, Forbidden, Unavailable when the marker's cell is down or
        the list cannot do without a cell that is.
        """
        caller.require(rules.DETAIL if asked.is_detailed else rules.INDEX)
        project_id: str | None = caller.project_id
        if server_filters.asks_all_projects(asked.filters):
            caller.require(rules.ALL_PROJECTS_DETAIL if asked.is_detailed else rules.ALL_PROJECTS_INDEX)
            project_id = None
        if server_filters.asks_deleted(asked.filters) and not caller.is_admin:
            raise errors.Forbidden("Only administrators may list deleted instances")
        if not caller.is_admin and not {"host", "node"}.isdisjoint(asked.sort_keys):
            raise errors.Forbidden("Only administrators can sort servers by host or node")
        query = server_filters.instance_query(
            asked.filters,
            server_filters.sort_order(asked.sort_keys, asked.sort_dirs),
            project_id=project_id,
            known_status_only=asked.known_status_only,
        )
        if query is None or asked.limit == 0:
            return ServerPage()
        in_cells_of = None
        if self._conf.api.instance_list_per_project_cells and not caller.is_admin:
            in_cells_of = project_id
        return self._page(asked, query, project_id, in_cells_of)

    def _page(
        self, asked: ListRequest, query: InstanceQuery, project_id: str | None, in_cells_of: str | None
    ) -> ServerPage:
        listed = self._list(asked, query, project_id, in_cells_of)
        if not asked.bears_down_cells:
            self._listing.refuse_if_forbidden(listed)
        shown = self._without_ghosts(listed.rows)
        servers = [row.item for row in shown]
        return ServerPage(
            servers=servers,
            last_uuid=listed.rows[-1].item.uuid if listed.has_more else None,
            host_statuses=self._host_statuses(shown) if asked.with_host_status else {},
            hints=self._hints(servers) if asked.with_hints else {},
            unreachable=self._unreachable(listed.down, project_id, asked.limit - len(shown))
            if asked.bears_down_cells and listed.down
            else [],
        )

    def _list(
        self, asked: ListRequest, query: InstanceQuery, project_id: str | None, in_cells_of: str | None
    ) -> Listed[Instance]:
        """Return the servers of the page, wherever they are."""
        page = Wanted(
            read=functools.partial(_read, query),
            identity=lambda instance: instance.uuid,
            descends=[descends for _, descends in query.order],
            limit=asked.limit,
            after=None if asked.marker is None else query.key(self._marker(asked.marker, project_id)),
        )
        cells = self._cells.all()
        # Those waiting are read first: one that moves into a cell meanwhile is then seen at one place at least.
        with self._api_db.reader() as session:
            waiting = build_requests.of(session, project_id)
            if in_cells_of is not None:
                there = mappings.cells_of_project(session, in_cells_of)
                cells = [cell for cell in cells if cell.cell.uuid in there]
        return self._listing.page(page, cells, [Row(query.key(each), each) for each in waiting if query.wants(each)])

    def _marker(self, uuid: str, project_id: str | None) -> Instance:
        """Return the server the page begins after, which may be deleted by now; raises Invalid, Unavailable."""
        not_found = errors.Invalid(f"marker [{uuid[:64]}] not found")
        for _ in range(_LOOKS):
            try:
                with self._api_db.reader() as session:
                    mapping = mappings.instance(session, uuid)
                    waiting = build_requests.get(session, uuid) if mapping.cell_uuid is None else None
            except errors.NotFound as exc:
                raise not_found from exc
            if project_id not in (None, mapping.project_id):
                raise not_found
            if waiting is not None:
                return waiting
            if mapping.cell_uuid is not None:
                marker = self._in_cell(mapping.cell_uuid, uuid)
                if marker is None:
                    raise not_found
                return marker
        raise not_found

    def _in_cell(self, cell_uuid: str, uuid: str) -> Instance | None:
        """Return a server of a cell, dead or alive; raises Unavailable."""

        def question(cell: OpenCell) -> Instance | None:
            try:
                with cell.db.reader() as session:
                    return instances.get(session, uuid, with_deleted=True)
            except errors.NotFound:
                return None

        answers = self._fanout.ask(question, of=[self._cells.get(cell_uuid)])
        if answers.down:
            raise errors.Unavailable("The cell of the marker does not answer.", cell=cell_uuid)
        return answers.found[cell_uuid]

    def _without_ghosts(self, found: list[Row[Instance]]) -> list[Row[Instance]]:
        """Leave out servers just inserted into a cell that were deleted before they became its own."""
        unsettled = [
            each.item.uuid
            for each in found
            if each.cell_uuid is not None and each.item.task_state is TaskState.SCHEDULING
        ]
        if not unsettled:
            return found
        with self._api_db.reader() as session:
            gone = set(unsettled) - mappings.wanted(session, unsettled)
        return [each for each in found if each.item.uuid not in gone]

    def _host_statuses(self, shown: Sequence[Row[Instance]]) -> dict[str, str]:
        """Return server UUID → state of its host: one query in each cell the page has servers of."""
        hosts_of: dict[str, set[str]] = {}
        for each in shown:
            if each.cell_uuid is not None and each.item.host is not None:
                hosts_of.setdefault(each.cell_uuid, set()).add(each.item.host)

        def services(cell: OpenCell) -> dict[str, str]:
            with cell.db.reader() as session:
                found = hosts.services(
                    session,
                    down_after_s=self._conf.service_down_time,
                    binary=hosts.AGENT,
                    on_hosts=sorted(hosts_of[cell.cell.uuid]),
                )
            return {service.host: host_status(service) for service in found}

        answers = self._fanout.ask(services, of=[self._cells.get(uuid) for uuid in hosts_of])
        return {
            each.item.uuid: ""
            if each.item.host is None or each.cell_uuid is None
            else answers.found.get(each.cell_uuid, {}).get(each.item.host, "UNKNOWN")
            for each in shown
        }

    def _hints(self, servers: Sequence[Instance]) -> Mapping[str, Mapping[str, object]]:
        with self._api_db.reader() as session:
            return build_requests.hints_of(session, [server.uuid for server in servers])

    def _unreachable(self, down: Sequence[str], project_id: str | None, limit: int) -> list[Unreachable]:
        """Return what is known of at most ``limit`` servers of the cells that are down, cell by cell."""
        found: list[Unreachable] = []
        with self._api_db.reader() as session:
            for cell_uuid in down:
                room = limit - len(found)
                if room > 0:
                    rows = mappings.in_cell(session, cell_uuid, project_id, limit=room)
                    found += [Unreachable(uuid, project, created_at) for uuid, project, created_at in rows]
        return found


def _read(query: InstanceQuery, cell: OpenCell, after: Key | None, limit: int | None) -> list[tuple[Key, Instance]]:
    with cell.db.reader() as session:
        return instance_lists.page(session, query, after=after, limit=limit)

"""One list of all servers: those waiting in build requests, those in cell0 and those in every cell, in one order."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import server_filters
from nova_lite.api.services.server_filters import Filters
from nova_lite.api.services.servers import host_status
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.listing import Key, Listed, Listing, Row, Wanted
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import build_requests, hosts, instance_lists, instances, mappings
from nova_lite.db.repositories.instance_lists import InstanceQuery, Named
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.storage import Database

T = TypeVar("T", Instance, Named)

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
class ServerPage(Generic[T]):
    """One page of servers, or of their names, with what their views need from elsewhere, by server.

    ``last_uuid`` is the server the next page begins after, None on the last page.
    """

    servers: list[T] = field(default_factory=list)
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

    def names(self, caller: Caller, asked: ListRequest) -> ServerPage[Named]:
        """Return the page asked for, of each server its name only.

        Raises Invalid naming what is wrong with the question, Forbidden, Unavailable when the marker's cell is down or
        the list cannot do without a cell that is.
        """
        scope = self._scope(caller, asked, rules.INDEX, rules.ALL_PROJECTS_INDEX)
        if scope is None:
            return ServerPage()
        listed = self._listed(asked, scope, instance_lists.names, _named)
        servers = [row.item for row in self._without_ghosts(listed.rows)]
        return ServerPage(
            servers, _last(listed), unreachable=self._unreachable(asked, scope, listed.down, len(servers))
        )

    def details(self, caller: Caller, asked: ListRequest) -> ServerPage[Instance]:
        """Return the page asked for; raises as ``names`` does."""
        scope = self._scope(caller, asked, rules.DETAIL, rules.ALL_PROJECTS_DETAIL)
        if scope is None:
            return ServerPage()
        listed = self._listed(asked, scope, instance_lists.page, lambda instance: instance)
        shown = self._without_ghosts(listed.rows)
        servers = [row.item for row in shown]
        return ServerPage(
            servers,
            _last(listed),
            host_statuses=self._host_statuses(shown) if asked.with_host_status else {},
            hints=self._hints(servers) if asked.with_hints else {},
            unreachable=self._unreachable(asked, scope, listed.down, len(servers)),
        )

    def _scope(self, caller: Caller, asked: ListRequest, rule: str, rule_for_all: str) -> "_Scope | None":
        """Return what the caller may see of what was asked for; None when that can be nothing."""
        caller.require(rule)
        project_id: str | None = caller.project_id
        if server_filters.asks_all_projects(asked.filters):
            caller.require(rule_for_all)
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
            return None
        in_cells_of = None
        if self._conf.api.instance_list_per_project_cells and not caller.is_admin:
            in_cells_of = project_id
        return _Scope(query, project_id, None if caller.is_admin else project_id, in_cells_of)

    def _listed(
        self, asked: ListRequest, scope: "_Scope", read: "_Reader[T]", look: Callable[[Instance], T]
    ) -> Listed[T]:
        """Return what is on the page, wherever it is; ``look`` makes of a server in no cell what ``read`` returns."""
        query = scope.query

        def read_cell(cell: OpenCell, after: Key | None, limit: int | None) -> list[tuple[Key, T]]:
            with cell.db.reader() as session:
                return read(session, query, after=after, limit=limit)

        page = Wanted(
            read=read_cell,
            identity=lambda server: server.uuid,
            descends=[descends for _, descends in query.order],
            limit=asked.limit,
            after=None if asked.marker is None else query.key(self._marker(asked.marker, scope.marker_of)),
        )
        cells = self._cells.all()
        # Those waiting are read first: one that moves into a cell meanwhile is then seen at one place at least.
        with self._api_db.reader() as session:
            beside = self._waiting(session, page, scope, look)
            if scope.in_cells_of is not None:
                there = mappings.cells_of_project(session, scope.in_cells_of)
                cells = [cell for cell in cells if cell.cell.uuid in there]
        listed = self._listing.page(page, cells, beside)
        if not asked.bears_down_cells:
            self._listing.refuse_if_forbidden(listed)
        return listed

    @staticmethod
    def _waiting(session: Session, page: Wanted[T], scope: "_Scope", look: Callable[[Instance], T]) -> list[Row[T]]:
        """Return the servers that are in no cell yet, of those in the usual order no more than a page holds."""
        query, most = scope.query, None
        names, directions = zip(*query.order, strict=True)
        waiting: Iterable[Instance]
        if names == ("created_at", "uuid") and len(set(directions)) == 1:
            after = None if page.after is None else (page.after[0], page.after[1])
            waiting = build_requests.by_time(session, scope.project_id, descends=directions[0], after=after)
            most = None if page.limit is None else page.limit + 1
        else:
            waiting = build_requests.of(session, scope.project_id)
        rows = (Row(query.key(each), look(each)) for each in waiting if query.wants(each))
        return list(itertools.islice(rows, most))

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

    def _without_ghosts(self, found: list[Row[T]]) -> list[Row[T]]:
        """Leave out servers just inserted into a cell that were deleted before they became its own."""
        unsettled = [
            each.item.uuid
            for each in found
            if each.cell_uuid is not None and each.item.task_state == TaskState.SCHEDULING
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

    def _unreachable(self, asked: ListRequest, scope: "_Scope", down: Sequence[str], shown: int) -> list[Unreachable]:
        """Return what is known of servers in cells that are down, cell by cell, as many as fit on the page."""
        found: list[Unreachable] = []
        if not asked.bears_down_cells or not down:
            return found
        with self._api_db.reader() as session:
            for cell_uuid in down:
                room = asked.limit - shown - len(found)
                if room > 0:
                    rows = mappings.in_cell(session, cell_uuid, scope.project_id, limit=room)
                    found += [Unreachable(uuid, project, created_at) for uuid, project, created_at in rows]
        return found


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a list is made of: the project (None: all), and, where not all cells are asked, whose are.

    ``marker_of`` is the project whose server must be the marker (None: any), so that nobody learns of others'.
    """

    query: InstanceQuery
    project_id: str | None
    marker_of: str | None
    in_cells_of: str | None


class _Reader(Protocol[T]):
    """Reads a page of one cell."""

    def __call__(
        self, session: Session, wanted: InstanceQuery, *, after: Key | None, limit: int | None
    ) -> list[tuple[Key, T]]: ...


def _named(instance: Instance) -> Named:
    return Named(instance.uuid, instance.display_name, instance.task_state)


def _last(listed: Listed[T]) -> str | None:
    return listed.rows[-1].item.uuid if listed.has_more else None

"""One list of all servers: those waiting in build requests, those in cell0 and those in every cell, in one order."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services import server_filters
from nova_lite.api.services.server_filters import Filters
from nova_lite.api.services.servers import host_status
from nova_lite.cells.fanout import Fanout, merged
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import build_requests, hosts, instance_lists, instances, mappings
from nova_lite.db.repositories.instance_lists import InstanceQuery
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState
from nova_lite.storage import Database

#: Rows asked of a cell at once, at least.
_BATCH = 100


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


@dataclass(frozen=True, slots=True)
class _Found:
    """A server in the list: what it sorts by, and the cell it is in."""

    key: tuple[Any, ...]
    instance: Instance
    cell_uuid: str | None


class ServerListService:
    """Lists servers."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def page(self, caller: Caller, asked: ListRequest) -> ServerPage:
        """Return the page asked for; raises Invalid naming what is wrong with the question, Forbidden."""
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
        return self._page(asked, query, project_id)

    def _page(self, asked: ListRequest, query: InstanceQuery, project_id: str | None) -> ServerPage:
        after = None if asked.marker is None else query.key(self._marker(asked.marker, project_id))
        ordered = functools.partial(_position, query.order)

        def position(found: _Found) -> tuple[Any, ...]:
            return ordered(found.key)

        waiting = sorted(self._waiting(query, project_id), key=position)
        if after is not None:
            here = ordered(after)
            waiting = [each for each in waiting if position(each) > here]
        wanted = asked.limit + 1
        cells = self._cells.all()
        batch = wanted if len(cells) == 1 else min(wanted, max(_BATCH, math.ceil(wanted * 1.1 / len(cells))))
        first = self._fanout.ask(lambda cell: _rows(cell, query, after, batch), of=cells)
        answered = [cell for cell in cells if cell.cell.uuid in first.found]
        sources = [self._more(cell, query, first.found[cell.cell.uuid], batch) for cell in answered]
        found = list(itertools.islice(_distinct(merged([iter(waiting), *sources], key=position)), wanted))
        shown = self._without_ghosts(found[: asked.limit])
        servers = [each.instance for each in shown]
        unreachable: list[Unreachable] = []
        if asked.bears_down_cells and first.down:
            unreachable = self._unreachable(first.down, project_id, asked.limit - len(shown))
        return ServerPage(
            servers=servers,
            last_uuid=found[asked.limit - 1].instance.uuid if len(found) > asked.limit else None,
            host_statuses=self._host_statuses(shown) if asked.with_host_status else {},
            hints=self._hints(servers) if asked.with_hints else {},
            unreachable=unreachable,
        )

    def _marker(self, uuid: str, project_id: str | None) -> Instance:
        """Return the server the page begins after, which may be deleted by now; raises Invalid."""
        try:
            with self._api_db.reader() as session:
                mapping = mappings.instance(session, uuid)
                if project_id is not None and mapping.project_id != project_id:
                    raise errors.NotFound("not in the project")
                waiting = build_requests.get(session, uuid) if mapping.cell_uuid is None else None
            if waiting is not None:
                return waiting
            if mapping.cell_uuid is None:
                raise errors.NotFound("on its way into a cell or deleted")
            with self._cells.get(mapping.cell_uuid).db.reader() as session:
                return instances.get(session, uuid, with_deleted=True)
        except errors.NotFound as exc:
            raise errors.Invalid(f"marker [{uuid[:64]}] not found") from exc

    def _waiting(self, query: InstanceQuery, project_id: str | None) -> list[_Found]:
        """Return the servers that have no cell yet."""
        with self._api_db.reader() as session:
            waiting = build_requests.of(session, project_id)
        return [_Found(query.key(each), each, None) for each in waiting if query.wants(each)]

    def _more(self, cell: OpenCell, query: InstanceQuery, rows: list[_Found], batch: int) -> Iterator[_Found]:
        """Yield a cell's servers, asking for the next batch only when one is used up."""
        while True:
            yield from rows
            if len(rows) < batch:
                return
            answers = self._fanout.ask(
                functools.partial(_rows, query=query, after=rows[-1].key, limit=batch), of=[cell]
            )
            if answers.down:
                raise errors.Unavailable("A cell stopped answering in the middle of a list.", cell=cell.cell.uuid)
            rows = answers.found[cell.cell.uuid]

    def _without_ghosts(self, found: list[_Found]) -> list[_Found]:
        """Leave out servers just inserted into a cell that were deleted before they became its own."""
        unsettled = [
            each.instance.uuid
            for each in found
            if each.cell_uuid is not None and each.instance.task_state is TaskState.SCHEDULING
        ]
        if not unsettled:
            return found
        with self._api_db.reader() as session:
            gone = set(unsettled) - mappings.wanted(session, unsettled)
        return [each for each in found if each.instance.uuid not in gone]

    def _host_statuses(self, shown: Sequence[_Found]) -> dict[str, str]:
        """Return server UUID → state of its host: one query in each cell the page has servers of."""
        hosts_of: dict[str, set[str]] = {}
        for each in shown:
            if each.cell_uuid is not None and each.instance.host is not None:
                hosts_of.setdefault(each.cell_uuid, set()).add(each.instance.host)

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
            each.instance.uuid: ""
            if each.instance.host is None or each.cell_uuid is None
            else answers.found.get(each.cell_uuid, {}).get(each.instance.host, "UNKNOWN")
            for each in shown
        }

    def _hints(self, servers: Sequence[Instance]) -> Mapping[str, Mapping[str, object]]:
        with self._api_db.reader() as session:
            return build_requests.hints_of(session, [server.uuid for server in servers])

    def _unreachable(self, down: Mapping[str, str], project_id: str | None, limit: int) -> list[Unreachable]:
        with self._api_db.reader() as session:
            return [
                Unreachable(uuid, project, created_at)
                for cell_uuid in down
                for uuid, project, created_at in mappings.in_cell(session, cell_uuid, project_id, limit=max(0, limit))
            ][: max(0, limit)]


def _rows(cell: OpenCell, query: InstanceQuery, after: Sequence[Any] | None, limit: int) -> list[_Found]:
    with cell.db.reader() as session:
        rows = instance_lists.page(session, query, after=after, limit=limit)
    return [_Found(key, instance, cell.cell.uuid) for key, instance in rows]


def _distinct(found: Iterator[_Found]) -> Iterator[_Found]:
    """Yield each server once: one just moving into a cell may be seen at both places."""
    seen: set[str] = set()
    for each in found:
        if each.instance.uuid not in seen:
            seen.add(each.instance.uuid)
            yield each


def _position(order: Sequence[tuple[str, bool]], key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return where a server with ``key`` stands in ``order``: smaller is earlier."""
    return tuple(_Descending(value) if descends else value for value, (_, descends) in zip(key, order, strict=True))


@functools.total_ordering
class _Descending:
    """A value that comes earlier the greater it is."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self._value == other._value)

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other._value < self._value)

    def __hash__(self) -> int:
        return hash(self._value)

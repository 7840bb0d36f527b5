"""What projects used within a window of time: the hours their servers were there, and those hours times their sizes.

All cells are asked at once, some thousand servers at a time. Figures that lack a cell would be wrong without telling,
so while one does not answer there are none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oslo_config import cfg

from nova_lite.cells.fanout import Fanout
from nova_lite.cells.listing import Listing, Wanted
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import mappings, usages
from nova_lite.db.repositories.usages import ServerTime, Window
from nova_lite.errors import Invalid, NotFound, Unavailable
from nova_lite.storage import Database

#: Servers read of each cell at once, where all are wanted.
_BATCH = 2000
_SECONDS_AN_HOUR = 3600.0
_INCOMPLETE = "Not all cells answer, and usage without theirs would be wrong."


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """The hours a server was there within the window; ``uptime_s`` is how long it has been there in all."""

    server: ServerTime
    hours: float
    uptime_s: int


@dataclass(slots=True)
class ProjectUsage:
    """What a project's servers used: hours, and hours times vCPUs, MiB of memory and GiB of disk."""

    project_id: str
    hours: float = 0.0
    vcpu_hours: float = 0.0
    ram_mib_hours: float = 0.0
    disk_gib_hours: float = 0.0
    servers: list[ServerUsage] = field(default_factory=list)


@dataclass(frozen=True)
class UsageQuery:
    """What is asked: a window, of which project (None: all), and until when servers that are there count as up."""

    window: Window
    now: datetime
    project_id: str | None = None


class UsageService:
    """Reads usage from the cells. cell0 has none: what is there never ran."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout
        self._listing = Listing(conf, fanout)

    def whole(self, query: UsageQuery, *, with_servers: bool) -> list[ProjectUsage]:
        """Return every project's usage; without servers, memory holds a batch of them at a time."""
        found = _summed(self._everything(query), query, with_servers=with_servers)
        for project in found:
            project.servers.sort(key=lambda usage: usage.server.uuid)
        return found

    def page(self, query: UsageQuery, *, limit: int, marker: str | None) -> tuple[list[ProjectUsage], str | None]:
        """Return the usage of the next ``limit`` servers behind ``marker``, by project, and the last if more follow.

        Raises Invalid for a marker that is no server, or another project's than the one asked for.
        """
        after = None if marker is None else self._marked(query, marker)

        def read(
            cell: OpenCell, after: tuple[str, str] | None, limit: int | None
        ) -> list[tuple[tuple[str, str], ServerTime]]:
            with cell.db.reader() as session:
                found = usages.page(session, query.window, after=after, limit=limit, project_id=query.project_id)
            return [(server.key, server) for server in found]

        wanted = Wanted(
            read=read, identity=lambda server: server.uuid, descends=(False, False), limit=limit, after=after
        )
        listed = self._listing.page(wanted, self._cells.all(with_cell0=False))
        if listed.down or listed.is_cut:
            raise Unavailable(_INCOMPLETE, cells=listed.down)
        servers = [row.item for row in listed.rows]
        return _summed(servers, query, with_servers=True), servers[-1].uuid if listed.has_more else None

    def _marked(self, query: UsageQuery, marker: str) -> tuple[str, str]:
        refusal = Invalid(f"marker: server {marker[:64]!r} could not be found")
        try:
            with self._api_db.reader() as session:
                found = mappings.instance(session, marker)
        except NotFound:
            raise refusal from None
        if query.project_id not in (None, found.project_id):
            raise refusal
        return found.project_id, found.instance_uuid

    def _everything(self, query: UsageQuery) -> Iterator[ServerTime]:
        """Yield every server of every cell, in no order."""
        rest: dict[str, int] = {}
        cells: Sequence[OpenCell] = self._cells.all(with_cell0=False)

        def question(cell: OpenCell) -> list[ServerTime]:
            with cell.db.reader() as session:
                after = rest.get(cell.cell.uuid, 0)
                return usages.batch(session, query.window, after=after, limit=_BATCH, project_id=query.project_id)

        while cells:
            answers = self._fanout.ask(question, of=cells)
            if answers.down:
                raise Unavailable(_INCOMPLETE, cells=sorted(answers.down))
            for servers in answers.found.values():
                yield from servers
            rest = {uuid: servers[-1].number for uuid, servers in answers.found.items() if len(servers) == _BATCH}
            cells = [cell for cell in cells if cell.cell.uuid in rest]


def _summed(servers: Iterable[ServerTime], query: UsageQuery, *, with_servers: bool) -> list[ProjectUsage]:
    """Return what each project used, by the name of the project."""
    projects: dict[str, ProjectUsage] = {}
    for server in servers:
        project = projects.setdefault(server.project_id, ProjectUsage(server.project_id))
        until = query.window.end if server.terminated_at is None else min(server.terminated_at, query.window.end)
        hours = max(0.0, (until - max(server.launched_at, query.window.start)).total_seconds() / _SECONDS_AN_HOUR)
        project.hours += hours
        project.vcpu_hours += hours * server.vcpus
        project.ram_mib_hours += hours * server.ram_mib
        project.disk_gib_hours += hours * server.disk_gib
        if with_servers:
            uptime = (server.terminated_at or query.now) - server.launched_at
            project.servers.append(ServerUsage(server, hours, int(uptime.total_seconds())))
    return [projects[project_id] for project_id in sorted(projects)]

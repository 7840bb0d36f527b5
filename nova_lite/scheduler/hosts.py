"""Loads what the scheduler must know of hosts beyond what Placement says: are they up, enabled, in which zone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts, instances, mappings, server_groups, zones
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.filters import Sought, servers_hinted
from nova_lite.scheduler.prefilters import Aggregate
from nova_lite.storage import Database

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Seconds a cell must have been silent until a server is refused that only its hosts could take.
_BLIP_S = 30.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What could be seen of the nodes asked for.

    ``states`` are those that may be chosen, by compute node UUID; ``names`` the hosts of all nodes that cells know,
    asked for or not. ``silent`` are the cells that did not answer, and ``strangers`` is how many nodes asked for no
    other cell knows: they may be theirs.
    """

    states: Mapping[str, HostState]
    names: Mapping[str, str] = field(default_factory=dict)
    silent: tuple[OpenCell, ...] = ()
    strangers: int = 0


class Hosts:
    """The hosts of all cells, read at each request: one query a cell, all at once, and one for the zones."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def load(self, rooms: Mapping[str, Mapping[str, int]]) -> Sight:
        """Return what is known of the nodes in ``rooms``: node → class → what it has free.

        Not to be chosen are the hosts of cells that are disabled or do not answer, and those that no mapping leads to.
        Raises Unavailable when not one cell answers: that says nothing about hosts, and will pass.
        """
        enabled = [cell for cell in self._cells.all(with_cell0=False) if not cell.cell.is_disabled]
        answers = self._fanout.ask(self._states, of=enabled)
        if answers.down and not answers.found:
            raise errors.Unavailable("No cell answers.", cells=sorted(answers.down))
        found = self._mapped(answers.found, rooms)
        if rooms and not found:
            # They may have been mapped a moment ago.
            self._cells.forget()
            found = self._mapped(answers.found, rooms)
        silent = tuple(cell for cell in enabled if cell.cell.uuid in answers.down)
        names = {state.node: state.host for states in answers.found.values() for state in states}
        return Sight(found, names, silent, len(rooms.keys() - names.keys()) if silent else 0)

    def _mapped(
        self, states_of: Mapping[str, list[HostState]], rooms: Mapping[str, Mapping[str, int]]
    ) -> dict[str, HostState]:
        """Return those of the cells' hosts that are among ``rooms`` and mapped to that cell, with zone and room."""
        with self._api_db.reader() as session:
            metadata = zones.metadata_of_hosts(session)
        default_zone = self._conf.default_availability_zone
        cell_of = self._cells.of_hosts()
        found: dict[str, HostState] = {}
        for cell_id, states in states_of.items():
            for state in states:
                if state.node in rooms and cell_of.get(state.host) == cell_id:
                    aggregates = metadata.get(state.host, [])
                    placed = replace(
                        state,
                        availability_zone=zones.zone_of(aggregates) or default_zone,
                        aggregates=tuple(aggregates),
                    )
                    found[state.node] = _with_room(placed, rooms[state.node])
        return found

    def look_up(self, spec: RequestSpec, besides: Sequence[str] = ()) -> Sought:
        """Return ``spec`` with the company its servers (``besides``, which do not count) keep, and what hints name."""
        company = None
        if spec.group is not None:
            with self._api_db.reader() as session:
                company = server_groups.company(session, spec.group, besides=besides)
        named = {uuid for hint in ("same_host", "different_host") for uuid in servers_hinted(spec, hint)}
        return Sought(spec, company, self._hosts_of(sorted(named)) if named else {})

    def _hosts_of(self, servers: Sequence[str]) -> dict[str, str]:
        """Return server → host, of those that are on one and whose cell answers."""
        with self._api_db.reader() as session:
            cells_of = mappings.cells_of_instances(session, servers)
        cells = [cell for cell in self._cells.all(with_cell0=False) if cell.cell.uuid in cells_of.values()]

        def look(cell: OpenCell) -> dict[str, str]:
            with cell.db.reader() as session:
                return instances.hosts_of(session, servers)

        found: dict[str, str] = {}
        for answer in self._fanout.ask(look, of=cells).found.values():
            found |= answer
        return found

    def aggregates(self) -> dict[str, Aggregate]:
        """Return UUID → aggregate, all of the cloud's."""
        with self._api_db.reader() as session:
            return {uuid: Aggregate(name, extra) for uuid, name, extra in zones.aggregates(session)}

    def is_closed(self, host: str) -> bool:
        """Return whether ``host`` is in a cell that is disabled: it takes no new servers."""
        home = self._cells.of_hosts().get(host)
        return any(cell.cell.uuid == home and cell.cell.is_disabled for cell in self._cells.all(with_cell0=False))

    def node_wanted(self, host: str | None, node: str | None) -> str | None:
        """Return the UUID of the only compute node that will do: the one named, or the one that ``host`` has.

        None when that cannot be told: the host has several, or its cell does not answer.
        """
        if node is not None and _UUID.fullmatch(node):
            return node
        if host is None:
            return None
        cell_uuid = self._cells.of_hosts().get(host)
        cells = [cell for cell in self._cells.all(with_cell0=False) if cell.cell.uuid == cell_uuid]

        def nodes(cell: OpenCell) -> list[str]:
            with cell.db.reader() as session:
                return hosts.nodes_of(session, host)

        found = [uuid for answer in self._fanout.ask(nodes, of=cells).found.values() for uuid in answer]
        return found[0] if len(found) == 1 else None

    def look_again(self, sight: Sight) -> bool:
        """Return whether one of the cells that were silent answers now.

        Raises Unavailable when none does, but one fell silent a moment ago: it may be back a moment later.
        """
        if self._fanout.look_again(sight.silent):
            return True
        now = concurrency.monotonic()
        since = [self._fanout.sighting(cell.cell.uuid).silent_since for cell in sight.silent]
        if any(each is not None and now - each < _BLIP_S for each in since):
            raise errors.Unavailable("A cell that may have room has just fallen silent.")
        return False

    def _states(self, cell: OpenCell) -> list[HostState]:
        with cell.db.reader() as session:
            return hosts.states(session, cell.cell.uuid, down_after_s=self._conf.service_down_time)


def _with_room(state: HostState, free: Mapping[str, int]) -> HostState:
    """Return ``state`` with what its providers have free."""
    return replace(
        state,
        free_vcpus=free.get("VCPU", 0),
        free_ram_mib=free.get("MEMORY_MB", 0),
        free_disk_gib=free.get("DISK_GB", 0),
    )

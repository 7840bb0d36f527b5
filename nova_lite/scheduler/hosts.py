"""Loads what the scheduler must know of hosts beyond what Placement says: are they up, enabled, in which zone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts, instances, mappings, server_groups, zones
from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.aggregate_numbers import AggregateNumbers
from nova_lite.scheduler.filters import Sought, servers_hinted
from nova_lite.scheduler.host_cache import Above, CellHosts, HostCache
from nova_lite.scheduler.loads import Loads
from nova_lite.scheduler.prefilters import Aggregate
from nova_lite.storage import Database

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Seconds a cell must have been silent until a server is refused that only its hosts could take.
_BLIP_S = 30.0
#: The classes that every host has.
_PLAIN = ("VCPU", "MEMORY_MB", "DISK_GB")
#: How the classes of PCI devices begin.
_DEVICES = ("CUSTOM_PCI_", "SRIOV_NET_")


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


@dataclass(frozen=True, eq=False)
class _View:
    """All hosts that could be seen, made of what ``cells`` and ``above`` say: UUID of the compute node → host.

    ``states`` are those that a mapping leads to, without what they have free.
    """

    cells: Mapping[str, CellHosts]
    above: Above
    states: Mapping[str, HostState]
    names: Mapping[str, str]


class Hosts:
    """The hosts of all cells, as they are at each request; one query a cell, all at once, and one above tell that."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout
        self._cache = HostCache(conf, api_db, cells)
        self._loads = Loads(conf, cells, fanout)
        self._numbers = AggregateNumbers()
        self._seen: _View | None = None

    def load(self, rooms: Mapping[str, Mapping[str, int]]) -> Sight:
        """Return what is known of the nodes in ``rooms``: node → class → what it has free.

        Not to be chosen are the hosts of cells that are disabled or do not answer, and those that no mapping leads to.
        Raises Unavailable when not one cell answers: that says nothing about hosts, and will pass.
        """
        above = self._cache.above()
        enabled = [cell for cell in self._cells.all(with_cell0=False) if not cell.cell.is_disabled]
        answers = self._fanout.ask(self._cache.of_cell, of=enabled)
        if answers.down and not answers.found:
            raise errors.Unavailable("No cell answers.", cells=sorted(answers.down))
        view = self._view(answers.found, above)
        found = _with_rooms(view, rooms)
        if rooms and not found:
            # They may have been mapped a moment ago, by somebody who told nobody.
            self._cache.forget_above()
            view = self._view(answers.found, self._cache.above())
            found = _with_rooms(view, rooms)
        silent = tuple(cell for cell in enabled if cell.cell.uuid in answers.down)
        return Sight(found, view.names, silent, len(rooms.keys() - view.names.keys()) if silent else 0)

    def _view(self, cells: Mapping[str, CellHosts], above: Above) -> _View:
        """Return the hosts of ``cells`` with their zones: what was seen last, if nothing changed since."""
        seen = self._seen
        if seen is not None and seen.above is above and seen.cells == cells:
            return seen
        states: dict[str, HostState] = {}
        for cell_id, told in cells.items():
            for state in told.states:
                if above.cell_of.get(state.host) == cell_id:
                    aggregates = above.metadata.get(state.host, ())
                    zone = zones.zone_of(aggregates) or self._conf.default_availability_zone
                    states[state.node] = state.but(
                        availability_zone=zone,
                        aggregates=tuple(aggregates),
                        aggregate_numbers=self._numbers.of(state.host, aggregates),
                    )
        names = {state.node: state.host for told in cells.values() for state in told.states}
        self._seen = _View(cells, above, states, names)
        return self._seen

    def with_loads(self, states: Mapping[str, HostState], spec: RequestSpec) -> Mapping[str, HostState]:
        """Return ``states`` with what changes with every boot, as far as something asks for it."""
        return self._loads.onto(states, spec)

    def look_up(self, spec: RequestSpec, besides: Sequence[str]) -> Sought:
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


def _with_rooms(view: _View, rooms: Mapping[str, Mapping[str, int]]) -> dict[str, HostState]:
    """Return those of the hosts that are among ``rooms``, with what their providers have free."""
    found: dict[str, HostState] = {}
    states, devices = view.states, set[str]()
    for free in rooms.values():
        if len(free) > len(_PLAIN):
            devices |= {name for name in free if name.startswith(_DEVICES)}
    for node, free in rooms.items():
        state = states.get(node)
        if state is not None:
            found[node] = state.but(
                free_vcpus=free.get("VCPU", 0),
                free_ram_mib=free.get("MEMORY_MB", 0),
                free_disk_gib=free.get("DISK_GB", 0),
                free_devices=sum(free.get(name, 0) for name in devices) if devices else 0,
            )
    return found

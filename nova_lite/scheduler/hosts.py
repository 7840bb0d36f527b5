"""Loads what the scheduler must know of hosts beyond what Placement says: are they up, enabled, in which zone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts, zones
from nova_lite.model.host import HostState
from nova_lite.storage import Database

#: Seconds a cell must have been silent until a server is refused that only its hosts could take.
_BLIP_S = 30.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What could be seen of the nodes asked for.

    ``states`` are those that may be chosen, by compute node UUID; ``silent`` the cells that did not answer, and
    ``strangers`` how many nodes no other cell knows: they may be theirs.
    """

    states: Mapping[str, HostState]
    silent: tuple[OpenCell, ...] = ()
    strangers: int = 0


class Hosts:
    """The hosts of all cells, read at each request: one query a cell, all at once, and one for the zones."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def load(self, summaries: Mapping[str, Any]) -> Sight:
        """Return what is known of the nodes in ``summaries`` (Placement's).

        Not to be chosen are the hosts of cells that are disabled or do not answer, and those that no mapping leads to.
        Raises Unavailable when not one cell answers: that says nothing about hosts, and will pass.
        """
        enabled = [cell for cell in self._cells.all(with_cell0=False) if not cell.cell.is_disabled]
        answers = self._fanout.ask(self._states, of=enabled)
        if answers.down and not answers.found:
            raise errors.Unavailable("No cell answers.", cells=sorted(answers.down))
        found = self._mapped(answers.found, summaries)
        if summaries and not found:
            # They may have been mapped a moment ago.
            self._cells.forget()
            found = self._mapped(answers.found, summaries)
        silent = tuple(cell for cell in enabled if cell.cell.uuid in answers.down)
        met = {state.node for states in answers.found.values() for state in states}
        return Sight(found, silent, len(summaries.keys() - met) if silent else 0)

    def _mapped(self, states_of: Mapping[str, list[HostState]], summaries: Mapping[str, Any]) -> dict[str, HostState]:
        """Return those of the cells' hosts that are among ``summaries`` and mapped to that cell, with zone and room."""
        with self._api_db.reader() as session:
            zone_of = zones.of_hosts(session)
        cell_of = self._cells.of_hosts()
        found: dict[str, HostState] = {}
        for cell_id, states in states_of.items():
            for state in states:
                if state.node in summaries and cell_of.get(state.host) == cell_id:
                    zone = zone_of.get(state.host, self._conf.default_availability_zone)
                    found[state.node] = _with_room(replace(state, availability_zone=zone), summaries[state.node])
        return found

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


def _with_room(state: HostState, summary: Mapping[str, Any]) -> HostState:
    """Return ``state`` with what its provider has free."""
    free = {name: entry["capacity"] - entry["used"] for name, entry in summary["resources"].items()}
    return replace(
        state,
        free_vcpus=free.get("VCPU", 0),
        free_ram_mib=free.get("MEMORY_MB", 0),
        free_disk_gib=free.get("DISK_GB", 0),
    )

"""Loads what the scheduler must know of hosts beyond what Placement says: are they up, enabled, in which zone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import hosts, zones
from nova_lite.model.host import HostState
from nova_lite.storage import Database


class Hosts:
    """The hosts of all cells, read at each request: one query a cell, all at once, and one for the zones."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, cells: Cells, fanout: Fanout) -> None:
        self._conf = conf
        self._api_db = api_db
        self._cells = cells
        self._fanout = fanout

    def load(self, summaries: Mapping[str, Any]) -> dict[str, HostState]:
        """Return compute node UUID → state for those nodes in ``summaries`` (Placement's) that may be chosen.

        Left out are the hosts of cells that are disabled or do not answer, and those that no mapping leads to. Raises
        Unavailable when not one cell answers: that says nothing about hosts, and will pass.
        """
        with self._api_db.reader() as session:
            zone_of = zones.of_hosts(session)
        cell_of = self._cells.of_hosts()
        enabled = [cell for cell in self._cells.all(with_cell0=False) if not cell.cell.is_disabled]
        answers = self._fanout.ask(self._states, of=enabled)
        if answers.down and not answers.found:
            raise errors.Unavailable("No cell answers.", cells=sorted(answers.down))
        found: dict[str, HostState] = {}
        for cell_id, states in answers.found.items():
            for state in states:
                if state.node in summaries and cell_of.get(state.host) == cell_id:
                    zone = zone_of.get(state.host, self._conf.default_availability_zone)
                    found[state.node] = _with_room(replace(state, availability_zone=zone), summaries[state.node])
        return found

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

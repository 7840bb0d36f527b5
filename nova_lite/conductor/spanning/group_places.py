"""The places of servers in their groups: settled above the cells, by looking down at the builds in them.

While a server is built its cell may move it to another host, and tells nobody above. So it is granted those hosts
beforehand (its spares), and others of its group keep clear of them. Who needs such a place takes it back from the cell
first; where builds have ended is looked up when the next server of the group is placed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nova_lite import errors
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import builds, server_groups
from nova_lite.db.repositories.builds import Whereabouts
from nova_lite.model.request_spec import Placed, RequestSpec
from nova_lite.model.server_group import Building, Settlement
from nova_lite.storage import Database, retried

#: Times that spares are taken back for one choice of hosts; each time others may have been granted meanwhile.
_MAX_ROUNDS = 5


def look_down(tools: SuperTools, group: str) -> None:
    """Note where the builds of a group's servers have come to; those in silent cells stay as noted."""
    with tools.api_db.reader() as session:
        known = {each.instance_uuid: each for each in server_groups.building(session, group)}
    of_cell: dict[str, list[str]] = defaultdict(list)
    for each in known.values():
        of_cell[each.cell_uuid or ""].append(each.instance_uuid)

    def look(cell: OpenCell) -> dict[str, Whereabouts]:
        with cell.db.reader() as session:
            return builds.whereabouts(session, of_cell[cell.cell.uuid])

    cells = [cell for cell in tools.cells.all() if cell.cell.uuid in of_cell]
    answers = tools.fanout.ask(look, of=cells).found.values() if cells else ()
    seen = {uuid: found for answer in answers for uuid, found in answer.items()}
    news = [(known[uuid], found) for uuid, found in seen.items() if found != _as_noted(known[uuid])]
    if news:
        _note(tools.api_db, news)


def settle(tools: SuperTools, spec: RequestSpec, placed: Sequence[Placed]) -> tuple[Placed, ...] | None:
    """Note where servers go in their group and return them with the alternates they may be moved to.

    None when others of the group took those places: here races in a group are decided. Raises Unavailable while the
    policy might be broken by others that are just being moved.
    """
    if spec.group is None:
        return tuple(placed)
    places = {each.instance_uuid: [selection.host for selection in each.selections] for each in placed}
    for _ in range(_MAX_ROUNDS):
        settlement = _settle(tools.api_db, spec, places)
        if settlement.is_settled:
            return tuple(_granted(each, settlement.spares[each.instance_uuid]) for each in placed)
        if not settlement.contested:
            return None
        for building, hosts in settlement.contested:
            if building.cell_uuid is not None:
                _take_back(tools, building, hosts)
    raise errors.Unavailable("Others of the server group are granted places faster than they can be taken back.")


def only_granted(placed: Placed, spares: Mapping[str, Sequence[str]]) -> Placed:
    """Return ``placed`` without the alternates that its group has been granted to others since."""
    return _granted(placed, spares[placed.instance_uuid]) if placed.instance_uuid in spares else placed


def _granted(placed: Placed, spares: Sequence[str]) -> Placed:
    chosen, *others = placed.selections
    return replace(placed, selections=(chosen, *(each for each in others if each.host in spares)))


def _take_back(tools: SuperTools, building: Building, hosts: Sequence[str]) -> None:
    cell = tools.cells.get(building.cell_uuid or "")
    if not _taken_back(tools.database(cell), building.instance_uuid, hosts):
        raise errors.Unavailable("Another server of the group is being moved and may need that place.")
    _give_up(tools.api_db, building, hosts)


@retried
def _settle(api_db: Database, spec: RequestSpec, places: Mapping[str, Sequence[str]]) -> Settlement:
    with api_db.writer() as session:
        return server_groups.settle(session, spec.group or "", places, is_forced=spec.skips_filters)


@retried
def _taken_back(cell_db: Database, instance_uuid: str, hosts: Sequence[str]) -> bool:
    with cell_db.writer() as session:
        return builds.take_back(session, instance_uuid, hosts)


@retried
def _give_up(api_db: Database, building: Building, hosts: Sequence[str]) -> None:
    with api_db.writer() as session:
        server_groups.give_up(session, building, hosts)


@retried
def _note(api_db: Database, news: Sequence[tuple[Building, Whereabouts]]) -> None:
    with api_db.writer() as session:
        for known, found in news:
            server_groups.note(session, known, found.host, found.spares)


def _as_noted(known: Building) -> Whereabouts:
    return Whereabouts(known.host, known.spares)

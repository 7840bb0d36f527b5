"""What changes on hosts with every boot, read where a filter, a weigher or the request itself asks for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import host_loads
from nova_lite.model.host import HostState, Load
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import facts, json_query
from nova_lite.scheduler.filters import Options
from nova_lite.scheduler.pipeline import plain_names
from nova_lite.scheduler.weighing import numbers_by_name

_BY_SERVERS = frozenset({"NumInstances", "AggregateNumInstances"})
_BY_BUSY = frozenset({"IoOps", "AggregateIoOps"})
#: Of one cell: host → load, and host → property of an image → how many servers have it.
_Seen = tuple[Mapping[str, Load], Mapping[str, Mapping[tuple[str, str], int]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be known: servers that are ``busy``, all ``servers``, and the properties of their ``images``."""

    busy: bool = False
    servers: bool = False
    images: bool = False


class Wants:
    """Tells what must be known, by the configuration and by what is asked for."""

    def __init__(self, options: Options) -> None:
        self._filters = frozenset(plain_names(options.enabled_filters))
        self._weighs = {
            name: options[f"{name}_weight_multiplier"] != 0 for name in ("io_ops", "num_instances", "image_props")
        }

    def of(self, spec: RequestSpec, states: Iterable[HostState]) -> Wanted:
        """Return what must be known of hosts in these ``states`` to decide about ``spec``."""
        named = {name for state in states for name in state.aggregate_numbers} if states else set()
        weighs = {name: on or f"{name}_weight_multiplier" in named for name, on in self._weighs.items()}
        asked = self._asked(spec)
        return Wanted(
            busy=bool(weighs["io_ops"] or self._filters & _BY_BUSY or asked),
            servers=bool(weighs["num_instances"] or self._filters & _BY_SERVERS or asked),
            images=weighs["image_props"] and bool(spec.image_properties),
        )

    def _asked(self, spec: RequestSpec) -> bool:
        by_flavor = "ComputeCapabilities" in self._filters and any(map(facts.is_load, spec.flavor.extra_specs))
        query = spec.hints.get(json_query.HINT)
        return by_flavor or ("Json" in self._filters and query is not None and facts.is_load(str(query)))


class Loads:
    """Asks the cells."""

    def __init__(self, conf: cfg.ConfigOpts, cells: Cells, fanout: Fanout) -> None:
        self._wants = Wants(conf.filter_scheduler)
        self._settings = numbers_by_name("image_props_weight_setting", conf.filter_scheduler.image_props_weight_setting)
        self._cells = cells
        self._fanout = fanout

    def onto(self, states: Mapping[str, HostState], spec: RequestSpec) -> Mapping[str, HostState]:
        """Return ``states`` (by compute node) with what is wanted; hosts of a cell that is silent count as idle."""
        wanted = self._wants.of(spec, states.values())
        if not states or wanted == Wanted():
            return states
        nodes_of: dict[str, dict[str, list[str]]] = {}
        for node, state in states.items():
            nodes_of.setdefault(state.cell_id, {}).setdefault(state.host, []).append(node)
        cells = [cell for cell in self._cells.all(with_cell0=False) if cell.cell.uuid in nodes_of]

        def look(cell: OpenCell) -> _Seen:
            with cell.db.reading() as connection:
                loads = host_loads.loads(connection, nodes_of[cell.cell.uuid], with_servers=wanted.servers)
                return loads, host_loads.image_properties(connection) if wanted.images else {}

        found = dict(states)
        for cell_id, (loads, images) in self._fanout.ask(look, of=cells).found.items():
            for host, nodes in nodes_of[cell_id].items() if loads or images else ():
                load, counts = loads.get(host), images.get(host)
                if load is None and counts is None:
                    continue
                load = load or Load()
                alike = likeness(counts or {}, spec.image_properties, self._settings)
                for node in nodes:
                    found[node] = found[node].but(building=load.busy, num_instances=load.servers, likeness=alike)
        return found


def likeness(
    counts: Mapping[tuple[str, str], int], properties: Mapping[str, str], settings: Mapping[str, float]
) -> float:
    """Return how many servers on a host share each of an image's ``properties``, added up by ``settings``: pure.

    Without ``settings`` every property counts one; with some, those that are not named count nothing.
    """
    default = 0.0 if settings else 1.0
    return sum(settings.get(key, default) * counts.get((key, value), 0) for key, value in properties.items())

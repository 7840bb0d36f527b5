"""The table of states and its picture, drawn from ``nova_lite/model/states.py``."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from docs._ext import markup
from nova_lite.model.states import ACTIONS, ANY, TaskState, VmState, status

_GAP, _BOX_W, _BOX_H, _MARGIN = 180.0, 136.0, 44.0, 20.0
_GOOD, _BAD = "#1a6b3c", "#b02a2a"


@dataclass(frozen=True)
class Edge:
    """Actions that lead from one state to another."""

    start: VmState
    end: VmState
    actions: tuple[str, ...]


def reachable() -> list[VmState]:
    """Return the states that a server can come to today, in the order of the table of states."""
    found = {VmState.BUILDING}
    while True:
        beyond = {
            end
            for rule in ACTIONS.values()
            if rule.starts_in & found
            for end in (rule.ends_in, rule.fails_in)
            if end is not None
        }
        if beyond <= found:
            return [VmState.BUILDING, *(state for state in VmState if state in found - {VmState.BUILDING})]
        found |= beyond


def edges(*, failing: bool) -> list[Edge]:
    """Return what leads from where to where, when it succeeds or when it fails."""
    states = reachable()
    found: dict[tuple[VmState, VmState], list[str]] = defaultdict(list)
    for name, rule in ACTIONS.items():
        end = rule.fails_in if failing else rule.ends_in
        for start in states:
            if end is not None and start in rule.starts_in:
                found[start, end].append(name)
    return [Edge(start, end, tuple(actions)) for (start, end), actions in found.items()]


def table_lines() -> list[str]:
    """Return the table of actions."""
    rows = []
    for name, rule in ACTIONS.items():
        starts = "any but deleted" if rule.starts_in == ANY else _names(rule.starts_in)
        interrupts = "any task" if rule.interrupts == frozenset(TaskState) else _names(rule.interrupts)
        rows.append(
            (
                markup.code(name),
                starts,
                markup.code(rule.while_busy),
                _names([rule.ends_in]) if rule.ends_in else "unchanged",
                _names([rule.fails_in]) if rule.fails_in else "back where it was",
                interrupts,
            )
        )
    header = ("action", "starts in", "task while busy", "ends in", "if it fails", "may interrupt")
    return markup.table(header, rows, widths=(12, 24, 16, 14, 16, 18))


def status_lines() -> list[str]:
    """Return the table of what clients see of each state."""
    here = reachable()
    rows = [
        (
            markup.code(state),
            markup.code(status(state, None)),
            ", ".join(markup.code(f"{shown} ({task})") for task, shown in _busy(state).items()),
            "yes" if state in here else "not yet: no action leads there",
        )
        for state in VmState
    ]
    return markup.table(("vm_state", "status", "status while busy", "seen today"), rows, widths=(20, 20, 36, 24))


def picture_lines(*, failing: bool) -> list[str]:
    """Return the picture: states in a row, an arc for what leads from one to another."""
    states = reachable()
    arcs = edges(failing=failing)
    x = {state: _MARGIN + _BOX_W / 2 + place * _GAP for place, state in enumerate(states)}
    above = [edge for edge in arcs if x[edge.start] < x[edge.end]]
    below = [edge for edge in arcs if x[edge.start] > x[edge.end]]
    loops = {edge.start: edge for edge in arcs if edge.start is edge.end}
    top = max([_height(edge, x) * 0.75 for edge in above], default=0.0) + 24
    bottom = max([_height(edge, x) * 0.75 for edge in below], default=0.0) + 24
    middle = top + _BOX_H / 2
    color = _BAD if failing else _GOOD
    shapes = _arcs(above, x, middle - _BOX_H / 2, -1, color) + _arcs(below, x, middle + _BOX_H / 2, 1, color)
    shapes += [shape for state in states for shape in _box(state, loops.get(state), x[state], middle, color)]
    width = 2 * _MARGIN + _BOX_W + _GAP * (len(states) - 1)
    title = "; ".join(f"{edge.start} to {edge.end}: {', '.join(edge.actions)}" for edge in arcs)
    return markup.drawing(width, top + _BOX_H + bottom, title, shapes)


def _names(states: Iterable[str]) -> str:
    return ", ".join(markup.code(str(state)) for state in sorted(states))


def _busy(state: VmState) -> Mapping[TaskState, str]:
    """Return task → status, of those tasks that change what is shown."""
    return {task: shown for task in TaskState if (shown := status(state, task)) != status(state, None)}


def _height(edge: Edge, x: Mapping[VmState, float]) -> float:
    return 34.0 + abs(x[edge.start] - x[edge.end]) * 0.36


def _arcs(found: list[Edge], x: Mapping[VmState, float], y: float, side: int, color: str) -> list[str]:
    """Return arcs on one side of the row; their feet are put so that arcs at one box do not cross."""
    feet: dict[VmState, list[tuple[float, Edge]]] = defaultdict(list)
    for edge in found:
        for here, there in ((edge.start, edge.end), (edge.end, edge.start)):
            distance = x[there] - x[here]
            # From left to right: leftward arcs from near to far, then rightward ones from far to near.
            feet[here].append((-1 / distance, edge))
    place: dict[tuple[VmState, Edge], float] = {}
    for state, ends in feet.items():
        for index, (_, edge) in enumerate(sorted(ends, key=lambda pair: -pair[0])):
            place[state, edge] = x[state] + (index - (len(ends) - 1) / 2) * min(20.0, 110.0 / len(ends))
    shapes = []
    for edge in found:
        start, end = place[edge.start, edge], place[edge.end, edge]
        peak = y + side * _height(edge, x)
        shapes.append(markup.arrow(f"M{start:g},{y:g} C{start:g},{peak:g} {end:g},{peak:g} {end:g},{y:g}", color))
        summit = y + side * _height(edge, x) * 0.75 + 4
        shapes.append(markup.words_at((start + end) / 2, summit, ", ".join(edge.actions), color=color))
    return shapes


def _box(state: VmState, loop: Edge | None, x: float, middle: float, color: str) -> list[str]:
    """Return a state's box, with what leads from it to itself inside."""
    corner = f'x="{x - _BOX_W / 2:g}" y="{middle - _BOX_H / 2:g}" width="{_BOX_W:g}" height="{_BOX_H:g}"'
    shapes = [
        f'<rect {corner} rx="6" fill="#f2f4f7" stroke="#555"/>',
        markup.words_at(x, middle + (4 if loop is None else -3), state.value, extra='font-weight="bold"'),
    ]
    if loop is not None:
        shapes.append(markup.words_at(x, middle + 14, f"\u21bb {', '.join(loop.actions)}", color=color))
    return shapes

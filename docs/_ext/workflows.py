"""Every kind of workflow with its steps, as the conductors' definitions list them."""

import inspect
from collections.abc import Mapping
from typing import Any

from docs._ext import markup
from nova_lite.conductor.saga import Definition, Record
from nova_lite.conductor.service import CELL_WORKFLOWS, SUPER_WORKFLOWS

#: Who runs them → kind → definition.
ROLES: Mapping[str, Mapping[str, Definition[Any]]] = {"super": SUPER_WORKFLOWS, "cell": CELL_WORKFLOWS}


def lines(role: str, kind: str) -> list[str]:
    """Return the steps of one kind of workflow, and what ends a failed one."""
    definition = ROLES[role][kind]
    road = [stop.step for stop in definition.road]
    detours = [stop for stop in definition.road if stop.detour is not None]
    aside = {step.name: stop.step.name for stop in detours if stop.detour for step in stop.detour.steps}
    rows = []
    for number, step in enumerate(road, 1):
        undo = _about(step.undo) if step.undo is not None else ""
        if any(each.no_way_back for each in road[:number]):
            undo = "*no way back: tried again until it is done*"
        kind_shown = f"{_kind(step)}, detour" if step.name in aside else _kind(step)
        rows.append((str(number), markup.code(step.name), kind_shown, _about(step.do), undo))
    written = markup.table(("", "step", "kind", "does", "undone by"), rows, widths=(4, 18, 12, 36, 30))
    written += [
        f"The detour is for ``{stop.detour.on.__name__}`` of ``{stop.step.name}``, which is run again after it."
        for stop in detours
        if stop.detour is not None
    ]
    written += [""]
    last = definition.on_failure
    if last is not None:
        written += [f"After undoing, ``{last.name}`` ({_kind(last)}): {_about(last.do)}.".replace("..", "."), ""]
    return written


def kinds_lines() -> list[str]:
    """Return every kind of workflow in one table."""
    rows = [
        (
            markup.code(kind),
            "super conductor, API database" if role == "super" else "cell conductor, cell database",
            ", ".join(markup.code(step.name) for step in definition.steps),
        )
        for role, definitions in ROLES.items()
        for kind, definition in definitions.items()
    ]
    return markup.table(("kind", "runs in, recorded in", "steps"), rows, widths=(16, 34, 50))


def _kind(step: object) -> str:
    return "transaction" if isinstance(step, Record) else "outside"


def _about(function: object) -> str:
    """Return the first line of what a function says it does; nothing for one that leaves it to its step's name."""
    said = (inspect.getdoc(function) or "").splitlines()
    return markup.text(said[0].rstrip(".")) if said else ""

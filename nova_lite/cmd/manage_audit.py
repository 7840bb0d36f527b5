"""``placement audit``: orphaned allocations, and the books of Placement itself."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

from nova_lite import errors
from nova_lite.cells import orphans
from nova_lite.cells.offline import CellDatabases
from nova_lite.cells.orphans import Orphan, Survey
from nova_lite.cmd.arguments import BAD_USAGE
from nova_lite.cmd.installation import Installation, opened
from nova_lite.cmd.output import complain, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.db import migrate
from nova_lite.placement import audit

_CLEAN, _INCOMPLETE, _ORPHANS, _DONE, _CONTRADICTIONS = 0, 1, 3, 4, 5
_COLUMNS = ("Finding", "Resource Provider UUID", "Consumer UUID", "Details", "Outcome")
_TITLE = "nova-lite-manage placement audit"

Row = tuple[str, str, str, str, str]


@dataclass
class _Result:
    """What an audit came to."""

    rows: list[Row] = field(default_factory=list)
    contradictions: int = 0
    over: int = 0
    orphans: int = 0
    done: int = 0
    unjudged: int = 0

    @property
    def code(self) -> int:
        if self.contradictions:
            return _CONTRADICTIONS
        if self.orphans:
            return _ORPHANS
        if self.unjudged:
            return _INCOMPLETE
        return _DONE if self.done else _CLEAN


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Look at what the configuration lets us look at."""
    groups = ("placement_database", "api_database")
    if not any(installation.has(group) for group in groups):
        raise errors.Misconfigured(
            "Neither [placement_database] connection nor [api_database] connection is set; nothing can be looked at."
        )
    result = _Result()
    try:
        if installation.has("placement_database"):
            _look_at_books(installation, arguments, result)
        else:
            complain("Placement's books were not checked: connection in [placement_database] is not set here.")
        if installation.has("api_database"):
            _look_for_orphans(installation, arguments, result)
        else:
            complain("Orphaned allocations were not looked for: connection in [api_database] is not set here.")
    except errors.NotFound as exc:
        complain(exc.message)
        return BAD_USAGE
    if result.rows or arguments.format != "table":
        print(rendered(_COLUMNS, result.rows, arguments.format))
    if arguments.format == "table":
        print(_summary(result))
    return result.code


def _look_at_books(installation: Installation, arguments: argparse.Namespace, result: _Result) -> None:
    with opened("Placement database", installation.connection("placement_database")) as database:
        migrate.require(database, "placement")
        for found in audit.check(database, provider=arguments.resource_provider, tell=Progress(_TITLE)):
            outcome = ""
            if arguments.repair and found.can_be_mended:
                outcome = "repaired" if audit.mend(database, found) else "gone by itself"
                result.done += 1
            elif found.is_wrong:
                result.contradictions += 1
            else:
                result.over += 1
            details = f"{found.resource_class}: {found.text}" if found.resource_class else found.text
            result.rows.append((found.kind, found.provider or "", found.consumer or "", details, outcome))


def _look_for_orphans(installation: Installation, arguments: argparse.Namespace, result: _Result) -> None:
    placement = installation.placement()
    with installation.api_db() as api_db:
        migrate.require(api_db, "api")
        with CellDatabases(api_db, installation.local_urls) as cells:
            survey = orphans.survey(
                api_db, cells, placement, provider=arguments.resource_provider, tell=Progress(_TITLE)
            )
            for uuid, why in cells.down.items():
                complain(f"Cell {uuid} does not answer: {why}")
    for orphan in survey.orphans:
        outcome = ""
        if arguments.delete and orphans.free(placement, orphan):
            outcome = "deleted"
            result.done += 1
        else:
            outcome = "left alone, for it changed meanwhile" if arguments.delete else ""
            result.orphans += 1
        result.rows += _rows(orphan, outcome)
    result.unjudged = len(survey.unjudged)
    _say_others(survey, verbose=arguments.verbose)


def _rows(orphan: Orphan, outcome: str) -> Iterator[Row]:
    for provider, amounts in sorted(orphan.held.allocations.items()):
        details = ", ".join(f"{name} {amount}" for name, amount in sorted(amounts.items()))
        yield ("orphan", provider, orphan.consumer, details, outcome)


def _say_others(survey: Survey, *, verbose: bool) -> None:
    """Tell what was left out of the judgement; ``verbose`` names each."""
    if verbose:
        for consumer, why in survey.unjudged.items():
            complain(f"Not judged: consumer {consumer}, for {why}.")
        for consumer in survey.foreign:
            complain(f"Left alone: consumer {consumer}, which is of another service's type.")
    elif survey.unjudged:
        complain(f"{len(survey.unjudged)} consumers were not judged; --verbose names them.")


def _summary(result: _Result) -> str:
    said = [f"{result.done} findings deleted or repaired."] if result.done else []
    if result.orphans:
        said.append(f"{result.orphans} consumers hold orphaned allocations.")
    if result.contradictions:
        said.append(f"{result.contradictions} contradictions in Placement's books.")
    if result.unjudged:
        said.append(f"{result.unjudged} consumers not judged.")
    said = said or ["Nothing is wrong."]
    if result.over:
        said.append(f"{result.over} inventories are smaller than what is in use of them.")
    return " ".join(said)

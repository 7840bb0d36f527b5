"""``audit``: whether all parties agree on every server. The checks are in ``conductor/spanning/auditing/``."""

import argparse
import contextlib
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.cmd.arguments import add_command, add_format, add_verbose, seconds, uuid
from nova_lite.cmd.installation import Installation
from nova_lite.cmd.output import complain, rendered
from nova_lite.cmd.progress import Progress
from nova_lite.conductor.spanning.auditing import looking
from nova_lite.conductor.spanning.auditing.auditor import Auditor, Outcome, Report
from nova_lite.conductor.spanning.auditing.looking import Onlooker
from nova_lite.conductor.spanning.auditing.repairs import repairer
from nova_lite.conductor.spanning.auditing.tools import RepairTools
from nova_lite.db import migrate
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.scheduler import claims

_CLEAN, _INCOMPLETE, _FOUND, _REPAIRED = 0, 1, 3, 4
_COLUMNS = ("Finding", "Subject", "Cell", "Details", "Outcome", "Advice")
_TITLE = "nova-lite-manage audit"
#: Seconds between the two looks, by default.
_GRACE_S = 10.0


def add_commands(categories: Any) -> None:
    """Add the command, which is of no category."""
    command = add_command(
        categories,
        "audit",
        run,
        "check that databases, Placement and hosts agree on every server, and repair what can be",
        description="Looks at the API database, every cell's, Placement and the hosts: mappings, instances, moves, "
        "workflows, claims, groups, counts, guests, volumes. What looks wrong is looked at again after the grace; only "
        "what looks exactly the same then is told. What work is under way about is not judged. Needs [api_database]; "
        "[placement] for claims; the cells' message buses for guests; [cinder] for volumes.\n\n"
        "A repair looks once more under the locks of what it changes, and never removes a guest. What cannot be "
        "decided is told, with what to do. Every finding: see the documentation of audits.\n\n"
        "Cells, hosts and a block storage service that do not answer are unknown, not empty: what may be there is not "
        "judged. May run beside any load, twice at once, and again.",
        example="audit --repair",
        codes="0 nothing is wrong; 1 failed, or nothing was found and some cells, hosts or the block storage service "
        "did not answer; 3 something is wrong, and still is; 4 all that was found was repaired",
    )
    command.add_argument("--repair", action="store_true", help="repair what can be repaired")
    command.add_argument(
        "--dry-run", "--dry_run", action="store_true", help="tell what would be repaired, and repair nothing"
    )
    command.add_argument(
        "--cell", metavar="UUID", type=uuid, action="append", help="look into this cell only; may be given again"
    )
    command.add_argument(
        "--grace",
        metavar="SECONDS",
        type=seconds,
        default=_GRACE_S,
        help=f"seconds between the two looks, by default {_GRACE_S:.0f}",
    )
    command.add_argument("--no-hosts", "--no_hosts", action="store_true", help="do not ask hosts for their guests")
    add_verbose(command, "name the cells and hosts that did not answer")
    add_format(command)


def run(installation: Installation, arguments: argparse.Namespace) -> int:
    """Audit, print what was found, return the exit code."""
    report = _audited(installation, arguments)
    rows = [
        (each.finding.kind, each.finding.subject, each.finding.cell or "", each.finding.text, each.outcome, each.advice)
        for each in report.judged
    ]
    if rows or arguments.format != "table":
        print(rendered(_COLUMNS, rows, arguments.format))
    if arguments.format == "table":
        print(_summary(report))
    _complain("Cell", report.silent, verbose=arguments.verbose)
    _complain("Host", report.unknown, verbose=arguments.verbose)
    if report.volumes is not None:
        complain(f"Volumes were not judged: {report.volumes}")
    return _code(report)


def _audited(installation: Installation, arguments: argparse.Namespace) -> Report:
    with contextlib.ExitStack() as stack:
        api_db = stack.enter_context(installation.api_db())
        migrate.require(api_db, "api")
        cells = stack.enter_context(installation.cells(api_db))
        only = frozenset(arguments.cell or ()) - {each.cell.uuid for each in cells.all()}
        if only:
            raise errors.Invalid(f"There is no cell {', '.join(sorted(only))}.")
        placement = installation.placement() if installation.has_placement else None
        if placement is None:
            complain("Claims were not checked: [placement] is not configured here.")
        volumes = installation.volumes()
        onlooker = Onlooker(
            api_db,
            cells.all,
            placement,
            None if arguments.no_hosts else looking.over_the_bus,
            None if volumes is None else volumes.as_service,
            only=frozenset(arguments.cell) if arguments.cell else None,
            down_after_s=installation.service_down_time_s,
            tell=Progress(_TITLE),
        )
        repair = None
        if arguments.repair and not arguments.dry_run:
            if placement is None:
                raise errors.Misconfigured("[placement] is not configured here; nothing can be repaired.")
            conf = installation.configuration
            bus = stack.enter_context(contextlib.closing(Bus(conf)))
            tools = RepairTools(
                conf, api_db, cells, placement, claims.Spread(placement), ConductorClient(bus).wake, volumes
            )
            repair = repairer(tools)
        return Auditor(onlooker, claims.due, repair, grace_s=arguments.grace).run()


def _code(report: Report) -> int:
    left = report.with_outcome(Outcome.TOLD, Outcome.REPAIRABLE, Outcome.FAILED)
    if left:
        return _FOUND
    if report.with_outcome(Outcome.REPAIRED):
        return _REPAIRED
    return _INCOMPLETE if report.silent or report.unknown or report.volumes else _CLEAN


def _summary(report: Report) -> str:
    said = f"{report.servers} servers looked at."
    for outcome in Outcome:
        count = len(report.with_outcome(outcome))
        said += f" {count} findings: {outcome}." if count else ""
    said += "" if report.judged else " Nothing is wrong."
    if report.silent or report.unknown:
        said += f" {len(report.silent)} cells and {len(report.unknown)} hosts were not judged."
    return said


def _complain(what: str, unknown: Mapping[str, str], *, verbose: bool) -> None:
    if verbose:
        for name, why in sorted(unknown.items()):
            complain(f"{what} {name} was not judged: {why}")
    elif unknown:
        complain(f"{what}s that were not judged: {len(unknown)}; --verbose says why.")

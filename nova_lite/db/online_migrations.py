"""Runs the steps that bring data into its new shape while services run: in batches, to the end or up to a count.

Those of the API database and of cells are here, Placement's in ``placement/online_migrations.py``. A step takes a
database and how many rows it may change at most (0: it only looks), and returns how many rows it found that need it,
and how many it changed: one short transaction, safe to run again and by several at once, and doing nothing once all is
done. It is named after what it does, and stays until no release that needs it is supported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from nova_lite import errors
from nova_lite.storage import Database

Step = Callable[[Database, int], tuple[int, int]]

#: Name → step, in the order they run. There has been no release whose data needs any.
API_STEPS: Mapping[str, Step] = {}
CELL_STEPS: Mapping[str, Step] = {}

#: Rows a step may change in one transaction.
BATCH = 50


@dataclass(slots=True)
class Progress:
    """How far a step came: rows found that needed it, rows changed, and why it ended early."""

    name: str
    found: int = 0
    done: int = 0
    failure: str = ""


def run(
    database: Database,
    steps: Mapping[str, Step],
    *,
    max_count: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Progress]:
    """Run every step until it has nothing left, or until ``max_count`` rows were changed; return how far each came.

    A step that fails does not keep the others from running.
    """
    reports: list[Progress] = []
    left = max_count
    for name, step in steps.items():
        report = Progress(name)
        reports.append(report)
        while left is None or left > 0:
            try:
                found, done = step(database, BATCH if left is None else min(BATCH, left))
            except (errors.NovaLiteError, SQLAlchemyError) as exc:
                report.failure = exc.message if isinstance(exc, errors.NovaLiteError) else str(exc)
                break
            report.found += found
            report.done += done
            if left is not None:
                left -= done
            if done == 0:
                break
            tell(f"{name}: {report.done} rows changed")
    return reports

"""A number in each database that grows with every change of what schedulers remember of hosts.

In a cell's it counts changes of services and hypervisors, but for heartbeats: agents that come, come back or change,
disabled and enabled ones, failed builds. In the API database it counts changes of aggregates, host and cell mappings.
Whoever makes such a change bumps the number in the same transaction, last of all: the others wait for it.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db import api_tables, cell_tables
from nova_lite.storage import Handle, TryAgain

#: The rows that hold the numbers.
_IN_CELL = cell_tables.HostChangesRow
_ABOVE = api_tables.HostChangesRow
_Row = type[cell_tables.HostChangesRow] | type[api_tables.HostChangesRow]
_THE_ONE = 1


def bump(session: Session) -> None:
    """Note in a cell's database that something about its hosts changes with this transaction."""
    _bump(session, _IN_CELL)


def bump_above(session: Session) -> None:
    """Note in the API database that aggregates or mappings change with this transaction."""
    _bump(session, _ABOVE)


def number(handle: Handle) -> int:
    """Return the number of a cell's database."""
    return _number(handle, _IN_CELL)


def number_above(handle: Handle) -> int:
    """Return the number of the API database."""
    return _number(handle, _ABOVE)


def _bump(session: Session, row: _Row) -> None:
    counted = session.execute(sa.update(row).where(row.id == _THE_ONE).values(number=row.number + 1))
    if counted.rowcount == 0:  # type: ignore[attr-defined]
        try:
            session.execute(sa.insert(row).values(id=_THE_ONE, number=1))
        except sa.exc.IntegrityError as exc:
            raise TryAgain("Another began to count at the same time.") from exc


def _number(handle: Handle, row: _Row) -> int:
    return handle.execute(sa.select(row.number).where(row.id == _THE_ONE)).scalar() or 0

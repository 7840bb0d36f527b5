"""A number in each cell's database that grows with every change of what schedulers remember of hosts.

It counts changes of services and hypervisors, but for heartbeats: agents that come, come back or change, disabled and
enabled ones, failed builds. Whoever makes such a change bumps the number in the same transaction, last of all: the
others wait for it.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.cell_tables import HostChangesRow
from nova_lite.storage import Handle, TryAgain

#: There is one row.
_THE_ONE = 1
#: Made once, for each decision of a scheduler runs it.
_NUMBER = sa.select(HostChangesRow.number).where(HostChangesRow.id == _THE_ONE)


def bump(session: Session) -> None:
    """Note in a cell's database that something about its hosts changes with this transaction."""
    this = sa.update(HostChangesRow).where(HostChangesRow.id == _THE_ONE)
    counted = session.execute(this.values(number=HostChangesRow.number + 1))
    if counted.rowcount == 0:  # type: ignore[attr-defined]
        try:
            session.execute(sa.insert(HostChangesRow).values(id=_THE_ONE, number=1))
        except sa.exc.IntegrityError as exc:
            raise TryAgain("Another began to count at the same time.") from exc


def number(handle: Handle) -> int:
    """Return the number of a cell's database."""
    return handle.execute(_NUMBER).scalar() or 0

"""Numbers that grow with every change of what others remember: the one row of a table, bumped by whoever changes it."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.storage import Handle, TryAgain

#: There is one row.
_THE_ONE = 1


def bumper(row: Any) -> Callable[[Session], None]:
    """Return what has the number in the table of ``row`` grow with a transaction. Others wait for it: call it last."""
    this = sa.update(row).where(row.id == _THE_ONE).values(number=row.number + 1)

    def bump(session: Session) -> None:
        if session.execute(this).rowcount == 0:  # type: ignore[attr-defined]
            try:
                session.execute(sa.insert(row).values(id=_THE_ONE, number=1))
            except sa.exc.IntegrityError as exc:
                raise TryAgain("Another began to count at the same time.") from exc

    return bump


def reader(row: Any) -> Callable[[Handle], int]:
    """Return what reads the number in the table of ``row``: 0 before the first change."""
    # Made once, for each decision of a scheduler runs it.
    this = sa.select(row.number).where(row.id == _THE_ONE)
    return lambda handle: handle.execute(this).scalar() or 0

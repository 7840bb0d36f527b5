"""Runs writes: one transaction each, again after a lost race, and to a known end when a commit's answer is lost."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite.placement.repositories import changes
from nova_lite.storage import Database, LostCommit, TryAgain, retried

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """Runs repository functions that write. Deadlocks and lost races are run again here, so nobody hears of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` returns, called with a connection in a transaction, which is committed then.

        ``work`` may be called several times; only what the transaction undoes may happen in it.
        """

        attempts = 0

        @retried
        def once() -> T:
            nonlocal attempts
            attempts += 1
            last: int | None = None
            try:
                with self._database.writing() as connection:
                    changes.last_noted(connection)
                    result = work(connection, *args, **kwargs)
                    last = changes.last_noted(connection)
            except LostCommit as exc:
                if last is not None and not self._has_happened(last):
                    raise TryAgain("The connection was lost before the transaction was committed.") from exc
            return result

        try:
            return once()
        finally:
            if attempts > 1:
                self._database.note_retries(attempts - 1)

    @retried
    def _has_happened(self, seq: int) -> bool:
        """Return whether the transaction that noted change ``seq`` has been committed; if not, it never will be."""
        try:
            with self._database.writing() as connection:
                changes.settle(connection, seq)
        except LostCommit as exc:
            raise TryAgain("The connection was lost again.") from exc
        except IntegrityError:
            with self._database.reading() as connection:
                return changes.stands_for_something(connection, seq)
        return False

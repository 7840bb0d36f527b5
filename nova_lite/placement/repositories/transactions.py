"""Runs writes: one transaction each, again after a lost race, and to a known end when a commit's answer is lost."""

import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement.repositories import changes
from nova_lite.storage import Database, LostCommit, TryAgain, retried

P = ParamSpec("P")
T = TypeVar("T")

#: How long a database that went away in the middle of a commit is waited for, and how often it is asked.
_PATIENCE_S = 10.0
_PAUSE_S = 0.25


class Writer:
    """Runs repository functions that write. Deadlocks and lost races are run again here, so nobody hears of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` returns, called with a connection in a transaction, which is committed then.

        ``work`` may be called several times; only what the transaction undoes may happen in it.
        Raises: what ``work`` raises, and Unavailable when the database stays away.
        """
        attempts = 0

        @retried
        def once() -> T:
            nonlocal attempts
            attempts += 1
            mark: changes.Mark | None = None
            try:
                with self._database.writing() as connection:
                    changes.last_noted(connection)
                    result = work(connection, *args, **kwargs)
                    mark = changes.last_noted(connection)
            except LostCommit as exc:
                # What noted nothing has changed nothing.
                if mark is not None and not self._was_committed(mark):
                    raise TryAgain("The connection was lost before the transaction was committed.") from exc
            return result

        try:
            return once()
        finally:
            if attempts > 1:
                self._database.note_retries(attempts - 1)

    def _was_committed(self, mark: changes.Mark) -> bool:
        """Return whether the transaction that left ``mark`` was committed, waiting for a database that restarts."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._settled(mark)
            except errors.Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_S)

    def _settled(self, mark: changes.Mark) -> bool:
        """Return whether a transaction was committed; if it was not, it never will be: its number is taken."""
        try:
            with self._database.writing() as connection:
                changes.settle(connection, mark[0])
        except IntegrityError:
            with self._database.reading() as connection:
                return changes.is_noted(connection, mark)
        return False

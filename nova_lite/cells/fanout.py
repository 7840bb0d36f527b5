"""Ask every cell the same thing at once, under one deadline, and bear the cells that do not answer."""

import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.breaker import Breaker
from nova_lite.cells.registry import Cells, OpenCell

LOG = logging.getLogger(__name__)
T = TypeVar("T")

#: Threads for all questions of one process, made as they are needed: enough that every thread of an API process may
#: have one hanging in each of many cells that fall silent together, as those on one database server do.
_THREADS = 512
#: Questions that may hang in one cell, though its database answers, before it is not asked until one of them ends.
_MOST_HANGING = 3
#: Seconds after an answer for which it need not be asked whether a cell answers.
_JUST_S = 0.1
#: Why a cell that was not asked is down.
_NOT_ASKED = "It has not answered for a while."


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What the cells said, by cell UUID; ``down`` are the cells that said nothing in time, and why."""

    found: dict[str, T] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a cell last fared when this process asked it something.

    ``latency_s`` is how long its last answer took, None before the first. ``silent_since`` is the ``monotonic`` time
    since when no question was answered, None while they are; ``failure`` says why.
    """

    latency_s: float | None = None
    silent_since: float | None = None
    failure: str | None = None


class Fanout:
    """Asks cells. Share one in a process: it knows which cells hang."""

    def __init__(self, conf: cfg.ConfigOpts, cells: Cells) -> None:
        self._conf = conf
        self._cells = cells
        self._lock = threading.Lock()
        self._pool: concurrency.Pool | None = None
        self._hanging: Counter[str] = Counter()
        self._sightings: dict[str, Sighting] = {}
        #: When each cell answered last (``monotonic``).
        self._answered_at: dict[str, float] = {}
        self._breaker = Breaker(self._submit, self._is_current)

    def ask(
        self, question: Callable[[OpenCell], T], *, of: Sequence[OpenCell] | None = None, with_cell0: bool = True
    ) -> Answers[T]:
        """Ask every cell (or those in ``of``) and return what came within ``[cells] timeout``.

        A cell whose database does not answer is down; any other error is raised here.
        """
        asked = self._cells.all(with_cell0=with_cell0) if of is None else of
        answers: Answers[T] = Answers()
        futures: dict[Future[object], OpenCell] = {}
        for cell in asked:
            uuid = cell.cell.uuid
            if self._breaker.is_open(uuid) or self._hanging[uuid] >= _MOST_HANGING:
                answers.down[uuid] = _NOT_ASKED
            else:
                futures[self._submit(functools.partial(self._timed, question), cell)] = cell
        done, late = wait(futures, timeout=self._conf.cells.timeout)
        for future in late:
            answers.down[futures[future].cell.uuid] = "It did not answer in time."
            # One that no thread was free for says nothing of its cell.
            if not future.cancel():
                self._watch(future, futures[future])
        for future in done:
            uuid = futures[future].cell.uuid
            failure = future.exception()
            if isinstance(failure, errors.Unavailable):
                answers.down[uuid] = failure.message
                self._breaker.trip(futures[future], look_at_once=True)
            elif failure is not None:
                raise failure
            else:
                answers.found[uuid] = cast(T, future.result())
        for uuid, reason in answers.down.items():
            self._note_silence(uuid, reason)
        return answers

    def look_again(self, cells: Sequence[OpenCell]) -> bool:
        """Try to reach silent cells by new connections, now; return whether one of them answers.

        For whoever is about to refuse something because of them: the background looks may be seconds behind.
        """
        futures = [self._submit(self._breaker.look, cell) for cell in cells]
        done, _ = wait(futures, timeout=self._conf.cells.timeout)
        return any(future.result() for future in done)

    def ping(self) -> None:
        """Raise Unavailable when there are cells for servers and none of them answers."""
        answers = self.ask(lambda cell: cell.db.ping(), with_cell0=False)
        if answers.down and not answers.found:
            raise errors.Unavailable("No cell answers.")

    def sighting(self, cell_uuid: str) -> Sighting:
        """Return how a cell last fared."""
        return self._sightings.get(cell_uuid, Sighting())

    def has_just_answered(self, cell_uuid: str) -> bool:
        """Return whether a cell answered within the last ``_JUST_S``, and to nobody's knowledge fell silent since."""
        is_recent = concurrency.monotonic() - self._answered_at.get(cell_uuid, float("-inf")) < _JUST_S
        return is_recent and self.sighting(cell_uuid).silent_since is None

    def close(self) -> None:
        """Wait for questions still under way."""
        self._breaker.stop()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def _timed(self, question: Callable[[OpenCell], T], cell: OpenCell) -> T:
        began = concurrency.monotonic()
        answer = question(cell)
        before = self.sighting(cell.cell.uuid)
        now = self._answered_at[cell.cell.uuid] = concurrency.monotonic()
        self._sightings[cell.cell.uuid] = Sighting(latency_s=now - began)
        if before.silent_since is not None:
            LOG.info("Cell %s answers again, %.1f s after it fell silent.", cell.cell.uuid, began - before.silent_since)
        return answer

    def _note_silence(self, uuid: str, reason: str) -> None:
        before = self.sighting(uuid)
        since = before.silent_since
        if since is None:
            since = concurrency.monotonic()
            LOG.warning("Cell %s is down: %s", uuid, reason)
        # That nobody asked it is no reason: the first one was.
        failure = before.failure if reason == _NOT_ASKED and before.failure else reason
        self._sightings[uuid] = Sighting(before.latency_s, since, failure)

    def _submit(self, question: Callable[[OpenCell], object], cell: OpenCell) -> Future[object]:
        with self._lock:
            if self._pool is None:
                self._pool = concurrency.Pool(_THREADS, "fanout")
            return self._pool.submit(question, cell)

    def _is_current(self, cell: OpenCell) -> bool:
        try:
            return not self._cells.is_closed and any(opened.db is cell.db for opened in self._cells.all())
        except errors.Unavailable:  # nobody knows: the API database is away, too
            return not self._cells.is_closed

    def _watch(self, late: Future[object], cell: OpenCell) -> None:
        """Count a question as hanging in its cell until it ends; nobody else waits there before the cell is back."""
        uuid = cell.cell.uuid
        with self._lock:
            self._hanging[uuid] += 1

        def ended(late: Future[object]) -> None:
            with self._lock:
                self._hanging[uuid] -= 1
            if late.exception() is None:
                self._breaker.reset(uuid)

        self._breaker.trip(cell)
        late.add_done_callback(ended)

"""Keeps this process's snapshot true: before each answer it applies what was committed since the last one.

Change numbers are taken in order but may be committed out of order. So a reader remembers the numbers it has not
seen (gaps) and asks for them again until they appear, or until it has settled that they never will.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.placement.repositories import changes, names, providers
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.snapshot import Snapshot
from nova_lite.placement.tables import ResourceClassRow, TraitRow
from nova_lite.storage import Database

_log = logging.getLogger(__name__)

#: More entries than this at once, or a wider hole, and reading everything again is cheaper.
_MAX_STEP = 5_000
#: How far back a fresh snapshot looks for numbers still to be committed.
_WINDOW = 1_000
#: Seconds after which a gap is settled rather than asked for again.
_GAP_PATIENCE_S = 30.0


class World:
    """What a question may look at: the snapshot, and every resource class and trait with the time of its change."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.classes: Mapping[str, tuple[int, float]] = {}
        self.traits: Mapping[str, tuple[int, float]] = {}


class Reader:
    """Hands out the world as it is now. One per process; safe for threads and across forks of an unused one."""

    def __init__(self, database: Database, prepare: Callable[[Database], None] | None = None) -> None:
        """``prepare`` runs once, before the first question is answered."""
        self._database = database
        self._prepare = prepare
        self._lock = threading.Lock()
        self._world = World()
        self._last = -1
        self._gaps: dict[int, float] = {}

    @contextlib.contextmanager
    def current(self) -> Iterator[World]:
        """Yield the world with every write committed before this call, unchanging until the block ends."""
        with self._lock:
            self._ready()
            self._refresh()
            yield self._world

    def ready(self) -> None:
        """Make sure that ``prepare`` has run: writers need the standard names, too."""
        with self._lock:
            self._ready()

    def _ready(self) -> None:
        if self._prepare is not None:
            self._prepare(self._database)
            self._prepare = None

    def _refresh(self) -> None:
        self._settle_old_gaps()
        with self._database.reader() as session:
            if self._last < 0:
                self._load(session)
                return
            entries = changes.since(session, self._last, self._gaps, _MAX_STEP)
            # Our own last entry is gone: the log was pruned past us, or the database is another one now.
            lost = self._last > 0 and all(seq != self._last for seq, _, _ in entries)
            if lost or len(entries) == _MAX_STEP or (entries and entries[-1][0] - self._last > len(entries) + _WINDOW):
                self._load(session)
                return
            self._apply(session, [entry for entry in entries if entry[0] != self._last])

    def _load(self, session: Session) -> None:
        """Read everything; the log first, so that what is committed meanwhile is seen again, not missed."""
        numbers = changes.recent(session, _WINDOW)
        world = World()
        world.classes = names.load(session, ResourceClassRow)
        world.traits = names.load(session, TraitRow)
        world.snapshot = Snapshot(providers.load(session))
        self._world = world
        self._last = numbers[-1] if numbers else 0
        self._gaps = {}
        if numbers:
            self._remember_gaps(numbers[0], numbers)

    def _apply(self, session: Session, entries: list[tuple[int, int, int]]) -> None:
        changed = {provider_id for _, provider_id, kind in entries if kind in (Kind.USAGE, Kind.PROVIDER)}
        if any(kind == Kind.NAMES for _, _, kind in entries):
            self._world.classes = names.load(session, ResourceClassRow)
            self._world.traits = names.load(session, TraitRow)
        found = {provider.id: provider for provider in providers.load(session, changed)} if changed else {}
        for provider_id in sorted(changed):
            if provider_id in found:
                self._world.snapshot.put(found[provider_id])
            else:
                self._world.snapshot.drop(provider_id)
        # Only now: had reading failed above, the same entries would be asked for again.
        numbers = [seq for seq, _, _ in entries]
        for seq in numbers:
            self._gaps.pop(seq, None)
        later = [seq for seq in numbers if seq > self._last]
        if later:
            self._remember_gaps(self._last + 1, later)
            self._last = later[-1]

    def _remember_gaps(self, first: int, numbers: list[int]) -> None:
        now = time.monotonic()
        seen = set(numbers)
        for seq in range(first, numbers[-1]):
            if seq not in seen:
                self._gaps[seq] = now

    def _settle_old_gaps(self) -> None:
        """Use up numbers that stayed away: whoever took them rolled back, or is waited for by the insert."""
        oldest = time.monotonic() - _GAP_PATIENCE_S
        for seq in [seq for seq, since in self._gaps.items() if since < oldest]:
            try:
                with self._database.writer() as session:
                    changes.settle(session, seq)
                del self._gaps[seq]
            except IntegrityError:
                # It is there after all: the next look finds it.
                continue
            except errors.Unavailable as exc:
                _log.info("change %s is still open: %s", seq, exc)
                self._gaps[seq] = time.monotonic()

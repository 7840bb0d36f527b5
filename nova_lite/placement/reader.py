"""Keeps this process's snapshot true: before each answer it applies what was committed since the last one.

Change numbers are taken in order but may be committed out of order. So a reader remembers the numbers it has not
seen (gaps) and asks for them again until they appear, or until it has settled that they never will.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.placement.repositories import changes, loading, names
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.snapshot import Snapshot
from nova_lite.placement.tables import ResourceClassRow, TraitRow
from nova_lite.storage import Database

_log = logging.getLogger(__name__)

#: More entries than this at once, or a wider hole, and reading everything again is cheaper.
_MAX_STEP = 5_000
#: Numbers in one hole that may still be committed: one for each writer at work.
_WINDOW = 1_000
#: Seconds after which a gap is settled rather than asked for again.
_GAP_PATIENCE_S = 30.0


class World:
    """What a question may look at: the snapshot, and every resource class and trait with the time of its change."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.classes: Mapping[str, tuple[int, float]] = {}
        self.traits: Mapping[str, tuple[int, float]] = {}


@dataclass
class Counts:
    """What a reader has done so far; numbers only grow."""

    polls: int = 0
    refreshes: int = 0
    reloads: int = 0
    changes: int = 0


@dataclass(frozen=True)
class State:
    """How far a reader has come: the number of the last change it has seen, and what it knows of."""

    last: int
    providers: int
    trees: int


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
        #: Looks at the log begun, and the number of the last that ended well.
        self._begun = 0
        self._ended = 0
        self.counts = Counts()

    @contextlib.contextmanager
    def current(self) -> Iterator[World]:
        """Yield the world with every write committed before this call, unchanging until the block ends."""
        arrived = self._begun
        with self._lock:
            self._ready()
            # A look that began after this call did has seen what was committed before it: one does for all who wait.
            if self._ended <= arrived:
                self._begun += 1
                self._refresh()
                self._ended = self._begun
            yield self._world

    @property
    def gaps(self) -> int:
        """How many change numbers are being waited for."""
        return len(self._gaps)

    def state(self) -> State | None:
        """Return how far it has come, without a look at the database; None before the first question."""
        with self._lock:
            if self._last < 0:
                return None
            snapshot = self._world.snapshot
            return State(self._last, len(snapshot), len(snapshot.forest))

    def ready(self) -> None:
        """Make sure that ``prepare`` has run: writers need the standard names, too."""
        if self._prepare is not None:
            with self._lock:
                self._ready()

    def _ready(self) -> None:
        if self._prepare is not None:
            self._prepare(self._database)
            self._prepare = None

    def _refresh(self) -> None:
        self._settle_old_gaps()
        self.counts.polls += 1
        if self._last >= 0:
            with self._database.reading() as connection:
                entries = changes.since(connection, self._last, self._gaps, 2)
            if [seq for seq, _, _ in entries] == ([self._last] if self._last else []):
                return
        # Something changed. Log and rows must be of one moment, or half of what was written at once would show.
        with self._database.snapshot() as connection:
            if self._last < 0:
                self._load(connection)
                return
            entries = changes.since(connection, self._last, self._gaps, _MAX_STEP)
            # Our own last entry is gone: the log was pruned past us, or the database is another one now.
            lost = self._last > 0 and all(seq != self._last for seq, _, _ in entries)
            if lost or len(entries) == _MAX_STEP or (entries and entries[-1][0] - self._last > len(entries) + _WINDOW):
                self._load(connection)
            else:
                news = [entry for entry in entries if entry[0] != self._last]
                self._bring_up(connection, news)
                # Only now: had reading failed above, the same entries would be asked for again.
                self._note([seq for seq, _, _ in news])

    def _load(self, connection: sa.Connection) -> None:
        """Read everything."""
        self.counts.reloads += 1
        oldest, youngest, count = changes.bounds(connection)
        missing = changes.holes(connection) if youngest - oldest + 1 > count else []
        world = World()
        world.classes = names.load(connection, ResourceClassRow)
        world.traits = names.load(connection, TraitRow)
        world.snapshot = Snapshot(loading.load(connection))
        self._world = world
        self._last = youngest
        # What may still be open: what the log lacks, and what was missing before the log was pruned.
        self._gaps = {seq: since for seq, since in self._gaps.items() if seq < oldest}
        for first, last in missing:
            self._remember_gaps(first, last + 1, ())

    def _bring_up(self, connection: sa.Connection, entries: list[tuple[int, int, int]]) -> None:
        """Read anew what ``entries`` of the log say has changed: number, provider, kind."""
        self.counts.refreshes += 1
        self.counts.changes += len(entries)
        if any(kind == Kind.NAMES for _, _, kind in entries):
            self._world.classes = names.load(connection, ResourceClassRow)
            self._world.traits = names.load(connection, TraitRow)
        snapshot = self._world.snapshot
        changed = {provider_id for _, provider_id, kind in entries if kind == Kind.PROVIDER}
        used = {provider_id for _, provider_id, kind in entries if kind == Kind.USAGE} - changed
        if used:
            use = loading.load_use(connection, used)
            changed |= {row for row in used if row not in use or not snapshot.set_use(row, *use[row])}
        if changed:
            found = {provider.id: provider for provider in loading.load(connection, changed)}
            for provider_id in sorted(changed):
                if provider_id in found:
                    snapshot.put(found[provider_id])
                else:
                    snapshot.drop(provider_id)

    def _note(self, numbers: Sequence[int]) -> None:
        """Note that these numbers of the log are read, the rising way, and which before the last are still to come."""
        for seq in numbers:
            self._gaps.pop(seq, None)
        later = [seq for seq in numbers if seq > self._last]
        if later:
            self._remember_gaps(self._last + 1, later[-1], later)
            self._last = later[-1]

    def _remember_gaps(self, first: int, end: int, seen: Collection[int]) -> None:
        """Remember the numbers from ``first`` until ``end`` that are not ``seen``.

        More than a window of them is a jump of the counter: no such crowd of writers is at work at once.
        """
        if end - first - len(seen) > _WINDOW:
            return
        now = time.monotonic()
        there = set(seen)
        for seq in range(first, end):
            if seq not in there:
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

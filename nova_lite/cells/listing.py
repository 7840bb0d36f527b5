"""One page of a list that lies in many cells: servers, migrations, services and hypervisors are listed by this.

Each cell gives its rows in the order asked for, behind one key. ``Merge`` is pure: it makes one list of what came and
says what to ask for next; ``Listing`` asks. A row is read only when it may be needed, see ``Batches``.

A cell that does not answer at all is left out and told of. One that falls silent after it has given some of its rows
ends the page where the next of them would come: what follows is on the next page, so nothing is lost and nothing
comes twice.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from oslo_config import cfg

from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import OpenCell
from nova_lite.errors import Unavailable

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """Something in a list: what it sorts by, and the cell it is in (None: in none)."""

    key: Key
    item: T
    cell_uuid: str | None = None


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """A page to make.

    ``read`` returns at most so many (None: all) of a cell's rows behind a key, with their keys, in order. ``descends``
    says of each part of a key whether it goes down; the last part must be unique. ``identity`` tells the same thing
    seen at two places, of which the first is listed.
    """

    read: Callable[[OpenCell, Key | None, int | None], Sequence[tuple[Key, T]]]
    identity: Callable[[T], object]
    descends: Sequence[bool]
    limit: int | None = None
    after: Key | None = None


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A page. ``has_more`` says whether a next one begins behind its last row.

    ``down`` are the cells left out; ``is_cut`` says whether the page ended early at one that fell silent.
    """

    rows: list[Row[T]] = field(default_factory=list)
    has_more: bool = False
    down: list[str] = field(default_factory=list)
    is_cut: bool = False


@dataclass(frozen=True)
class Batches:
    """How many rows are asked of each cell at once.

    Shares (``fixed`` None) are as large as they can be while no more is read in vain than a tenth of the page and 100
    rows of each cell, wherever the rows turn out to be. One cell alone is asked for the whole page.
    """

    fixed: int | None = None

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> "Batches":
        """Return what the options say."""
        is_fixed = conf.api.instance_list_cells_batch_strategy == "fixed"
        return cls(int(conf.api.instance_list_cells_batch_fixed_size) if is_fixed else None)

    def size(self, wanted: int, asked: int, live: int) -> int:
        """Return how many rows each of ``live`` cells (of ``asked`` at first) may have read and not listed yet.

        All but one of them may keep theirs for ever: the one that the rest of the page comes from keeps none.
        """
        if live <= 1:
            return wanted
        return self.fixed or (wanted // 10 + 100 * asked - 1) // (live - 1)


@dataclass(slots=True)
class _Source:
    """What is known of a cell: the last key it gave, its rows not yet listed, whether it has no others."""

    last: Key | None
    unread: int = 0
    has_answered: bool = False
    is_silent: bool = False
    is_ended: bool = False

    @property
    def is_dry(self) -> bool:
        return not self.is_ended and not self.unread


class Merge(Generic[T]):
    """Makes one page of the sorted rows of several sources. ``wanted`` None: all there are."""

    def __init__(self, page: Wanted[T], sources: Iterable[str], beside: Iterable[Row[T]], batches: Batches) -> None:
        self._page = page
        self._wanted = None if page.limit is None else page.limit + 1
        self._batches = batches
        self._sources = {name: _Source(page.after) for name in sources}
        self._pool = [row for row in beside if page.after is None or comes_after(row.key, page.after, page.descends)]
        self._seen: set[object] = set()
        self.rows: list[Row[T]] = []
        self.is_cut = False
        self.down: list[str] = []
        if not self._sources:
            self._advance()

    def questions(self) -> dict[str, tuple[Key | None, int | None]]:
        """Return source → the key to read behind and how many rows, of all that are to be asked now; {}: it is done."""
        if self.is_cut or self._is_full():
            return {}
        dry = [source for source in self._sources.values() if source.is_dry]
        if any(source.is_silent for source in dry):
            self.is_cut = True
            return {}
        if not dry:
            return {}
        if self._wanted is None:
            return {name: (source.last, None) for name, source in self._sources.items() if source.is_dry}
        live = sum(1 for source in self._sources.values() if source.unread or not source.is_ended)
        remaining = self._wanted - len(self.rows)
        size = min(remaining, self._batches.size(self._wanted, len(self._sources), live))
        return {
            name: (source.last, size - source.unread)
            for name, source in self._sources.items()
            if not source.is_ended and not source.is_silent and source.unread <= size // 2
        }

    def answer(self, answers: Mapping[str, tuple[Sequence[Row[T]], int | None]], silent: Iterable[str]) -> None:
        """Take what sources gave (with how many rows they were asked for), and which said nothing."""
        for name, (rows, asked) in answers.items():
            source = self._sources[name]
            source.has_answered = True
            source.is_ended = asked is None or len(rows) < asked
            source.unread += len(rows)
            source.last = rows[-1].key if rows else source.last
            self._pool += rows
        for name in silent:
            source = self._sources[name]
            source.is_silent = True
            if not source.has_answered:
                source.is_ended = True
                self.down.append(name)
        self._advance()

    def _is_full(self) -> bool:
        return self._wanted is not None and len(self.rows) >= self._wanted

    def _advance(self) -> None:
        """List what is sure to come next: all up to the last row of a source that may have more."""
        if any(source.is_dry for source in self._sources.values()):
            return
        _sort(self._pool, self._page.descends)
        used = 0
        for row in self._pool:
            if self._is_full():
                break
            used += 1
            identity = self._page.identity(row.item)
            if identity not in self._seen:
                self._seen.add(identity)
                self.rows.append(row)
            if row.cell_uuid is not None:
                source = self._sources[row.cell_uuid]
                source.unread -= 1
                if source.is_dry:
                    break
        del self._pool[:used]


class Listing:
    """Lists what lies in cells."""

    def __init__(self, conf: cfg.ConfigOpts, fanout: Fanout) -> None:
        self._conf = conf
        self._fanout = fanout

    def page(self, page: Wanted[T], cells: Sequence[OpenCell], beside: Iterable[Row[T]] = ()) -> Listed[T]:
        """Return a page over ``cells`` and over what lies ``beside`` them, in any order."""
        if page.limit == 0:
            return Listed()
        by_uuid = {cell.cell.uuid: cell for cell in cells}
        merge = Merge(page, by_uuid, beside, Batches.of(self._conf))
        while questions := merge.questions():

            def question(cell: OpenCell, asked: dict[str, tuple[Key | None, int | None]] = questions) -> list[Row[T]]:
                after, limit = asked[cell.cell.uuid]
                return [Row(key, item, cell.cell.uuid) for key, item in page.read(cell, after, limit)]

            answers = self._fanout.ask(question, of=[by_uuid[uuid] for uuid in questions])
            merge.answer({uuid: (rows, questions[uuid][1]) for uuid, rows in answers.found.items()}, answers.down)
        rows = merge.rows[: page.limit]
        return Listed(rows, merge.is_cut or len(merge.rows) > len(rows), merge.down, merge.is_cut)

    def refuse_if_forbidden(self, listed: Listed[T]) -> None:
        """Raise Unavailable when a cell is missing and the options say that none may be."""
        if (listed.down or listed.is_cut) and not self._conf.api.list_records_by_skipping_down_cells:
            raise Unavailable("A cell does not answer, and lists without it are switched off.", cells=listed.down)


def comes_after(key: Key, other: Key, descends: Sequence[bool]) -> bool:
    """Return whether ``key`` comes behind ``other``."""
    for mine, theirs, down in zip(key, other, descends, strict=True):
        if mine != theirs:
            return bool(mine < theirs) if down else bool(mine > theirs)
    return False


def _sort(rows: list[Row[T]], descends: Sequence[bool]) -> None:
    """Sort by keys: one pass for each run of parts that go the same way, the last first."""
    end = len(descends)
    for down, run in itertools.groupby(reversed(descends)):
        start = end - len(list(run))
        rows.sort(key=lambda row, part=slice(start, end): row.key[part], reverse=down)  # type: ignore[misc]
        end = start

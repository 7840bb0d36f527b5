"""An operation: what one request has done to a server, as those see it who wait for it.

It is long work above the cells, or in the server's cell, or both: the first leads the second then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nova_lite.model import roads
from nova_lite.model.migration import Progress
from nova_lite.model.roads import InCell, Road
from nova_lite.model.workflow import OPEN, Status

_NOTHING = Progress()


@dataclass(frozen=True, slots=True)
class Part:
    """One workflow, without what only those need who run it. Times are naive UTC; ``deadline`` is since 1970."""

    uuid: str
    kind: str
    request_id: str
    user_id: str
    project_id: str
    status: Status
    step: int
    attempt: int
    reason: str | None
    deadline: float
    created_at: datetime
    updated_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Stage:
    """Where an operation stands: ``number`` counts from 1 along its steps, ``name`` may be of a step's detour."""

    number: int
    name: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Parts that serve one request; at least one is there.

    ``action``, ``host`` and ``moved`` are what its cell knows about it.
    """

    above: Part | None
    in_cell: Part | None
    action: str | None = None
    host: str | None = None
    moved: Progress = _NOTHING

    @property
    def lead(self) -> Part:
        """Return the part that names the operation."""
        return self.parts[0]

    @property
    def parts(self) -> list[Part]:
        return [part for part in (self.above, self.in_cell) if part is not None]

    @property
    def is_open(self) -> bool:
        return any(part.is_open for part in self.parts)

    @property
    def state(self) -> Status:
        """Return how the whole stands: what is still done tells, else what went wrong."""
        found = {part.status for part in self.parts}
        if Status.UNDOING in found:
            return Status.UNDOING
        if self.is_open:
            return Status.PENDING if found == {Status.PENDING} else Status.RUNNING
        return next((bad for bad in (Status.FAILED, Status.SUPERSEDED) if bad in found), Status.DONE)

    @property
    def reason(self) -> str | None:
        """Return why it failed, or is being undone."""
        return next((part.reason for part in reversed(self.parts) if part.reason), None)

    @property
    def deadline(self) -> float:
        return max(part.deadline for part in self.parts if part.is_open or not self.is_open)

    @property
    def updated_at(self) -> datetime | None:
        return max((part.updated_at for part in self.parts if part.updated_at is not None), default=None)

    @property
    def steps(self) -> list[str]:
        """Return the names of all steps, those of the cell's part where they are done."""
        return [name for name, _ in self._way()]

    @property
    def stage(self) -> Stage | None:
        """Return where it stands, None when it is over."""
        for part in reversed(self.parts):
            if part.is_open:
                return self._stage(part)
        return None

    @property
    def percent(self) -> int | None:
        """Return how much of it is behind, None when it ended without being done.

        Each step is as much as any other; of one that moves a guest's data, bytes tell how much of it is done.
        """
        if self.state is Status.DONE:
            return 100
        stage = self.stage
        if stage is None:
            return None
        return int(100 * (stage.number - 1 + share(self.moved)) / max(1, len(self.steps)))

    def _stage(self, part: Part) -> Stage:
        road = self._road(part)
        at = min(part.step, sum(1 for _ in roads.stops(road)) - 1)
        if at < 0:
            return Stage(1, part.kind, part.attempt)
        name, behind = list(roads.stops(road))[at]
        mine = [index for index, (_, owner) in enumerate(self._way()) if owner is part]
        return Stage(mine[behind] + 1, name, part.attempt)

    def _way(self) -> list[tuple[str, Part | None]]:
        """Return every step with the part it is of; None where that has not begun."""
        if self.above is None:
            return self._of_cell(self.lead.kind)
        found: list[tuple[str, Part | None]] = []
        for each in self._road(self.above):
            if isinstance(each, InCell):
                found += self._of_cell(each.kind if self.in_cell is None else self.in_cell.kind)
            elif isinstance(each, str):
                found.append((each, self.above))
        return found

    def _of_cell(self, kind: str) -> list[tuple[str, Part | None]]:
        return [(name, self.in_cell) for name in roads.names(roads.IN_CELL.get(kind, ()))]

    def _road(self, part: Part) -> Road:
        return (roads.ABOVE if part is self.above else roads.IN_CELL).get(part.kind, ())


def share(moved: Progress) -> float:
    """Return which share of the data to move is moved, 0 where that is not known."""
    total = (moved.memory_total or 0) + (moved.disk_total or 0)
    left = (moved.memory_remaining or 0) + (moved.disk_remaining or 0)
    return 0.0 if total <= 0 else min(1.0, max(0.0, 1 - left / total))


def merged(above: Iterable[Part], in_cell: Iterable[Part]) -> list[Operation]:
    """Return the operations that workflows about one server come to, newest first.

    What was written down above the cells and withdrawn at once, for the cell refused it, never was one.
    """
    led = {part.request_id: Operation(part, None) for part in above if not _was_refused(part)}
    alone: list[Operation] = []
    for part in in_cell:
        leader = led.get(part.request_id)
        if leader is not None and leader.in_cell is None:
            led[part.request_id] = replace(leader, in_cell=part)
        else:
            alone.append(Operation(None, part))
    return sorted([*led.values(), *alone], key=_age, reverse=True)


def behind(operations: Sequence[Operation], uuid: str) -> list[Operation] | None:
    """Return the operations after the one called ``uuid``, None when there is none."""
    for index, each in enumerate(operations):
        if each.lead.uuid == uuid:
            return list(operations[index + 1 :])
    return None


def _age(operation: Operation) -> tuple[datetime, str]:
    return operation.lead.created_at, operation.lead.uuid


def _was_refused(part: Part) -> bool:
    return part.status is Status.SUPERSEDED and part.attempt == 0

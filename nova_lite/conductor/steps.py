"""What a workflow is made of: steps and records, detours from them, and the road they make. ``saga.py`` runs it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.model.workflow import Workflow

T = TypeVar("T")
Facts = Mapping[str, object]


@dataclass
class Work(Generic[T]):
    """A workflow under way, as its steps see it.

    ``tools`` is what the conductor lends its workflows; ``facts`` is what earlier steps found out.
    ``may_have_run`` is True when the step may have run before, wholly or in part.
    """

    workflow: Workflow
    tools: T
    seconds_left: float
    may_have_run: bool = False
    reason: str | None = None

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.workflow.inputs

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.workflow.facts

    @property
    def subject(self) -> str:
        return self.workflow.subject


class Onlooker(Generic[T]):
    """Is told how work goes on, on the thread that does it; must not raise. This one does not care.

    A step may be told to begin more than once: after an error that passes, or when another conductor goes on.
    """

    def begins(self, work: Work[T], step: str) -> None:
        """Hear that a step is about to be run."""

    def passed(self, work: Work[T], step: str) -> None:
        """Hear that a step is done, and recorded unless it is kept."""

    def turned(self, work: Work[T], error: Exception) -> None:
        """Hear that a step failed and its detour is taken."""

    def turned_back(self, work: Work[T], error: Exception | None) -> None:
        """Hear that the work failed and is about to be undone."""

    def failed(self, work: Work[T], error: Exception | None) -> None:
        """Hear that failed work has ended; ``error`` is None where another conductor met it."""


@dataclass(frozen=True)
class Step(Generic[T]):
    """Something done outside the workflow's database; ``do`` may return facts. Both may run twice and must not mind.

    One that is ``kept`` is recorded by the ``Record`` behind it, a transaction less: who dies in between runs it again.
    Behind it may be others that are kept, too.
    """

    name: str
    do: Callable[[Work[T]], Facts | None]
    undo: Callable[[Work[T]], None] | None = None
    no_way_back: bool = False
    detour: "Detour[T] | None" = None
    kept: bool = False


@dataclass(frozen=True)
class Record(Generic[T]):
    """A change of the workflow's own database, committed with its progress: it happens once or not at all."""

    name: str
    do: Callable[[Work[T], Session], Facts | None]
    undo: Callable[[Work[T]], None] | None = None
    no_way_back: bool = False


@dataclass(frozen=True)
class Detour(Generic[T]):
    """What is done when a step fails with an error of kind ``on``, before that step is run again.

    Its first step finds the error's message in the fact ``detour``. Its last way out is an error: nothing else bounds
    how often a detour is taken.
    """

    on: type[errors.NovaLiteError]
    steps: tuple[Step[T] | Record[T], ...]


@dataclass(frozen=True)
class Definition(Generic[T]):
    """A kind of workflow. ``on_failure`` runs last, after the undoing, with ``work.reason`` set.

    ``afterwards`` is called when it has ended either way, and returns which others can go on now. It may be lost: what
    waits also looks by itself. ``behind`` are kinds of work about the same subject that must have ended, if they were
    begun before, until this begins; work whose inputs say that it ``is_first`` was begun when there was none.
    """

    kind: str
    steps: tuple[Step[T] | Record[T], ...]
    on_failure: Step[T] | Record[T] | None = None
    behind: Collection[str] = ()
    afterwards: Callable[[Work[T]], Collection[str]] = lambda work: ()

    def __post_init__(self) -> None:
        for step, behind in zip(self.steps, (*self.steps[1:], None), strict=True):
            if isinstance(step, Step) and step.kept and not (isinstance(behind, Record) or (behind and behind.kept)):
                raise TypeError(f"What is kept of {step.name!r} needs a Record behind it.")

    @property
    def road(self) -> "tuple[Stop[T], ...]":
        """Every step, each followed by those of its detour: a record's ``step`` counts along it."""
        stops: list[Stop[T]] = []
        for step in self.steps:
            here = len(stops)
            detour = step.detour if isinstance(step, Step) else None
            aside = () if detour is None else detour.steps
            stops.append(Stop(step, onward=here + len(aside) + 1, detour=detour))
            for index, each in enumerate(aside, 1):
                stops.append(Stop(each, onward=here if index == len(aside) else here + index + 1))
        return tuple(stops)


@dataclass(frozen=True)
class Stop(Generic[T]):
    """A step on the road of a workflow, and where the road goes on after it; its detour begins right behind it."""

    step: Step[T] | Record[T]
    onward: int
    detour: Detour[T] | None = None

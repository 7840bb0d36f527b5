"""Makes conductors fail on purpose: errors, deaths and interruptions at any place of any workflow.

A place is a step (or ``undo`` of one, or ``failed``) and a moment: ``before`` it begins, in the ``middle`` (its outside
effect is there, its record is not) or ``after`` its record.
"""

import threading
import uuid as uuids
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa

from nova_lite.conductor.saga import Definition, Record, Runner, Step, Work
from nova_lite.conductor.service import CELL_WORKFLOWS, SUPER_WORKFLOWS, Conductor
from nova_lite.storage import epoch_now

Moment = Literal["before", "middle", "after"]
Role = Literal["super", "cell"]

WORKFLOWS: Mapping[Role, Mapping[str, Definition[Any]]] = {"super": SUPER_WORKFLOWS, "cell": CELL_WORKFLOWS}


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@dataclass(frozen=True)
class Place:
    """Where something is to happen."""

    role: Role
    kind: str
    step: str
    moment: Moment

    def __str__(self) -> str:
        return f"{self.role}-{self.kind}-{self.moment}-{self.step}".replace(" ", "_")


@dataclass
class Saboteur:
    """Knows every conductor and what is to happen where. A plan happens once."""

    plans: dict[Place, Callable[[], None]] = field(default_factory=dict)
    twice: set[tuple[Role, str, str]] = field(default_factory=set)
    anywhere: Callable[[Place], bool] = field(default=lambda place: False)
    happened: list[Place] = field(default_factory=list)
    runners: list[Runner[Any]] = field(default_factory=list)
    _dead: list[tuple[Runner[Any], str]] = field(default_factory=list)
    _under_way: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, conductor: Conductor) -> None:
        """Put the places of a conductor's workflows under control."""
        role: Role = "super" if conductor.is_super else "cell"
        runner: Runner[Any] = conductor.runner
        self.runners.append(runner)
        runner.definitions = {
            kind: _Watched(self, role, runner).definition(definition) for kind, definition in WORKFLOWS[role].items()
        }
        runner.after_record = lambda kind, step: self.at(Place(role, kind, step, "after"), runner)

    def plan(self, place: Place, deed: Callable[[], None] | BaseException) -> None:
        """Have ``deed`` done, or an error raised, when ``place`` is next reached; Killed kills the conductor there."""
        self.plans[place] = deed if callable(deed) else _raiser(deed)

    def clear(self) -> None:
        """Forget what was planned and what happened."""
        self.plans.clear()
        self.twice.clear()
        self.happened.clear()
        self.anywhere = lambda place: False

    def at(self, place: Place, runner: Runner[Any]) -> None:
        """Do what was planned for ``place``."""
        with self._guard:
            deed = self.plans.pop(place, None)
            is_fatal = deed is None and self.anywhere(place)
            if deed is not None or is_fatal:
                self.happened.append(place)
            self._under_way += 1
        try:
            if is_fatal:
                raise Killed
            if deed is not None:
                deed()
        except Killed:
            self._bury(runner)
            raise
        finally:
            with self._guard:
                self._under_way -= 1

    def at_work(self) -> str:
        """Return what is seen to be under way without asking a database, which is asked often otherwise."""
        with self._guard:
            under_way = self._under_way + sum(runner.running for runner in self.runners)
        return f"{under_way} deeds and workflows under way" if under_way else ""

    def planned(self) -> list[Place]:
        """Return where something is still to happen."""
        with self._guard:
            return list(self.plans)

    @property
    def is_on_detour(self) -> bool:
        """Return whether something is planned for a place that is reached only when a step before it fails."""
        steps = {Place(role, kind, step, "before") for role, kind, step in self.twice}
        return any(is_aside(place) for place in {*self.plans, *steps})

    def _bury(self, runner: Runner[Any]) -> None:
        """Let the conductor that ``runner`` stands for be dead: it comes back as another one."""
        with self._guard:
            self._dead.append((runner, runner.owner))
            runner.owner = str(uuids.uuid4())

    def pass_time(self) -> None:
        """Have the leases of dead conductors run out, and who comes after them look for work."""
        with self._guard:
            dead, self._dead = self._dead, []
        for runner, owner in dead:
            with runner.db.writer() as session:
                mine = sa.update(runner.row).where(runner.row.lease_owner == owner)
                session.execute(mine.values(lease_until=epoch_now() - 1))
            runner._scan()


@dataclass(frozen=True)
class _Watched:
    """Wraps the workflows of one conductor."""

    saboteur: Saboteur
    role: Role
    runner: Runner[Any]

    def definition(self, definition: Definition[Any]) -> Definition[Any]:
        last = definition.on_failure
        return replace(
            definition,
            steps=self._steps(definition.kind, definition.steps),
            on_failure=None if last is None else self._step(definition.kind, replace(last, name="failed")),
        )

    def _steps(self, kind: str, steps: Sequence[Step[Any] | Record[Any]]) -> tuple[Step[Any] | Record[Any], ...]:
        return tuple(self._step(kind, step) for step in steps)

    def _step(self, kind: str, step: Step[Any] | Record[Any]) -> Step[Any] | Record[Any]:
        undo = None if step.undo is None else self._around(kind, f"undo {step.name}", step.undo, may_repeat=True)
        if isinstance(step, Record):
            return replace(step, do=self._around(kind, step.name, step.do, may_repeat=False), undo=undo)
        detour = step.detour and replace(step.detour, steps=self._steps(kind, step.detour.steps))
        return replace(step, do=self._around(kind, step.name, step.do, may_repeat=True), undo=undo, detour=detour)

    def _around(self, kind: str, name: str, do: Callable[..., Any], *, may_repeat: bool) -> Callable[..., Any]:
        before, middle = (Place(self.role, kind, name, moment) for moment in ("before", "middle"))

        def watched(work: Work[Any], *session: Any) -> Any:
            self.saboteur.at(before, self.runner)
            if may_repeat and (self.role, kind, name) in self.saboteur.twice:
                do(work, *session)
                work.may_have_run = True  # as it is told then
                self.saboteur.happened.append(before)
            found = do(work, *session)
            self.saboteur.at(middle, self.runner)
            return found

        return watched


def _raiser(error: BaseException) -> Callable[[], None]:
    def deed() -> None:
        raise error

    return deed


def places(*moments: Moment, records: bool = True) -> list[Place]:
    """Return every place of every workflow with one of ``moments``; without ``records``, only of outside steps."""
    return [
        Place(role, kind, step.name, moment)
        for role, definitions in WORKFLOWS.items()
        for kind, definition in definitions.items()
        for step in road(definition)
        for moment in moments
        if records or moment == "after" or isinstance(step, Step)
    ]


def road(definition: Definition[Any]) -> list[Step[Any] | Record[Any]]:
    """Return every step of a workflow, those of its detours too."""
    return [stop.step for stop in definition.road]


def is_aside(place: Place) -> bool:
    """Return whether ``place`` is on a detour, which is taken only when the step before it fails."""
    definition = WORKFLOWS[place.role][place.kind]
    return place.step.removeprefix("undo ") not in {"failed", *(step.name for step in definition.steps)}


def may_fail_at(place: Place) -> bool:
    """Return whether a final error at ``place`` ends the workflow, the point of no return not being reached."""
    for step in road(WORKFLOWS[place.role][place.kind]):
        if step.no_way_back:
            return False
        if step.name == place.step:
            return True
    raise AssertionError(f"no such step: {place}")


def undo_places() -> list[tuple[Place, Place]]:
    """Return every place of a final error, with each place of the undoing and ending it leads to."""
    found = []
    for error in places("middle"):
        if not may_fail_at(error):
            continue
        definition = WORKFLOWS[error.role][error.kind]
        steps = road(definition)
        names = [step.name for step in steps]
        for step in steps[: names.index(error.step) + 1]:
            if step.undo is not None:
                found += [
                    (error, Place(error.role, error.kind, f"undo {step.name}", moment))
                    for moment in ("before", "middle")
                ]
        found += [(error, Place(error.role, error.kind, "failed", moment)) for moment in ("before", "middle", "after")]
    return found

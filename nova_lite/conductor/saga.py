"""Runs workflows: takes the lease of a record, runs its steps, records each before and after, undoes in reverse.

A workflow reads as a list of steps (see ``workflows/``). A ``Step`` reaches outside and may run twice; a ``Record`` is
one transaction of the workflow's own database, committed together with the progress it makes. When a conductor dies,
its leases run out and another goes on where the record stands.

- An error that will pass is retried until the workflow's deadline, first here, then by whoever scans next.
- A step that has to wait for somebody else's work (``NotYet``) is looked at again later, when that says or ever more
  seldom: by the conductor that parked it, or by whoever scans when it is overdue.
- An error that a step's detour is for is recorded, then the detour's steps are run and then the step again.
- Any other error undoes every step begun, last first, then runs ``on_failure``, then the record says FAILED and why.
- From the first step with ``no_way_back`` on, steps are only retried; but when the database refuses the first of them,
  and it is a ``Record``, nothing of it has happened and the way back is open.
- Undoing has ``UNDO_GRACE_S`` after the deadline; what could not be undone by then is noted in the facts. So is an
  ``on_failure`` that fails by then, or that a database refuses: the record says FAILED all the same. Only for a
  database that is away it waits longer.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NoReturn, TypeVar

from nova_lite import errors
from nova_lite.concurrency import Alarm, Pool, Tally, Ticker
from nova_lite.conductor.steps import Definition, Detour, Facts, Onlooker, Record, Step, Stop, Work
from nova_lite.db.repositories import workflows
from nova_lite.model import tracebacks
from nova_lite.model.workflow import TRACEBACK, Status, Workflow
from nova_lite.storage import Database, refusal, retried

__all__ = ["Definition", "Detour", "Facts", "Record", "Runner", "Step", "Work"]

LOG = logging.getLogger(__name__)

#: Seconds past its deadline that a workflow may still undo.
UNDO_GRACE_S = 120.0
#: Seconds between two tries at a step, the last one for every further try; the first few wait here, then it is parked.
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_TRIES_IN_PLACE = 3
#: Workflows one scan takes up at most.
_SCAN_LIMIT = 100
#: Seconds past the moment a parked workflow is due at which it is woken, for that is reckoned by the database's clock.
_DUE_MARGIN_S = 0.02

#: What users read when the database refuses what a step writes; in its words it is in the facts, as ``refusal``.
REFUSED = "The database cannot keep what was asked for."

T = TypeVar("T")


class LeaseLost(Exception):
    """The record is not as this conductor left it: taken over, superseded, or written by an attempt believed lost.

    Leave it alone; if it is still open, it is taken up again from its record when the lease runs out.
    """


@dataclass
class Runner(Generic[T]):
    """Runs the workflows of one database with the given tools, until stopped.

    ``after_record`` is called after each progress written or kept, with the workflow's kind and step: tests stop or
    fail there. ``onlooker`` hears how each workflow goes on.
    """

    db: Database
    row: workflows.Row
    definitions: Mapping[str, Definition[T]]
    tools: T
    owner: str
    lease_s: float
    scan_interval_s: Callable[[], float]
    threads: int
    after_record: Callable[[str, str], None] = field(default=lambda kind, step: None)
    onlooker: Onlooker[T] = field(default_factory=Onlooker)

    def __post_init__(self) -> None:
        self._pool = Pool(self.threads, "workflow")
        self._running: set[str] = set()
        #: Kind and outcome of what ended here.
        self.ended = Tally()
        self._guard = threading.Lock()
        self._is_stopping = False
        self._not_begun: set[str] = set()
        self._alarm = Alarm(self.wake, "workflow-alarm")
        self._tickers = [
            Ticker(self.scan_interval_s, self._scan, "workflow-scan", at_once=True),
            Ticker(lambda: self.lease_s / 3, self._renew, "workflow-lease"),
        ]

    def start(self) -> None:
        """Begin to take up workflows."""
        self._alarm.start()
        for ticker in self._tickers:
            ticker.start()

    def stop(self) -> None:
        """Finish the workflows under way, then stop; those not begun wait for another conductor: see ``not_begun``."""
        self._is_stopping = True
        self._alarm.stop()
        self._tickers[0].stop()
        self._pool.stop()
        self._tickers[1].stop()

    def reconsider(self) -> None:
        """Heed that the interval of scans changed."""
        self._tickers[0].reconsider()

    def wake(self, uuid: str) -> None:
        """Run a workflow soon, unless it is running here already."""
        with self._guard:
            if uuid in self._running:
                return
            self._running.add(uuid)
        try:
            self._pool.submit(self._run_guarded, uuid)
        except RuntimeError:  # stopping
            self._leave(uuid)

    def _leave(self, uuid: str) -> None:
        """Leave a workflow to other conductors."""
        with self._guard:
            self._running.discard(uuid)
            self._not_begun.add(uuid)

    @property
    def not_begun(self) -> list[str]:
        """Return the workflows that were to run here when this was stopped, and for which others may be woken."""
        with self._guard:
            return sorted(self._not_begun)

    @property
    def running(self) -> int:
        """Return how many workflows run here, or are about to."""
        return len(self._running)

    def _scan(self) -> None:
        try:
            with self.db.reader() as session:
                waiting = workflows.claimable(session, self.row, limit=_SCAN_LIMIT)
        except errors.Unavailable as exc:
            LOG.warning("Cannot look for workflows: %s %s", exc, exc.facts)
            return
        for uuid in waiting:
            self.wake(uuid)

    def _renew(self) -> None:
        """Keep the leases of what runs here; one whose run ended unrecorded must run out, or nobody could go on."""
        with self._guard:
            running = list(self._running)
        if not running:
            return
        try:
            with self.db.writer() as session:
                workflows.renew(session, self.row, self.owner, running, lease_s=self.lease_s)
        except errors.Unavailable as exc:
            LOG.warning("Cannot renew leases: %s %s", exc, exc.facts)

    def _run_guarded(self, uuid: str) -> None:
        again_s = None
        try:
            if self._is_stopping:
                self._leave(uuid)
            else:
                again_s = self.run(uuid)
        except LeaseLost:
            LOG.info("Workflow %s is not ours any more", uuid)
        except errors.Unavailable as exc:
            LOG.warning("Workflow %s waits for its database: %s %s", uuid, exc, exc.facts)
        except Exception:
            LOG.exception("Workflow %s stopped at a bug; it is taken up again when its lease runs out", uuid)
        finally:
            with self._guard:
                self._running.discard(uuid)
        if again_s is not None:
            self._alarm.set(uuid, again_s + _DUE_MARGIN_S)

    def run(self, uuid: str) -> float | None:
        """Take a workflow's lease and run it to its end, or until it must wait: return for how many seconds.

        None when it has ended, or is not to be had.
        """
        claimed = self._claim(uuid)
        if claimed is None:
            return None
        workflow, seconds_left = claimed
        work = Work(workflow, self.tools, seconds_left, may_have_run=workflow.attempt > 1)
        return _Run(self, self.definitions[workflow.kind], work, time.monotonic() + seconds_left).go()

    @retried
    def _claim(self, uuid: str) -> tuple[Workflow, float] | None:
        with self.db.reading() as connection:
            return workflows.claim(connection, self.row, uuid, owner=self.owner, lease_s=self.lease_s)


class _Run(Generic[T]):
    """One conductor's turn at one workflow."""

    def __init__(self, runner: Runner[T], definition: Definition[T], work: Work[T], deadline: float) -> None:
        self._runner = runner
        self._definition = definition
        self._road = definition.road
        self._work = work
        #: Where the record stands: behind the work while a step is kept.
        self._recorded_step = work.workflow.step
        self._deadline = deadline
        #: What made it fail, once it has.
        self._error: Exception | None = None

    def go(self) -> float | None:
        """Run forward, and back when that fails; return None at its end, or for how many seconds it is parked."""
        work = self._work
        try:
            self._await_those_before()
            if work.workflow.status is not Status.UNDOING:
                reason = self._forward()
                if reason is None:
                    self._runner.ended.add(self._definition.kind, Status.DONE.value)
                    self._call_others()
                    return None
                at = work.workflow
                self._save(status=Status.UNDOING, reason=reason, step=at.step, facts=at.facts)
                work.workflow = replace(work.workflow, status=Status.UNDOING, reason=reason)
                work.may_have_run = True
                self._runner.onlooker.turned_back(work, self._error)
            self._backward()
        except _Parked as parked:
            return parked.delay_s
        self._runner.ended.add(self._definition.kind, Status.FAILED.value)
        self._runner.onlooker.failed(work, self._error)
        self._call_others()
        return None

    def _await_those_before(self) -> None:
        """Park the workflow, before its first step, while it has to wait for others that were begun before it."""
        at, kinds = self._work.workflow, self._definition.behind
        if not kinds or at.inputs.get("is_first") or at.step or at.status is Status.UNDOING:
            return
        with self._runner.db.reader() as session:
            must_wait = workflows.is_behind(session, self._runner.row, at.subject, at.uuid, kinds)
        if must_wait:
            self._park(_BACKOFF_S[min(at.attempt, len(_BACKOFF_S) - 1)])

    def _forward(self) -> str | None:
        """Run every step not yet done; returns None when the workflow ended well, else the reason, for users."""
        try:
            while self._work.workflow.step < len(self._road):
                self._pass(self._work.workflow.step)
        except (LeaseLost, _Parked):
            raise
        except errors.NovaLiteError as exc:
            LOG.warning("%s of %s failed: %s %s", self._definition.kind, self._work.subject, exc, exc.facts)
            self._met(exc)
            return exc.message
        except Exception as exc:
            LOG.exception("%s of %s failed", self._definition.kind, self._work.subject)
            cause = refusal(exc)
            if cause is None:
                self._met(exc)
                return "An internal error happened."
            self._met(exc, refusal=cause)
            return REFUSED
        return None

    def _met(self, error: Exception, **facts: object) -> None:
        """Keep the error that work ends with: its traceback, and ``facts`` about it, in the record."""
        self._error = error
        at = self._work.workflow
        self._work.workflow = replace(at, facts={**at.facts, TRACEBACK: tracebacks.told(error), **facts})

    def _pass(self, here: int) -> None:
        """Run the step at ``here`` of the road, or turn off onto its detour; raises what ends the workflow."""
        stop = self._road[here]
        is_bound = any(each.step.no_way_back for each in self._road[:here])
        may_give_up = not is_bound and not stop.step.no_way_back
        try:
            self._tried(stop, may_give_up=may_give_up, may_be_refused=not is_bound and isinstance(stop.step, Record))
        except errors.NovaLiteError as exc:
            if stop.detour is None or not isinstance(exc, stop.detour.on):
                raise
            LOG.warning(
                "%s of %s failed, its detour follows: %s %s", stop.step.name, self._work.subject, exc, exc.facts
            )
            self._runner.onlooker.turned(self._work, exc)
            facts = {**self._work.facts, "detour": exc.message, TRACEBACK: tracebacks.told(exc)}
            self._save(facts=facts, step=here + 1, attempt=1)
            self._arrived(here + 1, facts, stop.step.name)

    def _tried(self, stop: Stop[T], *, may_give_up: bool, may_be_refused: bool) -> None:
        """Run one step, again while its errors pass; raises what ends the workflow, or takes it onto a detour."""
        step = stop.step
        tries = 0
        self._runner.onlooker.begins(self._work, step.name)
        while True:
            self._work.seconds_left = self._deadline - time.monotonic()
            if may_give_up and self._work.seconds_left <= 0:
                raise errors.Timeout(f"Timed out while waiting for: {step.name}.")
            try:
                if self._work.may_have_run:
                    self._check_lease()
                self._advance(step, stop.onward)
                return
            except LeaseLost:
                raise
            except errors.NotYet as exc:
                longer_s = _BACKOFF_S[min(self._work.workflow.attempt, len(_BACKOFF_S) - 1)]
                self._park(longer_s if exc.again_s is None else exc.again_s)
            except errors.NovaLiteError as exc:
                if may_give_up and not exc.will_pass:
                    raise
                self._log_retry(step, exc)
            except Exception as exc:
                if may_give_up or (may_be_refused and refusal(exc) is not None):
                    raise
                self._log_retry(step, exc)
            self._work.may_have_run = True
            self._wait(tries)
            tries += 1

    def _call_others(self) -> None:
        try:
            others = self._definition.afterwards(self._work)
        except errors.Unavailable as exc:
            LOG.warning("Those that wait for %s are not told: %s %s", self._work.workflow.uuid, exc, exc.facts)
            return
        for uuid in others:
            self._runner.wake(uuid)

    def _advance(self, step: Step[T] | Record[T], onward: int) -> None:
        """Run ``step`` and record that it is done."""
        values: dict[str, Any] = {"step": onward, "attempt": 1}
        if onward == len(self._road):
            values |= {"status": Status.DONE, "lease_owner": None}
        if isinstance(step, Record):
            facts = self._record(step, values)
        else:
            found = step.do(self._work)
            facts = {**self._work.facts, **(found or {})}
            if not step.kept:
                self._save(facts=facts, **values)
        self._arrived(onward, facts, step.name)
        self._runner.onlooker.passed(self._work, step.name)

    def _arrived(self, at: int, facts: Mapping[str, object], after: str) -> None:
        self._work.workflow = replace(self._work.workflow, step=at, facts=dict(facts))
        self._work.may_have_run = False
        self._runner.after_record(self._definition.kind, after)

    @retried
    def _record(self, step: Record[T], values: Mapping[str, Any]) -> dict[str, object]:
        with self._runner.db.writer() as session:
            facts = {**self._work.facts, **(step.do(self._work, session) or {})}
            uuid, row, owner = self._work.workflow.uuid, self._runner.row, self._runner.owner
            if not workflows.record(session, row, uuid, owner, expect_step=self._recorded_step, facts=facts, **values):
                raise LeaseLost
        self._recorded_step = values.get("step", self._recorded_step)
        return facts

    def _backward(self) -> None:
        """Undo every step begun, last first, then end as failed."""
        work = self._work
        work.reason = work.workflow.reason
        for index in range(min(work.workflow.step, len(self._road) - 1), -1, -1):
            step = self._road[index].step
            if step.undo is not None:
                self._undone(step.name, step.undo)
            self._save(step=index, attempt=1)
            work.workflow = replace(work.workflow, step=index)
            self._runner.after_record(self._definition.kind, f"undo {step.name}")
        self._end_failed()

    def _undone(self, name: str, undo: Callable[[Work[T]], None]) -> None:
        tries = 0
        while True:
            self._work.seconds_left = self._deadline + UNDO_GRACE_S - time.monotonic()
            try:
                self._check_lease()
                undo(self._work)
                return
            except LeaseLost:
                raise
            except Exception as exc:  # noqa: BLE001 - an undo is tried again whatever stopped it.
                if self._work.seconds_left <= 0:
                    LOG.error("Left behind, for the reconcilers: undo of %s of %s: %s", name, self._work.subject, exc)
                    left = [*self._work.facts.get("left_behind", []), name]
                    self._work.workflow = replace(self._work.workflow, facts={**self._work.facts, "left_behind": left})
                    self._save(facts=self._work.facts)
                    return
                LOG.warning("Undo of %s of %s will be tried again: %s", name, self._work.subject, exc)
            self._wait(tries)
            tries += 1

    def _end_failed(self) -> None:
        values = {"status": Status.FAILED, "lease_owner": None}
        last = self._definition.on_failure
        tries = 0
        while True:
            try:
                if isinstance(last, Record):
                    self._work.workflow = replace(self._work.workflow, facts=self._record(last, values))
                else:
                    if last is not None:
                        last.do(self._work)
                    self._save(**values)
                break
            except LeaseLost:
                raise
            except Exception as exc:  # noqa: BLE001 - an ending is tried again whatever stopped it.
                if last is not None and self._is_hopeless(exc):
                    self._leave_ending(last.name, exc, values)
                    break
                LOG.warning(
                    "Ending of %s of %s will be tried again: %s", self._definition.kind, self._work.subject, exc
                )
            self._wait(tries)
            tries += 1
        self._runner.after_record(self._definition.kind, "failed")

    def _is_hopeless(self, exc: Exception) -> bool:
        """Return whether an ending that failed by ``exc`` is given up: a database that is away comes back."""
        is_late = time.monotonic() >= self._deadline + UNDO_GRACE_S
        return not isinstance(exc, errors.Unavailable) and (is_late or refusal(exc) is not None)

    def _leave_ending(self, name: str, exc: Exception, values: Mapping[str, Any]) -> None:
        """End the record without what its ending was to do."""
        kind, at = self._definition.kind, self._work
        LOG.error("Left behind, for the audit: %s of %s of %s", name, kind, at.subject, exc_info=exc)
        facts = {**at.facts, "left_behind": [*at.facts.get("left_behind", []), name]}
        facts["refusal"] = refusal(exc) or type(exc).__name__
        at.workflow = replace(at.workflow, facts=facts)
        self._save(facts=facts, **values)

    def _wait(self, tries: int) -> None:
        """Wait before the next try: the first times here, later by giving the lease back until it is due."""
        delay_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
        if tries < _TRIES_IN_PLACE:
            time.sleep(delay_s)
            return
        self._park(delay_s)

    def _park(self, delay_s: float) -> NoReturn:
        with self._runner.db.writer() as session:
            workflows.park(session, self._runner.row, self._work.workflow.uuid, self._runner.owner, delay_s=delay_s)
        raise _Parked(delay_s)

    @retried
    def _save(self, **values: Any) -> None:
        workflow = self._work.workflow
        db, row, owner = self._runner.db, self._runner.row, self._runner.owner
        if not workflows.record_alone(db, row, workflow.uuid, owner, expect_step=self._recorded_step, **values):
            raise LeaseLost
        self._recorded_step = values.get("step", self._recorded_step)

    def _check_lease(self) -> None:
        """Raise LeaseLost when another conductor took over, as after a long pause: what it did must not be undone."""
        with self._runner.db.reader() as session:
            if not workflows.holds(session, self._runner.row, self._work.workflow.uuid, self._runner.owner):
                raise LeaseLost

    def _log_retry(self, step: Step[T] | Record[T], exc: BaseException) -> None:
        facts = exc.facts if isinstance(exc, errors.NovaLiteError) else {}
        LOG.warning("%s of %s will be tried again: %s %s", step.name, self._work.subject, exc, facts)


class _Parked(Exception):
    """The workflow waits in its database for ``delay_s``, for whoever takes it up then."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s

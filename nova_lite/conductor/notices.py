"""What is told of work on servers: ``SPANS`` says which steps of a road are told as what.

The start of a span is told when its first step begins, its end when the record says that its last step is done, its
error when the failed work has ended: so who hears of an end or an error finds the server as it says. What is remembered
of work under way is remembered here only: another conductor that goes on may tell a start again.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from oslo_config import cfg

from nova_lite.conductor.steps import Onlooker, Work
from nova_lite.conductor.workflows.move import before, new_place
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import instances
from nova_lite.model import block_device, legacy_notifications, payloads, roads
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.notifications import COMPUTE, END, ERROR, EVENTS, START, Who
from nova_lite.model.payloads import Payload, Transition
from nova_lite.model.states import ACTIONS
from nova_lite.rpc.notifications import Notifier

LOG = logging.getLogger(__name__)

#: Workflows under way that are remembered, at most.
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a road that is told as ``instance.<action>``: from its step ``first`` to ``last``; None is the road's.

    It is not told unless ``only_if``, which looks at the facts, says so.
    """

    action: str
    first: str | None = None
    last: str | None = None
    only_if: Callable[[Mapping[str, Any]], bool] = lambda facts: True


def _offloads(facts: Mapping[str, Any]) -> bool:
    """Return whether a server that is shelved goes off its host at once."""
    return bool(facts.get("offloads"))


def _arrived(facts: Mapping[str, Any]) -> bool:
    """Return whether a guest that was sent is on its new host."""
    return facts.get("outcome") == "arrived"


def _stayed(facts: Mapping[str, Any]) -> bool:
    return not _arrived(facts)


_OFFLOAD = Span("shelve_offload", "destroy guest", "mark offloaded")

#: Kind of work in a cell → what is told of it. The first is told as failed when none had begun.
SPANS: Mapping[str, tuple[Span, ...]] = {
    "create": (Span("create"),),
    "delete": (Span("delete"), Span("shutdown", "destroy guest", "destroy guest")),
    "delete-softly": (Span("soft_delete"),),
    "restore": (Span("restore"),),
    "start": (Span("power_on"),),
    "stop": (Span("power_off"),),
    "reboot": (Span("reboot"),),
    "reboot-hard": (Span("reboot"),),
    "pause": (Span("pause"),),
    "unpause": (Span("unpause"),),
    "suspend": (Span("suspend"),),
    "resume": (Span("resume"),),
    "rescue": (Span("rescue"),),
    "unrescue": (Span("unrescue"),),
    "rebuild": (Span("rebuild"),),
    "reimage": (Span("rebuild"),),
    "evacuate": (Span("rebuild"),),
    "snapshot": (Span("snapshot"),),
    "backup": (Span("snapshot"),),
    "move": (
        Span("resize_prep", "hold claim", "ask hosts"),
        Span("resize", "begin migrating", "hand over"),
        Span("resize_finish", "begin finishing", "await confirmation"),
    ),
    "confirm-resize": (Span("resize_confirm"),),
    "revert-resize": (Span("resize_revert"),),
    "live-migrate": (
        Span("live_migration_pre", "prepare destination", "prepare destination"),
        Span("live_migration_post", "finish at destination", "end", _arrived),
        Span("live_migration_post_dest", "finish at destination", "finish at destination", _arrived),
        Span("live_migration_rollback", "finish at destination", "end", _stayed),
        Span("live_migration_rollback_dest", "finish at destination", "finish at destination", _stayed),
    ),
    "shelve": (
        Span("shelve", "hold image", "mark shelved"),
        Span("shelve_offload", "destroy guest", "mark offloaded", _offloads),
    ),
    "shelve-offload": (_OFFLOAD,),
    "unshelve": (Span("unshelve"),),
    "unshelve-here": (Span("unshelve"),),
    "attach-volume": (Span("volume_attach"),),
    "detach-volume": (Span("volume_detach"),),
    "swap-volume": (Span("volume_swap"),),
}
#: Kind of work → what is told of its being undone, around that, from without.
_ROLLBACKS: Mapping[str, tuple[str, ...]] = {
    "live-migrate": ("live_migration_rollback", "live_migration_rollback_dest"),
}
#: What happens neither where the server is nor where it was last → where it happens.
_AT: Mapping[str, Callable[[Work[CellTools]], str]] = {
    "live_migration_post": lambda work: before(work).host,
    "live_migration_rollback_dest": lambda work: new_place(work).host,
}
#: Work before which listeners hear what the server is.
_AUDITED = frozenset({"rebuild", "reimage", "evacuate", "rescue", "move", "revert-resize", "shelve"})


@dataclass
class _Seen:
    """What is remembered of work under way: the server when it began, what else is told of it, and what was told."""

    instance: Instance
    more: dict[str, object]
    before: Transition
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


class CellNotices(Onlooker[CellTools]):
    """Tells what becomes of servers in one cell."""

    def __init__(self, conf: cfg.ConfigOpts, notifier: Notifier) -> None:
        self._own_host: str = conf.host
        self._notifier = notifier
        self._guard = threading.Lock()
        self._remembered: OrderedDict[str, _Seen] = OrderedDict()

    def begins(self, work: Work[CellTools], step: str) -> None:
        """Tell the starts of what begins with ``step``."""
        self._guarded(self._begins, work, step)

    def passed(self, work: Work[CellTools], step: str) -> None:
        """Tell the ends of what ends with ``step``, and what it changed."""
        self._guarded(self._passed, work, step)

    def turned(self, work: Work[CellTools], error: Exception) -> None:
        """Tell that a host failed."""
        self._guarded(self._tell_exception, work, error)

    def turned_back(self, work: Work[CellTools], error: Exception | None) -> None:
        """Tell that what was done is being undone."""
        self._guarded(self._turned_back, work)

    def failed(self, work: Work[CellTools], error: Exception | None) -> None:
        """Tell that the work failed."""
        self._guarded(self._failed, work, error)

    @staticmethod
    def _guarded(function: Callable[..., None], work: Work[CellTools], *args: object) -> None:
        if work.workflow.kind not in SPANS:
            return
        try:
            function(work, *args)
        except Exception:
            LOG.exception("What became of %s of %s is not told", work.workflow.kind, work.subject)

    def _begins(self, work: Work[CellTools], step: str) -> None:
        spans = [span for span in SPANS[work.workflow.kind] if _first(work, span) == step and _is_told(work, span)]
        first_of_all = step == roads.names(roads.IN_CELL[work.workflow.kind])[0]
        if not spans and not first_of_all:
            return
        is_known = work.workflow.uuid in self._remembered
        seen = self._seen(work)
        if first_of_all and not is_known:
            self._tell_state(work, seen, seen.instance)
            if work.workflow.kind in _AUDITED:
                self._tell_what_it_is(work, seen)
        for span in spans:
            if span.action not in seen.begun:
                seen.begun.append(span.action)
                self._tell(work, seen, span.action, START, self._now(work))

    def _passed(self, work: Work[CellTools], step: str) -> None:
        is_last = step == roads.names(roads.IN_CELL[work.workflow.kind])[-1]
        spans = [span for span in SPANS[work.workflow.kind] if _last(work, span) == step and _is_told(work, span)]
        if spans or self._notifier.state_changes is not None:
            seen = self._seen(work)
            now = self._now(work)
            self._tell_state(work, seen, now)
            for span in spans:
                if span.action not in seen.ended:
                    seen.ended.append(span.action)
                    self._tell(work, seen, span.action, END, now)
        if is_last:
            self._forget(work)

    def _turned_back(self, work: Work[CellTools]) -> None:
        seen = self._seen(work)
        if seen.begun:
            for rollback in _ROLLBACKS.get(work.workflow.kind, ()):
                self._tell(work, seen, rollback, START, self._now(work))

    def _failed(self, work: Work[CellTools], error: Exception | None) -> None:
        seen, now = self._seen(work), self._now(work)
        self._tell_state(work, seen, now)
        fault = payloads.failure(error, work.workflow.reason)
        if seen.begun:
            for rollback in reversed(_ROLLBACKS.get(work.workflow.kind, ())):
                self._tell(work, seen, rollback, END, now, fault)
        broken = [action for action in seen.begun if action not in seen.ended]
        for action in broken or [SPANS[work.workflow.kind][0].action]:
            self._tell(work, seen, action, ERROR, now, fault)
        self._tell_exception(work, error)
        self._forget(work)

    def _tell(
        self, work: Work[CellTools], seen: _Seen, action: str, phase: str, now: Instance, fault: Payload | None = None
    ) -> None:
        who = _who(work)
        host = _AT[action](work) if action in _AT else self._host(seen, now)
        shape = EVENTS[f"instance.{action}"].shape

        def payload() -> Payload:
            more = {name: value for name, value in seen.more.items() if name in shape.keys}
            if action == "create":
                more |= payloads.created(now)
            lists_volumes = self._notifier.lists_volumes
            return payloads.instance(shape, now, who, with_volumes=lists_volumes, fault=fault, **more)

        self._notifier.tell(f"instance.{action}", phase, who, payload, host=host)
        of_old = legacy_notifications.event_type(action, phase)
        if of_old is not None:
            message = None if fault is None else str(work.workflow.reason)
            self._notifier.tell_of_old(
                of_old,
                who,
                lambda: legacy_notifications.instance(now, message=message),
                host=host,
                failed=phase == ERROR,
            )

    def _tell_state(self, work: Work[CellTools], seen: _Seen, now: Instance) -> None:
        """Tell what states the server came to since it was last looked at, as far as operators want that told."""
        task = None if now.task_state is None else now.task_state.value
        before, seen.before = seen.before, Transition(now.vm_state.value, task)
        wanted = self._notifier.state_changes
        has_new_state, has_new_task = before.old_state != now.vm_state.value, before.old_task_state != task
        if wanted is None or not (has_new_state or (has_new_task and wanted == "vm_and_task_state")):
            return
        who, volumes = _who(work), self._notifier.lists_volumes
        self._notifier.tell(
            "instance.update",
            None,
            who,
            lambda: payloads.instance_update(now, who, before, with_volumes=volumes, now=utcnow()),
            host=self._host(seen, now),
            source=COMPUTE,
        )

    def _tell_what_it_is(self, work: Work[CellTools], seen: _Seen) -> None:
        who, volumes, now = _who(work), self._notifier.lists_volumes, seen.instance
        self._notifier.tell(
            "instance.exists",
            None,
            who,
            lambda: payloads.instance_exists(now, who, with_volumes=volumes, now=utcnow()),
            host=self._host(seen, now),
        )

    def _tell_exception(self, work: Work[CellTools], error: Exception | None) -> None:
        host = self._host(self._seen(work), self._now(work))
        fault = payloads.failure(error, work.workflow.reason)
        self._notifier.tell("compute.exception", None, _who(work), lambda: fault, host=host)

    def _seen(self, work: Work[CellTools]) -> _Seen:
        with self._guard:
            known = self._remembered.get(work.workflow.uuid)
        if known is not None:
            return known
        instance = self._now(work)
        vm_state = instance.vm_state.value
        task = None if instance.task_state is None else instance.task_state.value
        # Who began it gave the server its task.
        is_new_task = work.workflow.kind in ACTIONS and not work.workflow.step
        seen = _Seen(instance, _more(work, instance), Transition(vm_state, None if is_new_task else task))
        with self._guard:
            self._remembered[work.workflow.uuid] = seen
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return seen

    def _forget(self, work: Work[CellTools]) -> None:
        with self._guard:
            self._remembered.pop(work.workflow.uuid, None)

    @staticmethod
    def _now(work: Work[CellTools]) -> Instance:
        with work.tools.db.reader() as session:
            return instances.get(session, work.subject, with_deleted=True)

    def _host(self, seen: _Seen, now: Instance) -> str:
        """Return at which host it happens: of a server that is on none any more, where it was."""
        return now.host or seen.instance.host or self._own_host


def _first(work: Work[CellTools], span: Span) -> str:
    return span.first or roads.names(roads.IN_CELL[work.workflow.kind])[0]


def _last(work: Work[CellTools], span: Span) -> str:
    return span.last or roads.names(roads.IN_CELL[work.workflow.kind])[-1]


def _is_told(work: Work[CellTools], span: Span) -> bool:
    return span.only_if(work.facts)


def _who(work: Work[CellTools]) -> Who:
    at = work.workflow
    return Who(at.user_id, at.project_id, at.request_id)


def _more(work: Work[CellTools], instance: Instance) -> dict[str, object]:
    """Return what else is told of work: which image, flavor or volumes it is about."""
    inputs: Mapping[str, Any] = work.inputs
    found: dict[str, object] = {
        "rescue_image_ref": inputs.get("image_id"),
        "snapshot_image_id": inputs.get("image"),
        "trusted_image_certificates": None,
    }
    if "flavor" in inputs:
        found["new_flavor"] = payloads.flavor(msgspec.convert(inputs["flavor"], Flavor))
    device = block_device.find(instance.volumes, str(inputs.get("device")))
    if device is not None:
        found |= {"volume_id": device.volume_id, "old_volume_id": device.volume_id}
        found["new_volume_id"] = device.next_volume_id
    return found

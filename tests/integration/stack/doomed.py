"""A program that kills itself at a named moment: ``python -m tests.integration.stack.doomed MOMENT MODULE ARGUMENT…``.

It runs ``MODULE`` as ``python -m`` does. A moment is ``ROLE:WORKFLOW:STEP:before|middle|after`` of a conductor
(``tests/functional/workflows/sabotage.py``), ``driver:METHOD:before|after`` of the agent of an imitated host,
``libvirt:METHOD:before|after`` of that of a real one, or ``scheduler:place:after``, when claims are made and nobody has
been told.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any, cast

from oslo_config import cfg

from nova_lite.compute.virt.faults import FaultScript
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.conductor.service import Conductor
from nova_lite.scheduler.server import SchedulerEndpoint
from tests.functional.workflows.sabotage import Moment, Place, Role, Saboteur, places


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def doom(moment: str, act: Callable[[], None] = die) -> None:
    """Have this process die, or ``act``, at a moment."""
    kind, *where = moment.split(":")
    if kind == "driver":
        _doom_agent(act, *where)
    elif kind == "libvirt":
        _doom_real_agent(act, *where)
    elif moment == "scheduler:place:after":
        _doom_scheduler(act)
    else:
        _doom_conductor(place(moment), act)


def place(moment: str) -> Place:
    """Return the place that a moment of a conductor is; raises ValueError when there is none such."""
    role, kind, step, when = moment.split(":")
    found = Place(cast("Role", role), kind, step, cast("Moment", when))
    if found not in places("before", "middle", "after"):
        raise ValueError(f"There is no place {moment}.")
    return found


def _doom_conductor(at: Place, act: Callable[[], None]) -> None:
    saboteur, begin = Saboteur(), Conductor.__init__
    saboteur.plan(at, act)

    def watched(conductor: Conductor, conf: cfg.ConfigOpts) -> None:
        begin(conductor, conf)
        saboteur.watch(conductor)

    Conductor.__init__ = watched  # type: ignore[method-assign, assignment]


def _doom_agent(act: Callable[[], None], method: str, when: str) -> None:
    play = FaultScript.play

    def deadly(script: FaultScript, played: str, *, after: bool = False) -> None:
        play(script, played, after=after)
        if (played, after) == (method, when == "after"):
            act()

    FaultScript.play = deadly  # type: ignore[method-assign, assignment]


def _doom_real_agent(act: Callable[[], None], method: str, when: str) -> None:
    do = getattr(LibvirtDriver, method)

    def deadly(driver: LibvirtDriver, *arguments: Any, **options: Any) -> Any:
        if when == "before":
            act()
        do(driver, *arguments, **options)
        act()

    setattr(LibvirtDriver, method, deadly)


def _doom_scheduler(act: Callable[[], None]) -> None:
    def deadly(endpoint: SchedulerEndpoint, *asked: Any) -> dict[str, Any]:
        answer: dict[str, Any] = decide(endpoint, *asked)
        act()
        return answer

    decide = SchedulerEndpoint._decide
    SchedulerEndpoint._decide = deadly  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    doom(sys.argv[1])
    module = sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)

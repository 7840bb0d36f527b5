"""What workflows inside one cell work with, and how the ones about an instance end when they fail."""

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes
from nova_lite.conductor.saga import Work
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, hosts, instances
from nova_lite.model.guest import PowerState
from nova_lite.model.host import Service
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.states import ACTIONS
from nova_lite.rpc.compute import ComputeClient
from nova_lite.storage import Database


@dataclass(frozen=True)
class CellTools:
    """What workflows inside one cell work with."""

    conf: cfg.ConfigOpts
    db: Database
    agents: ComputeClient
    placement: PlacementClient
    volumes: Volumes


def hosted(work: Work[CellTools]) -> tuple[Instance, str]:
    """Return the instance that the work is about, and its host; raises Conflict when it is on none."""
    with work.tools.db.reader() as session:
        instance = instances.get(session, work.subject)
    if instance.host is None:
        raise errors.Conflict(f"Instance {instance.uuid} is on no host.")
    return instance, instance.host


def host_is_down(tools: CellTools, host: str) -> bool:
    """Return whether the agent of ``host`` has not been heard of for ``service_down_time``, or is forced down."""
    return not any(agent.is_up for agent in agents_on(tools, host))


def agents_on(tools: CellTools, host: str) -> list[Service]:
    """Return the agent of ``host``; none when it is not known (any more)."""
    with tools.db.reader() as session:
        return hosts.services(session, down_after_s=tools.conf.service_down_time, host=host, binary=hosts.AGENT)


def end_well(work: Work[CellTools], session: Session, **values: Any) -> None:
    """End an operation where the state table says, with the power state its step found (fact ``power_state``)."""
    rule = ACTIONS[work.workflow.kind]
    instance = instances.hold(session, work.subject)
    instances.change(
        session,
        work.subject,
        expect_task=rule.while_busy,
        vm_state=rule.ends_in or instance.vm_state,
        task_state=None,
        power_state=PowerState(work.facts["power_state"]),
        **values,
    )
    actions.finish_work(session, work.workflow, error=None, host=instance.host)


def end_in_error(work: Work[CellTools], session: Session, *, details: str = "", **values: Any) -> None:
    """End a failed operation as the state table says, with the reason in the instance's fault and action.

    ``details`` are for administrators.
    """
    rule = ACTIONS[work.workflow.kind]
    reason = work.reason or "An internal error happened."
    instance = instances.lock(session, work.subject)
    if rule.fails_in is not None:
        instances.set_fault(
            session,
            work.subject,
            Fault(500, reason, utcnow(), details),
            vm_state=rule.fails_in,
            task_state=None,
            **values,
        )
    else:
        instances.change(session, work.subject, task_state=None, **values)
    actions.finish_work(session, work.workflow, error=reason, host=instance.host)

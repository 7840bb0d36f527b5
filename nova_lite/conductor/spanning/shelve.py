"""Lead the shelving of a server, its offloading, and its way off the shelf.

Only above the cells are servers' places in groups known: one that is on no host has none. A server that is taken off
the shelf and on no host gets one here: the scheduler chooses it in the server's cell, and the claim is made here.
"""

from dataclasses import replace

import msgspec

from nova_lite import errors
from nova_lite.cells import accounting, respecs, shelving
from nova_lite.conductor.saga import Definition, Facts, Step, Work
from nova_lite.conductor.spanning import group_places
from nova_lite.conductor.spanning.cell_part import cell_of, hand_over
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import build_requests, mappings, server_groups
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Placed, RequestSpec, Selection
from nova_lite.model.states import VmState
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

#: Times that all hosts named may have filled up before the server waits for a moment.
_MAX_PASSES = 5


def begin_in_cell(work: Work[SuperTools]) -> Facts | None:
    """Have the cell shelve or offload the server, unless whoever accepted that has; what it refuses is over."""
    try:
        uuid = _begin(work)
    except (errors.Conflict, errors.NotFound) as exc:
        return {"refused": exc.message}
    ConductorClient(cell_of(work).bus).wake(uuid)
    return None


@retried
def _begin(work: Work[SuperTools]) -> str:
    conf = work.tools.conf
    timeout_s = conf.snapshot_timeout if work.workflow.kind == shelving.SHELVE else conf.operation_timeout
    with work.tools.database(cell_of(work)).writer() as session:
        return shelving.begin(session, work.workflow, timeout_s=timeout_s)


def begin_unshelving(work: Work[SuperTools]) -> None:
    """Begin in the server's cell, unless whoever accepted it has."""
    _begin_unshelving(work)


@retried
def _begin_unshelving(work: Work[SuperTools]) -> None:
    with work.tools.database(cell_of(work)).writer() as session:
        shelving.begin_unshelving(session, work.workflow)


def choose_host(work: Work[SuperTools]) -> Facts:
    """Have the scheduler choose a host in the cell, and claim it or the first alternate that has room.

    Nothing for a server that is still on its host.
    """
    instance = _waiting(work)
    if instance.vm_state is VmState.SHELVED:
        return {"selections": [], "explanation": {}}
    if work.may_have_run:
        # What an attempt claimed whose record was lost would be in the way: it may have filled the only host.
        give_claim_back(work)
    spec = _spec(work, instance)
    for _ in range(_MAX_PASSES):
        if spec.group is not None:
            group_places.look_down(work.tools, spec.group)
        decision = work.tools.scheduler.choose(spec, work.subject, timeout_s=max(1.0, work.seconds_left))
        if decision.refusal is not None:
            raise errors.NoValidHost(decision.refusal)
        (placed,) = decision.placed
        selections = _claimed(work, instance, placed.selections)
        if selections and spec.group is not None:
            # Its place in the group is settled for one host.
            selections = selections[:1] if _settled(work, spec, placed, selections[0]) else ()
        if selections:
            _let_go_if_unwanted(work)
            return {"selections": msgspec.to_builtins(selections), "explanation": placed.explanation}
        # The hosts filled up meanwhile, or others of its group came there first.
        give_claim_back(work)
    raise errors.Unavailable("Hosts fill up faster than this server can be placed.")


def _claimed(work: Work[SuperTools], instance: Instance, selections: tuple[Selection, ...]) -> tuple[Selection, ...]:
    """Claim the first host that has room; return it with the alternates behind it, nothing when none has."""
    for index, each in enumerate(selections):
        if work.tools.placement.claim(
            work.subject, each.allocations, project_id=instance.project_id, user_id=instance.user_id
        ):
            return selections[index:]
    return ()


def _settled(work: Work[SuperTools], spec: RequestSpec, placed: Placed, chosen: Selection) -> bool:
    """Note that the server is to be on ``chosen``; False when others of its group were quicker."""
    if group_places.settle(work.tools, spec, [replace(placed, selections=(chosen,))]) is None:
        return False
    _note_place(work, chosen.host)
    return True


@retried
def _note_place(work: Work[SuperTools], host: str) -> None:
    with work.tools.api_db.writer() as session:
        server_groups.settled_on(session, work.subject, host)


def _let_go_if_unwanted(work: Work[SuperTools]) -> None:
    """Give back what was claimed for a server whose delete has begun: it may have freed what it held before."""
    try:
        _waiting(work)
    except errors.Conflict:
        give_claim_back(work)
        raise


def give_claim_back(work: Work[SuperTools]) -> None:
    """Have a server that is on no host hold nothing, and have no place in its group."""
    if _is_on_no_host(work):
        work.tools.placement.release(work.subject)
        _unsettle(work)


def _is_on_no_host(work: Work[SuperTools]) -> bool:
    with work.tools.database(cell_of(work)).reader() as session:
        instance = shelving.found(session, work.subject)
    return instance is None or instance.host is None


@retried
def _unsettle(work: Work[SuperTools]) -> None:
    with work.tools.api_db.writer() as session:
        server_groups.unsettle(session, [work.subject])


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the rest to the cell's conductor; nothing when the server is being deleted, which frees all it has."""
    conf = work.tools.conf
    timeout_s = conf.instance_build_timeout if work.facts["selections"] else conf.operation_timeout
    if not hand_over(work, shelving.hand_over, timeout_s=timeout_s):
        give_claim_back(work)


def account(work: Work[SuperTools]) -> None:
    """Note where the server is, and its pin, once its cell has done its part."""
    cell_db = work.tools.database(cell_of(work))
    with cell_db.reader() as session:
        if shelving.is_under_way(session, work.workflow):
            raise errors.NotYet("The cell is still at work.")
        is_done = shelving.is_done(session, work.workflow)
    pin = work.inputs.get("pin")
    if is_done and pin is not None:
        _pin(work, pin["zone"])
    accounting.settle(work.tools.api_db, cell_db, work.subject, work.workflow.uuid)


@retried
def _pin(work: Work[SuperTools], zone: str | None) -> None:
    with work.tools.api_db.writer() as session:
        build_requests.pin(session, work.subject, zone)


def give_up(work: Work[SuperTools]) -> None:
    """End an unshelving that found no host: the server is what it was."""
    cell_db = work.tools.database(cell_of(work))
    with cell_db.writer() as session:
        shelving.give_up(session, work.workflow, work.reason or "An internal error happened.")
    accounting.settle(work.tools.api_db, cell_db, work.subject, work.workflow.uuid)


_ACCOUNT = Step("account", account, no_way_back=True)
SHELVE = Definition(shelving.SHELVE, (Step("begin in cell", begin_in_cell, no_way_back=True), _ACCOUNT))
OFFLOAD = Definition(shelving.OFFLOAD, (Step("begin in cell", begin_in_cell, no_way_back=True), _ACCOUNT))
UNSHELVE = Definition(
    shelving.UNSHELVE,
    (
        Step("begin in cell", begin_unshelving),
        Step("choose host", choose_host, undo=give_claim_back),
        Step("hand to cell", hand_to_cell, no_way_back=True),
        _ACCOUNT,
    ),
    on_failure=Step("give up", give_up),
)
ALL = (SHELVE, OFFLOAD, UNSHELVE)


def _waiting(work: Work[SuperTools]) -> Instance:
    """Return the server; raises Conflict when it does not wait for this any more."""
    with work.tools.database(cell_of(work)).reader() as session:
        instance = shelving.waiting(session, work.workflow)
    if instance is None:
        raise errors.Conflict("The server is being deleted.")
    return instance


def _spec(work: Work[SuperTools], instance: Instance) -> RequestSpec:
    """Return what is asked of the scheduler, with the zone that is asked for now, inside the server's cell."""
    with work.tools.api_db.reader() as session:
        asked = build_requests.spec(session, work.subject)
        group = mappings.instance(session, work.subject).group
    return respecs.unshelved(
        instance, asked, work.inputs["pin"], cell_uuid=work.inputs["cell_uuid"], group=group, host=work.inputs["host"]
    )

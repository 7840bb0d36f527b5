"""Lead the move of a server: choose a host in its cell, claim it, hand over to the cell, and count when that is done.

The choice is the scheduler's, the claim is made here: in one step the move's UUID gets what the server has, and the
server what it is to have. Confirming and reverting are led from here, too, for only here can it be counted.
"""

from dataclasses import replace
from typing import Any

import msgspec

from nova_lite import errors
from nova_lite.cells import accounting, moves, respecs
from nova_lite.cells.operations import Requester
from nova_lite.conductor import move_claims
from nova_lite.conductor.saga import Definition, Facts, Step, Work
from nova_lite.conductor.spanning import group_places
from nova_lite.conductor.spanning.cell_part import cell_of, hand_over
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import build_requests, instances, mappings, migrations, server_groups
from nova_lite.model.flavor import Flavor
from nova_lite.model.request_spec import Placed, RequestSpec, Selection
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import retried

#: Times that all hosts named may have filled up before the server waits for a moment.
_MAX_PASSES = 5


def begin_in_cell(work: Work[SuperTools]) -> None:
    """Begin the move in the server's cell, unless whoever accepted it has."""
    workflow = work.workflow
    _begin(work, Requester(workflow.user_id, workflow.project_id, workflow.request_id))


@retried
def _begin(work: Work[SuperTools], requester: Requester) -> None:
    with work.tools.database(cell_of(work)).writer() as session:
        moves.begin(
            session,
            work.subject,
            work.workflow.uuid,
            requester,
            _flavor(work),
            is_resize=work.inputs["is_resize"],
            flavor_numbers=tuple(work.inputs["flavor_numbers"]),
            disk_config=work.inputs.get("disk_config"),
        )


def choose_host(work: Work[SuperTools]) -> Facts:
    """Have the scheduler choose a host in the cell, and claim it or the first alternate that has room."""
    # What an attempt claimed whose record was lost would be in the way: it may have filled the only host.
    give_claim_back(work)
    spec = _spec(work)
    for _ in range(_MAX_PASSES):
        if spec.group is not None:
            group_places.look_down(work.tools, spec.group)
        decision = work.tools.scheduler.choose(spec, work.subject, timeout_s=max(1.0, work.seconds_left))
        if decision.refusal is not None:
            raise errors.NoValidHost(decision.refusal)
        (placed,) = decision.placed
        selections = _claimed(work, list(placed.selections))
        if selections and spec.group is not None:
            # Its place in the group is settled for one host.
            selections = selections[:1] if _settle_in_group(work, spec, placed, selections[0]) else []
        if selections:
            return {"selections": msgspec.to_builtins(selections), "explanation": placed.explanation}
        # The hosts filled up meanwhile, or others of its group came there first.
        give_claim_back(work)
    raise errors.Unavailable("Hosts fill up faster than this server can be moved.")


def _claimed(work: Work[SuperTools], selections: list[Selection]) -> list[Selection]:
    """Claim the first host that has room; return it with the alternates behind it, nothing when none has."""
    for index, each in enumerate(selections):
        refusal = move_claims.hand_over(work.tools.placement, work.subject, work.workflow.uuid, each.allocations)
        if refusal is None:
            return selections[index:]
    return []


def _settle_in_group(work: Work[SuperTools], spec: RequestSpec, placed: Placed, chosen: Selection) -> bool:
    """Note that the server is to be on ``chosen``, or back where it is; False when others of its group were quicker."""
    with work.tools.database(cell_of(work)).reader() as session:
        migration = migrations.get(session, work.workflow.uuid)
    if migration is None:
        raise errors.Conflict("The server is being deleted.")
    way_back = migration.source.host
    _keep_way_back(work, way_back)
    if group_places.settle(work.tools, spec, [replace(placed, selections=(chosen,))]) is None:
        return False
    return _settle(work, spec.group or "", chosen.host, way_back)


@retried
def _keep_way_back(work: Work[SuperTools], host: str) -> None:
    with work.tools.api_db.writer() as session:
        server_groups.keep_way_back(session, work.subject, host)


@retried
def _settle(work: Work[SuperTools], group: str, host: str, way_back: str) -> bool:
    with work.tools.api_db.writer() as session:
        if not server_groups.settle(session, group, {work.subject: [host]}).is_settled:
            return False
        server_groups.settled_on(session, work.subject, host, way_back)
        return True


def give_claim_back(work: Work[SuperTools]) -> None:
    """Give the server what it had."""
    move_claims.give_back(work.tools.placement, work.subject, work.workflow.uuid)


def hand_to_cell(work: Work[SuperTools]) -> None:
    """Leave the move to the cell's conductor; nothing when the server is being deleted, which frees all it has."""
    hand_over(work, moves.hand_over, timeout_s=_timeout_s(work))


def _timeout_s(work: Work[SuperTools]) -> float:
    """Return what a move gets in its cell: the more the larger the disks are, which may have to be copied."""
    conf, flavor = work.tools.conf, _flavor(work)
    return float(conf.operation_timeout + conf.move_timeout_per_gib * (flavor.root_gib + flavor.ephemeral_gib))


def begin_end(work: Work[SuperTools]) -> Facts | None:
    """Have the cell confirm or revert the move, unless whoever accepted that has; what it refuses is over."""
    try:
        uuid = _begin_end(work)
    except errors.Conflict as exc:
        return {"refused": exc.message}
    if uuid is not None:
        ConductorClient(cell_of(work).bus).wake(uuid)
    return None


@retried
def _begin_end(work: Work[SuperTools]) -> str | None:
    with work.tools.database(cell_of(work)).writer() as session:
        return moves.begin_end(session, work.workflow, timeout_s=work.tools.conf.operation_timeout)


def account(work: Work[SuperTools]) -> None:
    """Count the server as it is once its cell has done its part."""
    cell_db = work.tools.database(cell_of(work))
    with cell_db.reader() as session:
        if moves.is_under_way(session, work.workflow.uuid, work.workflow.kind):
            raise errors.NotYet("The cell is still at work.")
    accounting.settle(work.tools.api_db, cell_db, work.subject, work.workflow.uuid)


def give_up(work: Work[SuperTools]) -> None:
    """End a move that found no host: the server is what it was."""
    cell_db = work.tools.database(cell_of(work))
    with cell_db.writer() as session:
        moves.give_up(session, work.workflow, work.reason or "An internal error happened.")
    accounting.settle(work.tools.api_db, cell_db, work.subject, work.workflow.uuid)


_ACCOUNT = Step("account", account, no_way_back=True)
MOVE = Definition(
    moves.MOVE,
    (
        Step("begin in cell", begin_in_cell),
        Step("choose host", choose_host, undo=give_claim_back),
        Step("hand to cell", hand_to_cell, no_way_back=True),
        _ACCOUNT,
    ),
    on_failure=Step("give up", give_up),
)
CONFIRM_RESIZE = Definition(moves.CONFIRM, (Step("begin in cell", begin_end, no_way_back=True), _ACCOUNT))
REVERT_RESIZE = Definition(moves.REVERT, (Step("begin in cell", begin_end, no_way_back=True), _ACCOUNT))


def _spec(work: Work[SuperTools]) -> RequestSpec:
    """Return what is asked of the scheduler: what was when the server was made, with its new size, inside its cell."""
    with work.tools.database(cell_of(work)).reader() as session:
        if not moves.is_waiting(session, work.subject, work.workflow.uuid):
            raise errors.Conflict("The server is being deleted.")
        instance = instances.get(session, work.subject)
    with work.tools.api_db.reader() as session:
        asked = build_requests.spec(session, work.subject)
        group = mappings.instance(session, work.subject).group
    may_stay = work.inputs["is_resize"] and work.tools.conf.allow_resize_to_same_host
    spec = respecs.again(
        instance,
        asked,
        cell_uuid=work.inputs["cell_uuid"],
        group=group,
        flavor=_flavor(work),
        host=work.inputs["host"],
        not_on=() if may_stay or instance.host is None else (instance.host,),
    )
    return replace(spec, skips_filters=work.inputs.get("skips_filters", False))


def _flavor(work: Work[Any]) -> Flavor:
    return msgspec.convert(work.inputs["flavor"], Flavor)

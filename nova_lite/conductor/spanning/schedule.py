"""Take accepted servers to hosts: choose and claim, create them in their cells, hand them over. Spans cells.

All servers of one request go together: all are placed, or all end in cell0 with the reason. A server deleted meanwhile
is dropped wherever this workflow stands: what decides is one row, the build request, which either the delete removes
or ``point mappings`` does.

What a database refuses to keep of a server ends its build: it is in ERROR, in its cell or in cell0, with what its user
said left out where that may be what is refused. Where not even that is taken it stays in its build request, in ERROR.
"""

import logging
import uuid as uuids
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import operations
from nova_lite.cells.registry import OpenCell
from nova_lite.conductor.saga import REFUSED, Definition, Facts, Record, Step, Work
from nova_lite.conductor.spanning import group_places
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, build_requests, instances, mappings, server_groups, workflows
from nova_lite.model import explanation
from nova_lite.model.instance import Fault, Instance
from nova_lite.model.request_spec import Placed
from nova_lite.model.states import ACTIONS, TaskState, VmState
from nova_lite.model.workflow import Workflow
from nova_lite.rpc.conductor import ConductorClient
from nova_lite.storage import refusal

LOG = logging.getLogger(__name__)

#: Times that servers of one group may be overtaken by others of it before all of them take a breath.
_MAX_PASSES = 20
#: What users may change of a server that is still in its build request: attribute → column.
_EDITABLE = {
    "display_name": "display_name",
    "hostname": "hostname",
    "description": "description",
    "metadata": "user_metadata",
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
    "disk_config": "disk_config",
    "requested_zone": "requested_zone",
}


def choose_hosts(work: Work[SuperTools]) -> Facts:
    """Have the scheduler choose and claim a host for every server still wanted."""
    with work.tools.api_db.reading() as connection:
        wanted = _wanted(work, connection)
        spec = build_requests.spec(connection, wanted[0].uuid) if wanted else None
    if not wanted:
        return {"placed": []}
    if work.may_have_run:
        # What an attempt claimed whose answer was lost would be in the way: it may have filled the only host.
        release_claims(work)
    if spec is None:
        raise errors.NovaLiteError("The request of these servers is lost.")
    uuids_wanted = [instance.uuid for instance in wanted]
    for _ in range(_MAX_PASSES):
        if spec.group is not None:
            group_places.look_down(work.tools, spec.group)
        decision = work.tools.scheduler.place(spec, uuids_wanted, timeout_s=max(1.0, work.seconds_left))
        if decision.refusal is not None:
            with work.tools.api_db.writer() as session:
                build_requests.explain(session, uuids_wanted, decision.explanation)
            raise errors.NoValidHost(decision.refusal)
        try:
            settled = group_places.settle(work.tools, spec, decision.placed)
        except errors.Unavailable:
            release_claims(work)
            raise
        if settled is not None:
            return {"placed": msgspec.to_builtins(settled), "group": spec.group}
        # Others of the group were quicker, and with them there the policy forbids this.
        release_claims(work)
    raise errors.Unavailable("Others of the server group take its places faster than this request can.")


def release_claims(work: Work[SuperTools]) -> None:
    """Give back what the scheduler may have claimed."""
    for uuid in work.inputs["instance_uuids"]:
        work.tools.placement.release(uuid)
    with work.tools.api_db.writer() as session:
        server_groups.unsettle(session, work.inputs["instance_uuids"])


def create_in_cells(work: Work[SuperTools]) -> Facts:
    """Insert every server still wanted in the cell of its host; users do not see it there yet."""
    with work.tools.api_db.reading() as connection:
        wanted = {instance.uuid: instance for instance in _wanted(work, connection)}
    written: dict[str, object] = {}
    for cell, group in _by_cell(work):
        with work.tools.database(cell).writing() as connection:
            for placed in group:
                instance = wanted.get(placed.instance_uuid)
                if instance is not None:
                    instances.add(connection, _on_host(instance, placed), may_be_there=work.may_have_run)
                    if work.may_have_run:  # An earlier attempt may have added it as it was then.
                        instance = instances.get(connection, instance.uuid)
                    written[instance.uuid] = _editable(instance)
    with_volumes = [uuid for uuid, instance in wanted.items() if instance.volumes]
    return {"written": written, **({"with_volumes": with_volumes} if with_volumes else {})}


def remove_from_cells(work: Work[SuperTools]) -> None:
    """Take the inserted servers back."""
    for cell, group in _by_cell(work):
        with work.tools.database(cell).writer() as session:
            for placed in group:
                instances.remove(session, placed.instance_uuid)


def point_mappings(work: Work[SuperTools], session: Session) -> Facts:
    """Make the servers live in their cells, noting what their users changed meanwhile; here races with delete end."""
    settled: dict[str, object] = {}
    is_grouped = work.facts.get("group") is not None
    spares = server_groups.hand_over(session, work.inputs["instance_uuids"]) if is_grouped else {}
    for placed in _placed(work):
        uuid = placed.instance_uuid
        edited = build_requests.get(session, uuid, for_update=True)
        if edited is not None and mappings.settle(session, uuid, placed.selections[0].cell_id):
            written = work.facts["written"][uuid]
            settled[uuid] = {name: value for name, value in _editable(edited).items() if value != written[name]}
    return {"settled": settled, "spares": spares}


def start_builds(work: Work[SuperTools]) -> None:
    """Hand each server to its cell's conductor, and drop those deleted meanwhile with all they have.

    Servers in cells that answer do not wait for one that is silent; that one is tried again.
    """
    settled = work.facts["settled"]
    silent: errors.Unavailable | None = None
    for cell, group in _by_cell(work):
        try:
            begun = _begin_builds_or_fail(work, cell, group)
        except errors.Unavailable as exc:
            silent = exc
            continue
        for uuid in begun:
            ConductorClient(cell.bus).wake(uuid)
    if silent is not None:
        raise silent
    _forget(work, [uuid for uuid in work.inputs["instance_uuids"] if uuid not in settled])


def bury(work: Work[SuperTools]) -> None:
    """Put every server still wanted into cell0, in ERROR with the reason, where it is shown and can be deleted."""
    reason, now = work.reason or "An internal error happened.", utcnow()
    cell0 = work.tools.cells.cell0
    for uuid in work.inputs["instance_uuids"]:
        with work.tools.api_db.reader() as session:
            instance = build_requests.get(session, uuid)
        if instance is not None and instance.vm_state is not VmState.ERROR:
            fault = _fault(work, instance, reason, now)
            try:
                _keep_failed(work, instance, fault)
                with work.tools.api_db.writer() as session:
                    is_settled = mappings.settle(session, uuid, cell0.cell.uuid)
            except errors.NovaLiteError:
                raise
            except Exception as exc:
                LOG.exception("Server %s cannot come to cell0 and stays in its build request, in ERROR", uuid)
                _leave_failed(work, instance, _because(fault, exc))
                is_settled = False
            if not is_settled:
                with cell0.db.writer() as session:
                    instances.remove(session, uuid)
    # Again, for a scheduler that was late may have claimed since; from here on it sees that nobody waits.
    release_claims(work)
    with work.tools.api_db.reader() as session:
        unborn = mappings.unborn(session, work.inputs["instance_uuids"])
    _forget(work, unborn)


SCHEDULE = Definition(
    "schedule",
    (
        Step("choose hosts", choose_hosts, undo=release_claims),
        Step("create in cells", create_in_cells, undo=remove_from_cells, kept=True),
        Record("point mappings", point_mappings, no_way_back=True),
        Step("start builds", start_builds, no_way_back=True),
    ),
    on_failure=Step("bury", bury),
)


def _editable(instance: Instance) -> dict[str, object]:
    return {name: getattr(instance, name) for name in _EDITABLE}


def _wanted(work: Work[SuperTools], connection: sa.Connection) -> list[Instance]:
    found = (build_requests.get(connection, uuid) for uuid in work.inputs["instance_uuids"])
    return [instance for instance in found if instance is not None]


def _placed(work: Work[SuperTools]) -> list[Placed]:
    return msgspec.convert(work.facts.get("placed", []), list[Placed])


def _by_cell(work: Work[SuperTools]) -> Iterator[tuple[OpenCell, list[Placed]]]:
    def cell_id(placed: Placed) -> str:
        return placed.selections[0].cell_id

    for uuid, group in groupby(sorted(_placed(work), key=cell_id), key=cell_id):
        yield work.tools.cells.get(uuid), list(group)


def _on_host(instance: Instance, placed: Placed) -> Instance:
    chosen = placed.selections[0]
    return replace(
        instance,
        host=chosen.host,
        node=chosen.node,
        node_name=chosen.node_name,
        availability_zone=chosen.availability_zone,
        scheduling=placed.explanation,
    )


def _begin_builds_or_fail(work: Work[SuperTools], cell: OpenCell, group: Sequence[Placed]) -> list[str]:
    """Begin the builds of a cell as ``_begin_builds``; a server whose cell refuses it for good ends in ERROR there."""
    try:
        return _begin_builds(work, cell, group)
    except sa.exc.StatementError as exc:
        if refusal(exc) is None:
            raise
        LOG.warning("The cell %s refuses servers of %s: %s", cell.cell.name, work.subject, exc)
    begun: list[str] = []
    for placed in group:
        try:
            begun += _begin_builds(work, cell, [placed])
        except sa.exc.StatementError as exc:
            cause = refusal(exc)
            if cause is None:
                raise
            _fail_there_if_it_may(work, cell, placed.instance_uuid, cause)
            work.tools.placement.release(placed.instance_uuid)
    return begun


def _fail_there_if_it_may(work: Work[SuperTools], cell: OpenCell, uuid: str, cause: str) -> None:
    """Leave a server in ERROR in its cell; where that refuses this too, as it is, which the audit tells and mends."""
    try:
        _fail_there(work, cell, uuid, cause)
    except sa.exc.StatementError as exc:
        if refusal(exc) is None:
            raise
        LOG.exception("Left behind, for the audit: server %s, of which cell %s takes no change", uuid, cell.cell.name)


def _fail_there(work: Work[SuperTools], cell: OpenCell, uuid: str, cause: str) -> None:
    """Leave a server in ERROR in its cell, on no host; none when it is being deleted."""
    with work.tools.database(cell).writer() as session:
        try:
            instance = instances.lock(session, uuid)
        except errors.NotFound:
            return
        if instance.task_state is TaskState.SCHEDULING:
            rule, now = ACTIONS["create"], utcnow()
            on_no_host = {"host": None, "node": None, "node_name": None}
            fault = Fault(500, REFUSED, now, cause)
            instances.set_fault(session, uuid, fault, vm_state=rule.fails_in, task_state=None, **on_no_host)
            _note_failure(work, session, uuid, REFUSED)


def _begin_builds(work: Work[SuperTools], cell: OpenCell, group: Sequence[Placed]) -> list[str]:
    """Record the builds of a cell's servers, drop those deleted meanwhile; return the UUIDs of the builds begun."""
    begun: list[str] = []
    with work.tools.database(cell).writing() as connection:
        for placed in group:
            if placed.instance_uuid not in work.facts["settled"]:
                instances.remove(connection, placed.instance_uuid)
            elif _begin_build(work, connection, placed):
                begun.append(_build_uuid(work, placed.instance_uuid))
    return begun


def _begin_build(work: Work[SuperTools], connection: sa.Connection, placed: Placed) -> bool:
    """Record the cell's build of a server; False when it is begun already, or being deleted."""
    uuid = placed.instance_uuid
    edits, written = work.facts["settled"][uuid], work.facts["written"][uuid]
    try:
        still_due = _still_due(edits, written, instances.lock(connection, uuid)) if edits else {}
        begun = {"task_state": ACTIONS["create"].while_busy, **still_due}
        instances.change(connection, uuid, expect_task=TaskState.SCHEDULING, **begun)
    except (errors.NotFound, errors.Conflict):
        return _is_begun(connection, uuid)
    allowed = group_places.only_granted(placed, work.facts.get("spares", {}))
    workflow = work.workflow
    # It would not be in this state if it had begun before.
    actions.begin_new(
        connection,
        instance_uuid=uuid,
        action="create",
        request_id=workflow.request_id,
        user_id=workflow.user_id,
        project_id=workflow.project_id,
        event=operations.EVENTS["create"],
    )
    build = Workflow.asked_by(
        workflow,
        "create",
        uuid,
        {"selections": msgspec.to_builtins(allowed.selections), **_volume_inputs(work, uuid)},
        uuid=_build_uuid(work, uuid),
    )
    workflows.add(connection, CellWorkflowRow, build, timeout_s=work.tools.conf.instance_build_timeout)
    return True


def _volume_inputs(work: Work[SuperTools], uuid: str) -> Facts:
    """Return what the build of a server with volumes is told besides."""
    return {"has_volumes": True} if uuid in work.facts.get("with_volumes", ()) else {}


def _is_begun(connection: sa.Connection, uuid: str) -> bool:
    try:
        return instances.get(connection, uuid).task_state is TaskState.SPAWNING
    except errors.NotFound:
        return False


def _still_due(edits: Facts, written: Facts, instance: Instance) -> dict[str, Any]:
    """Return, by column, those of a user's edits that the server in its cell has not got: it is there as written."""
    now = _editable(instance)
    return {_EDITABLE[name]: value for name, value in edits.items() if now[name] == written[name]}


def _build_uuid(work: Work[SuperTools], instance_uuid: str) -> str:
    """Return the UUID of a server's build: always the same one, so that beginning it twice makes one."""
    return str(uuids.uuid5(uuids.UUID(work.workflow.uuid), instance_uuid))


def _fault(work: Work[SuperTools], instance: Instance, reason: str, now: datetime) -> Fault:
    said = [work.facts.get("refusal", ""), explanation.text(instance.scheduling)]
    return Fault(500, reason, now, "\n".join(text for text in said if text))


def _keep_failed(work: Work[SuperTools], instance: Instance, fault: Fault) -> None:
    """Write a server that failed into cell0; without what its user said of it where it is refused with that."""
    try:
        _add_failed(work, instance, fault)
    except errors.NovaLiteError:
        raise
    except Exception as exc:
        LOG.exception("Cell0 refuses server %s as it was asked for", instance.uuid)
        _add_failed(work, _bare(instance), _because(fault, exc))


def _because(fault: Fault, exc: Exception) -> Fault:
    """Return a fault with why it could not be kept as it was."""
    return replace(fault, details=f"{fault.details}\n{refusal(exc) or type(exc).__name__}".strip())


def _leave_failed(work: Work[SuperTools], instance: Instance, fault: Fault) -> None:
    """Have a server that cell0 does not take be in ERROR where it is: in its build request, if that is still there."""
    failed = replace(instance, vm_state=VmState.ERROR, task_state=None, fault=fault)
    with work.tools.api_db.writer() as session:
        build_requests.rename(session, failed)


def _bare(instance: Instance) -> Instance:
    """Return a server with nothing of what its user wrote; where it has volumes they stay its own."""
    return Instance(
        uuid=instance.uuid,
        project_id=instance.project_id,
        user_id=instance.user_id,
        display_name=f"Server {instance.uuid}",
        hostname=f"server-{instance.uuid}",
        vm_state=instance.vm_state,
        task_state=instance.task_state,
        flavor=instance.flavor,
        image_id=instance.image_id,
        created_at=instance.created_at,
        updated_at=instance.updated_at,
        reservation_id=instance.reservation_id,
        launch_index=instance.launch_index,
        volumes=tuple(replace(device, device_name="", tag=None) for device in instance.volumes),
    )


def _add_failed(work: Work[SuperTools], instance: Instance, fault: Fault) -> None:
    failed = replace(
        instance, vm_state=ACTIONS["create"].fails_in or instance.vm_state, task_state=None, fault=fault, host=None
    )
    with work.tools.cells.cell0.db.writer() as session:
        instances.add(session, failed)
        _note_failure(work, session, instance.uuid, fault.message)


def _note_failure(work: Work[SuperTools], session: Session, uuid: str, error: str) -> None:
    """Note in a server's actions that its build ended here."""
    workflow = work.workflow
    actions.begin(
        session,
        instance_uuid=uuid,
        action="create",
        request_id=workflow.request_id,
        user_id=workflow.user_id,
        project_id=workflow.project_id,
        event="conductor_schedule_and_build_instances",
    )
    actions.finish(
        session,
        instance_uuid=uuid,
        request_id=workflow.request_id,
        error=error,
        host=None,
        traceback=workflow.traceback,
    )


def _forget(work: Work[SuperTools], uuids_unwanted: list[str]) -> None:
    """Free the claims and mappings of servers deleted before they lived anywhere."""
    for uuid in uuids_unwanted:
        work.tools.placement.release(uuid)
    if uuids_unwanted:
        with work.tools.api_db.writer() as session:
            mappings.remove_instances(session, mappings.unborn(session, uuids_unwanted))

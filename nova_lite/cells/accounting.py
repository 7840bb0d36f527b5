"""What a server that moves counts for: kept in the API database, where no cell can write it.

An open move counts for the larger of both sizes, so that neither confirming nor reverting it can pass a quota. What is
written at the end comes from the cell, whatever has happened there. See ``docs/decisions/0012-moves.rst``.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves, shelving
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import build_requests, instances, mappings, migrations, server_groups, workflows
from nova_lite.model.flavor import Flavor
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Workflow
from nova_lite.storage import Database, retried

#: What changes where a server is, or how large.
_KINDS = (*moves.KINDS, *shelving.KINDS)

#: What ends a move, and chooses no place for the server.
_ENDS = (moves.CONFIRM, moves.REVERT)


def count_larger(session: Session, instance_uuid: str, flavor: Flavor) -> None:
    """Have a server count for ``flavor``, too, as far as that is larger than what it counts for."""
    vcpus, ram_mib = mappings.counted(session, instance_uuid)
    mappings.count(session, instance_uuid, vcpus=max(vcpus, flavor.vcpus), ram_mib=max(ram_mib, flavor.ram_mib))


@retried
def settle(api_db: Database, cell_db: Database, instance_uuid: str, workflow_uuid: str) -> None:
    """Count a server as its cell says, and note its size and its place; those are left to a move begun since.

    ``workflow_uuid`` is the workflow above the cells on whose behalf that is done. Whoever settles last counts what is:
    nobody relies on another to do it.
    """
    with api_db.writer() as session:
        try:
            mappings.counted(session, instance_uuid)
        except errors.NotFound:
            return
        newer = workflows.newer_about(session, ApiWorkflowRow, instance_uuid, workflow_uuid, _KINDS)
        with cell_db.reader() as cell_session:
            try:
                instance = instances.get(cell_session, instance_uuid)
            except errors.NotFound:
                return
            sizes, way_back = [instance.flavor, *_asked_for(newer)], None
            for move in migrations.open_of(cell_session, instance_uuid):
                sizes += [move.old_flavor, move.new_flavor]
                way_back = move.source.host
        mappings.count(
            session,
            instance_uuid,
            vcpus=max(size.vcpus for size in sizes),
            ram_mib=max(size.ram_mib for size in sizes),
        )
        if any(each.kind not in _ENDS for each in newer):
            return
        build_requests.resize(session, instance_uuid, instance.flavor)
        if instance.host is not None:
            server_groups.settled_on(session, instance_uuid, instance.host, way_back)
        elif instance.vm_state is VmState.SHELVED_OFFLOADED:
            server_groups.unsettle(session, [instance_uuid])


def _asked_for(moving: Iterable[Workflow]) -> list[Flavor]:
    """Return what a server is to be by moves that its cell may not know of yet."""
    return [msgspec.convert(each.inputs["flavor"], Flavor) for each in moving if "flavor" in each.inputs]

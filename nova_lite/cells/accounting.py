"""What a server that moves counts for: kept in the API database, where no cell can write it.

An open move counts for the larger of both sizes, so that neither confirming nor reverting it can pass a quota. What is
written at the end comes from the cell, whatever has happened there. See ``docs/decisions/0012-moves.rst``.
"""

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells import moves
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import build_requests, instances, mappings, migrations, server_groups, workflows
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Database, retried


def count_larger(session: Session, instance_uuid: str, flavor: Flavor) -> None:
    """Have a server count for ``flavor``, too, as far as that is larger than what it counts for."""
    vcpus, ram_mib = mappings.counted(session, instance_uuid)
    mappings.count(session, instance_uuid, vcpus=max(vcpus, flavor.vcpus), ram_mib=max(ram_mib, flavor.ram_mib))


@retried
def settle(api_db: Database, cell_db: Database, instance_uuid: str, workflow_uuid: str) -> None:
    """Count a server as its cell says, and note its size and its place; left to another move that has begun since.

    ``workflow_uuid`` is the workflow above the cells on whose behalf that is done.
    """
    with api_db.writer() as session:
        try:
            mappings.counted(session, instance_uuid)
        except errors.NotFound:
            return
        if workflows.others_about(session, ApiWorkflowRow, instance_uuid, workflow_uuid, moves.KINDS):
            return
        with cell_db.reader() as cell_session:
            try:
                instance = instances.get(cell_session, instance_uuid)
            except errors.NotFound:
                return
            sizes, way_back = [instance.flavor], None
            for move in migrations.open_of(cell_session, instance_uuid):
                sizes += [move.old_flavor, move.new_flavor]
                way_back = move.source.host
        mappings.count(
            session,
            instance_uuid,
            vcpus=max(size.vcpus for size in sizes),
            ram_mib=max(size.ram_mib for size in sizes),
        )
        build_requests.resize(session, instance_uuid, instance.flavor)
        if instance.host is not None:
            server_groups.settled_on(session, instance_uuid, instance.host, way_back)

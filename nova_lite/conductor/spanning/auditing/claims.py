"""Whether everybody holds in Placement what is due, and nobody else holds anything: pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.model.block_device import root_of
from nova_lite.model.claims import Amounts, fits, shown, shown_all
from nova_lite.model.flavor import Flavor, rootless
from nova_lite.model.migration import FINISHED, MigrationKind
from nova_lite.model.sightings import Seen
from nova_lite.model.states import VmState

#: What a server of a flavor, with such an image, takes in all; None when that cannot be told here.
AmountsOf = Callable[[Flavor, Mapping[str, str]], Amounts | None]


@dataclass(frozen=True, slots=True)
class Due:
    """What a consumer is due: of the tree of ``node``, ``amounts`` in all (None: unknown). No node: nothing.

    The consumer is the ``instance``, or a move of it that waits to be confirmed or reverted.
    """

    consumer: str
    instance: str
    cell: str
    project_id: str
    user_id: str
    node: str | None
    amounts: Amounts | None
    flavor: Flavor
    image_properties: Mapping[str, str]
    evidence: tuple[object, ...]


def dues(seen: Seen, amounts_of: AmountsOf) -> Iterator[Due]:
    """Yield what is due to servers at rest, and to moves that wait to be confirmed or reverted."""
    for uuid in seen.servers:
        server = seen.at_rest(uuid)
        if server is not None and server.vm_state != VmState.BUILDING:
            node = None if server.host is None else server.node
            yield Due(
                consumer=uuid,
                instance=uuid,
                cell=server.cell,
                project_id=server.project_id,
                user_id=server.user_id,
                node=node,
                amounts={} if node is None else amounts_of(server.flavor, server.image_properties),
                flavor=server.flavor,
                image_properties=server.image_properties,
                evidence=(server.epoch, server.updated_at),
            )
    for move in seen.moves.values():
        server = seen.at_rest(move.instance_uuid)
        if server is None or server.vm_state != VmState.RESIZED or move.status != FINISHED:
            continue
        if move.kind in (MigrationKind.COLD, MigrationKind.RESIZE):
            old = move.old_flavor if root_of(server.volumes) is None else rootless(move.old_flavor)
            yield Due(
                consumer=move.uuid,
                instance=move.instance_uuid,
                cell=move.cell,
                project_id=move.project_id,
                user_id=move.user_id,
                node=move.source_node,
                amounts=amounts_of(old, server.image_properties),
                flavor=old,
                image_properties=server.image_properties,
                evidence=(move.status, move.updated_at),
            )


def claims(seen: Seen, amounts_of: AmountsOf) -> Iterator[Finding]:
    """Tell who holds nothing, too much, too little, or of another host."""
    for due in dues(seen, amounts_of):
        claim = (seen.claims or {}).get(due.consumer)
        held = {} if claim is None else claim.held
        if fits(held, due.node, due.amounts, seen.roots):
            continue
        kind = Kind.CLAIM_WRONG if held else Kind.CLAIM_MISSING
        takes = "an unknown amount" if due.amounts is None else shown(due.amounts)
        who = "it" if due.consumer == due.instance else f"the move of server {due.instance}"
        wanted = f"{who} is due {takes} of {due.node}" if due.node else f"{who} is on no host"
        text = f"{wanted}, and holds {shown_all(held)}"
        detail = {"due": due, "held": held}
        is_unknown = due.amounts is None
        evidence = (*due.evidence, shown_all(held))
        yield Finding(kind, due.consumer, text, due.cell, evidence, detail, is_told_only=is_unknown)


def orphans(seen: Seen) -> Iterator[Finding]:
    """Tell who holds something and is nobody: no server, no open move, nothing that is at work or accepted."""
    for consumer, claim in (seen.claims or {}).items():
        if consumer in seen.busy or consumer in seen.servers or consumer in seen.moves:
            continue
        mapping = seen.mappings.get(consumer)
        if mapping is not None and mapping.cell is None:
            continue  # accepted and unborn; that nobody is at work is told as that
        if mapping is not None and mapping.cell not in seen.cells:
            continue
        if mapping is None and not seen.is_whole:
            continue
        why = "nobody knows it" if mapping is None else "it is deleted"
        text = f"{why}, and it holds {shown_all(claim.held)}"
        yield Finding(Kind.CLAIM_ORPHANED, consumer, text, None, (shown_all(claim.held),), {"held": claim.held})

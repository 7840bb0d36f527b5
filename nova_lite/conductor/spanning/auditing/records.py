"""Whether mappings, instances, what was asked for them, groups and counts agree: pure.

Each check stands for one row of ``findings.RULES``. What unfinished work is about, and what may be in a cell that did
not answer, is not judged.
"""

from collections.abc import Iterator

from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.model.sightings import Seen, SeenMapping, SeenServer
from nova_lite.model.states import VmState


def mappings(seen: Seen) -> Iterator[Finding]:
    """Tell mappings that name no cell that has the server, alive or deleted."""
    for uuid, mapping in seen.mappings.items():
        if uuid in seen.busy or mapping.cell in seen.silent:
            continue
        rows = seen.servers.get(uuid, [])
        if any(row.cell == mapping.cell for row in rows):
            continue
        if len(rows) == 1:
            text = f"it lives in cell {rows[0].cell}, its mapping says {mapping.cell or 'none'}"
            detail = {"from": mapping.cell, "to": rows[0].cell}
            yield Finding(Kind.MAPPING_WRONG_CELL, uuid, text, rows[0].cell, _of(rows[0], mapping), detail)
        elif not rows:
            yield from _of_nobody(seen, mapping)


def _of_nobody(seen: Seen, mapping: SeenMapping) -> Iterator[Finding]:
    """Tell what a mapping says of a server that lives in no cell that answered."""
    uuid, dead = mapping.uuid, seen.dead.get(mapping.uuid, set())
    if dead:
        if not mapping.is_queued_for_delete:
            text = f"it is deleted in cell {min(dead)} and counts for {mapping.vcpus} vCPUs, {mapping.ram_mib} MiB"
            yield Finding(Kind.MAPPING_OF_DELETED, uuid, text, mapping.cell, (mapping,))
    elif mapping.cell is None and uuid in seen.failed_builds:
        text = "its build failed, and no cell takes it as that; why, says its fault"
        yield Finding(Kind.BUILD_NOT_KEPT, uuid, text, None, (mapping,))
    elif mapping.cell is None and uuid in seen.build_requests:
        text = "it is in no cell yet, and no workflow is about it"
        yield Finding(Kind.BUILD_WITHOUT_WORK, uuid, text, None, (mapping,))
    else:
        text = f"it is mapped to {f'cell {mapping.cell}' if mapping.cell else 'no cell'}, and no cell has it"
        yield Finding(
            Kind.MAPPING_WITHOUT_INSTANCE, uuid, text, mapping.cell, (mapping,), is_told_only=not seen.is_whole
        )


def instances(seen: Seen) -> Iterator[Finding]:
    """Tell instances that are mapped nowhere, or live in several cells."""
    for uuid, rows in seen.servers.items():
        if uuid in seen.busy:
            continue
        mapping = seen.mappings.get(uuid)
        if len(rows) > 1:
            cells = sorted(row.cell for row in rows)
            ghosts = [row.cell for row in rows if row.is_unborn and (mapping is None or mapping.cell != row.cell)]
            yield Finding(
                Kind.INSTANCE_IN_TWO_CELLS,
                uuid,
                f"it lives in the cells {', '.join(cells)}; its mapping says {mapping.cell if mapping else 'nothing'}",
                cells[0],
                tuple(_of(row, mapping) for row in rows),
                {"unborn_in": ghosts},
                is_told_only=not ghosts,
            )
        elif mapping is None:
            (row,) = rows
            text = f"it is {row.vm_state} on host {row.host} and mapped nowhere"
            yield Finding(
                Kind.INSTANCE_WITHOUT_MAPPING, uuid, text, row.cell, _of(row, None), {"is_unborn": row.is_unborn}
            )


def leftovers(seen: Seen) -> Iterator[Finding]:
    """Tell what is left in the API database of servers that are gone, or that are in their cells already."""
    for uuid in seen.build_requests - seen.busy:
        mapping = seen.mappings.get(uuid)
        if mapping is None or mapping.cell is not None:
            text = "it is mapped nowhere" if mapping is None else f"it is in cell {mapping.cell}"
            yield Finding(Kind.BUILD_REQUEST_LEFT, uuid, text, None, (mapping,), {"is_mapped": mapping is not None})
    if not seen.is_whole:
        return  # the server may live there, mapped nowhere
    for uuid in seen.lone_specs - seen.busy - seen.build_requests - seen.servers.keys():
        yield Finding(Kind.REQUEST_SPEC_LEFT, uuid, "there is no mapping of it")
    for uuid, member in seen.members.items():
        if uuid not in seen.mappings and uuid not in seen.busy and uuid not in seen.servers:
            yield Finding(Kind.GROUP_MEMBER_LEFT, uuid, f"it is in group {member.group}", None, (member,))


def group_places(seen: Seen) -> Iterator[Finding]:
    """Tell places in groups that are not where the servers are; that of a build that ended may be noted later."""
    for uuid, member in seen.members.items():
        server = seen.at_rest(uuid)
        mapping = seen.mappings.get(uuid)
        if server is None or server.host is None or mapping is None or mapping.is_queued_for_delete:
            continue
        way_back = next((move.source_host for move in seen.moves_of(uuid)), None)
        hosts = {member.host, *(member.spares or ())}
        if server.host not in hosts or (member.spares is None and member.way_back != way_back):
            noted = f"{member.host}, way back {member.way_back}"
            text = f"it is on {server.host}, way back {way_back}; group {member.group} has noted {noted}"
            detail = {"host": server.host, "way_back": way_back}
            yield Finding(Kind.GROUP_PLACE_WRONG, uuid, text, server.cell, (member, *_of(server, None)), detail)


def counts(seen: Seen) -> Iterator[Finding]:
    """Tell servers at rest that count for something else than they are."""
    for uuid, mapping in seen.mappings.items():
        server = seen.at_rest(uuid)
        if server is None or server.cell != mapping.cell:
            continue
        if mapping.is_queued_for_delete is not (server.vm_state == VmState.SOFT_DELETED):
            does = "does not count" if mapping.is_queued_for_delete else "counts"
            text = f"it is {server.vm_state} and {does} for its project's quota"
            detail = {"is_queued": server.vm_state == VmState.SOFT_DELETED}
            yield Finding(Kind.COUNT_WRONG, uuid, text, server.cell, _of(server, mapping), detail)
        sizes = [server.flavor]
        for move in seen.moves_of(uuid):
            sizes += [move.old_flavor, move.new_flavor]
        vcpus, ram_mib = max(size.vcpus for size in sizes), max(size.ram_mib for size in sizes)
        if (mapping.vcpus, mapping.ram_mib) != (vcpus, ram_mib):
            counted = f"{mapping.vcpus} vCPUs, {mapping.ram_mib} MiB"
            text = f"it has {vcpus} vCPUs, {ram_mib} MiB and counts for {counted}"
            yield Finding(Kind.USAGE_WRONG, uuid, text, server.cell, _of(server, mapping))


def host_mappings(seen: Seen) -> Iterator[Finding]:
    """Tell mappings of hosts that do not report to the cell they are mapped to."""
    for host, cell in seen.host_mappings.items():
        cells = seen.registered.get(host, set())
        if host in seen.busy or cell not in seen.cells or cell in cells:
            continue
        if cells:
            text = f"it is mapped to cell {cell} and reports to {', '.join(sorted(cells))}"
            yield Finding(Kind.HOST_MAPPING_WRONG, host, text, cell, (tuple(sorted(cells)),))
        else:
            held = any(row.host == host and row.cell == cell for rows in seen.servers.values() for row in rows)
            text = f"cell {cell} has no service and no hypervisor of it" + (", and live servers on it" if held else "")
            yield Finding(Kind.HOST_MAPPING_LEFT, host, text, cell, is_told_only=held)


def _of(server: SeenServer, mapping: SeenMapping | None) -> tuple[object, ...]:
    """Return what changes when something is done to a server."""
    return (server.cell, server.epoch, server.updated_at, server.task_state, mapping)

"""Whether hosts have the guests that servers should have, and no others: pure.

Nothing here is ever repaired from above: which guests may run is the business of each host's agent, which asks its
cell.
"""

from collections import defaultdict
from collections.abc import Iterator

from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.model.guest import Guest
from nova_lite.model.migration import CONFIRMING
from nova_lite.model.sightings import Seen, SeenServer
from nova_lite.model.states import VmState

#: States of a server that has a guest.
_HAS_GUEST = (
    VmState.ACTIVE,
    VmState.STOPPED,
    VmState.PAUSED,
    VmState.SUSPENDED,
    VmState.SOFT_DELETED,
    VmState.RESCUED,
    VmState.RESIZED,
    VmState.SHELVED,
)


def guests(seen: Seen) -> Iterator[Finding]:
    """Tell guests that nobody should have where they are, and that two hosts have."""
    places: dict[str, list[tuple[str, Guest]]] = defaultdict(list)
    for host in seen.hosts.values():
        for guest in host.guests:
            places[guest.uuid].append((host.host, guest))
    for uuid, found in places.items():
        if uuid in seen.busy:
            continue
        rows = seen.servers.get(uuid, [])
        if len(found) > 1:
            hosts = ", ".join(sorted(host for host, _ in found))
            server_is = f"the server is on {rows[0].host}" if rows else "there is no such server"
            text = f"the hosts {hosts} have a guest of it; {server_is}"
            yield Finding(Kind.GUEST_ON_TWO_HOSTS, uuid, text, None, (hosts, *map(_of, rows)))
            continue
        yield from _misplaced(seen, rows, *found[0])


def _misplaced(seen: Seen, rows: list[SeenServer], host: str, guest: Guest) -> Iterator[Finding]:
    cell = seen.hosts[host].cell
    if not rows:
        if seen.is_whole:
            text = f"host {host} has a guest of it ({guest.power_state.name}), and there is no such server"
            yield Finding(Kind.GUEST_WITHOUT_INSTANCE, guest.uuid, text, cell, (host, guest.epoch))
        return
    if len(rows) > 1 or rows[0].task_state is not None:
        return
    server = rows[0]
    if server.host != host:
        text = f"host {host} has a guest of it ({guest.power_state.name}), and the server is on {server.host}"
        yield Finding(Kind.GUEST_ELSEWHERE, guest.uuid, text, cell, (host, guest.epoch, _of(server)))
    elif guest.epoch < server.epoch:
        text = f"its guest on host {host} is of epoch {guest.epoch}, the server of {server.epoch}"
        yield Finding(Kind.GUEST_STALE, guest.uuid, text, cell, (host, guest.epoch, _of(server)))


def servers(seen: Seen) -> Iterator[Finding]:
    """Tell servers whose host says that it has no guest of theirs."""
    having = {(host.host, guest.uuid) for host in seen.hosts.values() for guest in host.guests}
    for uuid in list(seen.servers):
        server = seen.at_rest(uuid)
        if server is None or server.host not in seen.hosts or server.vm_state not in _HAS_GUEST:
            continue
        if (server.host, uuid) not in having:
            text = f"it is {server.vm_state}, and host {server.host} has no guest of it"
            yield Finding(Kind.INSTANCE_WITHOUT_GUEST, uuid, text, server.cell, _of(server))


def asides(seen: Seen) -> Iterator[Finding]:
    """Tell what hosts keep of guests that will not come back."""
    for host in seen.hosts.values():
        for uuid in host.asides:
            wanted = any(move.source_host == host.host and move.status != CONFIRMING for move in seen.moves_of(uuid))
            if wanted or uuid in seen.busy or host.cell not in seen.cells:
                continue
            text = f"host {host.host} keeps what the server left there, and no move wants it"
            yield Finding(Kind.ASIDE_LEFT, uuid, text, host.cell, (host.host,))


def _of(server: SeenServer) -> tuple[object, ...]:
    return (server.cell, server.host, server.epoch, server.updated_at)

"""Every check there is, on what a look saw: pure."""

from collections.abc import Iterator

from nova_lite.conductor.spanning.auditing import claims, guests, records, volumes, work
from nova_lite.conductor.spanning.auditing.claims import AmountsOf
from nova_lite.conductor.spanning.auditing.findings import Finding
from nova_lite.model.claims import plain_amounts
from nova_lite.model.sightings import Seen


def findings(seen: Seen, amounts_of: AmountsOf = plain_amounts) -> Iterator[Finding]:
    """Yield what is wrong, or looks so for the moment."""
    for check in (records.mappings, records.instances, records.leftovers, records.group_places, records.counts):
        yield from check(seen)
    yield from records.host_mappings(seen)
    yield from work.tasks(seen)
    yield from work.moves(seen)
    yield from work.workflows(seen)
    if seen.claims is not None:
        yield from claims.claims(seen, amounts_of)
        yield from claims.orphans(seen)
    yield from guests.guests(seen)
    yield from guests.servers(seen)
    yield from guests.asides(seen)
    yield from volumes.devices(seen)
    yield from volumes.attachments(seen)
    yield from volumes.stuck(seen)

"""Let Placement forget a compute host whose service was deleted: its providers go, once nothing is claimed there.

While Placement is away this waits, however long. A host that came back meanwhile keeps its providers.
"""

import logging

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.db.repositories import hosts, mappings

LOG = logging.getLogger(__name__)


def remove_providers(work: Work[SuperTools]) -> None:
    """Delete the providers of the hypervisors that went with the service."""
    for evacuation in work.inputs.get("evacuations", ()):
        work.tools.placement.release(evacuation)
    back = _hypervisors(work, work.inputs["cell_uuid"])
    for provider in work.inputs["providers"]:
        if provider in back or _remove_with_parts(work.tools.placement, provider):
            continue
        # What a server deleted just now had there may still be on its way back.
        if work.seconds_left > 0:
            raise errors.Unavailable(f"Something is still claimed of provider {provider}.")
        LOG.warning(
            "Host %s is deleted, and something is still claimed of its provider %s; "
            "see: nova-lite-manage placement audit. Then delete the provider.",
            work.inputs["host"],
            provider,
        )


def _remove_with_parts(placement: PlacementClient, provider: str) -> bool:
    """Delete a provider and all below it, what is deepest first; False when something of one of them is claimed."""
    parent_of = {str(one["uuid"]): one["parent_provider_uuid"] for one in placement.tree(provider)}
    below = [provider]
    for one in below:
        below += [child for child, parent in parent_of.items() if parent == one]
    return all(placement.remove_provider(one) for one in reversed(below))


def _hypervisors(work: Work[SuperTools], cell_uuid: str) -> set[str]:
    """Return the hypervisors of a cell; none of one that is gone itself."""
    with work.tools.api_db.reader() as session:
        if cell_uuid not in {cell.uuid for cell in mappings.cells(session)}:
            return set()
    with work.tools.database(work.tools.cells.get(cell_uuid)).reader() as session:
        return set(hosts.node_hosts(session))


FORGET_HOST = Definition("forget-host", (Step("remove providers", remove_providers, no_way_back=True),))

"""What servers that are somewhere already hold in Placement, as the scheduler would have claimed it there."""

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.clients.placement import PlacementClient
from nova_lite.model.claims import Amounts, Held
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import request
from nova_lite.scheduler.request import Restriction


def due(flavor: Flavor, image_properties: Mapping[str, str]) -> Amounts | None:
    """Return what a server of a flavor, with such an image, takes in all; None when that cannot be understood."""
    try:
        return request.needs(flavor, image_properties).totals
    except errors.Invalid:
        return None


class Spread:
    """Spreads what a server takes over the providers of the host it is on."""

    def __init__(self, placement: PlacementClient) -> None:
        self._placement = placement

    def __call__(self, node: str, amounts: Amounts, flavor: Flavor, image_properties: Mapping[str, str]) -> Held:
        """Return what to hold of each provider: of the host's own, if that has all there is to take.

        Else Placement is asked for a way; raises Conflict when there is none, for want of room or of such resources.
        """
        tree = self._placement.tree(node)
        if len(tree) <= 1 or self._placement.inventories(node)[0].keys() >= amounts.keys():
            return {node: amounts}
        needs = request.needs(flavor, image_properties)
        here = request.restricting([Restriction(node=node)])
        found = self._placement.candidates(request.candidates_query(needs, limit=1) | here).allocation_requests
        if not found:
            raise errors.Conflict(request.shortage(needs).replace("No host has", "Its host has not got", 1))
        return {provider: given.resources for provider, given in found[0].allocations.items()}

"""Flavors: which a caller sees, and the administrators' changes to them."""

import dataclasses

from nova_lite.db.repositories import flavors
from nova_lite.db.repositories.flavors import FlavorQuery
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Database, retried


class FlavorService:
    """Flavors in the API database."""

    def __init__(self, api_db: Database) -> None:
        self._api_db = api_db

    def page(self, caller: Caller, wanted: FlavorQuery, limit: int) -> tuple[list[Flavor], bool]:
        """Return one page of what ``caller`` may see, and whether more follows.

        Only administrators choose by ``is_public``; everybody else sees what they may use.
        """
        if caller.is_admin:
            wanted = dataclasses.replace(wanted, with_disabled=True)
        else:
            wanted = dataclasses.replace(wanted, is_public=True)
        with self._api_db.reading() as connection:
            found = flavors.page(connection, wanted, limit + 1)
        return found[:limit], 0 < limit < len(found)

    def show(self, caller: Caller, flavor_id: str) -> Flavor:
        """Return a flavor that ``caller`` may use."""
        with self._api_db.reading() as connection:
            return flavors.get(connection, flavor_id, visible_to=None if caller.is_admin else caller.project_id)

    @retried
    def create(self, flavor: Flavor) -> None:
        """Record a new flavor; raises Conflict when its name or id is taken."""
        with self._api_db.writer() as session:
            flavors.add(session, flavor)

    @retried
    def describe(self, flavor_id: str, description: str | None) -> Flavor:
        """Set a flavor's description and return the flavor."""
        with self._api_db.writer() as session:
            return flavors.describe(session, flavor_id, description)

    @retried
    def delete(self, flavor_id: str) -> None:
        """Delete a flavor; servers made of it keep their copy."""
        with self._api_db.writer() as session:
            flavors.remove(session, flavor_id)

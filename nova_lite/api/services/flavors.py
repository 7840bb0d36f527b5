"""Flavors: which a caller sees, and the administrators' changes to them."""

import dataclasses

from nova_lite.api.services.notices import Notices
from nova_lite.db.repositories import flavors
from nova_lite.db.repositories.flavors import FlavorQuery
from nova_lite.model.caller import Caller
from nova_lite.model.flavor import Flavor
from nova_lite.storage import Database, retried


class FlavorService:
    """Flavors in the API database."""

    def __init__(self, api_db: Database, notices: Notices) -> None:
        self._api_db = api_db
        self._notices = notices

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

    def create(self, caller: Caller, flavor: Flavor) -> None:
        """Record a new flavor; raises Conflict when its name or id is taken."""
        self._add(flavor)
        self._notices.flavor(caller, "create", lambda: (flavor, []))

    def describe(self, caller: Caller, flavor_id: str, description: str | None) -> Flavor:
        """Set a flavor's description and return the flavor."""
        described = self._describe(flavor_id, description)
        self._notices.flavor(caller, "update", lambda: told(self._api_db, flavor_id))
        return described

    def delete(self, caller: Caller, flavor_id: str) -> None:
        """Delete a flavor; servers made of it keep their copy."""
        last = self._remove(flavor_id)
        self._notices.flavor(caller, "delete", lambda: (last, []))

    @retried
    def _add(self, flavor: Flavor) -> None:
        with self._api_db.writer() as session:
            flavors.add(session, flavor)

    @retried
    def _describe(self, flavor_id: str, description: str | None) -> Flavor:
        with self._api_db.writer() as session:
            return flavors.describe(session, flavor_id, description)

    @retried
    def _remove(self, flavor_id: str) -> Flavor:
        with self._api_db.writer() as session:
            last = flavors.get(session, flavor_id)
            flavors.remove(session, flavor_id)
            return last


def told(api_db: Database, flavor_id: str) -> tuple[Flavor, list[str]]:
    """Return a flavor as it is told of, and the projects that may use it."""
    with api_db.reader() as session:
        return flavors.get(session, flavor_id), flavors.projects(session, flavor_id)[1]

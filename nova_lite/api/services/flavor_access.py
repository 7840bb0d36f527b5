"""Which projects may use a private flavor."""

from nova_lite.api.policies import flavors as policies
from nova_lite.api.services.flavors import told
from nova_lite.api.services.notices import Notices
from nova_lite.db.repositories import flavors
from nova_lite.errors import Conflict, NotFound
from nova_lite.model.caller import Caller
from nova_lite.storage import Database, retried


class FlavorAccessService:
    """Grants, in the API database."""

    def __init__(self, api_db: Database, notices: Notices) -> None:
        self._api_db = api_db
        self._notices = notices

    def projects(self, flavor_id: str) -> list[str]:
        """Return the projects that may use a private flavor; raises NotFound for a public one."""
        with self._api_db.reader() as session:
            is_public, projects = flavors.projects(session, flavor_id)
        if is_public:
            raise NotFound("Access list not available for public flavors.")
        return projects

    def allow(self, caller: Caller, flavor_id: str, project_id: str, *, must_be_private: bool) -> list[str]:
        """Let a project use a flavor, and return every project that may."""
        caller.require(policies.ACCESS_ADD)
        allowed = self._allow(flavor_id, project_id, must_be_private=must_be_private)
        self._notices.flavor(caller, "update", lambda: told(self._api_db, flavor_id))
        return allowed

    @retried
    def _allow(self, flavor_id: str, project_id: str, *, must_be_private: bool) -> list[str]:
        with self._api_db.writer() as session:
            if must_be_private and flavors.get(session, flavor_id).is_public:
                raise Conflict("Can not add access to a public flavor.")
            flavors.allow(session, flavor_id, project_id)
            return flavors.projects(session, flavor_id)[1]

    def disallow(self, caller: Caller, flavor_id: str, project_id: str) -> list[str]:
        """Stop a project from using a flavor, and return every project that still may."""
        caller.require(policies.ACCESS_REMOVE)
        allowed = self._disallow(flavor_id, project_id)
        self._notices.flavor(caller, "update", lambda: told(self._api_db, flavor_id))
        return allowed

    @retried
    def _disallow(self, flavor_id: str, project_id: str) -> list[str]:
        with self._api_db.writer() as session:
            flavors.disallow(session, flavor_id, project_id)
            return flavors.projects(session, flavor_id)[1]

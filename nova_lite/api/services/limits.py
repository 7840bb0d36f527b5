"""The caller's limits, and what is used of them."""

from oslo_config import cfg

from nova_lite.api.policies import limits as policies
from nova_lite.api.services.quotas import Limits, Quotas, used
from nova_lite.model.caller import Caller
from nova_lite.storage import Database


class LimitService:
    """Limits and use of projects."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._quotas = Quotas(conf)
        self._api_db = api_db

    def limits(self, caller: Caller, other_project: str | None = None) -> Limits:
        """Return the limits and the use of the caller's project, or of another one."""
        caller.require(policies.SHOW)
        if other_project is not None:
            caller.require(policies.SHOW_OTHER)
        project_id = other_project or caller.project_id
        with self._api_db.reading() as connection:
            return Limits(self._quotas.allowance(connection, project_id).project, used(connection, project_id))

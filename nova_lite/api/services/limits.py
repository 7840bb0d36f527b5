"""What a project may have, and what it has: limits set for it or configured, and use counted when asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oslo_config import cfg

from nova_lite.api.policies import limits as limit_policies
from nova_lite.api.policies import quota_sets as policies
from nova_lite.db.repositories import keypairs, mappings, quotas
from nova_lite.model.caller import Caller
from nova_lite.storage import Database

#: Everything a limit can be set for, by the name operators give it.
RESOURCES = ("instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members")


@dataclass(frozen=True)
class Limits:
    """Resource → limit (-1 is unlimited), and resource → use of those that are counted."""

    limits: Mapping[str, int]
    used: Mapping[str, int] = field(default_factory=dict)


class LimitService:
    """Limits and use of projects, and of users in them."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._conf = conf
        self._api_db = api_db

    def limits(self, caller: Caller, other_project: str | None = None) -> Limits:
        """Return the limits and the use of the caller's project, or of another one."""
        if other_project is None:
            caller.require(limit_policies.SHOW)
        else:
            caller.require(limit_policies.SHOW_OTHER)
        return self._of(other_project or caller.project_id, with_use=True)

    def quotas(self, caller: Caller, project_id: str, user_id: str | None) -> Limits:
        """Return a project's quotas, or those of a user in it."""
        caller.require(policies.SHOW, project_id=project_id)
        return self._of(project_id, user_id)

    def quotas_with_use(self, caller: Caller, project_id: str, user_id: str | None) -> Limits:
        """Return the same with what is used."""
        caller.require(policies.DETAIL, project_id=project_id)
        return self._of(project_id, user_id, with_use=True)

    def defaults(self, caller: Caller, project_id: str) -> Limits:
        """Return the quotas of a project that was given none."""
        caller.require(policies.DEFAULTS, project_id=project_id)
        return Limits(self._configured())

    def _of(self, project_id: str, user_id: str | None = None, *, with_use: bool = False) -> Limits:
        with self._api_db.reader() as session:
            found = self._configured() | quotas.limits(session, project_id)
            if user_id is not None:
                found |= quotas.limits(session, project_id, user_id)
            if not with_use:
                return Limits(found)
            instances, cores, ram_mib = mappings.usage(session, project_id, user_id)
            used = {"instances": instances, "cores": cores, "ram": ram_mib}
            if user_id is not None:
                # Keypairs are a user's, and count nowhere else.
                used["key_pairs"] = keypairs.count(session, user_id)
        return Limits(found, used)

    def _configured(self) -> dict[str, int]:
        return {resource: getattr(self._conf.quota, resource) for resource in RESOURCES}

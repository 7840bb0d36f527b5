"""Server groups: servers to be kept together or apart."""

import uuid as uuids
from collections.abc import Mapping

from oslo_config import cfg

from nova_lite.api.policies import server_groups as policies
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quotas import Limits, Quotas, how_many_fit
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import quotas, server_groups
from nova_lite.errors import Forbidden, OverQuota
from nova_lite.model.caller import Caller
from nova_lite.model.server_group import ServerGroup
from nova_lite.storage import Database, retried


class ServerGroupService:
    """Groups in the API database."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, notices: Notices) -> None:
        self._notices = notices
        self._quotas = Quotas(conf)
        self._api_db = api_db

    def page(self, caller: Caller, *, of_all_projects: bool, offset: int, limit: int) -> list[ServerGroup]:
        """Return groups of the caller's project, oldest first; administrators may ask for those of all."""
        caller.require(policies.INDEX)
        project_id: str | None = caller.project_id
        if of_all_projects and caller.is_admin:
            caller.require(policies.INDEX_ALL)
            project_id = None
        with self._api_db.reader() as session:
            return server_groups.page(session, project_id, offset=offset, limit=limit)

    def show(self, caller: Caller, uuid: str) -> ServerGroup:
        """Return a group."""
        return self._find(caller, uuid, policies.SHOW)

    def create(self, caller: Caller, name: str, policy: str, rules: Mapping[str, int]) -> ServerGroup:
        """Record a new group of the caller's; raises OverQuota."""
        caller.require(policies.CREATE)
        if not caller.project_id:
            raise Forbidden("The token is for no project, and a server group must belong to one.")
        group = ServerGroup(
            uuid=str(uuids.uuid4()),
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=name,
            policy=policy,
            rules=rules,
            created_at=utcnow(),
        )
        self._add(group)
        self._notices.server_group(caller, "create", group)
        return group

    def remove(self, caller: Caller, uuid: str) -> None:
        """Forget a group; its servers live on."""
        group = self._find(caller, uuid, policies.DELETE)
        self._remove(uuid)
        self._notices.server_group(caller, "delete", group)

    def _find(self, caller: Caller, uuid: str, rule: str) -> ServerGroup:
        with self._api_db.reader() as session:
            group = server_groups.get(session, uuid, visible_to=None if caller.is_admin else caller.project_id)
        caller.require(rule, project_id=group.project_id)
        return group

    @retried
    def _add(self, group: ServerGroup) -> None:
        """Count and insert in one transaction, under the project's lock."""
        with self._api_db.writer() as session:
            quotas.lock(session, group.project_id)
            allowance = self._quotas.allowance(session, group.project_id, group.user_id)
            counts = [Limits(allowance.project, _used(server_groups.count(session, group.project_id)))]
            if "server_groups" in allowance.user:
                have = server_groups.count(session, group.project_id, group.user_id)
                counts.append(Limits(allowance.user, _used(have)))
            try:
                how_many_fit(counts, _used(1), least=1, most=1)
            except OverQuota as exc:
                raise OverQuota("Quota exceeded, too many server groups.", why=exc.message) from exc
            server_groups.add(session, group)

    @retried
    def _remove(self, uuid: str) -> None:
        with self._api_db.writer() as session:
            server_groups.remove(session, uuid)


def _used(number: int) -> dict[str, int]:
    return {"server_groups": number}

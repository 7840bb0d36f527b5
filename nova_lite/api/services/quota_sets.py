"""Quotas of projects, and of users in them."""

from collections.abc import Mapping

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.api.policies import quota_sets as policies
from nova_lite.api.services.quotas import NEVER_OF_USERS, UNLIMITED, Allowance, Limits, Quotas, used
from nova_lite.db.repositories import keypairs, quotas
from nova_lite.errors import Invalid
from nova_lite.model.caller import Caller
from nova_lite.storage import Database, Handle, retried

#: No project's or user's id is longer.
_MAX_ID = 255


class QuotaSetService:
    """Shows, sets and forgets quotas; ``user_id`` None is the project as a whole."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._quotas = Quotas(conf)
        self._api_db = api_db

    def show(self, caller: Caller, project_id: str, user_id: str | None) -> Limits:
        """Return a project's quotas, or those of a user in it."""
        caller.require(policies.SHOW, project_id=project_id)
        with self._api_db.reading() as connection:
            return Limits(self._allowance(connection, project_id, user_id).effective)

    def detail(self, caller: Caller, project_id: str, user_id: str | None) -> Limits:
        """Return the same with what is used."""
        caller.require(policies.DETAIL, project_id=project_id)
        with self._api_db.reading() as connection:
            found = used(connection, project_id, user_id)
            if user_id is not None:
                # Keypairs are a user's, and count nowhere else.
                found["key_pairs"] = keypairs.count(connection, user_id)
            return Limits(self._allowance(connection, project_id, user_id).effective, found)

    def defaults(self, caller: Caller, project_id: str) -> Limits:
        """Return the quotas of a project that was given none."""
        caller.require(policies.DEFAULTS, project_id=project_id)
        with self._api_db.reading() as connection:
            return Limits({**self._quotas.configured, **quotas.class_limits(connection, quotas.DEFAULT_CLASS)})

    def update(
        self, caller: Caller, project_id: str, user_id: str | None, wanted: Mapping[str, int], *, is_forced: bool
    ) -> Limits:
        """Set some quotas and return all.

        Raises Invalid, unless forced, for one below what is used or given to users, or above what the project has left.
        """
        caller.require(policies.UPDATE, project_id=project_id)
        if len(project_id) > _MAX_ID:
            raise Invalid(f"project_id: longer than {_MAX_ID} characters")
        return self._set(project_id, user_id, wanted, is_forced=is_forced)

    @retried
    def remove(self, caller: Caller, project_id: str, user_id: str | None) -> None:
        """Forget the quotas of a user in a project, or those of the project and all users in it."""
        caller.require(policies.DELETE, project_id=project_id)
        with self._api_db.writer() as session:
            quotas.lock(session, project_id)
            quotas.remove_limits(session, project_id, user_id)

    @retried
    def _set(self, project_id: str, user_id: str | None, wanted: Mapping[str, int], *, is_forced: bool) -> Limits:
        """Compare with what is used and set, under the lock that whoever uses more must hold."""
        with self._api_db.writer() as session:
            quotas.lock(session, project_id)
            if not is_forced:
                self._refuse_unfit(session, project_id, user_id, wanted)
            of_user = {} if user_id is None else {key: wanted[key] for key in wanted.keys() - NEVER_OF_USERS}
            of_project = {key: wanted[key] for key in wanted.keys() - of_user.keys()}
            quotas.set_limits(session, project_id, quotas.WHOLE_PROJECT, of_project)
            if user_id is not None:
                quotas.set_limits(session, project_id, user_id, of_user)
            return Limits(self._allowance(session, project_id, user_id).effective)

    def _refuse_unfit(self, session: Session, project_id: str, user_id: str | None, wanted: Mapping[str, int]) -> None:
        project = self._quotas.allowance(session, project_id).project
        of_users = quotas.limits_of_users(session, project_id)
        have = used(session, project_id, user_id)
        for resource, limit in wanted.items():
            given = sum(max(0, limits.get(resource, 0)) for limits in of_users.values())
            left = project[resource] - given
            lowest, highest = have.get(resource, 0), UNLIMITED
            if user_id is None:
                if left >= 0:
                    lowest = max(lowest, given)
            else:
                own = of_users.get(user_id, {}).get(resource, 0)
                if left >= 0 and own >= 0:
                    highest = left + own
            _refuse_outside(resource, limit, lowest, highest)

    def _allowance(self, handle: Handle, project_id: str, user_id: str | None) -> Allowance:
        return self._quotas.allowance(handle, project_id, user_id or quotas.WHOLE_PROJECT)


def _refuse_outside(resource: str, limit: int, lowest: int, highest: int) -> None:
    if limit != UNLIMITED and limit < lowest:
        raise Invalid(
            f"Quota limit {limit} for {resource} must be greater than or equal to {lowest}, "
            "which is used already or given to users."
        )
    if highest != UNLIMITED and (limit == UNLIMITED or limit > highest):
        raise Invalid(
            f"Quota limit {limit} for {resource} must be less than or equal to {highest}, "
            "which the project has left for the user."
        )

"""Quota classes: named sets of limits, of which ``default`` holds for every project that was given none."""

from collections.abc import Mapping

from oslo_config import cfg

from nova_lite.api.policies import quota_class_sets as policies
from nova_lite.api.services.quotas import Limits, Quotas
from nova_lite.db.repositories import quotas
from nova_lite.errors import Invalid
from nova_lite.model.caller import Caller
from nova_lite.storage import Database, retried

_MAX_NAME = 255


class QuotaClassSetService:
    """Shows and sets the limits of classes; what a class was not given is as configured."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database) -> None:
        self._quotas = Quotas(conf)
        self._api_db = api_db

    def show(self, caller: Caller, class_name: str) -> Limits:
        """Return the limits of a class; one nobody has set is all as configured."""
        caller.require(policies.SHOW)
        with self._api_db.reader() as session:
            return Limits({**self._quotas.configured, **quotas.class_limits(session, class_name)})

    @retried
    def update(self, caller: Caller, class_name: str, wanted: Mapping[str, int]) -> Limits:
        """Set some limits of a class and return all; whether anybody has more already is not asked."""
        caller.require(policies.UPDATE)
        if len(class_name) > _MAX_NAME:
            raise Invalid(f"quota_class_name: longer than {_MAX_NAME} characters")
        with self._api_db.writer() as session:
            quotas.set_class_limits(session, class_name, wanted)
            return Limits({**self._quotas.configured, **quotas.class_limits(session, class_name)})

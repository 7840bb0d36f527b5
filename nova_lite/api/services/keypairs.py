"""Keypairs: users' public keys, which go into their servers."""

from oslo_config import cfg

from nova_lite.api.policies import keypairs as policies
from nova_lite.api.services import key_material
from nova_lite.api.services.key_material import KeyMaterial
from nova_lite.api.services.notices import Notices
from nova_lite.api.services.quotas import Quotas
from nova_lite.db.repositories import keypairs, quotas
from nova_lite.db.repositories.keypairs import Keypair
from nova_lite.model.caller import Caller
from nova_lite.storage import Database, retried


class KeypairService:
    """Keypairs in the API database; who acts for another user needs the policy to do so."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, notices: Notices) -> None:
        self._notices = notices
        self._quotas = Quotas(conf)
        self._api_db = api_db

    def page(
        self, caller: Caller, user_id: str, *, marker: str | None = None, limit: int | None = None
    ) -> tuple[list[Keypair], bool]:
        """Return a user's keypairs by name, and whether more than ``limit`` (None: no limit) are left."""
        caller.require(policies.INDEX, user_id=user_id)
        with self._api_db.reading() as connection:
            found = keypairs.page(connection, user_id, marker=marker, limit=None if limit is None else limit + 1)
        if limit is None:
            return found, False
        return found[:limit], 0 < limit < len(found)

    def show(self, caller: Caller, user_id: str, name: str) -> Keypair:
        """Return a user's keypair."""
        caller.require(policies.SHOW, user_id=user_id)
        with self._api_db.reading() as connection:
            return keypairs.get(connection, user_id, name)

    def create(
        self, caller: Caller, user_id: str, name: str, key_type: str, public_key: str | None
    ) -> tuple[Keypair, KeyMaterial]:
        """Record a user's public key, or a new one where none is given; the private half is told only now."""
        caller.require(policies.CREATE, user_id=user_id)
        if public_key is None:
            material = key_material.generated(key_type, user_id)
        else:
            material = key_material.imported(key_type, public_key)
        added = self._add(caller.project_id, user_id, name, material)
        self._notices.keypair(caller, "create" if public_key is None else "import", added)
        return added, material

    @retried
    def _add(self, project_id: str, user_id: str, name: str, material: KeyMaterial) -> Keypair:
        with self._api_db.writer() as session:
            # The lock is the user's: keypairs count for users, whichever project they work in.
            quotas.lock(session, user_id)
            allowance = self._quotas.allowance(session, project_id, user_id)
            number = keypairs.count(session, user_id) + 1
            allowance.refuse_more_than("key_pairs", number, "Quota exceeded, too many key pairs.")
            return keypairs.add(
                session,
                user_id=user_id,
                name=name,
                kind=material.type,
                fingerprint=material.fingerprint,
                public_key=material.public_key,
            )

    def delete(self, caller: Caller, user_id: str, name: str) -> None:
        """Forget a user's keypair; servers keep their copy."""
        caller.require(policies.DELETE, user_id=user_id)
        self._notices.keypair(caller, "delete", self._remove(user_id, name))

    @retried
    def _remove(self, user_id: str, name: str) -> Keypair:
        with self._api_db.writer() as session:
            last = keypairs.get(session, user_id, name)
            keypairs.remove(session, user_id, name)
            return last

"""Requests that clients name by a key: carried out once, and answered the same however often they are sent.

What is answered may hold a password, so it is sealed with the client's own key, of which only a digest is kept.
See ``docs/decisions/0025-idempotency-keys.rst``.
"""

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
import orjson
from cryptography.fernet import Fernet
from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.server_lookup import ServerLookup
from nova_lite.db.repositories import actions, idempotency_keys
from nova_lite.db.repositories.idempotency_keys import Named
from nova_lite.model.caller import Caller, Policy
from nova_lite.storage import Database, retried

#: Seconds after which a request counts as one whose server has died; none works on that long before it answers.
_LEASE_S = 600.0

#: A rule of policy, and what it was asked of.
Granted: TypeAlias = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Key:
    """What a client called its request: ``digest`` is how it is known, ``fingerprint`` what was asked."""

    digest: str
    fingerprint: str
    request_id: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered; ``headers`` are those that tell of its result.

    ``granted`` is what policy allowed meanwhile, each rule with its target: who hears the answer again has to be
    allowed all of it still.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    granted: list[Granted] = field(default_factory=list)


class Noting:
    """A policy that notes what it grants."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.granted: list[Granted] = []

    def allows(self, action: str, target: Mapping[str, object], credentials: Mapping[str, object]) -> bool:
        """Return whether ``credentials`` may do ``action`` on ``target``."""
        found = self._policy.allows(action, target, credentials)
        grant = (action, dict(target))
        if found and grant not in self.granted:
            self.granted.append(grant)
        return found


def make_key(caller: Caller, name: str, asked: tuple[str, ...], body: bytes) -> Key:
    """Return the key of a request that ``caller`` names; ``asked`` is what it is but for its body."""
    # What is no JSON, or nested too deeply, is refused, and so will the next one be.
    with contextlib.suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    return Key(
        digest=_digest(b"digest", *(part.encode() for part in (caller.project_id, caller.user_id, name))).hex(),
        fingerprint=_digest(b"fingerprint", *(part.encode() for part in asked), body).hex(),
        request_id=caller.request_id,
        secret=base64.urlsafe_b64encode(_digest(b"secret", name.encode())),
    )


def _digest(*parts: bytes) -> bytes:
    """Return a digest of parts, each with its length, so that no two lists of parts have the same one."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


class IdempotencyKeyService:
    """Knows which named requests were carried out, and what was answered."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, lookup: ServerLookup) -> None:
        self._conf = conf
        self._api_db = api_db
        self._lookup = lookup

    def begin(self, caller: Caller, key: Key, server_id: str | None) -> Answer | None:
        """Return what the request was answered before; None when it is to be carried out now.

        ``server_id`` is the server that it acts on, None where it makes one. Raises Unprocessable when the key stands
        for another request, Forbidden where policy would not allow it any more, Conflict while that one is under way,
        and when it was carried out but nobody knows its answer any more.
        """
        known = self._take(key)
        if known is None or known.request_id == key.request_id:
            return None
        if known.fingerprint != key.fingerprint:
            raise errors.Unprocessable("Idempotency-Key: the key was used for another request already.")
        if known.answer is not None:
            answer = msgspec.json.decode(Fernet(key.secret).decrypt(known.answer.encode()), type=Answer)
            for rule, target in answer.granted:
                caller.require(rule, **target)
            return answer
        if not known.is_held:
            self._refuse_done(caller, known, server_id)
        if known.is_held or not self._take_over(key, known):
            raise errors.Conflict("A request with the same Idempotency-Key is being carried out. Ask again in a while.")
        return None

    @retried
    def end(self, key: Key, answer: Answer) -> None:
        """Note how the request was answered: what was refused may be asked again, as if it had not been."""
        with self._api_db.writer() as session:
            if answer.status < 300:
                sealed = Fernet(key.secret).encrypt(msgspec.json.encode(answer)).decode()
                idempotency_keys.keep_answer(session, key.digest, key.request_id, sealed)
            elif answer.status < 500:
                idempotency_keys.forget(session, key.digest, key.request_id)
            else:
                idempotency_keys.leave(session, key.digest, key.request_id)

    @retried
    def _take(self, key: Key) -> Named | None:
        lifetime_s = self._conf.api.idempotency_key_lifetime
        with self._api_db.writer() as session:
            return idempotency_keys.take(
                session, key.digest, key.fingerprint, key.request_id, lease_s=_LEASE_S, lifetime_s=lifetime_s
            )

    @retried
    def _take_over(self, key: Key, known: Named) -> bool:
        with self._api_db.writer() as session:
            return idempotency_keys.take_over(session, key.digest, known.request_id, key.request_id, lease_s=_LEASE_S)

    def _refuse_done(self, caller: Caller, known: Named, server_id: str | None) -> None:
        """Raise Conflict when a request without an answer was carried out after all: its records tell."""
        if server_id is None:
            with self._api_db.reader() as session:
                made = idempotency_keys.made_by(session, known.request_id)
            if made is not None:
                raise errors.Conflict(
                    f"The request was carried out as {known.request_id}, but its answer is lost. It made server {made}."
                )
            return
        try:
            found = self._lookup.find(caller, server_id)
        except errors.NotFound:
            return
        if found.cell is None:
            return
        with found.cell.db.reader() as session:
            is_done = actions.of_request(session, found.instance.uuid, known.request_id) is not None
        if is_done:
            raise errors.Conflict(
                f"The request was carried out as {known.request_id}, but its answer is lost. "
                f"See /servers/{found.instance.uuid}/os-instance-actions/{known.request_id}"
            )


def results_of(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return those of an answer's headers that tell of its result, not of the way it came."""
    return {name: str(headers[name]) for name in ("content-type", "location") if headers.get(name)}

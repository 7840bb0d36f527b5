"""``Idempotency-Key``: a request that changes something and is sent again is carried out once.

POST of servers and of their actions take the header; whatever else is posted refuses it, so that nobody relies on what
is not there. Other methods may be repeated as they are, and do not look at it.
"""

import contextlib
from dataclasses import replace
from typing import Protocol

import falcon
import orjson

from nova_lite import errors
from nova_lite.api.services.idempotency_keys import Answer, IdempotencyKeyService, Noting, make_key, results_of
from nova_lite.web import validation

HEADER = "Idempotency-Key"
_REPLAYED = "Idempotent-Replayed"
_LONGEST = 255
#: What a client may call its request, as a schema.
NAME = {"type": "string", "minLength": 1, "maxLength": _LONGEST, "pattern": "^[ -~]+$"}
TAKEN_AT = ("/servers", "/servers/{server_id}/action")


def refuse(req: falcon.Request) -> None:
    """Raise Invalid for a named request whose answer is a key to something, and thus kept nowhere."""
    if getattr(req.context, "idempotency_key", None) is not None:
        raise errors.Invalid(f"{HEADER}: not taken here, for the answer opens something and is not kept. Ask again.")


class Judged(Protocol):
    """What serves a URL of ``TAKEN_AT``."""

    def rule_of(self, body: object) -> str | None:
        """Return the rule that who posts ``body``, which nobody has checked, is judged by; None where none is known."""
        ...


class IdempotencyKeys:
    """falcon middleware: answers from memory, or has the answer remembered."""

    def __init__(self, service: IdempotencyKeyService) -> None:
        self._service = service

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Judged, params: dict[str, str]
    ) -> None:
        """Answer a named request as before.

        Raises Invalid, Unprocessable or Conflict where it cannot be taken, and Forbidden where who calls may not do it
        even to what is their own: then nothing is written down.
        """
        name = req.get_header(HEADER)
        if name is None or req.method != "POST":
            return
        if req.uri_template not in TAKEN_AT:
            raise errors.Invalid(f"{HEADER}: taken by POST /servers and POST /servers/{{server_id}}/action alone")
        if not (0 < len(name) <= _LONGEST and name.isascii() and name.isprintable()):
            raise errors.Invalid(f"{HEADER}: from 1 to {_LONGEST} printable ASCII characters")
        caller, content = req.context.caller, validation.body_of(req)
        rule = resource.rule_of(_parsed(content))
        if rule is not None:
            caller.require(rule)
        key = make_key(caller, name, (req.path, req.query_string, str(req.context.version)), content)
        answer = self._service.begin(caller, key, params.get("server_id"))
        if answer is None:
            req.context.idempotency_key = key
            req.context.caller = replace(caller, policy=Noting(caller.policy))
            return
        resp.status, resp.data = answer.status, answer.body
        resp.set_headers({**answer.headers, _REPLAYED: "true"})
        resp.complete = True

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Have the answer remembered, where the request is named."""
        key = getattr(req.context, "idempotency_key", None)
        if key is not None:
            granted = req.context.caller.policy.granted
            answer = Answer(resp.status_code, results_of(resp.headers), resp.render_body() or b"", granted)
            self._service.end(key, answer)


def _parsed(content: bytes) -> object:
    """Return what ``content`` says, None where it is no JSON."""
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(content)
    return None

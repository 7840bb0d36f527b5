"""What a responder declares about itself: its policy, its schemas, the versions that know it.

Declared on the responder, so that a test can see that no route was left without.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, cast

import falcon

from nova_lite import errors
from nova_lite.web import validation
from nova_lite.web.validation import Query, Schemas, query_schema
from nova_lite.web.versions import Version

P = ParamSpec("P")
Responder = Callable[Concatenate[Any, falcon.Request, falcon.Response, P], None]

#: For URLs that take no query parameter (whether one is refused says the API), and for those that ignore any.
NO_QUERY = Schemas(("1.0", query_schema()))
ANY_QUERY = Schemas(("1.0", query_schema(strict=False)))
_FIRST = Version(1, 0)


@dataclass(frozen=True)
class Answers:
    """What a responder answers when all went well: statuses, and others in later versions, oldest first.

    Those of ``empty`` never have a body.
    """

    first: tuple[int, ...]
    later: tuple[tuple[Version, tuple[int, ...]], ...] = ()
    empty: frozenset[int] = frozenset({204})

    def statuses(self, version: Version) -> tuple[int, ...]:
        """Return the statuses of ``version``."""
        return next((statuses for since, statuses in reversed(self.later) if version >= since), self.first)


OK = Answers((200,))
EMPTY_OK = Answers((200,), empty=frozenset({200}))
ACCEPTED = Answers((202,), empty=frozenset({202}))
NO_CONTENT = Answers((204,))


@dataclass(frozen=True)
class Endpoint:
    """What one responder declares.

    ``policy`` names the rules its road asks; with ``enforce`` they are asked here, against the caller's own project,
    else by the service, which knows the target. ``body`` None means that a body is not read.
    A request outside ``since`` … ``until`` finds no such URL.
    """

    policy: tuple[str, ...]
    query: Schemas
    body: Schemas | None = None
    enforce: bool = False
    since: Version = _FIRST
    until: Version | None = None
    answers: Answers = OK

    def is_known(self, version: Version) -> bool:
        """Return whether a client who speaks ``version`` finds this URL."""
        return self.since <= version and (self.until is None or version <= self.until)


def endpoint(
    *,
    policy: str | tuple[str, ...],
    query: Schemas = NO_QUERY,
    body: Schemas | None = None,
    enforce: bool = False,
    since: str = "1.0",
    until: str | None = None,
    answers: Answers = OK,
) -> Callable[[Responder[P]], Responder[P]]:
    """Declare a responder's policy and schemas, and check them before it runs.

    The responder finds ``req.context.query`` (a ``Query``) and ``req.context.body`` (the parsed JSON) filled in,
    where it takes them.
    """
    declared = Endpoint(
        policy=(policy,) if isinstance(policy, str) else policy,
        query=query,
        body=body,
        enforce=enforce,
        since=Version.parse(since),
        until=Version.parse(until) if until else None,
        answers=answers,
    )

    def decorate(responder: Responder[P]) -> Responder[P]:
        @functools.wraps(responder)
        def run(handler: Any, req: falcon.Request, resp: falcon.Response, *args: P.args, **kwargs: P.kwargs) -> None:
            _check(declared, req)
            responder(handler, req, resp, *args, **kwargs)

        run.endpoint = declared  # type: ignore[attr-defined]
        return cast(Responder[P], run)

    return decorate


def declared_endpoint(responder: object) -> Endpoint | None:
    """Return what ``responder`` declares, or None when it declares nothing."""
    declared = getattr(responder, "endpoint", None)
    return declared if isinstance(declared, Endpoint) else None


def refuse_undeclared(path: str, handler: object) -> None:
    """Raise Misconfigured when a responder of ``handler`` declares no policy: nobody may serve it."""
    for name in dir(handler):
        if not name.startswith("on_") or not callable(responder := getattr(handler, name)):
            continue
        declared = declared_endpoint(responder)
        if declared is None or not declared.policy:
            raise errors.Misconfigured(f"{name.removeprefix('on_').upper()} {path} has no rule that says who may.")


def _check(declared: Endpoint, req: falcon.Request) -> None:
    version: Version = req.context.version
    if not declared.is_known(version):
        raise falcon.HTTPNotFound(title="Not Found", description="The resource could not be found.")
    if declared.enforce:
        for rule in declared.policy:
            req.context.caller.require(rule)
    if declared.query is not NO_QUERY or req.context.refuses_stray_queries:
        query: Query = validation.parse_query(req)
        declared.query.check(query, version, "query string")
        req.context.query = query
    if declared.body is not None:
        content = validation.body_of(req)
        req.context.body = validation.parse_json(content, req.content_type, req.context.taken_as_json)
        declared.body.check(req.context.body, version, is_relaxed=req.context.is_relaxed)

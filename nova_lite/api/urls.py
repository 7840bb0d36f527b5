"""What comes before the URL table: the version in the path, and the project id that may follow it.

``/v2.1/servers``, ``/v2.1/{project_id}/servers`` and the same under ``/v2`` all reach the one route ``/servers``.
"""

import re
from collections.abc import Iterable
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.web.monitoring import UNVERSIONED
from nova_lite.web.proxies import Wsgi

#: Where requests go whose path names no version; no client can ask for it, for a version would stand before it.
CHOICES = "/-/choices"
#: The API's description of itself.
OPENAPI = "/openapi.json"
#: What stands before a version.
_UNVERSIONED = frozenset({"", "/", OPENAPI}) | UNVERSIONED
VERSION_ROOTS = ("/v2", "/v2.1")

_VERSIONED = re.compile(r"(/v2(?:\.1)?)(/.*)?", re.DOTALL)
_VERSION_HEADERS = ("HTTP_OPENSTACK_API_VERSION", "HTTP_X_OPENSTACK_NOVA_API_VERSION")


class VersionPrefix:
    """WSGI middleware: takes version and project id off the path, so that the URL table holds each URL once."""

    def __init__(self, app: Wsgi, *, nouns: frozenset[str], link_prefix: str | None) -> None:
        self._app = app
        self._nouns = nouns
        self._link_prefix = link_prefix

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path: str = env.get("PATH_INFO", "")
        env["nova_lite.path"] = path
        env["nova_lite.link_prefix"] = self._link_prefix
        match = _VERSIONED.fullmatch(path)
        if match is not None:
            self._enter(env, match[1], match[2] or "")
        elif path not in _UNVERSIONED:
            env["PATH_INFO"] = CHOICES
        return self._app(env, start_response)

    def _enter(self, env: dict[str, Any], version: str, rest: str) -> None:
        if version == "/v2":
            # The old API never had microversions; what its clients send by habit must not change its answers.
            env["nova_lite.is_relaxed"] = True
            for header in _VERSION_HEADERS:
                env.pop(header, None)
        if rest in ("", "/"):
            env["PATH_INFO"] = version
            return
        if "" in rest[1:].split("/"):
            # No URL of the table has an empty part, nor one more slash at its end.
            return
        first, _, tail = rest[1:].partition("/")
        has_project = first not in self._nouns
        if has_project and tail.partition("/")[0] not in self._nouns:
            return
        env["nova_lite.version_path"] = version
        env["nova_lite.project_id"] = first if has_project else None
        env["PATH_INFO"] = f"/{tail}" if has_project else rest


def is_relaxed(req: falcon.Request) -> bool:
    """Return whether a request is the old API's, which passed over what it did not know."""
    return bool(req.env.get("nova_lite.is_relaxed"))


class ProjectCheck:
    """falcon middleware: a project id in the URL must be the caller's."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        """Raise Invalid when the URL names another project than the token."""
        named = req.env.get("nova_lite.project_id")
        if named is None:
            return
        own: str = req.context.caller.project_id
        if named != own:
            raise errors.Invalid(f"Malformed request URL: it names project {named[:64]!r}, the token is for {own!r}.")


def root_url(req: falcon.Request) -> str:
    """Return the URL of the whole API, as clients reach it, without a slash at its end."""
    configured: str | None = req.env.get("nova_lite.link_prefix")
    return (configured or req.prefix).rstrip("/")


def api_url(req: falcon.Request) -> str:
    """Return the URL that the paths of the URL table follow, version and project id included as they were asked."""
    project = _project_path(req)
    return f"{root_url(req)}{req.env.get('nova_lite.version_path', '/v2.1')}{project}"


def bookmark_url(req: falcon.Request) -> str:
    """Return the same without a version, for links that outlive it."""
    return f"{root_url(req)}{_project_path(req)}"


def _project_path(req: falcon.Request) -> str:
    project_id = req.env.get("nova_lite.project_id")
    return f"/{project_id}" if project_id else ""

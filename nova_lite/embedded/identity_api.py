"""Where clients that begin with an identity service begin: it names every service, and checks nothing.

A token is ``user:project`` in clear, as ``noauth2`` reads it, whatever the password; ids are names. It answers as much
of the identity API, version 3, as clients of compute, placement and images ask. Not for anything but a loopback.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import falcon
import orjson

App: TypeAlias = falcon.App[falcon.Request, falcon.Response]
Document: TypeAlias = dict[str, Any]

REGION = "RegionOne"
_DOMAIN = {"id": "default", "name": "Default"}
#: The administrator has all roles, everybody else the last two.
_ROLES = ("admin", "member", "reader")
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]{1,255}")
_NEVER = "9999-12-31T23:59:59.000000Z"
_MAX_BODY_BYTES = 1 << 16


def build(catalog: Mapping[str, tuple[str, str]], *, admin: str, known: Sequence[str] = ()) -> App:
    """Return the WSGI application.

    ``catalog`` is service type → (service name, URL); ``admin`` the administrator, to whom users
    and projects with the names ``known`` are listed beside his own.
    """
    app = falcon.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(_serialize)
    identity = _Identity(catalog, admin)
    listed = {admin: (admin, *known)}
    app.add_route("/", _Root())
    app.add_route("/v3", _Version())
    app.add_route("/v3/auth/tokens", _Tokens(identity))
    app.add_route("/v3/auth/catalog", _Catalog(identity))
    app.add_route("/v3/auth/projects", _OwnProjects(identity))
    app.add_route("/v3/projects", _Named("project", listed))
    app.add_route("/v3/projects/{name}", _OneNamed("project"))
    app.add_route("/v3/users", _Named("user", listed))
    app.add_route("/v3/users/{name}", _OneNamed("user"))
    app.add_route("/v3/roles", _Roles())
    app.add_route("/v3/domains", _Domains())
    app.add_route("/v3/domains/{name}", _Domain())
    return app


class _Identity:
    """Who is who, and what is where."""

    def __init__(self, catalog: Mapping[str, tuple[str, str]], admin: str) -> None:
        self._catalog = catalog
        self._admin = admin

    def catalog(self, req: falcon.Request) -> list[Document]:
        """Return the service catalog; the identity service is where the request came to."""
        services = {**self._catalog, "identity": ("identity", f"{req.prefix}/v3")}
        return [_service(kind, name, url) for kind, (name, url) in services.items()]

    def token(self, token: str, req: falcon.Request, methods: list[str]) -> Document:
        """Return what is known of a token."""
        user, project = owner(token)
        roles = _ROLES if user == self._admin else _ROLES[1:]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "methods": methods,
            "user": {"id": user, "name": user, "domain": _DOMAIN, "password_expires_at": None},
            "project": {"id": project, "name": project, "domain": _DOMAIN},
            "is_domain": False,
            "roles": [{"id": role, "name": role} for role in roles],
            "catalog": self.catalog(req),
            "audit_ids": [token],
            "issued_at": now,
            "expires_at": _NEVER,
        }


def owner(token: str | None) -> tuple[str, str]:
    """Return the user and the project a token names; raises falcon.HTTPUnauthorized."""
    user, _, project = (token or "").partition(":")
    if not _NAME.fullmatch(user) or (project and not _NAME.fullmatch(project)):
        raise falcon.HTTPUnauthorized(description="The request you have made requires authentication.")
    return user, project or user


class _Root:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send(resp, {"versions": {"values": [_version(req)]}}, 300)


class _Version:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send(resp, {"version": _version(req)})


class _Tokens:
    def __init__(self, identity: _Identity) -> None:
        self._identity = identity

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a token for whoever the body says it is for."""
        methods, token = _asked(req)
        resp.set_header("X-Subject-Token", token)
        _send(resp, {"token": self._identity.token(token, req, methods)}, 201)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tell what a token is."""
        token = req.get_header("X-Subject-Token") or ""
        owner(req.get_header("X-Auth-Token"))
        resp.set_header("X-Subject-Token", token)
        _send(resp, {"token": self._identity.token(token, req, ["password"])})

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Do as if a token were revoked; it cannot be."""
        resp.status = 204


class _Catalog:
    def __init__(self, identity: _Identity) -> None:
        self._identity = identity

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send(resp, {"catalog": self._identity.catalog(req), "links": {}})


class _OwnProjects:
    def __init__(self, identity: _Identity) -> None:
        self._identity = identity

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        project = owner(req.get_header("X-Auth-Token"))[1]
        _send(resp, {"projects": [_thing("project", project)], "links": {}})


class _Named:
    """A collection in which every name exists: a list holds the name asked for, else the caller's own.

    ``listed`` is user → the names that this user's list holds, too.
    """

    def __init__(self, kind: str, listed: Mapping[str, Sequence[str]]) -> None:
        self._kind = kind
        self._listed = listed

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        user, project = owner(req.get_header("X-Auth-Token"))
        own = user if self._kind == "user" else project
        wanted = req.get_param("name")
        names = [wanted] if wanted else dict.fromkeys((own, *self._listed.get(user, ())))
        _send(resp, {f"{self._kind}s": [_thing(self._kind, name) for name in names], "links": {}})


class _OneNamed:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        owner(req.get_header("X-Auth-Token"))
        _send(resp, {self._kind: _thing(self._kind, name)})


class _Roles:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = req.get_param("name")
        roles = [{"id": role, "name": role, "domain_id": None} for role in _ROLES if wanted in (None, role)]
        _send(resp, {"roles": roles, "links": {}})


class _Domains:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = req.get_param("name")
        domains = [{**_DOMAIN, "enabled": True}] if wanted in (None, _DOMAIN["name"]) else []
        _send(resp, {"domains": domains, "links": {}})


class _Domain:
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        if name != _DOMAIN["id"]:
            raise falcon.HTTPNotFound(description=f"Could not find domain: {name[:64]}.")
        _send(resp, {"domain": {**_DOMAIN, "enabled": True}})


def _asked(req: falcon.Request) -> tuple[list[str], str]:
    """Return the methods and the token that the body of a token request comes to."""
    try:
        auth = orjson.loads(req.bounded_stream.read(_MAX_BODY_BYTES))["auth"]
        identity = auth["identity"]
        methods = [str(method) for method in identity["methods"]]
        who = identity[methods[0]]
        if methods[0] == "token":
            user, project = owner(who["id"])
        else:
            entry = who.get("user", who)
            user = project = entry.get("name") or entry["id"]
        scope = auth.get("scope")
        wanted = scope.get("project", {}) if isinstance(scope, dict) else {}
        token = f"{user}:{wanted.get('name') or wanted.get('id') or project}"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise falcon.HTTPBadRequest(description="The body is no request for a token.") from exc
    owner(token)
    return methods, token


def _version(req: falcon.Request) -> Document:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{req.prefix}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def _service(kind: str, name: str, url: str) -> Document:
    endpoints = [
        {"id": f"{kind}-{interface}", "interface": interface, "region": REGION, "region_id": REGION, "url": url}
        for interface in ("public", "internal", "admin")
    ]
    return {"id": kind, "type": kind, "name": name, "endpoints": endpoints}


def _thing(kind: str, name: str) -> Document:
    """Return a project or a user."""
    shown = {"id": name, "name": name, "domain_id": _DOMAIN["id"], "enabled": True, "description": "", "links": {}}
    return shown if kind == "user" else {**shown, "parent_id": _DOMAIN["id"], "is_domain": False, "tags": []}


def _send(resp: falcon.Response, document: object, status: int = 200) -> None:
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(document)


def _serialize(req: falcon.Request, resp: falcon.Response, exc: falcon.HTTPError) -> None:
    resp.content_type = falcon.MEDIA_JSON
    message = exc.description or "The resource could not be found."
    resp.data = orjson.dumps({"error": {"code": exc.status_code, "title": exc.title, "message": message}})

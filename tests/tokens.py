"""A Keystone that knows tokens by their names, each of which says what the token is good for, or not."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import falcon
import falcon.testing

from nova_lite.embedded.http import HttpServer

_DOMAIN = {"id": "default", "name": "Default"}


class _Tokens:
    """What Keystone says of a token: its name is what is wrong with it."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_header("X-Subject-Token", "service")
        resp.status, resp.media = 201, {"token": _told("service", req.prefix)}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        name = req.get_header("X-Subject-Token") or ""
        if name not in ("good", "expired", "unscoped", "other", "service", "system"):
            raise falcon.HTTPNotFound
        if name == "expired" and req.get_param("allow_expired") is None:
            raise falcon.HTTPNotFound
        resp.media = {"token": _told(name, req.prefix)}


def _told(name: str, url: str) -> dict[str, Any]:
    left = timedelta(hours=-1 if name == "expired" else 1)
    told: dict[str, Any] = {
        "methods": ["password"],
        "user": {"id": "alice", "name": "alice", "domain": _DOMAIN, "password_expires_at": None},
        "audit_ids": ["a"],
        "issued_at": (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "expires_at": (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    }
    if name == "system":
        told |= {"system": {"all": True}, "roles": [{"id": "service", "name": "service"}]}
    elif name != "unscoped":
        project = {"service": "service", "other": "other"}.get(name, "demo")
        told |= {
            "project": {"id": project, "name": project, "domain": _DOMAIN},
            "catalog": _catalog(url),
            "is_domain": False,
        }
        roles = ("service",) if name == "service" else ("member", "reader")
        told["roles"] = [{"id": role, "name": role} for role in roles]
    return told


def _catalog(url: str) -> list[dict[str, Any]]:
    endpoints = [
        {"id": interface, "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": f"{url}/v3"}
        for interface in ("public", "internal", "admin")
    ]
    return [{"id": "identity", "name": "keystone", "type": "identity", "endpoints": endpoints}]


class _Version:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        links = [{"rel": "self", "href": f"{req.prefix}/v3/"}]
        resp.media = {"version": {"id": "v3.14", "status": "stable", "links": links, "media-types": []}}


@contextlib.contextmanager
def serving() -> Iterator[HttpServer]:
    """Have it answer on a free port."""
    server = HttpServer(0, "keystone", threads=2)
    served: Any = falcon.App()
    served.req_options.strip_url_path_trailing_slash = True
    served.add_route("/", _Version())
    served.add_route("/v3", _Version())
    served.add_route("/v3/auth/tokens", _Tokens())
    server.start(served)
    yield server
    server.stop()


def middleware_options(url: str) -> str:
    """Return the configuration of an API that asks the Keystone at a URL, whether that is there or not."""
    return (
        f"[keystone_authtoken]\nwww_authenticate_uri = {url}\nauth_url = {url}/v3\n"
        "auth_type = password\nhttp_request_max_retries = 0\nusername = nova\npassword = x\n"
        "user_domain_id = default\nproject_name = service\nproject_domain_id = default\n"
    )

"""``/os-hosts``, up to 2.42. What a host is to do with itself none can: 501."""

import falcon

from nova_lite.api.policies import hosts as policies
from nova_lite.api.schemas import hosts as schemas
from nova_lite.api.services.hosts import HostService
from nova_lite.api.views import hosts as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, endpoint


class Hosts:
    """``/os-hosts``"""

    def __init__(self, hosts: HostService) -> None:
        self._hosts = hosts

    @endpoint(policy=policies.LIST, query=schemas.LIST_QUERY, enforce=True, until="2.42")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = self._hosts.all(req.context.query.one("zone") or None)
        send_json(resp, {"hosts": [views.line(each) for each in found]})


class Host:
    """``/os-hosts/{host}``"""

    def __init__(self, hosts: HostService) -> None:
        self._hosts = hosts

    @endpoint(policy=policies.SHOW, query=ANY_QUERY, enforce=True, until="2.42")
    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        send_json(resp, {"host": views.one(self._hosts.show(host))})

    @endpoint(policy=policies.UPDATE, query=ANY_QUERY, body=schemas.UPDATE, enforce=True, until="2.42")
    def on_put(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        wanted = req.context.body
        if "maintenance_mode" in wanted:
            # Before anything is done, for it cannot be done.
            self._hosts.refuse(host, "to be maintained")
        is_enabled = schemas.is_enable(wanted["status"])
        self._hosts.enable(req.context.caller, host, is_enabled=is_enabled)
        send_json(resp, {"host": host, "status": "enabled" if is_enabled else "disabled"})


class HostReboot:
    """``/os-hosts/{host}/reboot``"""

    def __init__(self, hosts: HostService) -> None:
        self._hosts = hosts

    @endpoint(policy=policies.REBOOT, query=ANY_QUERY, enforce=True, until="2.42")
    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        self._hosts.refuse(host, "to reboot")


class HostShutdown:
    """``/os-hosts/{host}/shutdown``"""

    def __init__(self, hosts: HostService) -> None:
        self._hosts = hosts

    @endpoint(policy=policies.SHUTDOWN, query=ANY_QUERY, enforce=True, until="2.42")
    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        self._hosts.refuse(host, "to shut down")


class HostStartup:
    """``/os-hosts/{host}/startup``"""

    def __init__(self, hosts: HostService) -> None:
        self._hosts = hosts

    @endpoint(policy=policies.START, query=ANY_QUERY, enforce=True, until="2.42")
    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        self._hosts.refuse(host, "to start")

"""``/servers/{server_id}/ips``, ``/os-interface`` and ``/os-security-groups``: what a server has of networks."""

import falcon

from nova_lite.api.policies import server_networks as policies
from nova_lite.api.schemas import networks as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_networks import ServerNetworkService
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, ANY_QUERY, endpoint


class ServerAddresses:
    """``/servers/{server_id}/ips``"""

    def __init__(self, networks: ServerNetworkService) -> None:
        self._networks = networks

    @endpoint(policy=policies.ADDRESSES, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"addresses": self._networks.addresses(req.context.caller, server_id)})


class ServerNetworkAddresses:
    """``/servers/{server_id}/ips/{network}``"""

    def __init__(self, networks: ServerNetworkService) -> None:
        self._networks = networks

    @endpoint(policy=policies.ADDRESSES_SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, network: str) -> None:
        send_json(resp, self._networks.addresses_in(req.context.caller, server_id, network))


class ServerInterfaces:
    """``/servers/{server_id}/os-interface``"""

    def __init__(self, networks: ServerNetworkService) -> None:
        self._networks = networks

    @endpoint(policy=policies.INTERFACES, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"interfaceAttachments": self._networks.interfaces(req.context.caller, server_id)})

    @endpoint(policy=policies.INTERFACES_CREATE, query=ANY_QUERY, body=schemas.INTERFACE)
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        self._networks.refuse(req.context.caller, server_id, policies.INTERFACES_CREATE)


class ServerInterface:
    """``/servers/{server_id}/os-interface/{port_id}``"""

    def __init__(self, networks: ServerNetworkService) -> None:
        self._networks = networks

    @endpoint(policy=policies.INTERFACES_SHOW, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, port_id: str) -> None:
        send_json(resp, {"interfaceAttachment": self._networks.interface(req.context.caller, server_id, port_id)})

    @endpoint(policy=policies.INTERFACES_DELETE, query=ANY_QUERY, answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, port_id: str) -> None:
        self._networks.remove_interface(req.context.caller, server_id, port_id)


class ServerSecurityGroups:
    """``/servers/{server_id}/os-security-groups``"""

    def __init__(self, networks: ServerNetworkService) -> None:
        self._networks = networks

    @endpoint(policy=policies.SECURITY_GROUPS, query=LENIENT_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        send_json(resp, {"security_groups": self._networks.security_groups(req.context.caller, server_id)})

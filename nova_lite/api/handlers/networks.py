"""Networks, floating IPs and security groups, as old clients ask for them up to 2.35. There are none yet.

Lists are empty, one of them is not found, and to make one is refused.
"""

from typing import NoReturn

import falcon

from nova_lite import errors
from nova_lite.api.policies import networks as policies
from nova_lite.api.schemas import networks as schemas
from nova_lite.api.services.server_networks import NO_NETWORKS
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ANY_QUERY, endpoint


class Networks:
    """``/os-networks``"""

    @endpoint(policy=policies.NETWORKS_LIST, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"networks": []})


class Network:
    """``/os-networks/{network_id}``"""

    @endpoint(policy=policies.NETWORKS_SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, network_id: str) -> None:
        _find("Network", network_id)


class TenantNetworks:
    """``/os-tenant-networks``"""

    @endpoint(policy=policies.TENANT_NETWORKS_LIST, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"networks": []})


class TenantNetwork:
    """``/os-tenant-networks/{network_id}``"""

    @endpoint(policy=policies.TENANT_NETWORKS_SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, network_id: str) -> None:
        _find("Network", network_id)


class FloatingIpPools:
    """``/os-floating-ip-pools``"""

    @endpoint(policy=policies.FLOATING_IP_POOLS, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"floating_ip_pools": []})


class FloatingIps:
    """``/os-floating-ips``"""

    @endpoint(policy=policies.FLOATING_IPS_LIST, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"floating_ips": []})

    @endpoint(
        policy=policies.FLOATING_IPS_CREATE, query=ANY_QUERY, body=schemas.FLOATING_IP, enforce=True, until="2.35"
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise errors.Invalid(NO_NETWORKS)


class FloatingIp:
    """``/os-floating-ips/{floating_ip_id}``"""

    @endpoint(policy=policies.FLOATING_IPS_SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, floating_ip_id: str) -> None:
        _find("Floating IP", floating_ip_id)

    @endpoint(policy=policies.FLOATING_IPS_DELETE, query=ANY_QUERY, enforce=True, until="2.35")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, floating_ip_id: str) -> None:
        _find("Floating IP", floating_ip_id)


class SecurityGroups:
    """``/os-security-groups``"""

    @endpoint(policy=policies.SECURITY_GROUPS_LIST, query=schemas.SECURITY_GROUPS_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        send_json(resp, {"security_groups": []})

    @endpoint(
        policy=policies.SECURITY_GROUPS_CREATE, query=ANY_QUERY, body=schemas.SECURITY_GROUP, enforce=True, until="2.35"
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise errors.Invalid(NO_NETWORKS)


class SecurityGroup:
    """``/os-security-groups/{security_group_id}``"""

    @endpoint(policy=policies.SECURITY_GROUPS_SHOW, query=ANY_QUERY, enforce=True, until="2.35")
    def on_get(self, req: falcon.Request, resp: falcon.Response, security_group_id: str) -> None:
        _find("Security group", security_group_id)

    @endpoint(
        policy=policies.SECURITY_GROUPS_UPDATE, query=ANY_QUERY, body=schemas.SECURITY_GROUP, enforce=True, until="2.35"
    )
    def on_put(self, req: falcon.Request, resp: falcon.Response, security_group_id: str) -> None:
        _find("Security group", security_group_id)

    @endpoint(policy=policies.SECURITY_GROUPS_DELETE, query=ANY_QUERY, enforce=True, until="2.35")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, security_group_id: str) -> None:
        _find("Security group", security_group_id)


class SecurityGroupRules:
    """``/os-security-group-rules``"""

    @endpoint(
        policy=policies.RULES_CREATE, query=ANY_QUERY, body=schemas.SECURITY_GROUP_RULE, enforce=True, until="2.35"
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise errors.Invalid(NO_NETWORKS)


class SecurityGroupRule:
    """``/os-security-group-rules/{rule_id}``"""

    @endpoint(policy=policies.RULES_DELETE, query=ANY_QUERY, enforce=True, until="2.35")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, rule_id: str) -> None:
        _find("Security group rule", rule_id)


def routes() -> list[tuple[str, object]]:
    """Return the URLs of what there is none of."""
    return [
        ("/os-networks", Networks()),
        ("/os-networks/{network_id}", Network()),
        ("/os-tenant-networks", TenantNetworks()),
        ("/os-tenant-networks/{network_id}", TenantNetwork()),
        ("/os-floating-ip-pools", FloatingIpPools()),
        ("/os-floating-ips", FloatingIps()),
        ("/os-floating-ips/{floating_ip_id}", FloatingIp()),
        ("/os-security-groups", SecurityGroups()),
        ("/os-security-groups/{security_group_id}", SecurityGroup()),
        ("/os-security-group-rules", SecurityGroupRules()),
        ("/os-security-group-rules/{rule_id}", SecurityGroupRule()),
    ]


def _find(what: str, thing_id: str) -> NoReturn:
    raise errors.NotFound(f"{what} {thing_id[:64]!r} could not be found. {NO_NETWORKS}")

"""What a server has of networks: nothing yet, for none is given any. Whoever asks hears that, if they may."""

from nova_lite import errors
from nova_lite.api.policies import server_networks as policies
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.model.caller import Caller

#: What whoever asks for something of networks hears.
NO_NETWORKS = "This cloud gives servers no networks yet."


class ServerNetworkService:
    """Shows addresses, interfaces and security groups."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def addresses(self, caller: Caller, uuid: str) -> dict[str, list[object]]:
        """Return network → the server's addresses there."""
        self._look(caller, uuid, policies.ADDRESSES)
        return {}

    def addresses_in(self, caller: Caller, uuid: str, network: str) -> dict[str, list[object]]:
        """Return the same of one network; raises NotFound when the server is not in it."""
        self._look(caller, uuid, policies.ADDRESSES_SHOW)
        raise errors.NotFound(f"Instance {uuid} is not in network {network[:255]!r}")

    def interfaces(self, caller: Caller, uuid: str) -> list[object]:
        """Return the server's interfaces."""
        self._look(caller, uuid, policies.INTERFACES)
        return []

    def interface(self, caller: Caller, uuid: str, port_id: str) -> object:
        """Return one of them; raises NotFound."""
        self._look(caller, uuid, policies.INTERFACES_SHOW)
        raise errors.NotFound(f"Instance {uuid} has no port {port_id[:64]!r}")

    def remove_interface(self, caller: Caller, uuid: str, port_id: str) -> None:
        """Raise NotFound: the server has no such interface."""
        self._look(caller, uuid, policies.INTERFACES_DELETE)
        raise errors.NotFound(f"Instance {uuid} has no port {port_id[:64]!r}")

    def refuse(self, caller: Caller, uuid: str, rule: str) -> None:
        """Raise Invalid for whatever wants a network of the server, Forbidden first for whom ``rule`` keeps out."""
        self._look(caller, uuid, rule)
        raise errors.Invalid(NO_NETWORKS)

    def security_groups(self, caller: Caller, uuid: str) -> list[object]:
        """Return the security groups that the server is in."""
        self._look(caller, uuid, policies.SECURITY_GROUPS)
        return []

    def _look(self, caller: Caller, uuid: str, rule: str) -> None:
        caller.require(rule, **target(self._lookup.find(caller, uuid).instance))

"""How a server's processors and memory are laid out: no server here is bound to nodes or pages of its host."""

from dataclasses import dataclass

from nova_lite.api.policies import server_topology as policies
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.model.caller import Caller


@dataclass(frozen=True)
class Topology:
    """Virtual nodes, and the size of pages in KiB where that is fixed."""

    nodes: tuple[object, ...] = ()
    page_size_kib: int | None = None


class ServerTopologyService:
    """Shows topologies."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def show(self, caller: Caller, uuid: str) -> Topology:
        """Return the server's topology."""
        caller.require(policies.INDEX, **target(self._lookup.find(caller, uuid).instance))
        return Topology()

"""Hosts as old clients know them: what runs where, and who uses how much of one."""

from collections.abc import Mapping
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.compute_services import ComputeServiceService, PlacedService, ServiceChange, ServiceRef
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import host_occupancy, hosts
from nova_lite.db.repositories.host_occupancy import Share
from nova_lite.model.caller import Caller
from nova_lite.model.host import ComputeNode


@dataclass(frozen=True)
class HostUse:
    """A host's hypervisor, with what is used of it now, and project → what its live servers were promised there."""

    node: ComputeNode
    shares: Mapping[str, Share]


class HostService:
    """Tells of hosts, and disables and enables them as services are."""

    def __init__(self, conf: cfg.ConfigOpts, cells: Cells, services: ComputeServiceService) -> None:
        self._conf = conf
        self._cells = cells
        self._services = services

    def all(self, zone: str | None) -> list[PlacedService]:
        """Return the services that are enabled, those of one zone if one is named."""
        found, _ = self._services.all(host=None, binary=None)
        return [each for each in found if not each.service.is_disabled and zone in (None, each.zone)]

    def show(self, host: str) -> HostUse:
        """Return what a host has; raises NotFound, Unavailable."""
        with self._cell_of(host).db.reader() as session:
            occupancy = host_occupancy.of_hosts(session, [host]).get(host)
            if occupancy is None or not occupancy.nodes:
                raise _no_host(host)
            node, *_ = hosts.compute_nodes(session, uuids_wanted=occupancy.nodes)
            return HostUse(node, host_occupancy.shares(session, host))

    def enable(self, caller: Caller, host: str, *, is_enabled: bool) -> None:
        """Enable or disable a host for new servers; raises NotFound, Unavailable."""
        self._refuse_unknown(host)
        ref = ServiceRef(host=host, binary=hosts.AGENT)
        self._services.change(caller, ref, ServiceChange(is_disabled=not is_enabled))

    def refuse(self, host: str, what: str) -> None:
        """Raise Unsupported for what no host here can do, NotFound for a host that is none, Unavailable."""
        self._refuse_unknown(host)
        raise errors.Unsupported(f"No host here can be told {what}.")

    def _refuse_unknown(self, host: str) -> None:
        with self._cell_of(host).db.reading() as connection:
            if hosts.agent(connection, host, down_after_s=self._conf.service_down_time) is None:
                raise _no_host(host)

    def _cell_of(self, host: str) -> OpenCell:
        cell_uuid = self._cells.of_hosts([host]).get(host)
        if cell_uuid is None:
            raise _no_host(host)
        return self._cells.get(cell_uuid)


def _no_host(host: str) -> errors.NotFound:
    return errors.NotFound(f"Compute host {host[:255]} could not be found.")

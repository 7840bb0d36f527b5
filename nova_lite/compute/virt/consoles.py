"""The part of the drivers' interface that opens consoles of guests."""

from typing import Protocol

from nova_lite.model.console import Ports


class Consoles(Protocol):
    """Where a hypervisor lets proxies at the consoles of its guests."""

    def console_ports(self, uuid: str, protocol: str) -> Ports | None:
        """Return where the guest's ``vnc``, ``spice`` or ``serial`` console listens; None when it was made without.

        Raises NotFound when there is no such guest, Conflict when it does not run.
        """
        ...

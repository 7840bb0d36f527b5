"""The part of the drivers' interface that looks into running guests, and reaches into them."""

from typing import Protocol

from nova_lite.model.diagnostics import Diagnostics


class Inside(Protocol):
    """What a hypervisor can tell of a running guest, and do inside it; Conflict when it does not run."""

    def diagnostics(self, uuid: str) -> Diagnostics:
        """Return how the guest fares."""
        ...

    def set_password(self, uuid: str, user: str, password: str) -> None:
        """Have the agent inside the guest set a user's password.

        Raises Conflict when the guest was made without an agent's channel or its agent refuses, Unsupported when no
        agent answers there.
        """
        ...

    def freeze(self, uuid: str) -> None:
        """Have the agent inside the guest write out what its file systems hold, and let nothing write to them.

        Raises Conflict when the guest was made without an agent's channel, Unsupported when no agent answers there or
        it refuses: then nothing is frozen.
        """
        ...

    def thaw(self, uuid: str) -> None:
        """Take ``freeze`` back; nothing for a guest that does not run, or has no agent's channel."""
        ...

    def inject_nmi(self, uuid: str) -> None:
        """Interrupt the guest, so that its system dumps its memory, if it would; Unsupported where that cannot be."""
        ...

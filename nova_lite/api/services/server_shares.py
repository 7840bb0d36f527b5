"""The file shares of a server: there is no service of them, so it has none and is given none."""

from collections.abc import Collection

from nova_lite import errors
from nova_lite.api.policies import server_shares as rules
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState

_ATTACHED_IN = frozenset({VmState.STOPPED})
_DETACHED_IN = frozenset({VmState.STOPPED, VmState.ERROR})


class ServerShareService:
    """Tells whoever asks that there are none; who may not ask, and servers that are not there, come first."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def all(self, caller: Caller, uuid: str) -> list[object]:
        """Return the server's shares."""
        self._look(caller, uuid, rules.LIST)
        return []

    def show(self, caller: Caller, uuid: str, share_id: str) -> None:
        """Raise NotFound: the server has no such share."""
        self._look(caller, uuid, rules.SHOW)
        raise _no_share(share_id)

    def attach(self, caller: Caller, uuid: str) -> None:
        """Raise Forbidden, or Conflict for a server that is not stopped."""
        _refuse_state(self._look(caller, uuid, rules.CREATE), _ATTACHED_IN, "create share")
        raise errors.Forbidden("Feature not supported: this cloud has no service of shares.")

    def detach(self, caller: Caller, uuid: str, share_id: str) -> None:
        """Raise NotFound: the server has no such share; Conflict for one that is neither stopped nor in error."""
        _refuse_state(self._look(caller, uuid, rules.DELETE), _DETACHED_IN, "delete share")
        raise _no_share(share_id)

    def _look(self, caller: Caller, uuid: str, rule: str) -> Instance:
        instance = self._lookup.find(caller, uuid).instance
        caller.require(rule, **target(instance))
        return instance


def _refuse_state(instance: Instance, fitting: Collection[VmState], action: str) -> None:
    if instance.vm_state not in fitting:
        raise errors.Conflict(f"Cannot '{action}' instance {instance.uuid} while it is in vm_state {instance.vm_state}")


def _no_share(share_id: str) -> errors.NotFound:
    return errors.NotFound(f"Share {share_id[:64]!r} could not be found.")

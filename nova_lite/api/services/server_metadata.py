"""A server's metadata: the user's own names and values."""

from collections.abc import Callable, Mapping

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.services.quotas import Allowance, Quotas
from nova_lite.api.services.server_changes import ServerChanges
from nova_lite.api.services.server_lookup import ServerLookup, refuse_if_locked, target
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database

Metadata = dict[str, str]

_STATES = frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED})


class ServerMetadataService:
    """Reads and edits metadata, a whole or an item at a time."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, lookup: ServerLookup) -> None:
        self._quotas = Quotas(conf)
        self._api_db = api_db
        self._lookup = lookup
        self._changes = ServerChanges(api_db, lookup)

    def all(self, caller: Caller, uuid: str) -> Metadata:
        """Return the server's metadata."""
        return self._read(caller, uuid, rules.METADATA_INDEX)

    def item(self, caller: Caller, uuid: str, key: str) -> str:
        """Return one value; raises NotFound."""
        metadata = self._read(caller, uuid, rules.METADATA_SHOW)
        if key not in metadata:
            raise _no_item(key)
        return metadata[key]

    def merge(self, caller: Caller, uuid: str, items: Mapping[str, str]) -> Metadata:
        """Add items, replacing those of the same names, and return the whole."""
        return self._edit(caller, uuid, rules.METADATA_CREATE, lambda old: {**old, **items})

    def replace(self, caller: Caller, uuid: str, items: Mapping[str, str]) -> Metadata:
        """Replace the whole."""
        return self._edit(caller, uuid, rules.METADATA_UPDATE_ALL, lambda old: dict(items))

    def set_item(self, caller: Caller, uuid: str, key: str, value: str) -> None:
        """Set one item."""
        self._edit(caller, uuid, rules.METADATA_UPDATE, lambda old: {**old, key: value})

    def remove(self, caller: Caller, uuid: str, key: str) -> None:
        """Remove one item; raises NotFound for one that is not there, whatever else forbids to remove it."""

        def refuse_none(instance: Instance) -> None:
            if key not in instance.metadata:
                raise _no_item(key)

        def without(old: Metadata) -> Metadata:
            if key not in old:
                raise _no_item(key)
            return {name: value for name, value in old.items() if name != key}

        self._edit(caller, uuid, rules.METADATA_DELETE, without, refuse_none)

    def _read(self, caller: Caller, uuid: str, rule: str) -> Metadata:
        instance = self._lookup.find(caller, uuid).instance
        caller.require(rule, **target(instance))
        return dict(instance.metadata)

    def _edit(
        self,
        caller: Caller,
        uuid: str,
        rule: str,
        change: Callable[[Metadata], Metadata],
        refuse: Callable[[Instance], None] = lambda _instance: None,
    ) -> Metadata:
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))
        refuse(located.instance)
        refuse_if_locked(caller, located.instance)
        with self._api_db.reader() as session:
            allowance = self._quotas.allowance(session, located.instance.project_id, caller.user_id)

        def edit(instance: Instance) -> Mapping[str, Metadata]:
            _refuse_if_wrong_state(instance)
            edited = change(dict(instance.metadata))
            refuse_too_much(edited, allowance)
            return {"metadata": edited}

        return self._changes.apply(caller, located, edit).instance.metadata


def refuse_too_much(metadata: Mapping[str, str], allowance: Allowance) -> None:
    """Raise OverQuota when there are more items than a server of the project's, or of the user's, may have."""
    allowance.refuse_more_than("metadata_items", len(metadata), "Maximum number of metadata items exceeds {limit}")


def _refuse_if_wrong_state(instance: Instance) -> None:
    if instance.vm_state not in _STATES:
        raise errors.Conflict(
            f"Cannot change metadata of instance {instance.uuid} while it is in vm_state {instance.vm_state}"
        )


def _no_item(key: str) -> errors.NotFound:
    return errors.NotFound(f"Metadata item {key[:255]!r} was not found")

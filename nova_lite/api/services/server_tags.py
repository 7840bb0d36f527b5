"""A server's tags: words that its users find it by."""

from collections.abc import Callable, Sequence

from nova_lite import errors
from nova_lite.api.policies import server_tags as rules
from nova_lite.api.services.server_changes import ServerChanges
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.storage import Database

Tags = tuple[str, ...]

_STATES = frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED})


class ServerTagService:
    """Reads and edits tags, all or one at a time; they are kept in the order they came, each once."""

    def __init__(self, api_db: Database, lookup: ServerLookup) -> None:
        self._lookup = lookup
        self._changes = ServerChanges(api_db, lookup)

    def all(self, caller: Caller, uuid: str) -> Tags:
        """Return the server's tags."""
        return self._read(caller, uuid, rules.INDEX)

    def find(self, caller: Caller, uuid: str, tag: str) -> None:
        """Raise NotFound unless the server has the tag."""
        if tag not in self._read(caller, uuid, rules.SHOW):
            raise _no_tag(uuid, tag)

    def add(self, caller: Caller, uuid: str, tag: str, *, limit: int) -> bool:
        """Give the server a tag and return whether it is a new one; raises Invalid when it has ``limit`` already."""
        is_new = False

        def with_it(old: Tags) -> Tags:
            nonlocal is_new
            if len(old) >= limit:
                raise errors.Invalid(f"A server has {limit} tags at most")
            is_new = tag not in old
            return (*old, tag) if is_new else old

        self._edit(caller, uuid, rules.UPDATE, with_it)
        return is_new

    def replace(self, caller: Caller, uuid: str, tags: Sequence[str]) -> Tags:
        """Replace all tags and return them as they are then."""
        return self._edit(caller, uuid, rules.UPDATE_ALL, lambda old: tuple(dict.fromkeys(tags)))

    def remove(self, caller: Caller, uuid: str, tag: str) -> None:
        """Take one tag off; raises NotFound."""

        def without(old: Tags) -> Tags:
            if tag not in old:
                raise _no_tag(uuid, tag)
            return tuple(each for each in old if each != tag)

        self._edit(caller, uuid, rules.DELETE, without)

    def clear(self, caller: Caller, uuid: str) -> None:
        """Take all tags off."""
        self._edit(caller, uuid, rules.DELETE_ALL, lambda old: ())

    def _read(self, caller: Caller, uuid: str, rule: str) -> Tags:
        instance = self._lookup.find(caller, uuid).instance
        caller.require(rule, **target(instance))
        return instance.tags

    def _edit(self, caller: Caller, uuid: str, rule: str, change: Callable[[Tags], Tags]) -> Tags:
        located = self._lookup.find(caller, uuid)
        caller.require(rule, **target(located.instance))

        def edit(instance: Instance) -> dict[str, Tags]:
            if instance.vm_state not in _STATES:
                raise errors.Conflict(
                    f"Cannot change tags of instance {instance.uuid} while it is in vm_state {instance.vm_state}"
                )
            changed = change(instance.tags)
            return {} if changed == instance.tags else {"tags": changed}

        return self._changes.apply(caller, located, edit).instance.tags


def _no_tag(uuid: str, tag: str) -> errors.NotFound:
    return errors.NotFound(f"Server {uuid} has no tag {tag[:60]!r}")

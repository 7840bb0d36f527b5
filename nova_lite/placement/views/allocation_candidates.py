"""How allocation candidates are shown: the requests ready to be sent back, and a summary of every provider in play."""

from collections.abc import Iterable, Sequence

from nova_lite.placement import capacity
from nova_lite.placement.model import Candidate, Provider
from nova_lite.placement.snapshot import Snapshot
from nova_lite.placement.views.resource_providers import parent_uuid
from nova_lite.web.versions import Version

_DICTS_SINCE = Version(1, 12)
_TRAITS_SINCE = Version(1, 17)
_ALL_CLASSES_SINCE = Version(1, 27)
_TREES_SINCE = Version(1, 29)
_MAPPINGS_SINCE = Version(1, 34)


def show(
    found: Sequence[Candidate], asked_classes: Iterable[str], snapshot: Snapshot, version: Version
) -> dict[str, object]:
    """Return candidates as the API shows them."""
    classes = None if version >= _ALL_CLASSES_SINCE else frozenset(asked_classes)
    return {
        "allocation_requests": [_request(candidate, version) for candidate in found],
        "provider_summaries": {
            provider.uuid: _summary(provider, classes, snapshot, version)
            for provider in _in_play(found, snapshot, version)
        },
    }


def _request(candidate: Candidate, version: Version) -> dict[str, object]:
    if version < _DICTS_SINCE:
        return {
            "allocations": [
                {"resource_provider": {"uuid": uuid}, "resources": amounts}
                for uuid, amounts in candidate.allocations.items()
            ]
        }
    shown: dict[str, object] = {
        "allocations": {uuid: {"resources": amounts} for uuid, amounts in candidate.allocations.items()}
    }
    if version >= _MAPPINGS_SINCE:
        shown["mappings"] = candidate.mappings
    return shown


def _in_play(found: Sequence[Candidate], snapshot: Snapshot, version: Version) -> Iterable[Provider]:
    """Return the providers to sum up: those that give something and, from 1.29, everybody in their trees."""
    uuids = dict.fromkeys(uuid for candidate in found for uuid in candidate.allocations)
    givers = [provider for uuid in uuids if (provider := snapshot.by_uuid(uuid)) is not None]
    if version < _TREES_SINCE:
        return givers
    roots = dict.fromkeys(provider.root_id for provider in givers)
    return [provider for root in roots for provider in snapshot.tree(root)]


def _summary(
    provider: Provider, classes: frozenset[str] | None, snapshot: Snapshot, version: Version
) -> dict[str, object]:
    shown: dict[str, object] = {
        "resources": {
            name: {"capacity": int(capacity.capacity(inventory)), "used": inventory.used}
            for name, inventory in provider.inventories.items()
            if classes is None or name in classes
        }
    }
    if version >= _TRAITS_SINCE:
        shown["traits"] = sorted(provider.traits)
    if version >= _TREES_SINCE:
        shown["parent_provider_uuid"] = parent_uuid(provider, snapshot)
        shown["root_provider_uuid"] = snapshot.by_id(provider.root_id).uuid
    return shown

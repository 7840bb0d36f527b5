"""How allocation candidates are shown: the requests ready to be sent back, and a summary of every provider in play."""

from collections.abc import Iterable, Sequence

import orjson

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
        "allocation_requests": _requests(found, version),
        "provider_summaries": _summaries(found, classes, snapshot, version),
    }


def _requests(found: Sequence[Candidate], version: Version) -> list[dict[str, object]]:
    if version < _DICTS_SINCE:
        return [
            {
                "allocations": [
                    {"resource_provider": {"uuid": uuid}, "resources": amounts}
                    for uuid, amounts in candidate.allocations.items()
                ]
            }
            for candidate in found
        ]
    if version < _MAPPINGS_SINCE:
        return [{"allocations": _allocations(candidate)} for candidate in found]
    return [{"allocations": _allocations(candidate), "mappings": candidate.mappings} for candidate in found]


def _allocations(candidate: Candidate) -> dict[str, object]:
    uuids = candidate.uuids
    return {uuids[place]: {"resources": amounts} for place, amounts in candidate.way.allocations}


def _summaries(
    found: Sequence[Candidate], classes: frozenset[str] | None, snapshot: Snapshot, version: Version
) -> dict[str, object]:
    """Return a summary of every provider that gives something and, from 1.29, of everybody in their trees."""
    traits = _TraitLists()
    givers = {candidate.uuids[place] for candidate in found for place, _ in candidate.way.allocations}
    if version >= _TREES_SINCE:
        return _whole_trees(givers, snapshot, traits)
    return {
        uuid: _summary(provider, classes, traits if version >= _TRAITS_SINCE else None)
        for uuid in givers
        if (provider := snapshot.by_uuid(uuid)) is not None
    }


def _whole_trees(givers: Iterable[str], snapshot: Snapshot, traits: "_TraitLists") -> dict[str, object]:
    """Return the summaries of everybody in the trees of ``givers``, each written once until the provider changes."""
    shown: dict[str, object] = {}
    seen: set[int] = set()
    notes, forest = snapshot.notes, snapshot.forest
    for uuid in givers:
        provider = snapshot.by_uuid(uuid)
        if provider is None or provider.root_id in seen:
            continue
        seen.add(provider.root_id)
        for member in map(snapshot.at, forest.slots_of(provider.root_id)):
            written = notes.get(member.id)
            if written is None:
                summary = _summary(member, None, traits)
                summary["parent_provider_uuid"] = parent_uuid(member, snapshot)
                summary["root_provider_uuid"] = snapshot.by_id(member.root_id).uuid
                written = orjson.Fragment(orjson.dumps(summary))
                snapshot.note(member.id, written)
            shown[member.uuid] = written
    return shown


class _TraitLists:
    """Sorted traits, written once for all providers that have the same."""

    def __init__(self) -> None:
        self._written: dict[frozenset[str], orjson.Fragment] = {}

    def of(self, traits: frozenset[str]) -> orjson.Fragment:
        """Return the JSON of ``traits``."""
        written = self._written.get(traits)
        if written is None:
            written = self._written[traits] = orjson.Fragment(orjson.dumps(sorted(traits)))
        return written


def _summary(provider: Provider, classes: frozenset[str] | None, traits: _TraitLists | None) -> dict[str, object]:
    inventories = provider.inventories
    if classes is not None:
        inventories = {name: inventory for name, inventory in inventories.items() if name in classes}
    summary: dict[str, object] = {
        "resources": {
            name: {
                "capacity": int((inventory.total - inventory.reserved) * inventory.allocation_ratio),
                "used": inventory.used,
            }
            for name, inventory in inventories.items()
        }
    }
    if traits is not None:
        summary["traits"] = traits.of(provider.traits)
    return summary

"""How allocations are shown."""

from collections.abc import Iterable

from nova_lite.placement.model import Holding, Provider
from nova_lite.placement.snapshot import Snapshot
from nova_lite.web.versions import Version

_OWNER_SINCE = Version(1, 12)
_GENERATION_SINCE = Version(1, 28)
_TYPE_SINCE = Version(1, 38)

#: How a consumer without a type is shown.
UNKNOWN_TYPE = "unknown"


def of_consumer(holding: Holding | None, snapshot: Snapshot, version: Version) -> dict[str, object]:
    """Return what a consumer holds, None being one that holds nothing."""
    if holding is None:
        return {"allocations": {}}
    shown: dict[str, object] = {
        "allocations": {
            uuid: {"generation": _generation(snapshot, uuid), "resources": dict(amounts)}
            for uuid, amounts in holding.allocations.items()
        }
    }
    if version >= _OWNER_SINCE:
        shown |= {"project_id": holding.project_id, "user_id": holding.user_id}
    if version >= _GENERATION_SINCE:
        shown["consumer_generation"] = holding.generation
    if version >= _TYPE_SINCE:
        shown["consumer_type"] = holding.consumer_type or UNKNOWN_TYPE
    return shown


def _generation(snapshot: Snapshot, uuid: str) -> int:
    provider = snapshot.by_uuid(uuid)
    return provider.generation if provider else 0


def of_provider(provider: Provider, holdings: Iterable[Holding], version: Version) -> dict[str, object]:
    """Return who holds what of a provider."""
    consumers: dict[str, dict[str, object]] = {}
    for holding in holdings:
        shown: dict[str, object] = {"resources": dict(holding.allocations[provider.uuid])}
        if version >= _GENERATION_SINCE:
            shown["consumer_generation"] = holding.generation
        consumers[holding.consumer_uuid] = shown
    return {"allocations": consumers, "resource_provider_generation": provider.generation}
